// SwiGLU of 16 lanes: one formula for the op by itself and for the epilogue of the gate and up products.
#pragma once

#include "cpu/kernels/simd.h"

namespace toolgrad::TOOLGRAD_ISA {

// 1 / (1 + e^-x)
TOOLGRAD_INLINE Vec sigmoid(Vec x) {
  const Vec one = broadcast(1.0f);
  return one / (one + exp(zero() - x));
}

TOOLGRAD_INLINE Vec swiglu(Vec gate, Vec up) {
  return gate * sigmoid(gate) * up;
}

}  // namespace toolgrad::TOOLGRAD_ISA
