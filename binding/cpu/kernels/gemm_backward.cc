// Gradients of y = x W^T + bias.
//
// dx[t,k]: one FMA chain over n, from 0 or from dx. W's panels are transposed on the fly into [n][16 k] so that a
// vector spans k. dw[n,k]: one FMA chain over t that continues from dw, a vector spanning n; so cutting a batch into
// micro-batches changes no bit. db[n]: plain adds in t order. With bf16 weights x and dy are rounded to bf16 first, but for db.
#include "cpu/kernels/gemm_block.h"
#include "cpu/kernels/kernels.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kRowBlock = 512;  // rows that share one transposed weight block

template <class W>
void input_task(const LinearBackwardInput& op, Strip<RowElement<W>> dy, int64_t row0, int64_t row1, int64_t k0,
                int64_t k1, float* wide, float* edge) {
  const int64_t K = op.w.cols, N = op.w.rows;
  for (int64_t k = k0; k < k1; k += kTilePanels * kLanes) {
    const int groups = static_cast<int>(div_up(at_most(kTilePanels * kLanes, k1 - k), kLanes));
    backward_input_block<W>({dy.data + row0 * dy.row, dy.row}, row1 - row0, static_cast<const W*>(op.w.data), K, 0, N,
                            k, groups, op.dx + row0 * K, K, !op.accumulate, wide, edge);
  }
}

void add_bias_gradient(const LinearBackwardWeight& op, int64_t n0, int64_t n1) {
  const int64_t N = op.dw.rows;
  for (int64_t n = n0; n < n1; n += kLanes) {
    const int valid = static_cast<int>(at_most(kLanes, n1 - n));
    Vec sum = load_partial(op.db + n, valid);
    for (int64_t t = 0; t < op.T; ++t) sum = sum + load_partial(op.dy + t * N + n, valid);
    store_partial(op.db + n, sum, valid);
  }
}

template <class W>
void backward_input(const LinearBackwardInput& op, ThreadPool& pool, Scratch& scratch) {
  const int64_t K = op.w.cols, N = op.w.rows;
  const int threads = pool.threads();
  const int64_t step = kTilePanels * kLanes, steps = div_up(K, step);
  const int64_t work = op.T * K * N;
  const int64_t row_blocks = row_blocks_for(op.T, kRowBlock, steps, threads, work);
  const int64_t block_rows = div_up(op.T, row_blocks);
  const int64_t wanted = column_tasks_for(row_blocks, threads, work);
  const int64_t columns = div_up(steps, wanted) * step, column_tasks = div_up(K, columns);
  float* wide = scratch.floats(0, threads * kWideFloats);
  float* edge = scratch.floats(1, threads * block_rows * kLanes);
  Strip<RowElement<W>> dy;
  if constexpr (sizeof(W) == 2)
    dy = product_rows<W>(op.dy, op.T, N, scratch.floats(kRowsSlot, rows_floats<W>(DType::kF32, op.T, N)), pool);
  else
    dy = {op.dy, N};  // rows that collide in L1 cost less here than their copy
  pool.parallel_for(row_blocks * column_tasks, [&](int64_t task, int worker) {
    const int64_t block = task / column_tasks, part = task % column_tasks;
    const int64_t row0 = op.T * block / row_blocks, row1 = op.T * (block + 1) / row_blocks;
    const int64_t k0 = part * columns, k1 = at_most(K, k0 + columns);
    input_task<W>(op, dy, row0, row1, k0, k1, wide + worker * kWideFloats, edge + worker * block_rows * kLanes);
  });
}

template <class W>
void backward_weight(const LinearBackwardWeight& op, ThreadPool& pool, Scratch& scratch) {
  const int64_t K = op.dw.cols, N = op.dw.rows;
  const int threads = pool.threads();
  const int64_t step = kWeightPanels * kPanelRows, groups = div_up(N, step);
  const int64_t wanted = column_tasks_for(1, threads, op.T * K * N);
  // Few panels: cut K as well, in whole strips.
  const int64_t parts = at_least(1, at_most(div_up(wanted, groups), K / (2 * kTileRows)));
  Strip<RowElement<W>> x;
  if constexpr (sizeof(W) == 2)
    x = product_steps<W>(op.x, op.T, K, scratch.floats(kRowsSlot, steps_floats<W>(op.x.dtype, op.T, K)), pool);
  else
    x = {op.x.f32(), K};
  const int64_t padding = padded_floats<W>(x.row);
  float* wide = scratch.floats(0, threads * kWideFloats);
  float* padded = scratch.floats(1, threads * padding);
  const bool whole = wanted == 1;  // too small to share: one task runs all groups
  auto run_part = [&](int64_t task, int worker) {
    const int64_t group = task / parts, part = task % parts;
    const int64_t n0 = group * step, columns = at_most(step, N - n0);
    const int64_t k0 = K * part / parts, k1 = K * (part + 1) / parts;
    float* dw = static_cast<float*>(op.dw.data) + n0 * K;
    backward_weight_block<W>(x, op.dy + n0, N, op.T, dw, K, k0, k1, static_cast<int>(div_up(columns, kPanelRows)),
                             columns, wide + worker * kWideFloats, padded + worker * padding);
    if (part == 0 && op.db != nullptr) add_bias_gradient(op, n0, n0 + columns);
  };
  if (whole)
    for (int64_t task = 0; task < groups * parts; ++task) run_part(task, 0);
  else
    pool.parallel_for(groups * parts, run_part);
}

}  // namespace

void linear_backward_input(const LinearBackwardInput& op, ThreadPool& pool, Scratch& scratch) {
  if (op.T <= 0 || op.w.cols <= 0) return;
  op.w.dtype == DType::kBF16 ? backward_input<uint16_t>(op, pool, scratch) : backward_input<float>(op, pool, scratch);
}

void linear_backward_weight(const LinearBackwardWeight& op, ThreadPool& pool, Scratch& scratch) {
  if (op.T <= 0 || op.dw.rows <= 0) return;
  op.weights == DType::kBF16 ? backward_weight<uint16_t>(op, pool, scratch) : backward_weight<float>(op, pool, scratch);
}

}  // namespace toolgrad::TOOLGRAD_ISA
