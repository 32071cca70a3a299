// The one definition of softmax statistics over the vocabulary, shared by the loss head and the sampler: that both run
// this code on the same logits is why a sampled log-prob equals the recomputed one to the bit.
//
// z = logit * inv_temperature. A tile of kVocabTile columns is digested into (max, sum e^(z-max), sum (z-max)
// e^(z-max)): lane sums over the tile's 16-column vectors in order, then the fixed lane tree. Tiles are merged in tile
// order.
#pragma once

#include "cpu/kernels/simd.h"
#include "engine/ops.h"

namespace toolgrad::TOOLGRAD_ISA {

// Columns of tile t of a vocabulary of V.
TOOLGRAD_INLINE int tile_columns(int64_t V, int64_t t) {
  const int64_t left = V - t * kVocabTile;
  return static_cast<int>(left < kVocabTile ? left : kVocabTile);
}

struct TileStats {
  float max;       // -inf when every z is -inf (then the sums are 0)
  float sum;       // sum of e^(z - max)
  float weighted;  // sum of (z - max) e^(z - max)
};

TOOLGRAD_INLINE bool is_minus_infinity(float x) {
  return bits_of(x) == 0xff800000u;
}

// Digests n <= kVocabTile logits. A NaN or +inf logit makes `sum` NaN.
TOOLGRAD_INLINE TileStats digest_tile(const float* logits, int n, float inv_temperature) {
  const Vec minus_infinity = broadcast(-__builtin_inff()), scale = broadcast(inv_temperature);
  Vec largest = minus_infinity;
  const int full = n / kLanes * kLanes, tail = n - full;
  for (int i = 0; i < full; i += kLanes) largest = max(largest, load(logits + i) * scale);
  Vec last = minus_infinity;
  if (tail > 0) {
    last = take_first(load_partial(logits + full, tail) * scale, minus_infinity, tail);
    largest = max(largest, last);
  }
  const float top = max_lanes(largest);
  if (is_minus_infinity(top)) {
    for (int i = 0; i < n; ++i)
      if (logits[i] != logits[i]) return {top, logits[i], 0.0f};
    return {top, 0.0f, 0.0f};
  }
  const Vec origin = broadcast(top), floor = broadcast(-128.0f);  // keeps 0 * -inf out of the weighted sum
  Vec sum = zero(), weighted = zero();
  for (int i = 0; i < full; i += kLanes) {
    const Vec d = load(logits + i) * scale - origin;
    const Vec e = exp(d);
    sum = sum + e;
    weighted = weighted + max(floor, d) * e;
  }
  if (tail > 0) {
    const Vec d = last - origin;
    const Vec e = exp(d);
    sum = sum + e;
    weighted = weighted + max(floor, d) * e;
  }
  return {top, sum_lanes(sum), sum_lanes(weighted)};
}

struct RowStats {
  double max, log_sum;  // log sum exp of z = max + log_sum
  double entropy;       // nats
  double sum;           // sum of e^(z - max)
};

// Merges a row's tiles in tile order.
TOOLGRAD_INLINE RowStats merge_tiles(const TileStats* tiles, int64_t count) {
  float top = -__builtin_inff();
  for (int64_t i = 0; i < count; ++i) top = larger(tiles[i].max, top);
  double sum = 0.0, weighted = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    if (is_minus_infinity(tiles[i].max)) {
      sum += tiles[i].sum;  // 0, or the NaN of a tile without any other finite logit
      continue;
    }
    const float shift = tiles[i].max - top;
    const double share = exp(shift);
    sum += share * tiles[i].sum;
    weighted +=
        share * (static_cast<double>(tiles[i].weighted) + static_cast<double>(larger(shift, -128.0f)) * tiles[i].sum);
  }
  const double log_sum = log(sum);
  return {top, log_sum, log_sum - weighted / sum, sum};
}

TOOLGRAD_INLINE float row_logprob(const RowStats& row, float z) {
  return static_cast<float>((static_cast<double>(z) - row.max) - row.log_sum);
}

}  // namespace toolgrad::TOOLGRAD_ISA
