// Four consecutive floats in registers: one 16-byte access where the place allows it, single ones where it does not.
//
// Which of the two is taken decides nothing but speed: the same thread holds the same elements either way, so no order
// of reduction depends on alignment.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

struct Four {
  float v[4];
};

/// Whether all of these arrays start on 16 bytes.
template <class... T>
__device__ __forceinline__ bool aligned(const T*... p) {
  return ((reinterpret_cast<uintptr_t>(p) | ...) % 16) == 0;
}

/// Elements from[0 .. left - 1], at most four, then zeros; left >= 1. `wide`: `from` lies on 16 bytes and left >= 4.
__device__ __forceinline__ Four load_four(const float* from, int64_t left, bool wide) {
  if (wide) {
    const float4 all = *reinterpret_cast<const float4*>(from);
    return {{all.x, all.y, all.z, all.w}};
  }
  Four four;
  four.v[0] = from[0];
#pragma unroll
  for (int i = 1; i < 4; ++i) four.v[i] = i < left ? from[i] : 0.0f;
  return four;
}
__device__ __forceinline__ void store_four(float* to, const Four& four, int64_t left, bool wide) {
  if (wide) {
    *reinterpret_cast<float4*>(to) = make_float4(four.v[0], four.v[1], four.v[2], four.v[3]);
    return;
  }
  to[0] = four.v[0];
#pragma unroll
  for (int i = 1; i < 4; ++i)
    if (i < left) to[i] = four.v[i];
}

}  // namespace toolgrad::cuda
