// Parameters of linear_f32.cu: linear layers whose weights are fp32 panels.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kLinearF32Tile = 16;  // of every side of a block's tile; a panel's rows
constexpr int kLinearF32Depth = 32;
constexpr int kLinearF32Threads = kLinearF32Tile * kLinearF32Tile;

/// y[t,n] = scale * (fma chain over k of x[t,k] W[n,k], from 0); then + bias[n]; then + residual[t,n].
struct LinearF32ForwardParams {
  const float *x, *w, *bias, *residual;  // [T, K], panels of [N, K], [N] or null, [T, N] or null (may be y)
  float* y;                              // [T, N]
  int64_t T;
  int32_t N, K;
  float scale;
};
/// dx[t,k] = scale * (fma chain over n of dy[t,n] W[n,k], from 0), or with `accumulate` the chain starts at the dx there
/// is (scale is 1 then).
struct LinearF32BackwardInputParams {
  const float *dy, *w;
  float* dx;  // [T, K]
  int64_t T;
  int32_t N, K;
  float scale;
  int32_t accumulate;
};
/// dw[n,k] continues its fma chain over t of dy[t,n] x[t,k].
struct LinearF32BackwardWeightParams {
  const float *x, *dy;
  float* dw;  // panels of [N, K]
  int64_t T;
  int32_t N, K;
};
/// db[n] += dy[t,n] for t = 0 .. T - 1, in order.
struct LinearF32BackwardBiasParams {
  const float* dy;
  float* db;
  int64_t T;
  int32_t N;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_LINEAR_F32_KERNELS(X)                                                                                \
  X(linear_f32, linear_f32_forward, ::toolgrad::cuda::LinearF32ForwardParams, ::toolgrad::cuda::kLinearF32Threads, 0) \
  X(linear_f32, linear_f32_backward_input, ::toolgrad::cuda::LinearF32BackwardInputParams,                            \
    ::toolgrad::cuda::kLinearF32Threads, 0)                                                                           \
  X(linear_f32, linear_f32_backward_weight, ::toolgrad::cuda::LinearF32BackwardWeightParams,                          \
    ::toolgrad::cuda::kLinearF32Threads, 0)                                                                           \
  X(linear_f32, linear_f32_backward_bias, ::toolgrad::cuda::LinearF32BackwardBiasParams,                              \
    ::toolgrad::cuda::kLinearF32Threads, 0)
