// Parameters of head_backward.cu: the gradient of the loss head's logits, for a range of the vocabulary.
#pragma once

#include <cstdint>

#include "kernels/gemm_shape.h"

namespace toolgrad::cuda {

struct HeadGradientParams {
  const uint16_t* hidden;                              // [R, stride] bf16, zero from column C on
  const uint16_t* w;                                   // [columns, C] bf16 panels of the range
  const int32_t* labels;                               // [R]
  const float *lse, *entropy, *d_logprob, *d_entropy;  // [R]
  uint16_t* dz;                                        // [R, dz_stride] bf16; columns from `columns` on become zero
  int64_t R;
  int32_t first, columns;  // the range of the vocabulary
  int32_t C, stride, dz_stride;
  int32_t tiles_m, tiles_n;  // of the kernel's shape
  float inv_temperature;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_HEAD_BACKWARD_KERNELS(X)                                                                              \
  X(head_backward, head_gradient_wide, ::toolgrad::cuda::HeadGradientParams, ::toolgrad::cuda::GemmWide::kThreads,     \
    ::toolgrad::cuda::GemmWide::kSharedBytes)                                                                          \
  X(head_backward, head_gradient_medium, ::toolgrad::cuda::HeadGradientParams, ::toolgrad::cuda::GemmMedium::kThreads, \
    ::toolgrad::cuda::GemmMedium::kSharedBytes)
