// AdamW, element-wise: adamw_element of engine/adamw_math.h, the CPU's formula and bits, plus the rounded compute copy.
//
// Reads master, moments and gradient, writes master, moments and weight: 30 bytes an element with a bf16 weight, two
// divisions and a root: bound by memory. Without fp32 master (stochastic rounding) 24 bytes. A thread takes four elements.
#include "engine/philox.h"
#include "kernels/adamw.h"
#include "kernels/bf16.cuh"
#include "kernels/four.cuh"

namespace toolgrad::cuda {
namespace {

enum class Weight { kBf16, kF32, kRoundedF32 };

__device__ __forceinline__ void store_bf16(uint16_t* to, const Four& four, int64_t left, bool wide) {
  const uint2 packed = make_uint2(pack_bf16(four.v[0], four.v[1]), pack_bf16(four.v[2], four.v[3]));
  if (wide) {
    *reinterpret_cast<uint2*>(to) = packed;
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (i < left) to[i] = to_bf16(four.v[i]);
}

template <Weight kWeight>
__device__ __forceinline__ void update(const AdamwParams& p) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * kAdamwThreads + threadIdx.x) * 4, left = p.n - i;
  if (left <= 0) return;
  const bool wide = left >= 4 && aligned(p.master, p.m, p.v, p.grad, p.weight);
  const Four grad = load_four(p.grad + i, left, wide);
  Four master = load_four(p.master + i, left, wide), m = load_four(p.m + i, left, wide);
  Four v = load_four(p.v + i, left, wide);
#pragma unroll
  for (int j = 0; j < 4; ++j) adamw_element(p.step, grad.v[j], &master.v[j], &m.v[j], &v.v[j]);
  store_four(p.master + i, master, left, wide);
  store_four(p.m + i, m, left, wide);
  store_four(p.v + i, v, left, wide);
  if constexpr (kWeight == Weight::kBf16) {
    store_bf16(static_cast<uint16_t*>(p.weight) + i, master, left, wide);
  } else {
    if constexpr (kWeight == Weight::kRoundedF32) {
#pragma unroll
      for (int j = 0; j < 4; ++j) master.v[j] = from_bf16(to_bf16(master.v[j]));
    }
    store_four(static_cast<float*>(p.weight) + i, master, left, wide);
  }
}

// Up with the probability of the part cut off: adds 16 random bits below the kept ones. Infinity and NaN stay.
__device__ __forceinline__ uint16_t round_at_random(float x, uint32_t random16) {
  const uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return to_bf16(x);
  return static_cast<uint16_t>((bits + random16) >> 16);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kAdamwThreads) adamw_weight_bf16(const AdamwParams p) {
  update<Weight::kBf16>(p);
}
extern "C" __global__ void __launch_bounds__(kAdamwThreads) adamw_weight_f32(const AdamwParams p) {
  update<Weight::kF32>(p);
}
extern "C" __global__ void __launch_bounds__(kAdamwThreads) adamw_weight_rounded_f32(const AdamwParams p) {
  update<Weight::kRoundedF32>(p);
}

// One Philox draw serves four elements: the low half of word j is element j of the four.
extern "C" __global__ void __launch_bounds__(kAdamwThreads) adamw_stochastic(const AdamwStochasticParams p) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * kAdamwThreads + threadIdx.x) * 4, left = p.n - i;
  if (left <= 0) return;
  const bool wide = left >= 4 && aligned(p.m, p.v, p.grad);
  const Four grad = load_four(p.grad + i, left, wide);
  Four m = load_four(p.m + i, left, wide), v = load_four(p.v + i, left, wide), weight;
#pragma unroll
  for (int j = 0; j < 4; ++j) weight.v[j] = j < left ? from_bf16(p.weight[i + j]) : 0.0f;
#pragma unroll
  for (int j = 0; j < 4; ++j) adamw_element(p.step, grad.v[j], &weight.v[j], &m.v[j], &v.v[j]);
  store_four(p.m + i, m, left, wide);
  store_four(p.v + i, v, left, wide);
  const uint64_t group = static_cast<uint64_t>(i) / 4, count = static_cast<uint64_t>(p.count);
  const Philox4 draw = philox4x32(Philox4{{static_cast<uint32_t>(group), static_cast<uint32_t>(group >> 32),
                                           static_cast<uint32_t>(count), static_cast<uint32_t>(count >> 32)}},
                                  static_cast<uint32_t>(p.seed), static_cast<uint32_t>(p.seed >> 32));
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (j < left) p.weight[i + j] = round_at_random(weight.v[j], draw.v[j] & 0xffffu);
}

}  // namespace toolgrad::cuda
