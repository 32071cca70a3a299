// Parameters of cast.cu: fp32 activations to the bf16 that tensor cores read.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kCastThreads = 256;
constexpr int kCastPerThread = 8;  // columns; one 16-byte store

/// to[r, c] = bf16(from[r, c]), round to nearest even; columns cols .. stride - 1 become zero.
struct CastParams {
  const float* from;  // [rows, cols]
  uint16_t* to;       // [rows, stride]
  int64_t rows;
  int32_t cols, stride;  // stride: a multiple of kCastPerThread
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_CAST_KERNELS(X) X(cast, cast_bf16, ::toolgrad::cuda::CastParams, ::toolgrad::cuda::kCastThreads, 0)
