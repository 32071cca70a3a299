// Launches rope.cu.
#include "ops/ops.h"

namespace toolgrad::cuda {

void rope(Launcher& launcher, const Rope& op) {
  if (op.T == 0) return;
  const int64_t tokens = rows_per_block(op.heads * ceil_div(op.D / 2, 4), kRopeThreads);
  launcher.launch(kernels::rope_in_place, {ceil_div(op.T, tokens)},
                  {op.x, op.cos, op.sin, op.positions, op.T, static_cast<int32_t>(op.heads), static_cast<int32_t>(op.D),
                   static_cast<int32_t>(tokens), op.backward ? -1.0f : 1.0f});
}

}  // namespace toolgrad::cuda
