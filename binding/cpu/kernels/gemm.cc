// y = x W^T (+ bias) (+ residual), W in panels of 16 output rows, bf16 or fp32.
//
// Reduction: one fp32 FMA chain per output element over k, from 0, for every T; then bias, then residual, each rounded.
// Rows, panels and threads only decide which worker runs a chain. Per worker: one widened weight block and one
// accumulator tile. T = 1 streams several panels at once, so the chains' latency hides behind the memory's.
#include "cpu/kernels/gemm_block.h"
#include "cpu/kernels/kernels.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kRowBlock = 384;  // rows that share one widened weight block

template <class W>
void forward_task(const LinearForward& op, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1, float* wide,
                  float* acc) {
  const int64_t K = op.w.cols, N = op.w.rows, rows = row1 - row0;
  const int group = group_panels(rows);
  const W* w = static_cast<const W*>(op.w.data);
  const float* x = op.x.f32() + row0 * K;
  for (int64_t p = panel0; p < panel1; p += group) {
    const int panels = static_cast<int>(at_most(group, panel1 - p));
    const int64_t n0 = p * kPanelRows, columns = at_most(panels * kPanelRows, N - n0);
    float* y = op.y + row0 * N + n0;
    // The chains run in y itself unless y holds the residual or the last panel is wider than y.
    const bool direct = op.residual == nullptr && columns == panels * kPanelRows;
    float* c = direct ? y : acc;
    const int64_t c_row = direct ? N : panels * kPanelRows;
    forward_block(x, rows, K, panel(w, K, p), panels, c, c_row, wide, p + 2 * panels <= panel1);
    if (direct && op.bias == nullptr) continue;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t n = 0; n < columns; n += kLanes) {
        const int valid = static_cast<int>(at_most(kLanes, columns - n));
        Vec v = load(c + r * c_row + n);
        if (op.bias != nullptr) v = v + load_partial(op.bias + n0 + n, valid);
        if (op.residual != nullptr) v = v + load_partial(op.residual + (row0 + r) * N + n0 + n, valid);
        if (valid == kLanes)
          store(y + r * N + n, v);
        else
          store_partial(y + r * N + n, v, valid);
      }
    }
  }
}

}  // namespace

void linear_forward(const LinearForward& op, ThreadPool& pool, Scratch& scratch) {
  const int64_t K = op.w.cols, N = op.w.rows;
  if (op.T <= 0 || N <= 0) return;
  const int64_t panels = div_up(N, kPanelRows);
  const int threads = pool.threads();
  const int64_t work = op.T * K * N;
  const int64_t row_blocks = row_blocks_for(op.T, kRowBlock, div_up(panels, kTilePanels), threads, work);
  const int64_t block_rows = div_up(op.T, row_blocks);
  const int64_t group = group_panels(block_rows);
  const int64_t wanted = column_tasks_for(row_blocks, threads, work);
  const int64_t groups_per_task = div_up(div_up(panels, group), wanted);
  const int64_t panels_per_task = groups_per_task * group, panel_tasks = div_up(panels, panels_per_task);

  const int64_t acc_floats = at_least(block_rows * group, kTileRows * 8) * kPanelRows;
  float* wide = scratch.floats(0, threads * kWideFloats);
  float* acc = scratch.floats(1, threads * acc_floats);
  pool.parallel_for(row_blocks * panel_tasks, [&](int64_t task, int worker) {
    const int64_t block = task / panel_tasks, part = task % panel_tasks;
    const int64_t row0 = op.T * block / row_blocks, row1 = op.T * (block + 1) / row_blocks;
    const int64_t panel0 = part * panels_per_task, panel1 = at_most(panels, panel0 + panels_per_task);
    float* my_wide = wide + worker * kWideFloats;
    float* my_acc = acc + worker * acc_floats;
    if (op.w.dtype == DType::kBF16)
      forward_task<uint16_t>(op, row0, row1, panel0, panel1, my_wide, my_acc);
    else
      forward_task<float>(op, row0, row1, panel0, panel1, my_wide, my_acc);
  });
}

}  // namespace toolgrad::TOOLGRAD_ISA
