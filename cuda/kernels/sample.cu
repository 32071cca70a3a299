// One token per row of raw logits [R, V], with the log-prob of the temperature distribution before any filter.
//
// Statistics are the loss head's (vocab_tile.cuh): same tiles, same merge, so the log-prob is head_forward's to the bit.
// The uniform of a row is Philox of its key. Greedy: the first token with the largest z. Without filters the inverse CDF
// walks the tiles' masses in tile order, then one tile in the order of ids; with filters see sample_filter.cuh. A row's
// token depends on its own logits and key alone. A row with NaN, +inf or nothing above -inf gets token -1.
//
// sample_tiles reads each logit once: bound by memory (it is the only pass for greedy and unfiltered rows, beside 256
// logits). Filters read a row three (top-k), four (top-p) and two more times, from L2 for vocabularies up to a million.
#include "kernels/lanes.cuh"
#include "kernels/sample.h"
#include "kernels/sample_filter.cuh"
#include "kernels/vocab_tile.cuh"

namespace toolgrad::cuda {
namespace {

static_assert(sizeof(SampleTile) == sizeof(TileStats), "SampleTile is TileStats for the host");

__device__ __forceinline__ float inverse_temperature(float temperature) {
  return temperature > 0.0f ? 1.0f / temperature : 1.0f;  // greedy reports the log-prob at temperature 1
}

// One warp: the first token whose z is the largest.
__device__ __forceinline__ int pick_largest(const SampleRow& row, const TileStats* tiles, int tile_count) {
  const int lane = threadIdx.x % 32;
  for (int t0 = 0; t0 < tile_count; t0 += 32) {
    const unsigned holds = __ballot_sync(0xffffffffu, t0 + lane < tile_count && tiles[t0 + lane].max == row.top);
    if (holds == 0) continue;
    const int v0 = (t0 + __ffs(static_cast<int>(holds)) - 1) * kVocabTileColumns;
    for (int v = v0; v < row.V; v += 32) {
      const unsigned equal = __ballot_sync(0xffffffffu, v + lane < row.V && row.z(v + lane) == row.top);
      if (equal != 0) return v + __ffs(static_cast<int>(equal)) - 1;
    }
  }
  return 0;
}

// One warp: which of `count` items, mass(i) each, the running sum passes `target` in; the last with mass when rounding
// leaves none. *before: the sum of the items before it.
template <class F>
__device__ __forceinline__ int walk(int count, double target, double* before, F&& mass) {
  const int lane = threadIdx.x % 32;
  double seen = 0.0;
  int last = 0;
  *before = 0.0;
  for (int first = 0; first < count; first += 32) {
    const double mine = first + lane < count ? mass(first + lane) : 0.0;
    const double sum = seen + scan_lanes(mine);
    const unsigned with_mass = __ballot_sync(0xffffffffu, mine > 0.0);
    const unsigned reached = __ballot_sync(0xffffffffu, mine > 0.0 && target < sum);
    const int lane_of = reached != 0 ? __ffs(static_cast<int>(reached)) - 1 : 31 - __clz(static_cast<int>(with_mass));
    if (with_mass != 0) {
      last = first + lane_of;
      *before = __shfl_sync(0xffffffffu, sum - mine, lane_of);
      if (reached != 0) return last;
    }
    seen = __shfl_sync(0xffffffffu, sum, 31);
  }
  return last;
}

__device__ __forceinline__ int pick_unfiltered(const SampleRow& row, const TileStats* tiles, int tile_count, double sum,
                                               double uniform) {
  const double target = uniform * sum;
  double before = 0.0, ignored = 0.0;
  const auto share = [&](int t) { return static_cast<double>(exp_approx(tiles[t].max - row.top)); };
  const int tile =
      walk(tile_count, target, &before, [&](int t) { return share(t) * static_cast<double>(tiles[t].sum); });
  const double tile_share = share(tile);
  const float origin = tiles[tile].max;
  const int v0 = tile * kVocabTileColumns;
  return v0 + walk(tile_columns(row.V, tile), target - before, &ignored,
                   [&](int i) { return tile_share * static_cast<double>(exp_approx(row.z(v0 + i) - origin)); });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kSampleTileThreads) sample_tiles(const SampleParams p) {
  const int64_t r = blockIdx.x / p.tile_blocks;
  const int lane = threadIdx.x % 32;
  const int t = static_cast<int>(blockIdx.x % p.tile_blocks) * kSampleTilesPerBlock + threadIdx.x / 32;
  if (t >= p.tile_count) return;
  const int columns = tile_columns(p.V, t);
  const float* from = p.logits + r * p.V + static_cast<int64_t>(t) * kVocabTileColumns;
  float logits[kVocabTilePerLane];
#pragma unroll
  for (int i = 0; i < kVocabTilePerLane; ++i) logits[i] = lane + 32 * i < columns ? from[lane + 32 * i] : 0.0f;
  const TileStats stats = digest_tile(logits, columns, inverse_temperature(p.temperature[r]));
  if (lane == 0) p.tiles[r * p.tile_count + t] = {stats.max, stats.sum, stats.weighted};
}

extern "C" __global__ void __launch_bounds__(kSamplePickThreads, 2) sample_pick(const SampleParams p) {
  __shared__ SampleShared shared;
  const int64_t r = blockIdx.x;
  const auto* tiles = reinterpret_cast<const TileStats*>(p.tiles + r * p.tile_count);
  const RowStats stats = merge_tiles(tiles, p.tile_count);  // every warp for itself
  if (!(stats.sum > 0.0)) {
    if (threadIdx.x == 0) {
      p.token[r] = -1;
      p.logprob[r] = __int_as_float(0x7fc00000);
      atomicMax(p.bad, static_cast<uint32_t>(p.R - r));
    }
    return;
  }
  const float temperature = p.temperature[r], top_p = p.top_p[r], min_p = p.min_p[r];
  const int top_k = p.top_k[r];
  const SampleRow row{p.logits + r * p.V, p.V, inverse_temperature(temperature), stats.max};
  const SampleKey key = p.keys[r];
  const double uniform = sample_uniform(key.seed, key.step, key.prompt, key.sample, key.position);
  int token;
  if (temperature > 0.0f && ((top_k > 0 && top_k < p.V) || top_p < 1.0f || min_p > 0.0f)) {
    token = pick_filtered(row, top_k, top_p, min_p, uniform, shared);
  } else {
    if (threadIdx.x >= 32) return;
    token = temperature > 0.0f ? pick_unfiltered(row, tiles, p.tile_count, stats.sum, uniform)
                               : pick_largest(row, tiles, p.tile_count);
  }
  if (threadIdx.x != 0) return;
  p.token[r] = token;
  p.logprob[r] = row_logprob(stats, row.z(token));
}

}  // namespace toolgrad::cuda
