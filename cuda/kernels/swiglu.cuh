// The formula of SwiGLU, one for all kernels that compute it: their results have the same bits.
#pragma once

namespace toolgrad::cuda {

/// expf is good to 2 ulp, the division is exact.
__device__ __forceinline__ float sigmoid(float x) {
  return 1.0f / (1.0f + expf(-x));
}
__device__ __forceinline__ float swiglu(float gate, float up) {
  return gate * sigmoid(gate) * up;
}

}  // namespace toolgrad::cuda
