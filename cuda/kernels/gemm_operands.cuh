// The operands of gemm_tile: where a block's part of A or B lies in global memory, how a step of it is fetched into
// shared memory, and how a warp loads its fragments from there.
//
// kSpan is the operand's extent in the block's tile (rows of C for A, columns for B), kDepth that of a step along the
// contraction. fetch() copies with 16-byte copies whose tails are zero, so nothing past the operand is read; each thread's
// addresses advance by a constant per step. load() fills one A fragment (16 x 16) or two B fragments (16 x 8 each).
#pragma once

#include <cstdint>

#include "kernels/cp_async.cuh"
#include "kernels/shared_tile.cuh"

namespace toolgrad::cuda {

/// A from rows [rows, stride] of bf16 with the contraction along the row: activations of linear_forward, dy of
/// linear_backward_input. Columns up to `stride` (a multiple of 8) must be zero past the contraction's end.
template <int kSpan, int kDepth, int kThreads>
class RowOperand {
  static constexpr int kChunks = kDepth / 8, kCopies = kSpan * kChunks / kThreads, kRowStep = kThreads / kChunks;
  static_assert(kSpan * kChunks % kThreads == 0 && kThreads % kChunks == 0, "whole copies");

 public:
  __device__ __forceinline__ RowOperand(const uint16_t* data, int64_t rows, int stride, int64_t first)
      : row_(static_cast<int>(threadIdx.x) / kChunks),
        chunk_(static_cast<int>(threadIdx.x) % kChunks),
        stride_(stride),
        rows_left_(static_cast<int>(rows - first < kSpan ? rows - first : kSpan)),
        from_(data + (first + row_) * stride + chunk_ * 8),
        data_(data) {}

  __device__ __forceinline__ void fetch(int step, uint32_t to) const {
    const int column = step * kDepth;
    const bool inside = column + chunk_ * 8 < stride_;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const int row = row_ + i * kRowStep;
      const bool there = inside && row < rows_left_;
      const uint16_t* from = there ? from_ + static_cast<int64_t>(i * kRowStep) * stride_ + column : data_;
      copy_async(to + chunk_offset<kChunks>(row, chunk_), from, there ? 16 : 0);
    }
  }
  static __device__ __forceinline__ void load(uint32_t (&a)[4], uint32_t tile, int row, int k, int lane) {
    load_tiles(a, tile + chunk_offset<kChunks>(row + (lane & 15), k / 8 + (lane >> 4)));
  }

 private:
  int row_, chunk_, stride_, rows_left_;
  const uint16_t* from_;
  const uint16_t* data_;
};

/// Rows of bf16 with the contraction ACROSS the rows (tokens): x (A) and dy (B) of linear_backward_weight. Columns up to
/// `stride` (a multiple of 8) are read, rows from `rows` on count as zero.
template <int kSpan, int kDepth, int kThreads>
class TokenOperand {
  static constexpr int kChunks = kSpan / 8, kCopies = kDepth * kChunks / kThreads, kRowStep = kThreads / kChunks;
  static_assert(kDepth * kChunks % kThreads == 0 && kThreads % kChunks == 0, "whole copies");

 public:
  __device__ __forceinline__ TokenOperand(const uint16_t* data, int64_t rows, int stride, int64_t first)
      : row_(static_cast<int>(threadIdx.x) / kChunks),
        chunk_(static_cast<int>(threadIdx.x) % kChunks),
        stride_(stride),
        inside_(first + chunk_ * 8 < stride),
        rows_(rows),
        from_(data + static_cast<int64_t>(row_) * stride + first + chunk_ * 8),
        data_(data) {}

  __device__ __forceinline__ void fetch(int step, uint32_t to) const {
    const int64_t row0 = static_cast<int64_t>(step) * kDepth;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const int row = row_ + i * kRowStep;
      const bool there = inside_ && row0 + row < rows_;
      const uint16_t* from = there ? from_ + (row0 + i * kRowStep) * stride_ : data_;
      copy_async(to + chunk_offset<kChunks>(row, chunk_), from, there ? 16 : 0);
    }
  }
  static __device__ __forceinline__ void load_a(uint32_t (&a)[4], uint32_t tile, int column, int k, int lane) {
    load_tiles_transposed(
        a, tile + chunk_offset<kChunks>(k + (lane & 7) + ((lane >> 4) << 3), column / 8 + ((lane >> 3) & 1)));
  }
  static __device__ __forceinline__ void load_b(uint32_t (&b)[4], uint32_t tile, int column, int k, int lane) {
    load_tiles_transposed(b, tile + chunk_offset<kChunks>(k + (lane & 15), column / 8 + (lane >> 4)));
  }

 private:
  int row_, chunk_, stride_;
  bool inside_;
  int64_t rows_;
  const uint16_t* from_;
  const uint16_t* data_;
};
template <int kSpan, int kDepth, int kThreads>
struct TokenOperandA : TokenOperand<kSpan, kDepth, kThreads> {
  using TokenOperand<kSpan, kDepth, kThreads>::TokenOperand;
  static __device__ __forceinline__ void load(uint32_t (&a)[4], uint32_t tile, int column, int k, int lane) {
    TokenOperand<kSpan, kDepth, kThreads>::load_a(a, tile, column, k, lane);
  }
};
template <int kSpan, int kDepth, int kThreads>
struct TokenOperandB : TokenOperand<kSpan, kDepth, kThreads> {
  using TokenOperand<kSpan, kDepth, kThreads>::TokenOperand;
  static __device__ __forceinline__ void load(uint32_t (&b)[4], uint32_t tile, int column, int k, int lane) {
    TokenOperand<kSpan, kDepth, kThreads>::load_b(b, tile, column, k, lane);
  }
};

/// B of y = x W^T from W's panels (engine/ops.h PackedMatrix): columns of C are W's rows n, the contraction is k. For a
/// fixed k sixteen n lie together, so a step is kSpan / 16 runs of kDepth * 32 bytes.
template <int kSpan, int kDepth, int kThreads>
class PanelRows {
  static constexpr int kCopies = kSpan * kDepth / 8 / kThreads, kPanelCopies = kDepth * 2;
  static_assert(kSpan * kDepth / 8 % kThreads == 0, "whole copies");

 public:
  /// Rows `first` (a multiple of 16) to first + kSpan - 1 of W [rows, cols].
  __device__ __forceinline__ PanelRows(const uint16_t* data, int64_t rows, int cols, int64_t first)
      : cols_(cols),
        panels_left_(static_cast<int>((rows - first + 15) / 16)),
        from_(data + first * cols),
        data_(data) {}

  __device__ __forceinline__ void fetch(int step, uint32_t to) const {
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const int copy = static_cast<int>(threadIdx.x) + i * kThreads;
      const int panel = copy / kPanelCopies, k = copy % kPanelCopies / 2, half = copy % 2;
      const bool there = panel < panels_left_ && step * kDepth + k < cols_;
      const uint16_t* from =
          there ? from_ + (static_cast<int64_t>(panel) * cols_ + step * kDepth + k) * 16 + half * 8 : data_;
      copy_async(to + static_cast<uint32_t>(panel * kDepth * 32) + chunk_offset<2>(k, half), from, there ? 16 : 0);
    }
  }
  static __device__ __forceinline__ void load(uint32_t (&b)[4], uint32_t tile, int column, int k, int lane) {
    load_tiles_transposed(
        b, tile + static_cast<uint32_t>(column / 16 * kDepth * 32) + chunk_offset<2>(k + (lane & 15), lane >> 4));
  }

 private:
  int cols_, panels_left_;
  const uint16_t* from_;
  const uint16_t* data_;
};

/// B of two products at once, from the panels of two matrices of one shape: of each sixteen columns of C eight belong to
/// the first matrix and eight to the second, for the same rows n. In shared memory the first's panels lie before the second's.
template <int kSpan, int kDepth, int kThreads>
class TwinPanelRows {
  static constexpr int kCopies = kSpan * kDepth / 8 / kThreads, kPanelCopies = kDepth * 2, kPanels = kSpan / 32;
  static_assert(kSpan * kDepth / 8 % kThreads == 0 && kSpan % 32 == 0, "whole copies and panels");

 public:
  /// Rows `first` (a multiple of 16) to first + kSpan / 2 - 1 of each matrix [rows, cols].
  __device__ __forceinline__ TwinPanelRows(const uint16_t* one, const uint16_t* two, int64_t rows, int cols,
                                           int64_t first)
      : cols_(cols),
        panels_left_(static_cast<int>((rows - first + 15) / 16)),
        one_(one + first * cols),
        two_(two + first * cols) {}

  __device__ __forceinline__ void fetch(int step, uint32_t to) const {
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const int copy = static_cast<int>(threadIdx.x) + i * kThreads;
      const int panel = copy / kPanelCopies, k = copy % kPanelCopies / 2, half = copy % 2;
      const int of_matrix = panel < kPanels ? panel : panel - kPanels;
      const uint16_t* matrix = panel < kPanels ? one_ : two_;
      const bool there = of_matrix < panels_left_ && step * kDepth + k < cols_;
      const uint16_t* from =
          there ? matrix + (static_cast<int64_t>(of_matrix) * cols_ + step * kDepth + k) * 16 + half * 8 : matrix;
      copy_async(to + static_cast<uint32_t>(panel * kDepth * 32) + chunk_offset<2>(k, half), from, there ? 16 : 0);
    }
  }
  static __device__ __forceinline__ void load(uint32_t (&b)[4], uint32_t tile, int column, int k, int lane) {
    const int eight = column / 16, panel = (lane >> 4) * kPanels + eight / 2;
    load_tiles_transposed(
        b, tile + static_cast<uint32_t>(panel * kDepth * 32) + chunk_offset<2>(k + (lane & 15), eight % 2));
  }

 private:
  int cols_, panels_left_;
  const uint16_t *one_, *two_;
};

/// B of dx = dy W from W's panels: columns of C are W's columns k, the contraction is n: a panel is one step of mma.
template <int kSpan, int kDepth, int kThreads>
class PanelColumns {
  static constexpr int kCopies = kSpan * kDepth / 8 / kThreads, kPanelCopies = kSpan * 2;
  static_assert(kSpan * kDepth / 8 % kThreads == 0, "whole copies");

 public:
  /// Columns `first` to first + kSpan - 1 of W [rows, cols].
  __device__ __forceinline__ PanelColumns(const uint16_t* data, int64_t rows, int cols, int64_t first)
      : cols_(cols),
        panels_(static_cast<int>((rows + 15) / 16)),
        columns_left_(static_cast<int>(cols - first < kSpan ? cols - first : kSpan)),
        from_(data + first * 16),
        data_(data) {}

  __device__ __forceinline__ void fetch(int step, uint32_t to) const {
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const int copy = static_cast<int>(threadIdx.x) + i * kThreads;
      const int panel = copy / kPanelCopies, k = copy % kPanelCopies / 2, half = copy % 2;
      const int at = step * (kDepth / 16) + panel;
      const bool there = at < panels_ && k < columns_left_;
      const uint16_t* from = there ? from_ + (static_cast<int64_t>(at) * cols_ + k) * 16 + half * 8 : data_;
      copy_async(to + static_cast<uint32_t>(panel * kSpan * 32) + chunk_offset<2>(k, half), from, there ? 16 : 0);
    }
  }
  static __device__ __forceinline__ void load(uint32_t (&b)[4], uint32_t tile, int column, int k, int lane) {
    load_tiles(b, tile + static_cast<uint32_t>(k / 16 * kSpan * 32) +
                      chunk_offset<2>(column + (lane & 7) + ((lane >> 4) << 3), (lane >> 3) & 1));
  }

 private:
  int cols_, panels_, columns_left_;
  const uint16_t* from_;
  const uint16_t* data_;
};

}  // namespace toolgrad::cuda
