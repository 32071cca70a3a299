// Launches adamw.cu. What all elements share is computed on the host, in double.
#include "ops/ops.h"

namespace toolgrad::cuda {

void adamw(Launcher& launcher, const AdamW& op) {
  if (op.n == 0) return;
  const Kernel<AdamwParams>& kernel = op.weight_dtype == DType::kBF16 ? kernels::adamw_weight_bf16
                                      : op.round_to_bf16              ? kernels::adamw_weight_rounded_f32
                                                                      : kernels::adamw_weight_f32;
  launcher.launch(kernel, {ceil_div(op.n, kAdamwPerBlock)},
                  {op.master, op.m, op.v, op.grad, op.weight, op.n,
                   adamw_step(op.lr, op.beta1, op.beta2, op.eps, op.weight_decay, op.grad_scale, op.step)});
}

void adamw_without_master(Launcher& launcher, const AdamW& op, uint64_t seed) {
  if (op.n == 0) return;
  launcher.launch(kernels::adamw_stochastic, {ceil_div(op.n, kAdamwPerBlock)},
                  {static_cast<uint16_t*>(op.weight), op.m, op.v, op.grad, op.n, seed, op.step,
                   adamw_step(op.lr, op.beta1, op.beta2, op.eps, op.weight_decay, op.grad_scale, op.step)});
}

}  // namespace toolgrad::cuda
