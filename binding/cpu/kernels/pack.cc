// Row-major matrices to panels of 16 rows and back. bf16 rounds to nearest even; padding rows become zero.
#include "cpu/kernels/gemm_block.h"
#include "cpu/kernels/kernels.h"

namespace toolgrad::TOOLGRAD_ISA {

void pack(const float* src, PackedMatrix dst, ThreadPool& pool) {
  const int64_t cols = dst.cols;
  pool.parallel_for(div_up(dst.rows, kPanelRows), [&](int64_t p, int) {
    const int64_t row0 = p * kPanelRows, valid = at_most(kPanelRows, dst.rows - row0);
    const float* from = src + row0 * cols;
    if (dst.dtype == DType::kBF16) {
      uint16_t* to = static_cast<uint16_t*>(dst.data) + p * cols * kPanelRows;
      for (int64_t k = 0; k < cols; ++k)
        for (int64_t r = 0; r < kPanelRows; ++r)
          to[k * kPanelRows + r] = r < valid ? round_bf16(from[r * cols + k]) : 0;
    } else {
      float* to = static_cast<float*>(dst.data) + p * cols * kPanelRows;
      for (int64_t k = 0; k < cols; ++k)
        for (int64_t r = 0; r < kPanelRows; ++r) to[k * kPanelRows + r] = r < valid ? from[r * cols + k] : 0.0f;
    }
  });
}

void unpack(PackedMatrix src, float* dst, ThreadPool& pool) {
  const int64_t cols = src.cols;
  pool.parallel_for(div_up(src.rows, kPanelRows), [&](int64_t p, int) {
    const int64_t row0 = p * kPanelRows, valid = at_most(kPanelRows, src.rows - row0);
    float* to = dst + row0 * cols;
    if (src.dtype == DType::kBF16) {
      const uint16_t* from = static_cast<const uint16_t*>(src.data) + p * cols * kPanelRows;
      for (int64_t r = 0; r < valid; ++r)
        for (int64_t k = 0; k < cols; ++k) to[r * cols + k] = widen_bf16(from[k * kPanelRows + r]);
    } else {
      const float* from = static_cast<const float*>(src.data) + p * cols * kPanelRows;
      for (int64_t r = 0; r < valid; ++r)
        for (int64_t k = 0; k < cols; ++k) to[r * cols + k] = from[k * kPanelRows + r];
    }
  });
}

}  // namespace toolgrad::TOOLGRAD_ISA
