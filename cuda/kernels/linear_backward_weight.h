// Parameters of linear_backward_weight.cu: dW += dy^T x, db += the sum of dy's rows.
#pragma once

#include <cstdint>

#include "kernels/gemm_shape.h"

namespace toolgrad::cuda {

struct LinearBackwardWeightParams {
  const uint16_t* x;   // [T, x_stride] bf16
  const uint16_t* dy;  // [T, dy_stride] bf16, zero from column N on
  float* dw;           // [N, K] fp32 panels, +=
  int64_t T;
  int32_t N, K, x_stride, dy_stride;
  int32_t tiles_m, tiles_n;  // of the kernel's shape: over K, over N
};

constexpr int kBiasThreads = 128;
constexpr int kBiasRows = 64;  // rows that one block of bias_gradient_parts adds up
struct BiasGradientParams {
  const float* dy;  // [T, N]
  float* parts;     // [ceil(T / kBiasRows), N]
  float* db;        // [N], +=
  int64_t T;
  int32_t N, columns;  // columns: blocks along N
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_LINEAR_BACKWARD_WEIGHT_KERNELS(X)                                                                     \
  X(linear_backward_weight, linear_backward_weight_wide, ::toolgrad::cuda::LinearBackwardWeightParams,                 \
    ::toolgrad::cuda::GemmWide::kThreads, ::toolgrad::cuda::GemmWide::kSharedBytes)                                    \
  X(linear_backward_weight, linear_backward_weight_medium, ::toolgrad::cuda::LinearBackwardWeightParams,               \
    ::toolgrad::cuda::GemmMedium::kThreads, ::toolgrad::cuda::GemmMedium::kSharedBytes)                                \
  X(linear_backward_weight, bias_gradient_parts, ::toolgrad::cuda::BiasGradientParams, ::toolgrad::cuda::kBiasThreads, \
    0)                                                                                                                 \
  X(linear_backward_weight, bias_gradient_sum, ::toolgrad::cuda::BiasGradientParams, ::toolgrad::cuda::kBiasThreads, 0)
