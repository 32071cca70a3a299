// The arithmetic of attention for sixteen query rows held by one warp: what prefill and decode share, so that a row's bits
// are the same in both.
//
// THE ORDER, per (token, head): q rounded to bf16; scores = a chain of mma steps over d, times scale * log2(e) in fp32;
// per tile of 64 keys from key 0 the maximum grows, sum and output are rescaled, p = 2^(score - maximum) is added to the
// sum in fp32 and, rounded to bf16, multiplied with V in mma steps of 16 keys. Chunks of 512 keys start anew and are merged
// in order (merge_chunk). A key past the row's position has p = 0 exactly; a tile or chunk without visible keys changes
// nothing. A lane holds rows lane / 4 and + 8 and thereof the columns of mma.cuh.
#pragma once

#include <cstdint>

#include "kernels/attention_forward.h"
#include "kernels/bf16.cuh"
#include "kernels/exp2.cuh"
#include "kernels/kv_tile.cuh"
#include "kernels/mma.cuh"
#include "kernels/shared_tile.cuh"

namespace toolgrad::cuda {

/// Maximum (of scores in units of log2) and sum of a row's chunk.
struct RowSums {
  float max, sum;
};

/// What a chunk and all before it weigh in their union. `chunk.max` is -inf when the row sees none of its keys.
struct MergeWeights {
  float before, chunk;
};
__device__ __forceinline__ MergeWeights merge_chunk(RowSums& all, const RowSums& chunk) {
  const float top = fmaxf(all.max, chunk.max);
  const MergeWeights weights{exp2_approx(all.max - top), exp2_approx(chunk.max - top)};
  all.max = top;
  all.sum = fmaf(chunk.sum, weights.chunk, all.sum * weights.before);
  return weights;
}
__device__ __forceinline__ float merge_output(float before, float chunk, const MergeWeights& weights) {
  return fmaf(chunk, weights.chunk, before * weights.before);
}
__device__ __forceinline__ float log_sum_exp(const RowSums& row) {
  return (row.max + log2_approx(row.sum)) * kLn2;
}

template <int kD>
struct AttentionRows {
  uint32_t q[kD / 16][4];
  float out[kD / 8][4];
  float max[2], sum[2];  // sum: of this lane's columns until end_chunk()

  /// Row 0 is lane / 4, row 1 is lane / 4 + 8; null for a row that is not there.
  __device__ __forceinline__ void load_queries(const float* const (&rows)[2], int D) {
    const int lane = static_cast<int>(threadIdx.x & 31u);
#pragma unroll
    for (int k = 0; k < kD / 16; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int d = k * 16 + lane % 4 * 2 + (i >> 1) * 8;
        const float* row = rows[i & 1];
        q[k][i] = row != nullptr && d < D ? pack_bf16(row[d], row[d + 1]) : 0u;
      }
  }
  __device__ __forceinline__ void start_chunk() {
    max[0] = max[1] = minus_infinity();
    sum[0] = sum[1] = 0.0f;
#pragma unroll
    for (int n = 0; n < kD / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) out[n][i] = 0.0f;
  }

  /// scores[n]: keys 8 n to 8 n + 7 of the tile.
  __device__ __forceinline__ void multiply_keys(uint32_t keys, float (&scores)[8][4]) const {
    const int lane = static_cast<int>(threadIdx.x & 31u);
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[n][i] = 0.0f;
#pragma unroll
    for (int k = 0; k < kD / 16; ++k)
#pragma unroll
      for (int n = 0; n < 8; n += 2) {
        uint32_t b[4];
        load_tiles_transposed(b, keys + key_offset<kD>(n / 4, k * 16 + (lane & 15), n % 4 + (lane >> 4)));
        mma_bf16(scores[n], q[k], b[0], b[1]);
        mma_bf16(scores[n + 1], q[k], b[2], b[3]);
      }
  }

  /// Scores become probabilities under the maximum so far. The row sees keys up to `position` (-1: none).
  __device__ __forceinline__ void softmax_step(float (&scores)[8][4], int key0, const int (&position)[2], float scale) {
    const int lane = static_cast<int>(threadIdx.x & 31u);
    const int first_key = key0 + lane % 4 * 2;
    float factor[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (position[r] < key0 + kAttentionTile - 1) {
#pragma unroll
        for (int n = 0; n < 8; ++n)
#pragma unroll
          for (int i = 0; i < 2; ++i)
            if (first_key + n * 8 + i > position[r]) scores[n][2 * r + i] = minus_infinity();
      }
      float top = minus_infinity();
#pragma unroll
      for (int n = 0; n < 8; ++n) top = fmaxf(top, fmaxf(scores[n][2 * r], scores[n][2 * r + 1]));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
      const float now = fmaxf(max[r], top * scale);
      const float origin = now == minus_infinity() ? 0.0f : now;
      factor[r] = exp2_approx(max[r] - origin);
      max[r] = now;
      float total = 0.0f;
#pragma unroll
      for (int n = 0; n < 8; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const float p = exp2_approx(fmaf(scores[n][2 * r + i], scale, -origin));
          scores[n][2 * r + i] = p;
          total += p;
        }
      sum[r] = fmaf(sum[r], factor[r], total);
    }
    // Where no maximum grew every factor is exactly 1.
    if (__any_sync(0xffffffffu, factor[0] != 1.0f || factor[1] != 1.0f)) {
#pragma unroll
      for (int n = 0; n < kD / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) out[n][i] *= factor[i >> 1];
    }
  }

  __device__ __forceinline__ void multiply_values(uint32_t values, const float (&p)[8][4]) {
    const int lane = static_cast<int>(threadIdx.x & 31u);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const uint32_t a[4] = {pack_bf16(p[2 * k][0], p[2 * k][1]), pack_bf16(p[2 * k][2], p[2 * k][3]),
                             pack_bf16(p[2 * k + 1][0], p[2 * k + 1][1]), pack_bf16(p[2 * k + 1][2], p[2 * k + 1][3])};
#pragma unroll
      for (int n = 0; n < kD / 8; n += 2) {
        uint32_t b[4];
        load_tiles_transposed(b, values + chunk_offset<kD / 8>(k * 16 + (lane & 15), n + (lane >> 4)));
        mma_bf16(out[n], a, b[0], b[1]);
        mma_bf16(out[n + 1], a, b[2], b[3]);
      }
    }
  }

  /// Adds up the sums of the four lanes of a row.
  __device__ __forceinline__ void end_chunk() {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 1);
      sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 2);
    }
  }
  /// Calls f(column, first, second) for this lane's pairs of output elements of row r; D is above kD / 2.
  template <class F>
  __device__ __forceinline__ void each_output(int r, int D, F f) const {
    const int lane = static_cast<int>(threadIdx.x & 31u);
#pragma unroll
    for (int n = 0; n < kD / 8; ++n)
      if (n * 8 < kD / 2 || n * 8 < D) f(n * 8 + lane % 4 * 2, out[n][2 * r], out[n][2 * r + 1]);
  }
};

/// Two neighbouring floats, as one access where `aligned` (the same for all lanes) says that 8 bytes are.
__device__ __forceinline__ void store_pair(float* to, float first, float second, bool aligned) {
  if (aligned) {
    *reinterpret_cast<float2*>(to) = make_float2(first, second);
  } else {
    to[0] = first;
    to[1] = second;
  }
}
__device__ __forceinline__ float2 load_pair(const float* from, bool aligned) {
  return aligned ? *reinterpret_cast<const float2*>(from) : make_float2(from[0], from[1]);
}

}  // namespace toolgrad::cuda
