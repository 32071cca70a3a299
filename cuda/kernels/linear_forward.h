// Parameters of linear_forward.cu: y = x W^T (+ bias) (+ residual).
#pragma once

#include <cstdint>

#include "kernels/gemm_shape.h"

namespace toolgrad::cuda {

struct LinearForwardParams {
  const uint16_t* x;      // [T, x_stride] bf16, zero from column K on
  const uint16_t* w;      // [N, K] bf16 panels
  const float* bias;      // [N] or null
  const float* residual;  // [T, N] or null; may be y
  float* y;               // [T, N]
  int64_t T;
  int32_t N, K, x_stride;
  int32_t tiles_m, tiles_n;  // of the kernel's shape
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_LINEAR_FORWARD_KERNELS(X)                                                                            \
  X(linear_forward, linear_forward_wide, ::toolgrad::cuda::LinearForwardParams, ::toolgrad::cuda::GemmWide::kThreads, \
    ::toolgrad::cuda::GemmWide::kSharedBytes)                                                                         \
  X(linear_forward, linear_forward_medium, ::toolgrad::cuda::LinearForwardParams,                                     \
    ::toolgrad::cuda::GemmMedium::kThreads, ::toolgrad::cuda::GemmMedium::kSharedBytes)                               \
  X(linear_forward, linear_forward_skinny, ::toolgrad::cuda::LinearForwardParams,                                     \
    ::toolgrad::cuda::GemmSkinny::kThreads, ::toolgrad::cuda::GemmSkinny::kSharedBytes)
