// The loss head forward: logits of 64 rows and one tile of 256 vocabulary columns, digested where they were made.
//
// Contract: logits are linear_forward's to the bit (gemm_tile.cuh), statistics and their merge those of vocab_tile.cuh, which
// the sampler runs too: log-prob of a token is the same from both. Deterministic; a row does not depend on other rows.
// Roofline: 2 R C V flops, 2 (R C + C V) bytes and 12 bytes per row and tile: bound by the tensor cores; the epilogue costs a
// pass of the tile through shared memory and one exponential per logit (about 2 / C of the products).
#include "kernels/gemm_operands.cuh"
#include "kernels/gemm_tile.cuh"
#include "kernels/head_forward.h"
#include "kernels/vocab_tile.cuh"

namespace toolgrad::cuda {
namespace {

using Shape = GemmVocabTile;
constexpr int kStagedRows = 32;                       // of the tile at a time, in what was the pipeline's memory
constexpr int kStagedStride = kVocabTileColumns + 8;  // floats; rows start 8 banks apart
static_assert(Shape::kN == kVocabTileColumns && kStagedRows * kStagedStride * 4 <= Shape::kSharedBytes, "fits");
static_assert(sizeof(TileStats) == kTileStatsBytes, "the host sizes the scratch memory");

}  // namespace

extern "C" __global__ void __launch_bounds__(Shape::kThreads, 2) head_tiles(const HeadForwardParams p) {
  extern __shared__ __align__(128) char shared[];
  const TilePlace place = tile_place(static_cast<int>(blockIdx.x), p.tiles_m, p.tiles_n);
  const int64_t r0 = static_cast<int64_t>(place.m) * Shape::kM;
  const int v0 = place.n * Shape::kN;
  const RowOperand<Shape::kM, Shape::kK, Shape::kThreads> a(p.hidden, p.R, p.stride, r0);
  const PanelRows<Shape::kN, Shape::kK, Shape::kThreads> b(p.w, p.V, p.C, v0);
  Sums<Shape> sums;
  sums.clear();
  gemm_tile<Shape>(a, b, (p.C + Shape::kK - 1) / Shape::kK, shared, sums);

  float* logits = reinterpret_cast<float*>(shared);
  TileStats* stats = static_cast<TileStats*>(p.stats);
  const int lane = static_cast<int>(threadIdx.x & 31u), warp = static_cast<int>(threadIdx.x >> 5);
  const int columns = tile_columns(p.V, place.n);
#pragma unroll
  for (int first = 0; first < Shape::kM; first += kStagedRows) {
    sums.each_pair([&](int row, int col, float one, float two) {
      if (row >= first && row < first + kStagedRows)
        *reinterpret_cast<float2*>(logits + (row - first) * kStagedStride + col) = make_float2(one, two);
    });
    __syncthreads();
    for (int row = warp; row < kStagedRows && r0 + first + row < p.R; row += Shape::kWarpsN) {
      const float* from = logits + row * kStagedStride;
      float values[kVocabTilePerLane];
#pragma unroll
      for (int i = 0; i < kVocabTilePerLane; ++i) values[i] = from[lane + 32 * i];
      const TileStats digest = digest_tile(values, columns, p.inv_temperature);
      const int64_t r = r0 + first + row;
      if (lane == 0) {
        stats[r * p.tiles_n + place.n] = digest;
        const int label = p.labels[r] - v0;
        if (label >= 0 && label < columns) p.label_z[r] = from[label] * p.inv_temperature;
      }
    }
    __syncthreads();
  }
}

extern "C" __global__ void __launch_bounds__(kHeadMergeThreads) head_merge(const HeadForwardParams p) {
  const int64_t r = static_cast<int64_t>(blockIdx.x) * kHeadMergeRows + (threadIdx.x >> 5);
  if (r >= p.R) return;
  const RowStats row = merge_tiles(static_cast<const TileStats*>(p.stats) + r * p.tiles_n, p.tiles_n);
  if ((threadIdx.x & 31u) != 0) return;
  p.logprob[r] = row_logprob(row, p.label_z[r]);
  p.entropy[r] = static_cast<float>(row.entropy);
  p.lse[r] = static_cast<float>(static_cast<double>(row.max) + row.log_sum);
}

}  // namespace toolgrad::cuda
