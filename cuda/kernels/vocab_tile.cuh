// The one definition of softmax statistics over the vocabulary on the device, shared by the loss head and the sampler:
// that both run this code on the same logits is why a sampled log-prob equals the recomputed one to the bit.
//
// z = logit * inv_temperature. A warp digests the kVocabTile = 256 columns of one tile of one row into (max,
// sum e^(z-max), sum (z-max) e^(z-max)): LANE l HOLDS COLUMNS l + 32 i of the tile as logits[i], i = 0..7. Each lane adds
// its eight in order of i, then a butterfly adds the lanes. A warp merges a row's tiles: lane l takes tiles l, l + 32, ...
// in order, in double, then a butterfly. So the order depends on V alone: not on R, the launch or the row's place.
// All 32 lanes must call; every lane gets the result.
#pragma once

#include <cstdint>

#include "kernels/exp2.cuh"
#include "kernels/lanes.cuh"

namespace toolgrad::cuda {

constexpr int kVocabTileColumns = 256;  // engine/ops.h kVocabTile
constexpr int kVocabTilePerLane = 8;

struct TileStats {
  float max;       // -inf when every z is -inf or NaN
  float sum;       // sum of e^(z - max); NaN when a logit is NaN or +inf; 0 when every z is -inf
  float weighted;  // sum of (z - max) e^(z - max)
};

struct RowStats {
  float max;
  double log_sum;  // log sum exp of z = max + log_sum
  double entropy;  // nats
  double sum;      // sum of e^(z - max)
};

/// Natural logarithm of x >= 0 to 1e-13, from exactly rounded operations only, so that every device gives the same bits.
__device__ __forceinline__ double log_exact_steps(double x) {
  if (!(x > 0.0)) return x == 0.0 ? -static_cast<double>(__int_as_float(0x7f800000)) : x;
  const int64_t bits = __double_as_longlong(x);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  double m = __longlong_as_double((bits & 0xfffffffffffffll) | 0x3ff0000000000000ll);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent += 1;
  }
  const double f = (m - 1.0) / (m + 1.0), g = f * f;  // log m = 2 atanh f, |f| < 0.172
  double series = 1.0 / 17.0;
#pragma unroll
  for (int odd = 15; odd >= 1; odd -= 2) series = fma(series, g, 1.0 / odd);
  return fma(static_cast<double>(exponent), 0.693147180559945309417, 2.0 * f * series);
}

/// Columns of tile t of a vocabulary of V.
__device__ __forceinline__ int tile_columns(int64_t V, int64_t t) {
  const int64_t left = V - t * kVocabTileColumns;
  return static_cast<int>(left < kVocabTileColumns ? left : kVocabTileColumns);
}

/// Digests one tile; columns from `columns` on count as absent, whatever logits[] holds for them.
__device__ __forceinline__ TileStats digest_tile(const float (&logits)[kVocabTilePerLane], int columns,
                                                 float inv_temperature) {
  const int lane = static_cast<int>(threadIdx.x & 31u);
  float z[kVocabTilePerLane];
  float top = minus_infinity();
#pragma unroll
  for (int i = 0; i < kVocabTilePerLane; ++i) {
    z[i] = lane + 32 * i < columns ? logits[i] * inv_temperature : minus_infinity();
    top = fmaxf(top, z[i]);  // drops NaN; the sum finds it
  }
  top = max_lanes(top);
  const float origin = top == minus_infinity() ? 0.0f : top;
  float sum = 0.0f, weighted = 0.0f;
#pragma unroll
  for (int i = 0; i < kVocabTilePerLane; ++i) {
    const float d = z[i] - origin;
    const float e = exp_approx(d);
    sum += e;
    weighted = fmaf(fmaxf(-128.0f, d), e, weighted);  // the floor keeps 0 * -inf out
  }
  return {top, add_lanes(sum), add_lanes(weighted)};
}

/// Merges the tiles of one row.
__device__ __forceinline__ RowStats merge_tiles(const TileStats* tiles, int64_t count) {
  const int64_t lane = threadIdx.x & 31u;
  float top = minus_infinity();
  for (int64_t t = lane; t < count; t += 32) top = fmaxf(top, tiles[t].max);
  top = max_lanes(top);
  double sum = 0.0, weighted = 0.0;
  for (int64_t t = lane; t < count; t += 32) {
    const TileStats tile = tiles[t];
    // A tile of -inf adds its sum as it is: 0, or the NaN of a tile without any other logit.
    const bool absent = tile.max == minus_infinity();
    const float shift = absent ? 0.0f : tile.max - top;
    const double share = static_cast<double>(exp_approx(shift)), tile_sum = static_cast<double>(tile.sum);
    sum = fma(share, tile_sum, sum);
    weighted = fma(share, fma(static_cast<double>(fmaxf(-128.0f, shift)), tile_sum, static_cast<double>(tile.weighted)),
                   weighted);
  }
  sum = add_lanes(sum);
  weighted = add_lanes(weighted);
  const double log_sum = log_exact_steps(sum);
  return {top, log_sum, log_sum - weighted / sum, sum};
}

/// Log-prob of a token with the scaled logit z.
__device__ __forceinline__ float row_logprob(const RowStats& row, float z) {
  return static_cast<float>((static_cast<double>(z) - static_cast<double>(row.max)) - row.log_sum);
}

}  // namespace toolgrad::cuda
