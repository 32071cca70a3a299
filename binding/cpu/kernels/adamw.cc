// AdamW, element-wise: adamw_element of engine/adamw_math.h on 16 lanes, plus the rounded compute copy. One pass over
// master, moments and gradient: 28 bytes a weight read or written, so memory bound.
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/lanes.h"
#include "engine/adamw_math.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kElementsPerTask = 1 << 15;

TOOLGRAD_INLINE Vec update(const AdamW& op, const AdamWStep& s, int64_t i, int lanes) {
  const Vec g = load_lanes(op.grad + i, lanes) * broadcast(s.grad_scale), m = load_lanes(op.m + i, lanes),
            v = load_lanes(op.v + i, lanes);
  const Vec first = fma(broadcast(s.one_minus_beta1), g - m, m);
  const Vec second = fma(broadcast(s.one_minus_beta2) * g, g, broadcast(s.beta2) * v);
  const Vec denominator = sqrt(second) / broadcast(s.bias2_sqrt) + broadcast(s.eps);
  const Vec master =
      fma(broadcast(-s.step_size), first / denominator, load_lanes(op.master + i, lanes) * broadcast(s.decay));
  store_lanes(op.m + i, first, lanes);
  store_lanes(op.v + i, second, lanes);
  store_lanes(op.master + i, master, lanes);
  return master;
}

TOOLGRAD_INLINE void store_weight(const AdamW& op, int64_t i, int lanes, Vec master) {
  if (op.weight_dtype == DType::kBF16) {
    uint16_t* weight = static_cast<uint16_t*>(op.weight) + i;
    if (lanes == kLanes)
      store_bf16(weight, master);
    else
      store_bf16_partial(weight, master, lanes);
    return;
  }
  float* weight = static_cast<float*>(op.weight) + i;
  if (op.round_to_bf16) {
    uint16_t rounded[kLanes];
    store_bf16(rounded, master);
    master = load_bf16(rounded);
  }
  store_lanes(weight, master, lanes);
}

}  // namespace

void adamw(const AdamW& op, ThreadPool& pool, Scratch&) {
  const AdamWStep step = adamw_step(op.lr, op.beta1, op.beta2, op.eps, op.weight_decay, op.grad_scale, op.step);
  pool.parallel_for((op.n + kElementsPerTask - 1) / kElementsPerTask, [&](int64_t task, int) {
    const int64_t begin = task * kElementsPerTask;
    const int64_t end = begin + kElementsPerTask < op.n ? begin + kElementsPerTask : op.n;
    each_vector(begin, end, [&](int64_t i, int lanes) { store_weight(op, i, lanes, update(op, step, i, lanes)); });
  });
}

}  // namespace toolgrad::TOOLGRAD_ISA
