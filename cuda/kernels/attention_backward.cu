// Gradients of causal attention over whole sequences, without atomics: probabilities are recomputed from lse.
//
// Contract: dq, dk, dv overwritten. With p = e^(score - lse), delta = dout . out in fp32, ds = p (dout . v - delta): dv of a
// key is the chain of mma steps of 16 queries from the key's tile on, over the query heads of its KV head in order, of p in
// bf16 times dout; dk that of ds in bf16 times q, times scale at the end; dq of a query that of ds times k over its keys,
// times scale. A pair that the mask hides counts as exactly 0. Deterministic; a sequence does not depend on the others.
// Roofline: 14 D flops per visible pair (7 products, of which scores and dout . v are made twice, so that nothing has to be
// added by two blocks); bound by the tensor cores. Keys kernel: a warp holds 16 keys' sums and makes the TRANSPOSED scores,
// which are then the left operand of its products as they lie; q and dout stream through two stages. Queries kernel: the same with
// K and V pages.
#include "kernels/attention_backward.h"
#include "kernels/attention_rows.cuh"

namespace toolgrad::cuda {
namespace {

/// A warp's lane as the row it names to ldmatrix, for the four ways in which an operand lies.
struct LaneRows {
  int lane = static_cast<int>(threadIdx.x & 31u);
  int low = lane & 15, high = lane >> 4;                                 // 16 rows, two chunks
  int outer = (lane & 7) + ((lane >> 4) << 3), inner = (lane >> 3) & 1;  // the same with its halves exchanged
};

/// sums[n] += a times the rows of a tile [row][kD] along d: B of a product over d. Tile rows are columns of the product.
template <int kD, int kColumns>
__device__ __forceinline__ void multiply_rows(float (&sums)[kColumns / 8][4], const uint32_t (&a)[4], uint32_t tile,
                                              int k, const LaneRows& at) {
#pragma unroll
  for (int n = 0; n < kColumns / 8; n += 2) {
    uint32_t b[4];
    load_tiles(b, tile + chunk_offset<kD / 8>(n * 8 + at.outer, k * 2 + at.inner));
    mma_bf16(sums[n], a, b[0], b[1]);
    mma_bf16(sums[n + 1], a, b[2], b[3]);
  }
}
/// sums[n] += a times a tile [row][kD], contraction over rows row0 .. row0 + 15. Columns of the product are d.
template <int kD>
__device__ __forceinline__ void multiply_columns(float (&sums)[kD / 8][4], const uint32_t (&a)[4], uint32_t tile,
                                                 int row0, const LaneRows& at) {
#pragma unroll
  for (int n = 0; n < kD / 8; n += 2) {
    uint32_t b[4];
    load_tiles_transposed(b, tile + chunk_offset<kD / 8>(row0 + at.low, n + at.high));
    mma_bf16(sums[n], a, b[0], b[1]);
    mma_bf16(sums[n + 1], a, b[2], b[3]);
  }
}
/// Columns 16 k to 16 k + 15 of a warp's sums as the left operand of a product.
template <int kTiles>
__device__ __forceinline__ void as_operand(uint32_t (&a)[4], const float (&x)[kTiles][4], int k) {
  a[0] = pack_bf16(x[2 * k][0], x[2 * k][1]);
  a[1] = pack_bf16(x[2 * k][2], x[2 * k][3]);
  a[2] = pack_bf16(x[2 * k + 1][0], x[2 * k + 1][1]);
  a[3] = pack_bf16(x[2 * k + 1][2], x[2 * k + 1][3]);
}
template <int kTiles>
__device__ __forceinline__ void clear(float (&x)[kTiles][4]) {
#pragma unroll
  for (int n = 0; n < kTiles; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) x[n][i] = 0.0f;
}

/// Rows of one head of a bf16 [T, H, D] tensor into a tile [row][kD].
template <int kD, int kRows>
__device__ __forceinline__ void fetch_rows(const uint16_t* from, int64_t row_stride, int rows, int D, uint32_t to) {
  constexpr int kChunks = kD / 8, kRowStep = kBackwardThreads / kChunks;
  static_assert(kRows % kRowStep == 0, "whole steps");
  const int row0 = static_cast<int>(threadIdx.x) / kChunks, chunk = static_cast<int>(threadIdx.x) % kChunks;
  const uint16_t* at = from + row0 * row_stride + chunk * 8;
#pragma unroll 2
  for (int i = 0; i < kRows / kRowStep; ++i) {
    const int row = row0 + i * kRowStep;
    copy_async(to + chunk_offset<kChunks>(row, chunk), at, chunk * 8 < D && row < rows ? 16 : 0);
    at += kRowStep * row_stride;
  }
}

template <int kD>
__device__ __forceinline__ void backward_keys(const AttentionBackwardParams& p) {
  constexpr int kQueries = kBackwardQueries<kD>, kRowsBytes = kQueries * kD * 2;
  extern __shared__ __align__(128) char shared[];
  const int sequence = static_cast<int>(blockIdx.z), g = static_cast<int>(blockIdx.y);
  const int tile = static_cast<int>(blockIdx.x), key0 = tile * kBackwardRows;  // the first keys see most queries
  const int first = p.kv.q_start[sequence], tokens = p.kv.q_start[sequence + 1] - first;
  if (key0 >= tokens) return;
  const int D = p.kv.D, H = p.kv.H, G = p.kv.G, group = H / G;
  const SequencePages pages(p.kv, sequence, g);
  const LaneRows at;
  const int warp = static_cast<int>(threadIdx.x >> 5);

  const uint32_t keys = shared_address(shared), values = keys + kAttentionTileBytes<kD>;
  const uint32_t stages = values + kAttentionTileBytes<kD>;
  const int query_tiles = (tokens - key0 + kQueries - 1) / kQueries, steps = group * query_tiles;
  __builtin_assume(steps > 0);
  const auto fetch = [&](int step) {
    if (step < steps) {
      const int h = g * group + step / query_tiles, query0 = key0 + step % query_tiles * kQueries;
      const int64_t row = static_cast<int64_t>(first + query0) * H + h, stride = static_cast<int64_t>(H) * D;
      const uint32_t to = stages + static_cast<uint32_t>(step & 1) * kBackwardStageBytes<kD>;
      const int rows = tokens - query0;
      fetch_rows<kD, kQueries>(p.q + row * D, stride, rows, D, to);
      fetch_rows<kD, kQueries>(p.dout + row * D, stride, rows, D, to + kRowsBytes);
      const int query = static_cast<int>(threadIdx.x);
      if (query < kQueries)
        copy_async_8(to + 2 * kRowsBytes + static_cast<uint32_t>(query) * 8,
                     p.stats + (static_cast<int64_t>(h) * p.T + first + query0 + query) * 2, query < rows ? 8 : 0);
    }
    commit_copies();
  };
  fetch_keys<kD, kBackwardThreads>(pages, tile, keys);
  fetch_values<kD, kBackwardThreads>(pages, tile, values);
  fetch(0);

  float dk[kD / 8][4], dv[kD / 8][4];
  clear(dk);
  clear(dv);
  for (int step = 0; step < steps; ++step) {
    fetch(step + 1);
    wait_copies<1>();
    __syncthreads();
    const uint32_t stage = stages + static_cast<uint32_t>(step & 1) * kBackwardStageBytes<kD>;
    const uint32_t q = stage, dout = stage + kRowsBytes;
    const float* stats = reinterpret_cast<const float*>(shared + (dout + kRowsBytes - keys));

    float scores[kQueries / 8][4], ds[kQueries / 8][4];  // transposed: rows are keys, columns queries
    clear(scores);
    clear(ds);
#pragma unroll
    for (int k = 0; k < kD / 16; ++k) {
      uint32_t a[4];
      load_tiles_transposed(a, keys + key_offset<kD>(warp / 2, k * 16 + at.outer, warp % 2 * 2 + at.inner));
      multiply_rows<kD, kQueries>(scores, a, q, k, at);
      load_tiles(a, values + chunk_offset<kD / 8>(warp * 16 + at.low, k * 2 + at.high));
      multiply_rows<kD, kQueries>(ds, a, dout, k, at);
    }
    const int query0 = key0 + step % query_tiles * kQueries;
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n) {
      const int column = n * 8 + at.lane % 4 * 2;
      const float4 of = *reinterpret_cast<const float4*>(stats + column * 2);  // lse, delta of two queries
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = key0 + warp * 16 + at.lane / 4 + i / 2 * 8, query = query0 + column + i % 2;
        const float lse = i % 2 == 0 ? of.x : of.z, delta = i % 2 == 0 ? of.y : of.w;
        const bool seen = key <= query && query < tokens;
        const float probability = seen ? exp2_approx(fmaf(scores[n][i], p.scale_log2, -lse)) : 0.0f;
        scores[n][i] = probability;
        ds[n][i] = seen ? probability * (ds[n][i] - delta) : 0.0f;
      }
    }
#pragma unroll
    for (int k = 0; k < kQueries / 16; ++k) {
      uint32_t a[4];
      as_operand(a, scores, k);
      multiply_columns<kD>(dv, a, dout, k * 16, at);
      as_operand(a, ds, k);
      multiply_columns<kD>(dk, a, q, k * 16, at);
    }
    __syncthreads();  // the stage is fetched into next
  }
  wait_copies<0>();

  const bool pairs = (reinterpret_cast<uintptr_t>(p.dk) | reinterpret_cast<uintptr_t>(p.dv)) % 8 == 0;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int key = key0 + warp * 16 + at.lane / 4 + r * 8;
    if (key >= tokens) continue;
    const int64_t row = (static_cast<int64_t>(first + key) * G + g) * D;
#pragma unroll
    for (int n = 0; n < kD / 8; ++n) {
      const int d = n * 8 + at.lane % 4 * 2;
      if (n * 8 >= kD / 2 && n * 8 >= D) continue;  // D is above kD / 2
      store_pair(p.dk + row + d, dk[n][2 * r] * p.scale, dk[n][2 * r + 1] * p.scale, pairs);
      store_pair(p.dv + row + d, dv[n][2 * r], dv[n][2 * r + 1], pairs);
    }
  }
}

template <int kD>
__device__ __forceinline__ void backward_queries(const AttentionBackwardParams& p) {
  extern __shared__ __align__(128) char shared[];
  const int sequence = static_cast<int>(blockIdx.z), h = static_cast<int>(blockIdx.y);
  const int first = p.kv.q_start[sequence], tokens = p.kv.q_start[sequence + 1] - first;
  const int query0 = (p.tiles - 1 - static_cast<int>(blockIdx.x)) * kBackwardRows;  // the last queries see most keys
  if (query0 >= tokens) return;
  const int D = p.kv.D, H = p.kv.H;
  const SequencePages pages(p.kv, sequence, h / (H / p.kv.G));
  const LaneRows at;
  const int warp = static_cast<int>(threadIdx.x >> 5);

  int query[2];
  float lse[2], delta[2];
  const uint16_t *q_row[2], *dout_row[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    query[r] = query0 + warp * 16 + at.lane / 4 + r * 8;
    const bool there = query[r] < tokens;
    const int64_t row = (static_cast<int64_t>(first + query[r]) * H + h) * D;
    const float* stats = p.stats + (static_cast<int64_t>(h) * p.T + first + query[r]) * 2;
    lse[r] = there ? stats[0] : 0.0f;
    delta[r] = there ? stats[1] : 0.0f;
    q_row[r] = there ? p.q + row : nullptr;
    dout_row[r] = there ? p.dout + row : nullptr;
    if (!there) query[r] = -1;  // sees no key
  }
  uint32_t q[kD / 16][4], dout[kD / 16][4];
#pragma unroll
  for (int k = 0; k < kD / 16; ++k)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int d = k * 16 + at.lane % 4 * 2 + (i >> 1) * 8;
      const bool there = q_row[i & 1] != nullptr && d < D;
      q[k][i] = there ? *reinterpret_cast<const uint32_t*>(q_row[i & 1] + d) : 0u;
      dout[k][i] = there ? *reinterpret_cast<const uint32_t*>(dout_row[i & 1] + d) : 0u;
    }

  constexpr uint32_t kPageBytes = kAttentionTileBytes<kD> / 2, kStageBytes = 2 * kPageBytes;
  const uint32_t base = shared_address(shared);
  const int last_query = query0 + kBackwardRows < tokens ? query0 + kBackwardRows - 1 : tokens - 1;
  const int count = last_query / kPageKeys + 1, last_of_warp = query0 + warp * 16 + 15;
  __builtin_assume(count > 0);
  const auto fetch = [&](int page) {
    if (page < count) {
      const uint32_t to = base + static_cast<uint32_t>(page & 1) * kStageBytes;
      fetch_keys<kD, kBackwardThreads, 1>(pages, page, to);
      fetch_values<kD, kBackwardThreads, 1>(pages, page, to + kPageBytes);
    }
    commit_copies();
  };
  fetch(0);
  float dq[kD / 8][4];
  clear(dq);
  for (int page = 0; page < count; ++page) {
    fetch(page + 1);
    wait_copies<1>();
    __syncthreads();
    const uint32_t keys = base + static_cast<uint32_t>(page & 1) * kStageBytes, values = keys + kPageBytes;
    const int key0 = page * kPageKeys;
    if (key0 <= last_of_warp) {  // else every ds of the warp is 0
      float scores[kPageKeys / 8][4], ds[kPageKeys / 8][4];
      clear(scores);
      clear(ds);
#pragma unroll
      for (int k = 0; k < kD / 16; ++k) {
#pragma unroll
        for (int n = 0; n < kPageKeys / 8; n += 2) {
          uint32_t b[4];
          load_tiles_transposed(b, keys + key_offset<kD>(0, k * 16 + at.low, n + at.high));
          mma_bf16(scores[n], q[k], b[0], b[1]);
          mma_bf16(scores[n + 1], q[k], b[2], b[3]);
        }
        multiply_rows<kD, kPageKeys>(ds, dout[k], values, k, at);
      }
#pragma unroll
      for (int n = 0; n < kPageKeys / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int key = key0 + n * 8 + at.lane % 4 * 2 + i % 2, r = i / 2;
          const float probability = exp2_approx(fmaf(scores[n][i], p.scale_log2, -lse[r]));
          ds[n][i] = key <= query[r] ? probability * (ds[n][i] - delta[r]) : 0.0f;
        }
#pragma unroll
      for (int k = 0; k < kPageKeys / 16; ++k) {
        uint32_t a[4];
        as_operand(a, ds, k);
#pragma unroll
        for (int n = 0; n < kD / 8; n += 2) {
          uint32_t b[4];
          load_tiles(b, keys + key_offset<kD>(0, n * 8 + at.outer, k * 2 + at.inner));
          mma_bf16(dq[n], a, b[0], b[1]);
          mma_bf16(dq[n + 1], a, b[2], b[3]);
        }
      }
    }
    __syncthreads();  // the stage is fetched into next
  }
  wait_copies<0>();

  const bool pairs = reinterpret_cast<uintptr_t>(p.dq) % 8 == 0;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (query[r] < 0) continue;
    float* to = p.dq + (static_cast<int64_t>(first + query[r]) * H + h) * D;
#pragma unroll
    for (int n = 0; n < kD / 8; ++n)
      if (n * 8 < kD / 2 || n * 8 < D)
        store_pair(to + n * 8 + at.lane % 4 * 2, dq[n][2 * r] * p.scale, dq[n][2 * r + 1] * p.scale, pairs);
  }
}

}  // namespace

/// A warp per (token, head): lse in units of log2, and delta: each lane's products in order of d, then a butterfly.
extern "C" __global__ void __launch_bounds__(kStatsThreads) attention_backward_stats(const AttentionBackwardParams p) {
  const int row = static_cast<int>(blockIdx.x) * kStatsRows + static_cast<int>(threadIdx.x >> 5);
  if (row >= static_cast<int>(p.T) * p.kv.H) return;
  const int lane = static_cast<int>(threadIdx.x & 31u), D = p.kv.D;
  float delta = 0.0f;
  const float *dout = p.dout_exact + static_cast<int64_t>(row) * D, *out = p.out + static_cast<int64_t>(row) * D;
  for (int d = lane; d < D; d += 32) delta = fmaf(dout[d], out[d], delta);
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) delta += __shfl_xor_sync(0xffffffffu, delta, distance);
  if (lane != 0) return;
  const int t = row / p.kv.H, h = row % p.kv.H;
  *reinterpret_cast<float2*>(p.stats + (static_cast<int64_t>(h) * p.T + t) * 2) =
      make_float2(p.lse[row] * kLog2e, delta);
}

#define TOOLGRAD_ATTENTION_ENTRIES(kD)                                   \
  extern "C" __global__ void __launch_bounds__(kBackwardThreads, 2)      \
      attention_backward_keys_##kD(const AttentionBackwardParams p) {    \
    backward_keys<kD>(p);                                                \
  }                                                                      \
  extern "C" __global__ void __launch_bounds__(kBackwardThreads, 2)      \
      attention_backward_queries_##kD(const AttentionBackwardParams p) { \
    backward_queries<kD>(p);                                             \
  }
TOOLGRAD_ATTENTION_ENTRIES(16)
TOOLGRAD_ATTENTION_ENTRIES(32)
TOOLGRAD_ATTENTION_ENTRIES(64)
TOOLGRAD_ATTENTION_ENTRIES(128)
#undef TOOLGRAD_ATTENTION_ENTRIES

}  // namespace toolgrad::cuda
