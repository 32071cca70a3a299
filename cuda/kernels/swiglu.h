// Parameters of swiglu.cu: act = silu(gate) * up, forward and backward.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kSwigluThreads = 256;
constexpr int kSwigluPerBlock = kSwigluThreads * 4;  // elements

struct SwigluParams {
  const float *gate, *up;
  float* act;
  int64_t n;
};
/// The same, rounded.
struct SwigluRoundedParams {
  const float *gate, *up;  // [T, F]
  uint16_t* act;           // [T, stride] bf16, zero from column F on
  int64_t T;
  int32_t F, stride;  // stride: a multiple of eight
};
struct SwigluGradientParams {
  const float *dact, *gate, *up;
  float *dgate, *dup;  // dgate may be gate, dup may be up
  int64_t n;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_SWIGLU_KERNELS(X)                                                                          \
  X(swiglu, swiglu_act, ::toolgrad::cuda::SwigluParams, ::toolgrad::cuda::kSwigluThreads, 0)                \
  X(swiglu, swiglu_act_rounded, ::toolgrad::cuda::SwigluRoundedParams, ::toolgrad::cuda::kSwigluThreads, 0) \
  X(swiglu, swiglu_gradient, ::toolgrad::cuda::SwigluGradientParams, ::toolgrad::cuda::kSwigluThreads, 0)
