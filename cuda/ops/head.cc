// Launches the loss head. Logits never exist as [R, V]: forward keeps per-tile statistics, backward the gradient of a range
// of the vocabulary at a time; both stay below scratch_bytes, and rows are cut where they would not.
#include <algorithm>
#include <cstdint>

#include "ops/gemm_launch.h"
#include "ops/linear.h"
#include "ops/ops.h"

namespace toolgrad::cuda {
namespace {

constexpr int64_t kGradientColumns = 8192;  // the range of the vocabulary at a time

/// How many rows of row_bytes fit, in multiples of 64 (whole tiles), at least one of them.
int64_t rows_that_fit(int64_t scratch_bytes, int64_t row_bytes) {
  constexpr int64_t kUnit = 64;
  static_assert(kUnit % GemmVocabTile::kM == 0);
  return std::max(kUnit, scratch_bytes / row_bytes / kUnit * kUnit);
}

/// Rows [first, first + rows) of W, whose panels lie together; first is a multiple of kPanelRows.
PackedMatrix rows_of(const PackedMatrix& w, int64_t first, int64_t rows) {
  return {static_cast<char*>(w.data) + first * w.cols * static_cast<int64_t>(dtype_size(w.dtype)), w.dtype, rows,
          w.cols};
}

}  // namespace

void head_forward(Launcher& launcher, const HeadForward& op, int64_t scratch_bytes) {
  if (op.R <= 0) return;
  const int64_t tiles = ceil_div(op.w.rows, kVocabTile), step = rows_that_fit(scratch_bytes, tiles * kTileStatsBytes);
  for (int64_t r0 = 0; r0 < op.R; r0 += step) {
    const int64_t rows = std::min(step, op.R - r0);
    const Bf16Rows hidden = to_bf16_rows(launcher, 0, op.hidden + r0 * op.w.cols, rows, op.w.cols);
    HeadForwardParams p{};
    p.hidden = hidden.data;
    p.w = static_cast<const uint16_t*>(op.w.data);
    p.labels = op.labels + r0;
    p.stats = launcher.scratch<char>(1, rows * tiles * kTileStatsBytes);
    p.label_z = launcher.scratch<float>(2, rows);
    p.logprob = op.logprob + r0;
    p.entropy = op.entropy + r0;
    p.lse = op.lse + r0;
    p.R = rows;
    p.V = static_cast<int32_t>(op.w.rows);
    p.C = static_cast<int32_t>(op.w.cols);
    p.stride = hidden.stride;
    p.tiles_m = static_cast<int32_t>(ceil_div(rows, GemmVocabTile::kM));
    p.tiles_n = static_cast<int32_t>(tiles);
    p.inv_temperature = 1.0f / op.temperature;
    launcher.launch(kernels::head_tiles, {static_cast<int64_t>(p.tiles_m) * p.tiles_n}, p);
    launcher.launch(kernels::head_merge, {ceil_div(rows, kHeadMergeRows)}, p);
  }
}

void head_backward(Launcher& launcher, const HeadBackward& op, int64_t scratch_bytes) {
  const int64_t V = op.w.rows, C = op.w.cols;
  const int64_t step = rows_that_fit(scratch_bytes, std::min(kGradientColumns, V) * 2);
  for (int64_t r0 = 0; r0 < op.R; r0 += step) {
    const int64_t rows = std::min(step, op.R - r0);
    const Bf16Rows hidden = to_bf16_rows(launcher, 0, op.hidden + r0 * C, rows, C);
    for (int64_t v0 = 0; v0 < V; v0 += kGradientColumns) {
      const int64_t columns = std::min(kGradientColumns, V - v0);
      HeadGradientParams p{};
      p.hidden = hidden.data;
      const PackedMatrix w = rows_of(op.w, v0, columns);
      p.w = static_cast<const uint16_t*>(w.data);
      p.labels = op.labels + r0;
      p.lse = op.lse + r0;
      p.entropy = op.entropy + r0;
      p.d_logprob = op.d_logprob + r0;
      p.d_entropy = op.d_entropy + r0;
      p.R = rows;
      p.first = static_cast<int32_t>(v0);
      p.columns = static_cast<int32_t>(columns);
      p.C = static_cast<int32_t>(C);
      p.stride = hidden.stride;
      p.dz_stride = padded_stride(columns);
      p.dz = launcher.scratch<uint16_t>(1, rows * p.dz_stride);
      p.inv_temperature = 1.0f / op.temperature;
      launch_shape<GemmWide, GemmMedium>(launcher, kernels::head_gradient_wide, kernels::head_gradient_medium, p, rows,
                                         p.dz_stride);
      const Bf16Rows dz{p.dz, rows, p.dz_stride};
      multiply_input(launcher, dz, w, op.dhidden + r0 * C, v0 > 0);
      if (op.dw.data != nullptr) multiply_weight(launcher, hidden, dz, rows_of(op.dw, v0, columns));
    }
  }
}

}  // namespace toolgrad::cuda
