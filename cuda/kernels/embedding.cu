// Embedding lookup and its gradient on a packed table: 16 rows to a panel, so a row is a column of its panel.
//
// Forward is bound by memory: a row's neighbours lie 16 elements apart, so every element read costs a sector of 32
// bytes (36 bytes an element in all). Backward has no atomics: the block of the FIRST token with an id owns the table
// row, looks through the tokens after it and adds their gradients one after another, so each element is one chain in
// token order from what is there, the CPU's bits. Looking costs T^2 / 2 reads of ids from L2, 0.13 GB at T = 8192, small
// beside the layers; a token's block ends at the first earlier token with its id.
#include "kernels/bf16.cuh"
#include "kernels/embedding.h"
#include "kernels/four.cuh"

namespace toolgrad::cuda {
namespace {

constexpr int kPanel = 16;  // engine/ops.h kPanelRows
constexpr int kWarps = kEmbeddingThreads / 32;

__device__ __forceinline__ int64_t first_element(int64_t row, int64_t columns) {
  return (row / kPanel) * columns * kPanel + row % kPanel;
}
__device__ __forceinline__ float widen(uint16_t bits) {
  return from_bf16(bits);
}
__device__ __forceinline__ float widen(float x) {
  return x;
}

template <class T>
__device__ __forceinline__ void copy_rows(const EmbeddingParams& p) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * p.tokens;
  const int tokens = static_cast<int>(p.T - first < p.tokens ? p.T - first : p.tokens);
  const T* table = static_cast<const T*>(p.table);
#pragma unroll 2
  for (int i = threadIdx.x; i < tokens * p.C; i += kEmbeddingThreads) {
    const int64_t t = first + i / p.C;
    const int c = i % p.C;
    p.x[t * p.C + c] = widen(table[first_element(p.ids[t], p.C) + static_cast<int64_t>(c) * kPanel]);
  }
}

// Whether any thread of the block says so; two barriers, so that `votes` can be used again.
__device__ __forceinline__ bool any_thread(bool mine, unsigned* votes) {
  const unsigned warp_votes = __ballot_sync(0xffffffffu, mine);
  if (threadIdx.x % 32 == 0) votes[threadIdx.x / 32] = warp_votes;
  __syncthreads();
  unsigned all = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) all |= votes[w];
  __syncthreads();
  return all != 0;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kEmbeddingThreads) embedding_rows_bf16(const EmbeddingParams p) {
  copy_rows<uint16_t>(p);
}
extern "C" __global__ void __launch_bounds__(kEmbeddingThreads) embedding_rows_f32(const EmbeddingParams p) {
  copy_rows<float>(p);
}

extern "C" __global__ void __launch_bounds__(kEmbeddingThreads) embedding_gradient(const EmbeddingGradientParams p) {
  __shared__ unsigned votes[kWarps];
  __shared__ int matches[kEmbeddingThreads];  // tokens after the window's start, in order
  const int64_t token = blockIdx.x / p.column_blocks;
  const int column = static_cast<int>(blockIdx.x % p.column_blocks) * kEmbeddingColumns + 4 * threadIdx.x;
  const int id = p.ids[token];

  constexpr int kAtOnce = 4 * kEmbeddingThreads;
  for (int64_t window = 0; window < token; window += kAtOnce) {
    bool found = false;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int64_t t = window + i * kEmbeddingThreads + threadIdx.x;
      found = found || (t < token && p.ids[t] == id);
    }
    if (any_thread(found, votes)) return;
  }

  const int left = p.C - column;  // columns of this thread, at most four; none when not positive
  const bool wide = p.C % 4 == 0 && aligned(p.dx);
  float* row = p.dtable + first_element(id, p.C) + static_cast<int64_t>(column) * kPanel;
  Four sum{};
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (i < left) sum.v[i] = row[i * kPanel];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int64_t window = token; window < p.T; window += kEmbeddingThreads) {
    const bool match = window + threadIdx.x < p.T && p.ids[window + threadIdx.x] == id;
    const unsigned warp_votes = __ballot_sync(0xffffffffu, match);
    if (lane == 0) votes[warp] = warp_votes;
    __syncthreads();
    int before = __popc(warp_votes & ((1u << lane) - 1u)), count = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const int votes_of_warp = __popc(votes[w]);
      before += w < warp ? votes_of_warp : 0;
      count += votes_of_warp;
    }
    if (match) matches[before] = threadIdx.x;
    __syncthreads();
    if (left > 0) {
#pragma unroll 4
      for (int i = 0; i < count; ++i) {
        const Four dx = load_four(p.dx + (window + matches[i]) * p.C + column, left, wide);
#pragma unroll
        for (int j = 0; j < 4; ++j) sum.v[j] += dx.v[j];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (i < left) row[i * kPanel] = sum.v[i];
}

}  // namespace toolgrad::cuda
