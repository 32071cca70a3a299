// Launches move_rows.cu.
#include "ops/ops.h"

namespace toolgrad::cuda {
namespace {

void launch_move(Launcher& launcher, const Kernel<MoveRowsParams>& kernel, const float* x, const int32_t* rows,
                 float* out, int64_t R, int64_t C) {
  if (R == 0 || C == 0) return;
  const int64_t block_rows = rows_per_block(ceil_div(C, 4), kMoveThreads);
  launcher.launch(kernel, {ceil_div(R, block_rows)},
                  {x, rows, out, R, static_cast<int32_t>(C), static_cast<int32_t>(block_rows)});
}

}  // namespace

void gather_rows(Launcher& launcher, const GatherRows& op) {
  launch_move(launcher, kernels::gather_rows_by_index, op.x, op.rows, op.out, op.R, op.C);
}

void scatter_rows(Launcher& launcher, const ScatterRows& op) {
  if (op.T > 0) launcher.zero(op.out, static_cast<size_t>(op.T * op.C) * sizeof(float));
  launch_move(launcher, kernels::scatter_rows_by_index, op.x, op.rows, op.out, op.R, op.C);
}

void add(Launcher& launcher, float* to, const float* x, int64_t n) {
  if (n == 0) return;
  launcher.launch(kernels::add_elements, {ceil_div(n, kAddPerBlock)}, {to, x, n});
}

}  // namespace toolgrad::cuda
