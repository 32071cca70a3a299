// Launches swiglu.cu.
#include "ops/ops.h"

namespace toolgrad::cuda {

void swiglu_forward(Launcher& launcher, const SwigluForward& op) {
  const int64_t n = op.T * op.F;
  if (n == 0) return;
  launcher.launch(kernels::swiglu_act, {ceil_div(n, kSwigluPerBlock)}, {op.gate, op.up, op.act, n});
}

void swiglu_backward(Launcher& launcher, const SwigluBackward& op) {
  const int64_t n = op.T * op.F;
  if (n == 0) return;
  launcher.launch(kernels::swiglu_gradient, {ceil_div(n, kSwigluPerBlock)},
                  {op.dact, op.gate, op.up, op.dgate, op.dup, n});
}

}  // namespace toolgrad::cuda
