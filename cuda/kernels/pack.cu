// Row-major fp32 [rows, cols] to panels of 16 rows and back. bf16 rounds to nearest even; padding rows become zero.
//
// A block moves 16 rows x 64 columns through shared memory, so that both sides are read and written in runs. Moves 4 + 2
// (bf16) or 8 bytes an element: bound by memory. Runs when weights are loaded, saved or set.
#include "kernels/bf16.cuh"
#include "kernels/pack.h"

namespace toolgrad::cuda {
namespace {

constexpr int kPanel = 16;  // engine/ops.h kPanelRows

// Along a panel a warp touches 8 even rows of 4 columns: two words of padding put them into 32 different banks.
using Tile = float[kPanel][kPackColumns + 2];

struct Piece {
  int64_t panel;
  int column0, columns, rows;  // rows that exist
};
__device__ __forceinline__ Piece piece_of(const PackParams& p) {
  Piece piece;
  piece.panel = blockIdx.x / p.column_blocks;
  piece.column0 = static_cast<int>(blockIdx.x % p.column_blocks) * kPackColumns;
  piece.columns = p.cols - piece.column0 < kPackColumns ? p.cols - piece.column0 : kPackColumns;
  const int64_t rows = p.rows - piece.panel * kPanel;
  piece.rows = static_cast<int>(rows < kPanel ? rows : kPanel);
  return piece;
}

template <bool kBf16>
__device__ __forceinline__ void pack(const PackParams& p, Tile& tile) {
  const Piece piece = piece_of(p);
  const float* from = static_cast<const float*>(p.from) + piece.panel * kPanel * p.cols + piece.column0;
#pragma unroll 1
  for (int i = threadIdx.x; i < kPanel * kPackColumns; i += kPackThreads) {
    const int row = i / kPackColumns, column = i % kPackColumns;
    if (column >= piece.columns) continue;
    tile[row][column] = row < piece.rows ? from[static_cast<int64_t>(row) * p.cols + column] : 0.0f;
  }
  __syncthreads();
  const int64_t start = (piece.panel * p.cols + piece.column0) * kPanel;
#pragma unroll 1
  for (int i = threadIdx.x; i < piece.columns * (kPanel / 2); i += kPackThreads) {
    const int column = i / (kPanel / 2), row = 2 * (i % (kPanel / 2));
    const float a = tile[row][column], b = tile[row + 1][column];
    if constexpr (kBf16)
      static_cast<uint32_t*>(p.to)[start / 2 + i] = pack_bf16(a, b);
    else
      static_cast<float2*>(p.to)[start / 2 + i] = make_float2(a, b);
  }
}

// kBf16: the panels are bf16. kRounded: so are the rows, whose columns are then even in number.
template <bool kBf16, bool kRounded>
__device__ __forceinline__ void unpack(const PackParams& p, Tile& tile) {
  const Piece piece = piece_of(p);
  const int64_t start = (piece.panel * p.cols + piece.column0) * kPanel;
#pragma unroll 1
  for (int i = threadIdx.x; i < piece.columns * (kPanel / 2); i += kPackThreads) {
    const int column = i / (kPanel / 2), row = 2 * (i % (kPanel / 2));
    if constexpr (kBf16) {
      const uint32_t pair = static_cast<const uint32_t*>(p.from)[start / 2 + i];
      tile[row][column] = low_bf16(pair);
      tile[row + 1][column] = high_bf16(pair);
    } else {
      const float2 pair = static_cast<const float2*>(p.from)[start / 2 + i];
      tile[row][column] = pair.x;
      tile[row + 1][column] = pair.y;
    }
  }
  __syncthreads();
  const int64_t corner = piece.panel * kPanel * p.cols + piece.column0;
  if constexpr (kRounded) {
    uint32_t* to = static_cast<uint32_t*>(p.to) + corner / 2;
#pragma unroll 1
    for (int i = threadIdx.x; i < piece.rows * (kPackColumns / 2); i += kPackThreads) {
      const int row = i / (kPackColumns / 2), pair = i % (kPackColumns / 2);
      if (2 * pair >= piece.columns) continue;
      const float2 two = *reinterpret_cast<const float2*>(&tile[row][2 * pair]);
      to[static_cast<int64_t>(row) * (p.cols / 2) + pair] = pack_bf16(two.x, two.y);
    }
  } else {
    float* to = static_cast<float*>(p.to) + corner;
#pragma unroll 1
    for (int i = threadIdx.x; i < piece.rows * kPackColumns; i += kPackThreads) {
      const int row = i / kPackColumns, column = i % kPackColumns;
      if (column < piece.columns) to[static_cast<int64_t>(row) * p.cols + column] = tile[row][column];
    }
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kPackThreads) pack_panels_bf16(const PackParams p) {
  __shared__ Tile tile;
  pack<true>(p, tile);
}
extern "C" __global__ void __launch_bounds__(kPackThreads) pack_panels_f32(const PackParams p) {
  __shared__ Tile tile;
  pack<false>(p, tile);
}
extern "C" __global__ void __launch_bounds__(kPackThreads) unpack_panels_bf16(const PackParams p) {
  __shared__ Tile tile;
  unpack<true, false>(p, tile);
}
extern "C" __global__ void __launch_bounds__(kPackThreads) unpack_panels_bf16_rounded(const PackParams p) {
  __shared__ alignas(8) Tile tile;
  unpack<true, true>(p, tile);
}
extern "C" __global__ void __launch_bounds__(kPackThreads) unpack_panels_f32(const PackParams p) {
  __shared__ Tile tile;
  unpack<false, false>(p, tile);
}

}  // namespace toolgrad::cuda
