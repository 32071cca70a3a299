// fp32 rows to bf16 rows, padded with zeros to a multiple of eight columns, so that every row starts on 16 bytes and a
// GEMM may copy it without a tail case.
//
// Reads 4 and writes 2 bytes an element: bound by memory. One thread makes eight columns of one row.
#include "kernels/bf16.cuh"
#include "kernels/cast.h"

namespace toolgrad::cuda {

extern "C" __global__ void __launch_bounds__(kCastThreads) cast_bf16(const CastParams p) {
  const int groups = p.stride / kCastPerThread;
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kCastThreads + threadIdx.x;
  if (at >= p.rows * groups) return;
  const int64_t row = at / groups;
  const int col = static_cast<int>(at % groups) * kCastPerThread;
  const float* from = p.from + row * p.cols + col;
  float x[kCastPerThread];
#pragma unroll
  for (int i = 0; i < kCastPerThread; ++i) x[i] = col + i < p.cols ? from[i] : 0.0f;
  uint4 packed;
  packed.x = pack_bf16(x[0], x[1]);
  packed.y = pack_bf16(x[2], x[3]);
  packed.z = pack_bf16(x[4], x[5]);
  packed.w = pack_bf16(x[6], x[7]);
  *reinterpret_cast<uint4*>(p.to + row * p.stride + col) = packed;
}

}  // namespace toolgrad::cuda
