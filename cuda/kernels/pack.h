// Parameters of pack.cu: row-major matrices to panels of 16 rows and back.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kPackThreads = 256;
constexpr int kPackColumns = 64;  // of the panel piece that one block moves

/// Panels to [rows, cols] or back; element (n, k) of the panels is at [(n / 16) * cols + k] * 16 + n % 16.
struct PackParams {
  const void* from;
  void* to;
  int64_t rows;
  int32_t cols;
  int32_t column_blocks;  // ceil(cols / kPackColumns); block = panel * column_blocks + column block
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_PACK_KERNELS(X)                                                                       \
  X(pack, pack_panels_bf16, ::toolgrad::cuda::PackParams, ::toolgrad::cuda::kPackThreads, 0)           \
  X(pack, pack_panels_f32, ::toolgrad::cuda::PackParams, ::toolgrad::cuda::kPackThreads, 0)            \
  X(pack, unpack_panels_bf16, ::toolgrad::cuda::PackParams, ::toolgrad::cuda::kPackThreads, 0)         \
  X(pack, unpack_panels_bf16_rounded, ::toolgrad::cuda::PackParams, ::toolgrad::cuda::kPackThreads, 0) \
  X(pack, unpack_panels_f32, ::toolgrad::cuda::PackParams, ::toolgrad::cuda::kPackThreads, 0)
