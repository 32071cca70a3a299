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
struct SwigluGradientParams {
  const float *dact, *gate, *up;
  float *dgate, *dup;  // dgate may be gate, dup may be up
  int64_t n;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_SWIGLU_KERNELS(X)                                                           \
  X(swiglu, swiglu_act, ::toolgrad::cuda::SwigluParams, ::toolgrad::cuda::kSwigluThreads, 0) \
  X(swiglu, swiglu_gradient, ::toolgrad::cuda::SwigluGradientParams, ::toolgrad::cuda::kSwigluThreads, 0)
