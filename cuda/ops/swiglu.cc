// Launches swiglu.cu.
#include "ops/ops.h"

namespace toolgrad::cuda {

void swiglu_forward(Launcher& launcher, const SwigluForward& op) {
  const int64_t n = op.T * op.F;
  if (n == 0) return;
  if (op.act.dtype == DType::kBF16) {
    const int64_t stride = product_stride(DType::kBF16, op.F);
    launcher.launch(kernels::swiglu_act_rounded, {ceil_div(op.T * stride, kSwigluPerBlock)},
                    {op.gate, op.up, static_cast<uint16_t*>(op.act.data), op.T, static_cast<int32_t>(op.F),
                     static_cast<int32_t>(stride)});
    return;
  }
  launcher.launch(kernels::swiglu_act, {ceil_div(n, kSwigluPerBlock)}, {op.gate, op.up, op.act.f32(), n});
}

void swiglu_backward(Launcher& launcher, const SwigluBackward& op) {
  const int64_t n = op.T * op.F;
  if (n == 0) return;
  launcher.launch(kernels::swiglu_gradient, {ceil_div(n, kSwigluPerBlock)},
                  {op.dact, op.gate, op.up, op.dgate, op.dup, n});
}

}  // namespace toolgrad::cuda
