// Parameters of linear_gated.cu: the gate and up layers of an MLP with SwiGLU in the epilogue.
#pragma once

#include <cstdint>

#include "kernels/gemm_shape.h"

namespace toolgrad::cuda {

/// A tile of kN columns of sums makes kN / 2 columns of the result.
struct LinearGatedParams {
  const uint16_t* x;                 // [T, x_stride] bf16, zero from column K on
  const uint16_t *w_gate, *w_up;     // [F, K] bf16 panels
  const float *bias_gate, *bias_up;  // [F] or null
  float *gate, *up;                  // [T, F], both or neither
  float* act;                        // [T, F], or null and
  uint16_t* rounded;                 // [T, rounded_stride] bf16, zero from column F on
  int64_t T;
  int32_t F, K, x_stride, rounded_stride;
  int32_t tiles_m, tiles_n;  // of the kernel's shape
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_LINEAR_GATED_KERNELS(X)                                                                            \
  X(linear_gated, linear_gated_wide, ::toolgrad::cuda::LinearGatedParams, ::toolgrad::cuda::GemmWide::kThreads,     \
    ::toolgrad::cuda::GemmWide::kSharedBytes)                                                                       \
  X(linear_gated, linear_gated_medium, ::toolgrad::cuda::LinearGatedParams, ::toolgrad::cuda::GemmMedium::kThreads, \
    ::toolgrad::cuda::GemmMedium::kSharedBytes)                                                                     \
  X(linear_gated, linear_gated_skinny, ::toolgrad::cuda::LinearGatedParams, ::toolgrad::cuda::GemmSkinny::kThreads, \
    ::toolgrad::cuda::GemmSkinny::kSharedBytes)
