// Sampling one token per row of logits, with the log-prob of the unfiltered temperature distribution.
//
// Statistics are the loss head's (softmax_tile.h): same tiles, same merge. Without filters the inverse CDF walks tile
// masses in tile order, then one tile in token order: O(tiles + kVocabTile) after the statistics. With filters (top-k
// keeping ties, then top-p keeping the token that crosses, then min-p) cuts are found by radix descent over sortable
// keys, exactly and in a fixed order; among equal logits at a top-p cut the lower token ids stay. Scratch: [R, tiles]
// statistics and, for filters only, two [V] arrays per worker.
#include "cpu/kernels/gemm_block.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/softmax_tile.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kTilesPerTask = 16;

// Order-preserving map of floats (not NaN) to unsigned integers; -0 and +0 map to the same key.
TOOLGRAD_INLINE uint32_t sortable(float z) {
  const uint32_t bits = bits_of(z + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

// The tokens that stay: keys above `key`, and the first `ties` tokens (by id) whose key equals it.
struct Cut {
  uint32_t key = 0;
  int64_t ties = INT64_MAX;
};

constexpr int kBins = 2048;
struct Level {
  int shift, bits;
};
constexpr Level kLevels[] = {{21, 11}, {10, 11}, {0, 10}};

// The key of the k-th largest of n.
uint32_t kth_largest(const uint32_t* keys, int64_t n, int64_t k) {
  uint32_t prefix = 0, mask = 0;
  int64_t counts[kBins];
  for (const Level level : kLevels) {
    const uint32_t low = (1u << level.bits) - 1u;
    for (int64_t& count : counts) count = 0;
    for (int64_t i = 0; i < n; ++i)
      if ((keys[i] & mask) == prefix) ++counts[keys[i] >> level.shift & low];
    uint32_t bin = low;
    for (; bin > 0 && counts[bin] < k; --bin) k -= counts[bin];
    prefix |= bin << level.shift;
    mask |= low << level.shift;
  }
  return prefix;
}

// The smallest set of largest keys, among those at or above `from`, whose mass reaches `target`.
Cut cut_at_mass(const uint32_t* keys, const float* mass, int64_t n, uint32_t from, double target) {
  uint32_t prefix = 0, mask = 0;
  double above = 0.0, sums[kBins];
  int64_t counts[kBins], equal = 0;
  for (const Level level : kLevels) {
    const uint32_t low = (1u << level.bits) - 1u;
    for (int i = 0; i < kBins; ++i) sums[i] = 0.0, counts[i] = 0;
    for (int64_t i = 0; i < n; ++i) {
      if (keys[i] < from || (keys[i] & mask) != prefix) continue;
      const uint32_t bin = keys[i] >> level.shift & low;
      sums[bin] += mass[i];
      ++counts[bin];
    }
    int64_t chosen = -1;
    for (int64_t bin = low; bin >= 0; --bin) {
      if (counts[bin] == 0) continue;
      if (chosen >= 0) above += sums[chosen];
      chosen = bin;
      if (above + sums[bin] >= target) break;
    }
    equal = counts[chosen];
    prefix |= static_cast<uint32_t>(chosen) << level.shift;
    mask |= low << level.shift;
  }
  const double each = sums[prefix & ((1u << kLevels[2].bits) - 1u)] / static_cast<double>(equal);
  int64_t ties = 1;
  while (ties < equal && above + each * static_cast<double>(ties) < target) ++ties;
  return {prefix, ties};
}

struct Row {
  const float* logits;
  int64_t V;
  float inv_temperature;
  RowStats stats;
};

int32_t pick_largest(const Row& row, const TileStats* tiles) {
  const float top = static_cast<float>(row.stats.max);
  for (int64_t t = 0; t * kVocabTile < row.V; ++t) {
    if (tiles[t].max != top) continue;
    for (int64_t v = t * kVocabTile; v < row.V; ++v)
      if (row.logits[v] * row.inv_temperature == top) return static_cast<int32_t>(v);
  }
  return 0;
}

int32_t pick_unfiltered(const Row& row, const TileStats* tiles, double uniform) {
  const float top = static_cast<float>(row.stats.max);
  double left = uniform * row.stats.sum, share = 0.0;
  int64_t chosen = -1;  // the last tile with mass when rounding leaves nothing to choose
  for (int64_t t = 0; t * kVocabTile < row.V; ++t) {
    const float shift = tiles[t].max - top;
    const double tile_share = exp(shift), mass = tile_share * tiles[t].sum;
    if (!(mass > 0.0)) continue;
    if (chosen >= 0) left -= share * tiles[chosen].sum;
    chosen = t;
    share = tile_share;
    if (left < mass) break;
  }
  const int64_t v0 = chosen * kVocabTile;
  const int n = tile_columns(row.V, chosen);
  const Vec origin = broadcast(tiles[chosen].max), scale = broadcast(row.inv_temperature);
  float mass[kVocabTile];
  for (int i = 0; i < n; i += kLanes) {
    const int valid = n - i < kLanes ? n - i : kLanes;
    store(mass + i, exp(load_partial(row.logits + v0 + i, valid) * scale - origin));
  }
  double sum = 0.0;
  int last = 0;
  for (int i = 0; i < n; ++i) {
    if (!(mass[i] > 0.0f)) continue;
    sum += share * mass[i];
    last = i;
    if (left < sum) break;
  }
  return static_cast<int32_t>(v0 + last);
}

int32_t pick_filtered(const Row& row, int64_t top_k, float top_p, float min_p, double uniform, uint32_t* keys,
                      float* mass) {
  const int64_t V = row.V;
  const Vec origin = broadcast(static_cast<float>(row.stats.max)), scale = broadcast(row.inv_temperature);
  for (int64_t v = 0; v < V; v += kLanes) {
    const int valid = static_cast<int>(at_most(kLanes, V - v));
    const Vec z = load_partial(row.logits + v, valid) * scale;
    float lanes[kLanes];
    store(lanes, z);
    for (int i = 0; i < valid; ++i) keys[v + i] = sortable(lanes[i]);
    store_partial(mass + v, exp(z - origin), valid);
  }
  Cut cut;
  if (top_k > 0 && top_k < V) cut.key = kth_largest(keys, V, top_k);
  if (top_p < 1.0f) {
    double total = 0.0;
    for (int64_t v = 0; v < V; ++v)
      if (keys[v] >= cut.key) total += mass[v];
    // top_p is an fp32 number: 0.8 arrives as 0.80000001, and 40 of 50 equal tokens must still reach it.
    const double share = static_cast<double>(top_p) * (1.0 - 0x1p-23);
    cut = cut_at_mass(keys, mass, V, cut.key, share * total);
  }
  const float floor = min_p < 1.0f ? min_p : 1.0f;  // the most probable token (mass 1) always stays
  double total = 0.0;
  int64_t ties = 0;
  for (int64_t v = 0; v < V; ++v) {
    const bool stays = (keys[v] > cut.key || (keys[v] == cut.key && ties++ < cut.ties)) && mass[v] >= floor;
    if (!stays) mass[v] = 0.0f;
    total += mass[v];
  }
  const double target = uniform * total;
  double sum = 0.0;
  int64_t last = 0;
  for (int64_t v = 0; v < V; ++v) {
    if (!(mass[v] > 0.0f)) continue;
    sum += mass[v];
    last = v;
    if (target < sum) break;
  }
  return static_cast<int32_t>(last);
}

bool has_filters(const Sample& op, int64_t r) {
  return (op.top_k[r] > 0 && op.top_k[r] < op.V) || op.top_p[r] < 1.0f || op.min_p[r] > 0.0f;
}

float inverse_temperature(const Sample& op, int64_t r) {
  return op.temperature[r] > 0.0f ? 1.0f / op.temperature[r] : 1.0f;  // greedy reports the log-prob at temperature 1
}

}  // namespace

int64_t sample(const Sample& op, const double* uniforms, ThreadPool& pool, Scratch& scratch) {
  const int64_t R = op.R, V = op.V, tiles = div_up(V, kVocabTile), parts = div_up(tiles, kTilesPerTask);
  auto* stats = static_cast<TileStats*>(scratch.bytes(0, R * tiles * sizeof(TileStats)));
  pool.parallel_for(R * parts, [&](int64_t task, int) {
    const int64_t r = task / parts, t0 = task % parts * kTilesPerTask, t1 = at_most(tiles, t0 + kTilesPerTask);
    const float inv_temperature = inverse_temperature(op, r);
    for (int64_t t = t0; t < t1; ++t)
      stats[r * tiles + t] = digest_tile(op.logits + r * V + t * kVocabTile, tile_columns(V, t), inv_temperature);
  });

  bool filters = false;
  for (int64_t r = 0; r < R; ++r) filters = filters || (op.temperature[r] > 0.0f && has_filters(op, r));
  const int64_t row_floats = filters ? round_up(V, kLanes) : 0;
  auto* keys = static_cast<uint32_t*>(scratch.bytes(1, pool.threads() * row_floats * sizeof(uint32_t)));
  float* mass = scratch.floats(2, pool.threads() * row_floats);
  pool.parallel_for(R, [&](int64_t r, int worker) {
    const TileStats* row_tiles = stats + r * tiles;
    const Row row{op.logits + r * V, V, inverse_temperature(op, r), merge_tiles(row_tiles, tiles)};
    op.token[r] = -1;
    if (!(row.stats.sum > 0.0)) return;  // NaN or nothing above -inf
    if (!(op.temperature[r] > 0.0f))
      op.token[r] = pick_largest(row, row_tiles);
    else if (has_filters(op, r))
      op.token[r] = pick_filtered(row, op.top_k[r], op.top_p[r], op.min_p[r], uniforms[r], keys + worker * row_floats,
                                  mass + worker * row_floats);
    else
      op.token[r] = pick_unfiltered(row, row_tiles, uniforms[r]);
    op.logprob[r] = row_logprob(row.stats, row.logits[op.token[r]] * row.inv_temperature);
  });
  for (int64_t r = 0; r < R; ++r)
    if (op.token[r] < 0) return r;
  return -1;
}

}  // namespace toolgrad::TOOLGRAD_ISA
