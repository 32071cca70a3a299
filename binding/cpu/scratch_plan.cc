// The largest request for each slot; see scratch_plan.h.
#include "cpu/scratch_plan.h"

#include <algorithm>

#include "engine/generate.h"
#include "engine/model.h"

namespace toolgrad {
namespace {

// gemm_tile.h
int64_t tile_panels(Isa isa) {
  return isa >= Isa::kAvx512 ? 2 : 1;
}
int64_t tile_rows(Isa isa) {
  return isa >= Isa::kAvx512 ? 12 : isa == Isa::kAvx2 ? 6 : 2;
}

constexpr int64_t kDepthBlock = 1024;                               // gemm_block.h: steps of a block of weights
constexpr int64_t kForwardRows = 384, kBackwardRows = 512;          // gemm.cc, gemm_backward.cc: rows of a task
constexpr int64_t kAttentionRows = 64;                              // attention.cc: rows of a task
constexpr int64_t kHeadForwardRows = 240, kHeadBackwardRows = 512;  // head.cc: rows of a block
constexpr int64_t kHeadColumns = 2048;                              // head.cc: columns of dz
constexpr int64_t kTiles = 3;          // gemm.cc: accumulators of gate, up and what they go through
constexpr int64_t kTileStats = 3;      // softmax_tile.h: floats of TileStats
constexpr int64_t kWeightSteps = 128;  // gemm_block.h: rows of a padded strip

// The largest block when `rows` are cut into equal ones of at most `most`.
int64_t block_rows(int64_t rows, int64_t most) {
  const int64_t blocks = (rows + most - 1) / most;
  return blocks == 0 ? 0 : (rows + blocks - 1) / blocks;
}

// Copies that products read, gemm_rows.h: floats for weights of this dtype.
struct Copies {
  DType weights;
  bool pairs;         // bf16 numbers lie in pairs
  int64_t tile_rows;  // that are copied apart where they collide, if there are more

  int64_t elements(int64_t width) const { return pairs ? round_up(width, 8) / 2 : width; }
  int64_t spread(int64_t elements, int64_t rows) const {
    return elements % 1024 == 0 && rows > tile_rows ? kPanelRows : 0;
  }
  // Of rows that are fp32, and of rows that were written for products.
  int64_t rows(int64_t rows, int64_t width) const {
    const int64_t row = elements(width), apart = spread(row, rows);
    return weights == DType::kF32 && apart == 0 ? 0 : rows * (row + apart);
  }
  int64_t product_rows(int64_t count, int64_t width) const {
    if (!pairs) return rows(count, width);
    const int64_t row = elements(width), apart = spread(row, count);
    return apart == 0 ? 0 : count * (row + apart);
  }
  // dy of dX, x of dW: fp32 weights read them as they are.
  int64_t gradients(int64_t count, int64_t width) const { return weights == DType::kF32 ? 0 : rows(count, width); }
  int64_t steps(int64_t rows, int64_t width) const {
    if (!pairs) return gradients(rows, width);
    return (rows + 1) / 2 * (width + (width % 256 == 0 ? kPanelRows : 0));
  }
  // gemm_block.h: steps whose width is a multiple of 256 are copied apart.
  int64_t padded(int64_t width, int64_t rows) const {
    const int64_t row = width + (weights == DType::kF32 ? 0 : spread(width, rows));
    return !pairs && row % 256 == 0 ? kWeightSteps * (row + kPanelRows) : 0;
  }
};

}  // namespace

int64_t scratch_bytes(const ModelShape& s, DType weights, const Pass& pass, int threads, Isa isa) {
  const bool vocabulary = pass.kind == Pass::Kind::kTraining || pass.kind == Pass::Kind::kScoring;
  const int64_t T = tokens_at_once(pass), longest = std::min(pass.longest, T);
  const int64_t tiles = (s.V + kVocabTile - 1) / kVocabTile, narrow = T * pass.lora_rank;
  const Copies copies{weights, weights == DType::kBF16 && isa == Isa::kAvx512Bf16, tile_rows(isa)};
  const Copies narrow_copies{DType::kF32, false, tile_rows(isa)};              // of an adapter's own products
  const int64_t forward_T = pass.kind == Pass::Kind::kStep ? kStepTokens : T;  // prompts are read in chunks
  const int64_t widths[] = {s.C, s.F, s.q_width()};
  const auto rows_read = [&](int64_t width) {  // attention writes fp32, and so does everything for an adapter
    const bool fp32 = pass.lora_rank > 0 || width == s.q_width();
    const int64_t own = fp32 ? copies.rows(forward_T, width) : copies.product_rows(forward_T, width);
    return pass.lora_rank > 0 ? std::max(own, narrow_copies.rows(forward_T, width)) : own;
  };

  const int64_t panel_floats = tile_panels(isa) * kPanelRows, weight_block = kDepthBlock * panel_floats;
  int64_t per_thread_0 = std::max(weight_block, kAttentionRows * (2 * s.D + kKvPageSize + 2) + 2 * kKvPageSize * s.D);
  const int64_t forward_rows = block_rows(forward_T, kForwardRows);
  int64_t per_thread_1 = kTiles * forward_rows * panel_floats;
  int64_t slot_2 = narrow, slot_3 = 0, per_thread_4 = 0, slot_6 = 0;
  int64_t slot_5 = 0;
  for (const int64_t width : widths) slot_5 = std::max(slot_5, rows_read(width));
  if (vocabulary) {
    const int64_t rows = block_rows(T, kHeadForwardRows);
    per_thread_1 = std::max(per_thread_1, rows * kVocabTile);
    slot_2 = std::max(slot_2, rows * tiles * kTileStats);
    slot_5 = std::max(slot_5, copies.rows(rows, s.C));
  }
  if (pass.trains()) {
    const int64_t parts = (s.H / s.G - 1) * T * s.kv_width();  // of dk and dv, one per query head but the first
    per_thread_0 =
        std::max(per_thread_0, longest * (3 * s.D + 1) + 2 * kKvPageSize * kKvPageSize + 6 * kKvPageSize * s.D);
    per_thread_1 = std::max(per_thread_1, block_rows(T, kBackwardRows) * kPanelRows);
    slot_2 = std::max(slot_2, parts);
    slot_3 = std::max(parts, narrow);
    for (const int64_t width : widths) {
      const bool frozen = pass.lora_rank > 0;
      per_thread_1 = std::max(per_thread_1, (frozen ? narrow_copies : copies).padded(width, T));
      slot_5 = std::max({slot_5, copies.gradients(T, width), frozen ? 0 : copies.steps(T, width)});
    }
  }
  if (pass.kind == Pass::Kind::kTraining) {
    const int64_t rows = block_rows(T, kHeadBackwardRows);
    per_thread_1 = std::max(per_thread_1, rows * kVocabTile);
    slot_2 = std::max(slot_2, rows * (kHeadColumns / (copies.pairs ? 2 : 1) + kPanelRows));
    slot_3 = std::max(slot_3, rows * s.C);
    per_thread_4 = copies.padded(s.C, rows);
    slot_5 = std::max(slot_5, copies.rows(rows, s.C));
    slot_6 = copies.steps(rows, s.C);
  }
  const int64_t sampling =
      pass.kind == Pass::Kind::kStep ? std::min(T, kStepTokens) * tiles * kTileStats : 0;  // in slot 0 too
  const int64_t floats = std::max(threads * per_thread_0, sampling) + threads * (per_thread_1 + per_thread_4) + slot_2 +
                         slot_3 + slot_5 + slot_6;
  return floats * static_cast<int64_t>(sizeof(float));
}

}  // namespace toolgrad
