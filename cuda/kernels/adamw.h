// Parameters of adamw.cu.
#pragma once

#include <cstdint>

#include "engine/adamw_math.h"

namespace toolgrad::cuda {

constexpr int kAdamwThreads = 256;
constexpr int kAdamwPerBlock = kAdamwThreads * 4;  // elements

struct AdamwParams {
  float *master, *m, *v;
  const float* grad;
  void* weight;  // bf16 or fp32
  int64_t n;
  AdamWStep step;
};
/// The only copy of the weights is bf16, rounded at random so that its expectation is the exact value. The random
/// bits of element i are the low half of word i % 4 of Philox(key = seed, counter = (i / 4, count)).
struct AdamwStochasticParams {
  uint16_t* weight;
  float *m, *v;
  const float* grad;
  int64_t n;
  uint64_t seed;
  int64_t count;  // of updates: the step
  AdamWStep step;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_ADAMW_KERNELS(X)                                                                       \
  X(adamw, adamw_weight_bf16, ::toolgrad::cuda::AdamwParams, ::toolgrad::cuda::kAdamwThreads, 0)        \
  X(adamw, adamw_weight_f32, ::toolgrad::cuda::AdamwParams, ::toolgrad::cuda::kAdamwThreads, 0)         \
  X(adamw, adamw_weight_rounded_f32, ::toolgrad::cuda::AdamwParams, ::toolgrad::cuda::kAdamwThreads, 0) \
  X(adamw, adamw_stochastic, ::toolgrad::cuda::AdamwStochasticParams, ::toolgrad::cuda::kAdamwThreads, 0)
