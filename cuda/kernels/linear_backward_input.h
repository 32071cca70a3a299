// Parameters of linear_backward_input.cu: dx = dy W, or dx += dy W.
#pragma once

#include <cstdint>

#include "kernels/gemm_shape.h"

namespace toolgrad::cuda {

struct LinearBackwardInputParams {
  const uint16_t* dy;  // [T, dy_stride] bf16, zero from column N on
  const uint16_t* w;   // [N, K] bf16 panels
  float* dx;           // [T, K]
  int64_t T;
  int32_t N, K, dy_stride;
  int32_t tiles_m, tiles_n;  // of the kernel's shape
  int32_t accumulate;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_LINEAR_BACKWARD_INPUT_KERNELS(X)                                                     \
  X(linear_backward_input, linear_backward_input_wide, ::toolgrad::cuda::LinearBackwardInputParams,   \
    ::toolgrad::cuda::GemmWide::kThreads, ::toolgrad::cuda::GemmWide::kSharedBytes)                   \
  X(linear_backward_input, linear_backward_input_medium, ::toolgrad::cuda::LinearBackwardInputParams, \
    ::toolgrad::cuda::GemmMedium::kThreads, ::toolgrad::cuda::GemmMedium::kSharedBytes)
