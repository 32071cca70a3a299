// AdamW's scalar arithmetic (Loshchilov and Hutter 2019; torch.optim.AdamW's order), shared by every backend.
//
// Per element: g' = grad * grad_scale; p *= 1 - lr * weight_decay; m += (g' - m)(1 - beta1); v = beta2 v + (1 - beta2)
// g'^2; p -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps). Bias corrections are computed once per
// step in double on the host. The element update is fused multiply-adds, IEEE division and square root only, so
// every compiler and every vector width with fused operations gives the same bits. C++17.
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/host_device.h"

namespace toolgrad {

/// What all elements of one step share.
struct AdamWStep {
  float grad_scale;
  float decay;  // 1 - lr * weight_decay
  float one_minus_beta1;
  float beta2, one_minus_beta2;
  float step_size;   // lr / (1 - beta1^step)
  float bias2_sqrt;  // sqrt(1 - beta2^step)
  float eps;
};

/// `step` is 1 for the first update.
TOOLGRAD_HOST_DEVICE AdamWStep adamw_step(double lr, double beta1, double beta2, double eps, double weight_decay,
                                          float grad_scale, int64_t step) {
  const double t = static_cast<double>(step);
  return {grad_scale,
          static_cast<float>(1.0 - lr * weight_decay),
          static_cast<float>(1.0 - beta1),
          static_cast<float>(beta2),
          static_cast<float>(1.0 - beta2),
          static_cast<float>(lr / (1.0 - std::pow(beta1, t))),
          static_cast<float>(std::sqrt(1.0 - std::pow(beta2, t))),
          static_cast<float>(eps)};
}

/// Updates one element: master weight `p`, first moment `m`, second moment `v`.
TOOLGRAD_HOST_DEVICE void adamw_element(const AdamWStep& s, float grad, float* p, float* m, float* v) {
  const float g = grad * s.grad_scale;
  const float first = fmaf(s.one_minus_beta1, g - *m, *m);
  const float second = fmaf(s.one_minus_beta2 * g, g, s.beta2 * *v);
  const float denominator = sqrtf(second) / s.bias2_sqrt + s.eps;
  *m = first;
  *v = second;
  *p = fmaf(-s.step_size, first / denominator, *p * s.decay);
}

}  // namespace toolgrad
