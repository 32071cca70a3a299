// Top-k (keeping ties), top-p (keeping the token that crosses), min-p, and the draw among what stays: one block, one row.
//
// Masses e^(z - max) are integers in units of 2^-40, so sums are exact and depend on no order: histograms may use atomics.
// A cut is found by radix descent over sortable keys, three levels of 2048 bins in shared memory. Among equal logits at
// a top-p cut the lower token ids stay. The draw walks the row in the order of ids: each warp owns one run of it.
#pragma once

#include <cstdint>

#include "kernels/exp2.cuh"
#include "kernels/sample.h"

namespace toolgrad::cuda {

constexpr int kSampleWarps = kSamplePickThreads / 32;
constexpr int kSampleBins = 2048;
constexpr float kMassUnit = 1099511627776.0f;  // 2^40: 2^18 tokens of the largest mass stay below 2^58

struct SampleRow {
  const float* logits;
  int V;
  float inv_temperature, top;  // top: the largest z
  __device__ __forceinline__ float z(int v) const { return logits[v] * inv_temperature; }
};

struct SampleShared {
  unsigned long long sums[kSampleBins];
  int counts[kSampleBins];
  unsigned long long warp_sum[kSampleWarps];
  int warp_count[kSampleWarps];
  unsigned long long above;  // of the chosen bin
  int chosen, left, equal;   // chosen bin; top-k: of k that remain in it; tokens in it
  int found;
};

/// Order-preserving map of floats (not NaN) to unsigned integers; -0 and +0 map to the same key.
__device__ __forceinline__ uint32_t sortable(float z) {
  const uint32_t bits = __float_as_uint(z + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ unsigned long long fixed_mass(float e) {
  return __float2ull_rn(e * kMassUnit);
}

template <class T>
__device__ __forceinline__ T scan_lanes(T x) {  // inclusive
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const T other = __shfl_up_sync(0xffffffffu, x, distance);
    if (lane >= distance) x += other;
  }
  return x;
}
__device__ __forceinline__ unsigned long long last_lane(unsigned long long x) {
  return __shfl_sync(0xffffffffu, x, 31);
}

/// Exact sum over the block.
__device__ __forceinline__ unsigned long long add_exact(unsigned long long x, SampleShared& shared) {
  x = last_lane(scan_lanes(x));
  __syncthreads();  // what was read before
  if (threadIdx.x % 32 == 0) shared.warp_sum[threadIdx.x / 32] = x;
  __syncthreads();
  unsigned long long sum = 0;
#pragma unroll
  for (int w = 0; w < kSampleWarps; ++w) sum += shared.warp_sum[w];
  return sum;
}

/// The keys of one level of a descent: those that share the prefix.
struct Descent {
  uint32_t prefix = 0, mask = 0;
  __device__ __forceinline__ bool holds(uint32_t key) const { return (key & mask) == prefix; }
  __device__ __forceinline__ void enter(uint32_t bin, uint32_t low, int shift) {
    prefix |= bin << shift;
    mask |= low << shift;
  }
};

__device__ __forceinline__ void clear_bins(SampleShared& shared) {
  __syncthreads();  // what was read before
#pragma unroll
  for (int round = 0; round < kSampleBins / kSamplePickThreads; ++round) {
    shared.counts[round * kSamplePickThreads + threadIdx.x] = 0;
    shared.sums[round * kSamplePickThreads + threadIdx.x] = 0;
  }
  __syncthreads();
}

/// The key of the k-th largest z, 1 <= k <= V.
__device__ __forceinline__ uint32_t kth_largest(const SampleRow& row, int k, SampleShared& shared) {
  Descent at;
#pragma unroll 1
  for (int level = 0; level < 3; ++level) {
    const int shift = level == 0 ? 21 : level == 1 ? 10 : 0;
    const uint32_t low = level == 2 ? 1023u : 2047u;
    clear_bins(shared);
    for (int v = threadIdx.x; v < row.V; v += kSamplePickThreads) {
      const uint32_t key = sortable(row.z(v));
      if (at.holds(key)) atomicAdd(&shared.counts[key >> shift & low], 1);
    }
    __syncthreads();
    if (threadIdx.x < 32) {
      int seen = 0;
      for (int first = static_cast<int>(low); first >= 0; first -= 32) {  // lanes hold bins from high to low
        const int bin = first - static_cast<int>(threadIdx.x), count = shared.counts[bin];
        const int sum = seen + scan_lanes(count);
        const unsigned reached = __ballot_sync(0xffffffffu, sum >= k);
        if (reached != 0) {
          if (static_cast<int>(threadIdx.x) == __ffs(static_cast<int>(reached)) - 1) {
            shared.chosen = bin;
            shared.left = k - (sum - count);
          }
          break;
        }
        seen = __shfl_sync(0xffffffffu, sum, 31);
      }
    }
    __syncthreads();
    k = shared.left;
    at.enter(static_cast<uint32_t>(shared.chosen), low, shift);
  }
  return at.prefix;
}

/// The tokens that stay: keys above `key`, and those with this key whose id is at most `last_tie`.
struct Cut {
  uint32_t key = 0;
  int last_tie = 0x7fffffff;
};

/// A warp's run of ids.
struct Run {
  int begin, end;
};
__device__ __forceinline__ Run run_of_warp(int V) {
  const int warp = threadIdx.x / 32, length = ((V + kSampleWarps - 1) / kSampleWarps + 31) / 32 * 32;
  const int begin = warp * length < V ? warp * length : V;
  return {begin, begin + length < V ? begin + length : V};
}

/// The id of the n-th token (from 1, in the order of ids) whose key is `key`; there are at least n.
__device__ __forceinline__ int nth_equal(const SampleRow& row, uint32_t key, int n, SampleShared& shared) {
  const Run run = run_of_warp(row.V);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int mine = 0;
  for (int v = run.begin + lane; v < run.end; v += 32) mine += sortable(row.z(v)) == key;
  mine = __shfl_sync(0xffffffffu, scan_lanes(mine), 31);
  __syncthreads();
  if (lane == 0) shared.warp_count[warp] = mine;
  __syncthreads();
  int before = 0;
  for (int w = 0; w < warp; ++w) before += shared.warp_count[w];
  if (before < n && n <= before + mine) {
    for (int first = run.begin; first < run.end; first += 32) {
      const int v = first + lane;
      const unsigned equal = __ballot_sync(0xffffffffu, v < run.end && sortable(row.z(v)) == key);
      if (before + __popc(equal) >= n) {
        const bool is_it = (equal >> lane & 1u) != 0 && before + __popc(equal & ((2u << lane) - 1u)) == n;
        if (is_it) shared.found = v;
        break;
      }
      before += __popc(equal);
    }
  }
  __syncthreads();
  return shared.found;
}

/// The smallest set of largest keys, among those at or above `from`, whose mass reaches `target`.
__device__ __forceinline__ Cut cut_at_mass(const SampleRow& row, uint32_t from, unsigned long long target,
                                           SampleShared& shared) {
  Descent at;
  unsigned long long above = 0;
#pragma unroll 1
  for (int level = 0; level < 3; ++level) {
    const int shift = level == 0 ? 21 : level == 1 ? 10 : 0;
    const uint32_t low = level == 2 ? 1023u : 2047u;
    clear_bins(shared);
    for (int v = threadIdx.x; v < row.V; v += kSamplePickThreads) {
      const float z = row.z(v);
      const uint32_t key = sortable(z);
      if (key < from || !at.holds(key)) continue;
      const uint32_t bin = key >> shift & low;
      atomicAdd(&shared.counts[bin], 1);
      atomicAdd(&shared.sums[bin], fixed_mass(exp_approx(z - row.top)));
    }
    __syncthreads();
    if (threadIdx.x < 32) {
      unsigned long long seen = above;
      for (int first = static_cast<int>(low); first >= 0; first -= 32) {
        const int bin = first - static_cast<int>(threadIdx.x), count = shared.counts[bin];
        const unsigned long long mass = shared.sums[bin], sum = seen + scan_lanes(mass);
        const unsigned reached = __ballot_sync(0xffffffffu, count > 0 && sum >= target);
        if (reached != 0) {
          if (static_cast<int>(threadIdx.x) == __ffs(static_cast<int>(reached)) - 1) {
            shared.chosen = bin;
            shared.equal = count;
            shared.above = sum - mass;
          }
          break;
        }
        seen = last_lane(sum);
      }
    }
    __syncthreads();
    above = shared.above;
    at.enter(static_cast<uint32_t>(shared.chosen), low, shift);
  }
  // Every key of the chosen bin is the same: so is every mass.
  const int equal = shared.equal;
  const unsigned long long each = shared.sums[shared.chosen] / static_cast<unsigned long long>(equal);
  unsigned long long ties = 1;
  if (above < target) ties = each == 0 ? equal : (target - above + each - 1) / each;
  Cut cut;
  cut.key = at.prefix;
  if (ties < static_cast<unsigned long long>(equal))
    cut.last_tie = nth_equal(row, cut.key, static_cast<int>(ties), shared);
  return cut;
}

/// Draws among the tokens that the filters leave.
__device__ __forceinline__ int pick_filtered(const SampleRow& row, int top_k, float top_p, float min_p, double uniform,
                                             SampleShared& shared) {
  Cut cut;
  if (top_k > 0 && top_k < row.V) cut.key = kth_largest(row, top_k, shared);
  if (top_p < 1.0f) {
    unsigned long long mine = 0;
    for (int v = threadIdx.x; v < row.V; v += kSamplePickThreads) {
      const float z = row.z(v);
      if (sortable(z) >= cut.key) mine += fixed_mass(exp_approx(z - row.top));
    }
    const unsigned long long total = add_exact(mine, shared);
    // top_p is an fp32 number: 0.8 arrives as 0.80000001, and 40 of 50 equal tokens must still reach it.
    const double share = static_cast<double>(top_p) * (1.0 - 1.0 / 8388608.0);
    const unsigned long long target = __double2ull_ru(share * static_cast<double>(total));
    cut = cut_at_mass(row, cut.key, target < total ? target : total, shared);
  }
  const float floor = min_p < 1.0f ? min_p : 1.0f;  // the most probable token (mass 1) always stays
  const auto kept_mass = [&](int v) -> unsigned long long {
    const float z = row.z(v), e = exp_approx(z - row.top);
    const uint32_t key = sortable(z);
    const bool stays = (key > cut.key || (key == cut.key && v <= cut.last_tie)) && e >= floor;
    return stays ? fixed_mass(e) : 0;
  };
  const Run run = run_of_warp(row.V);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  unsigned long long mine = 0;
  for (int v = run.begin + lane; v < run.end; v += 32) mine += kept_mass(v);
  const unsigned long long total = add_exact(mine, shared);  // leaves the sum of each warp in warp_sum
  const auto target = static_cast<unsigned long long>(uniform * static_cast<double>(total));
  unsigned long long before = 0;
  for (int w = 0; w < warp; ++w) before += shared.warp_sum[w];
  if (before <= target && target < before + shared.warp_sum[warp]) {
    for (int first = run.begin; first < run.end; first += 32) {
      const int v = first + lane;
      const unsigned long long sum = before + scan_lanes(v < run.end ? kept_mass(v) : 0);
      const unsigned reached = __ballot_sync(0xffffffffu, sum > target);
      if (reached != 0) {
        if (lane == __ffs(static_cast<int>(reached)) - 1) shared.found = v;
        break;
      }
      before = last_lane(sum);
    }
  }
  __syncthreads();
  return shared.found;
}

}  // namespace toolgrad::cuda
