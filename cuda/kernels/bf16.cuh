// bf16 in registers: conversions as inline PTX, so that the rounding is written down and no CUDA header is needed.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

/// Two floats to bf16 (nearest even), `low` in the low half: the element with the smaller index.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
__device__ __forceinline__ uint16_t to_bf16(float x) {
  return static_cast<uint16_t>(pack_bf16(x, 0.0f) & 0xffffu);
}
__device__ __forceinline__ float from_bf16(uint16_t bits) {
  return __uint_as_float(static_cast<uint32_t>(bits) << 16);
}
__device__ __forceinline__ float low_bf16(uint32_t pair) {
  return __uint_as_float(pair << 16);
}
__device__ __forceinline__ float high_bf16(uint32_t pair) {
  return __uint_as_float(pair & 0xffff0000u);
}

}  // namespace toolgrad::cuda
