// Sums and maxima over a warp or a block, each in one fixed tree: every thread gets the result.
//
// Within a warp a butterfly over distances 16, 8, 4, 2, 1; then a block's warps in order. All threads must call.
#pragma once

namespace toolgrad::cuda {

__device__ __forceinline__ float add_lanes(float x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
  return x;
}
__device__ __forceinline__ double add_lanes(double x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
  return x;
}
__device__ __forceinline__ float max_lanes(float x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, distance));
  return x;
}

/// Sum over a block of 32 * kWarps threads. `shared` holds kWarps values; a second call needs a barrier in between.
template <int kWarps, class T>
__device__ __forceinline__ T add_block(T x, T* shared) {
  x = add_lanes(x);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  T sum = shared[0];
#pragma unroll
  for (int warp = 1; warp < kWarps; ++warp) sum += shared[warp];
  return sum;
}

}  // namespace toolgrad::cuda
