// Launches cast.cu.
#include "ops/ops.h"

namespace toolgrad::cuda {

void cast_rows(Launcher& launcher, const float* from, uint16_t* to, int64_t rows, int64_t cols, int64_t stride) {
  if (rows == 0) return;
  launcher.launch(kernels::cast_bf16, {ceil_div(rows * (stride / kCastPerThread), kCastThreads)},
                  {from, to, rows, static_cast<int32_t>(cols), static_cast<int32_t>(stride)});
}

}  // namespace toolgrad::cuda
