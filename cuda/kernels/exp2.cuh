// Base-2 exponential and logarithm of the special function unit, as inline PTX: results below 2^-126 become 0.
#pragma once

namespace toolgrad::cuda {

constexpr float kLog2e = 1.44269504088896340736f;
constexpr float kLn2 = 0.69314718055994530942f;

__device__ __forceinline__ float minus_infinity() {
  return __int_as_float(0xff800000);
}

/// 2^x within 2 ulp and a bit: 0 for -inf, exactly 1 for 0.
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
/// log2(x) for x > 0, to 2^-22.
__device__ __forceinline__ float log2_approx(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
/// e^x; the rounding of x * log2(e) costs |x| * 2^-24 of relative error.
__device__ __forceinline__ float exp_approx(float x) {
  return exp2_approx(x * kLog2e);
}

}  // namespace toolgrad::cuda
