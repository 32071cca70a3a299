// Causal grouped-query attention over paged keys and values: prefill and training (many query tokens of a sequence) and
// decoding (a few), with one arithmetic (attention_rows.cuh).
//
// Contract: out and lse (natural log; may be null) of every (token, head). Sequences with up to kDecodeTokens query tokens
// are the decode kernel's, the others prefill's; each skips the other's. Deterministic; the bits of a row depend on its own q
// and on keys 0 to its position, not on the batch or the kernel. Output of chunks before the last waits in `out` (prefill: each
// thread reads back what it wrote) or in `parts` (decode: a block per chunk, then attention_merge).
// Roofline: 4 D flops per visible pair. Prefill is bound by the tensor cores and issue slots: K or V is copied while the
// other is in use. Decode is bound by reading K and V once for all query heads that share them: one warp, two tiles of
// 64 keys under way.
#include "kernels/attention_rows.cuh"

namespace toolgrad::cuda {
namespace {

template <int kD>
__device__ __forceinline__ void prefill(const AttentionForwardParams& p) {
  extern __shared__ __align__(128) char shared[];
  const int sequence = static_cast<int>(blockIdx.z), h = static_cast<int>(blockIdx.y);
  const int first = p.kv.q_start[sequence], queries = p.kv.q_start[sequence + 1] - first;
  // The last tokens see most keys: their blocks start first.
  const int query0 = (p.query_tiles - 1 - static_cast<int>(blockIdx.x)) * kPrefillRows;
  if (queries <= kDecodeTokens || query0 >= queries) return;

  const int D = p.kv.D, H = p.kv.H;
  const SequencePages pages(p.kv, sequence, h / (H / p.kv.G));
  const int lane = static_cast<int>(threadIdx.x & 31u), warp = static_cast<int>(threadIdx.x >> 5);
  int position[2];
  int64_t row[2];
  const float* q[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int query = query0 + warp * 16 + lane / 4 + r * 8;
    const bool there = query < queries;
    position[r] = there ? pages.length - queries + query : -1;
    row[r] = static_cast<int64_t>(first + query) * H + h;
    q[r] = there ? p.q + row[r] * D : nullptr;
  }
  AttentionRows<kD> rows;
  rows.load_queries(q, D);

  const uint32_t keys = shared_address(shared), values = keys + kAttentionTileBytes<kD>;
  const int last_query = query0 + kPrefillRows < queries ? query0 + kPrefillRows : queries;
  const int tiles = (pages.length - queries + last_query - 1) / kAttentionTile + 1;
  const bool pairs = reinterpret_cast<uintptr_t>(p.out) % 8 == 0;
  __builtin_assume(tiles > 0);
  RowSums all[2] = {{minus_infinity(), 0.0f}, {minus_infinity(), 0.0f}};

  fetch_keys<kD, kPrefillThreads>(pages, 0, keys);
  commit_copies();
  for (int tile0 = 0; tile0 < tiles; tile0 += kAttentionChunk / kAttentionTile) {
    const int end = tile0 + kAttentionChunk / kAttentionTile < tiles ? tile0 + kAttentionChunk / kAttentionTile : tiles;
    rows.start_chunk();
    for (int tile = tile0; tile < end; ++tile) {
      float scores[8][4];
      wait_copies<0>();
      __syncthreads();  // the keys are there, the values of the tile before are used up
      fetch_values<kD, kPrefillThreads>(pages, tile, values);
      commit_copies();
      rows.multiply_keys(keys, scores);
      wait_copies<0>();
      __syncthreads();  // the values are there, the keys used up
      if (tile + 1 < tiles) fetch_keys<kD, kPrefillThreads>(pages, tile + 1, keys);
      commit_copies();
      rows.softmax_step(scores, tile * kAttentionTile, position, p.scale_log2);
      rows.multiply_values(values, scores);
    }
    rows.end_chunk();
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (position[r] < tile0 * kAttentionTile) continue;  // no such row, or it ended in an earlier chunk
      const RowSums chunk{rows.max[r], rows.sum[r]};
      MergeWeights weights{0.0f, 1.0f};
      if (tile0 == 0)
        all[r] = chunk;
      else
        weights = merge_chunk(all[r], chunk);
      const bool last = position[r] < end * kAttentionTile;
      const float inverse = last ? 1.0f / all[r].sum : 1.0f;
      float* out = p.out + row[r] * D;
      rows.each_output(r, D, [&](int d, float one, float two) {
        if (tile0 > 0) {
          const float2 before = load_pair(out + d, pairs);
          one = merge_output(before.x, one, weights);
          two = merge_output(before.y, two, weights);
        }
        if (last) {
          one *= inverse;
          two *= inverse;
        }
        store_pair(out + d, one, two, pairs);
      });
      if (last && p.lse != nullptr && lane % 4 == 0) p.lse[row[r]] = log_sum_exp(all[r]);
    }
  }
}

template <int kD>
__device__ __forceinline__ void decode(const AttentionForwardParams& p) {
  extern __shared__ __align__(128) char shared[];
  const int sequence = static_cast<int>(blockIdx.x), chunk = static_cast<int>(blockIdx.z);
  const int g = static_cast<int>(blockIdx.y) / p.decode_tiles,
            row0 = static_cast<int>(blockIdx.y) % p.decode_tiles * kDecodeRows;
  const int first = p.kv.q_start[sequence], queries = p.kv.q_start[sequence + 1] - first;
  const int D = p.kv.D, H = p.kv.H, group = H / p.kv.G, count = queries * group;
  if (queries > kDecodeTokens || row0 >= count) return;

  const SequencePages pages(p.kv, sequence, g);
  const int last_row = row0 + kDecodeRows < count ? row0 + kDecodeRows - 1 : count - 1;
  const int last_tile = (pages.length - queries + last_row / group) / kAttentionTile;
  const int tile0 = chunk * (kAttentionChunk / kAttentionTile);
  if (tile0 > last_tile) return;
  const int end =
      tile0 + kAttentionChunk / kAttentionTile <= last_tile ? tile0 + kAttentionChunk / kAttentionTile : last_tile + 1;

  const int lane = static_cast<int>(threadIdx.x & 31u);
  int position[2], token[2], head[2];
  const float* q[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int at = row0 + lane / 4 + r * 8;
    const bool there = at < count;
    token[r] = at / group;
    head[r] = g * group + at % group;
    position[r] = there ? pages.length - queries + token[r] : -1;
    q[r] = there ? p.q + (static_cast<int64_t>(first + token[r]) * H + head[r]) * D : nullptr;
  }
  __builtin_assume(tile0 < end);
  AttentionRows<kD> rows;
  rows.load_queries(q, D);
  rows.start_chunk();

  constexpr uint32_t kTileBytes = kAttentionTileBytes<kD>;
  const uint32_t base = shared_address(shared);
  const auto fetch = [&](int tile) {
    const uint32_t to = base + static_cast<uint32_t>(tile & 1) * 2 * kTileBytes;
    if (tile < end) {
      fetch_keys<kD, kDecodeThreads>(pages, tile, to);
      fetch_values<kD, kDecodeThreads>(pages, tile, to + kTileBytes);
    }
    commit_copies();
  };
  fetch(tile0);
  for (int tile = tile0; tile < end; ++tile) {
    fetch(tile + 1);
    wait_copies<1>();
    __syncthreads();  // one warp: orders the lanes' copies
    const uint32_t keys = base + static_cast<uint32_t>(tile & 1) * 2 * kTileBytes;
    float scores[8][4];
    rows.multiply_keys(keys, scores);
    rows.softmax_step(scores, tile * kAttentionTile, position, p.scale_log2);
    rows.multiply_values(keys + kTileBytes, scores);
    __syncthreads();  // the next round overwrites this tile
  }
  wait_copies<0>();
  rows.end_chunk();

#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (position[r] < tile0 * kAttentionTile) continue;
    const RowSums sums{rows.max[r], rows.sum[r]};
    const int64_t row = static_cast<int64_t>(first + token[r]) * H + head[r];
    if (p.chunks > 1) {
      const int64_t part =
          ((static_cast<int64_t>(sequence) * p.part_tokens + token[r]) * H + head[r]) * p.chunks + chunk;
      float* out = p.parts + part * (D + 2);
      rows.each_output(r, D, [&](int d, float one, float two) { store_pair(out + d, one, two, true); });
      if (lane % 4 == 0) store_pair(out + D, sums.max, sums.sum, true);
      continue;
    }
    const bool pairs = reinterpret_cast<uintptr_t>(p.out) % 8 == 0;
    const float inverse = 1.0f / sums.sum;
    float* out = p.out + row * D;
    rows.each_output(r, D,
                     [&](int d, float one, float two) { store_pair(out + d, one * inverse, two * inverse, pairs); });
    if (p.lse != nullptr && lane % 4 == 0) p.lse[row] = log_sum_exp(sums);
  }
}

}  // namespace

/// One warp per sequence and head: merges the chunks of its query tokens.
extern "C" __global__ void __launch_bounds__(kMergeThreads) attention_merge(const AttentionForwardParams p) {
  const int D = p.kv.D, H = p.kv.H, lane = static_cast<int>(threadIdx.x);
  const int sequence = static_cast<int>(blockIdx.x), h = static_cast<int>(blockIdx.y);
  const int first = p.kv.q_start[sequence], queries = p.kv.q_start[sequence + 1] - first;
  if (queries > kDecodeTokens) return;
  for (int token = 0; token < queries; ++token) {
    const int chunks = (p.kv.kv_len[sequence] - queries + token) / kAttentionChunk + 1;
    const int64_t row = static_cast<int64_t>(first + token) * H + h;
    const float* parts =
        p.parts + ((static_cast<int64_t>(sequence) * p.part_tokens + token) * H + h) * p.chunks * (D + 2);
    float out[4];
    RowSums all{minus_infinity(), 0.0f};
    for (int chunk = 0; chunk < chunks; ++chunk, parts += D + 2) {
      const RowSums sums{parts[D], parts[D + 1]};
      MergeWeights weights{0.0f, 1.0f};
      if (chunk == 0)
        all = sums;
      else
        weights = merge_chunk(all, sums);
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (lane + 32 * i < D) {
          const float part = parts[lane + 32 * i];
          out[i] = chunk == 0 ? part : merge_output(out[i], part, weights);
        }
    }
    const float inverse = 1.0f / all.sum;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (lane + 32 * i < D) p.out[row * D + lane + 32 * i] = out[i] * inverse;
    if (p.lse != nullptr && lane == 0) p.lse[row] = log_sum_exp(all);
  }
}

#define TOOLGRAD_ATTENTION_ENTRIES(kD)                                                                                 \
  extern "C" __global__ void __launch_bounds__(kPrefillThreads, 2)                                                     \
      attention_prefill_##kD(const AttentionForwardParams p) {                                                         \
    prefill<kD>(p);                                                                                                    \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kDecodeThreads) attention_decode_##kD(const AttentionForwardParams p) { \
    decode<kD>(p);                                                                                                     \
  }
TOOLGRAD_ATTENTION_ENTRIES(16)
TOOLGRAD_ATTENTION_ENTRIES(32)
TOOLGRAD_ATTENTION_ENTRIES(64)
TOOLGRAD_ATTENTION_ENTRIES(128)
#undef TOOLGRAD_ATTENTION_ENTRIES

}  // namespace toolgrad::cuda
