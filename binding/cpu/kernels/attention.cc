// Attention forward over paged keys and values. One task: the query rows of a few consecutive tokens of one sequence
// that share one KV head. Tiles are the pages (32 keys, anchored at key 0); per tile: scores, online softmax, values.
//
// A row's bits depend on its own q and on keys 0..its position only: its score and value chains never touch a later key
// (so neither stale slots nor NaN in them matter), and blocking over rows does not change a chain (attention_tile.h).
// Scratch slot 0: one workspace per worker; slot 1: the task table.
#include "cpu/kernels/attention_tile.h"
#include "cpu/kernels/kernels.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kRowsPerTask = 64;

struct Task {
  int32_t sequence, first, count;  // tokens first..first+count-1 of the sequence's query rows
};

// Per-worker memory, in floats.
struct Workspace {
  float* q;        // [rows, D]
  float* sum;      // [rows, D] weighted values, rescaled as the maximum grows
  float* scores;   // [rows, 32], then probabilities
  float* maximum;  // [rows]
  float* total;    // [rows]
  float* keys;     // [D, 32]
  float* values;   // [32, D]
};
int64_t workspace_floats(int64_t rows, int64_t D) {
  return round_up(rows * (2 * D + kKvPageSize + 2) + 2 * kKvPageSize * D, kLanes);
}
Workspace workspace(float* memory, int64_t rows, int64_t D) {
  Workspace w;
  w.q = memory;
  w.sum = w.q + rows * D;
  w.scores = w.sum + rows * D;
  w.keys = w.scores + rows * kKvPageSize;
  w.values = w.keys + kKvPageSize * D;
  w.maximum = w.values + kKvPageSize * D;
  w.total = w.maximum + rows;
  return w;
}

// Scales and masks one row's 32 scores (`valid` of them count), updates its running maximum and total, rescales its sum
// and leaves the probabilities in `scores`.
TOOLGRAD_INLINE void softmax_step(float* scores, int valid, float scale, float* maximum, float* total, float* sum,
                                  int64_t D) {
  const Vec infinity = broadcast(-__builtin_inff());
  Vec low = load(scores) * broadcast(scale), high = load(scores + kLanes) * broadcast(scale);
  if (valid < kKvPageSize) {
    low = take_first(low, infinity, valid < kLanes ? valid : kLanes);
    high = take_first(high, infinity, valid > kLanes ? valid - kLanes : 0);
  }
  const float before = *maximum;
  const float now = larger(before, max_lanes(max(low, high)));
  low = exp(low - broadcast(now));
  high = exp(high - broadcast(now));
  store(scores, low);
  store(scores + kLanes, high);
  if (now == before) {  // the factor would be exactly 1
    *total += sum_lanes(low + high);
    return;
  }
  const float factor = exp(before - now);
  *maximum = now;
  *total = *total * factor + sum_lanes(low + high);
  const Vec factors = broadcast(factor);
  int64_t d = 0;
  for (; d + kLanes <= D; d += kLanes) store(sum + d, load(sum + d) * factors);
  for (; d < D; ++d) sum[d] *= factor;
}

template <class T>
void attend(const AttentionForward& op, const Task& task, int64_t g, const Workspace& w) {
  const int64_t D = op.pages.D, group = op.H / op.pages.G, rows = task.count * group;
  const SequenceMap& map = op.map;
  const int64_t queries = map.q_start[task.sequence + 1] - map.q_start[task.sequence];
  const int64_t position = map.kv_len[task.sequence] - queries + task.first;  // of the first token of the task
  const int64_t token = map.q_start[task.sequence] + task.first;
  const int32_t* pages = map.page_table + map.page_start[task.sequence];

  // Row r is head g * group + r % group of token r / group; positions ascend with r.
  for (int64_t r = 0; r < rows; ++r) {
    widen(op.q + ((token + r / group) * op.H + g * group + r % group) * D, w.q + r * D, D);
    for (int64_t d = 0; d < D; ++d) w.sum[r * D + d] = 0;
    w.maximum[r] = -__builtin_inff();
    w.total[r] = 0;
  }

  const bool widen_tiles = rows > kTileRows;  // otherwise each tile is read once, straight from the page
  const int64_t tiles = (position + task.count - 1) / kKvPageSize + 1;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t key0 = tile * kKvPageSize;
    const int64_t offset = pages[tile] * op.pages.page_stride;
    const T* keys = static_cast<const T*>(op.pages.keys) + offset + g * D * kKvPageSize;
    const T* values = static_cast<const T*>(op.pages.values) + offset + g * D * kKvPageSize;
    const int64_t first = key0 > position ? (key0 - position) * group : 0;  // rows before it end in an earlier tile
    const int64_t active = rows - first;
    // Keys of this tile that row r may see.
    const auto visible = [&](int64_t r) -> int64_t {
      const int64_t n = position + r / group + 1 - key0;
      return n < kKvPageSize ? n : kKvPageSize;
    };

    // Nothing but the page table tells where the next page lies, so it is fetched while this one is worked on.
    const int64_t ahead = tile + 1 < tiles ? (pages[tile + 1] - pages[tile]) * op.pages.page_stride : 0;

    const TileA q{w.q + first * D, D, 1};
    const TileC scores{w.scores + first * kKvPageSize, kKvPageSize};
    if (widen_tiles) {
      widen(keys, w.keys, D * kKvPageSize);
      widen(values, w.values, visible(rows - 1) * D);
      multiply(q, TileB<float>{w.keys, kKvPageSize}, scores, active, kKvPageSize, D, false);
    } else {
      multiply_ahead(q, TileB<T>{keys, kKvPageSize}, ahead, scores, active, kKvPageSize, D, false);
    }
    for (int64_t r = first; r < rows; ++r)
      softmax_step(w.scores + r * kKvPageSize, static_cast<int>(visible(r)), op.scale, w.maximum + r, w.total + r,
                   w.sum + r * D, D);
    const auto add_values = [&](int64_t r, int64_t count, int64_t from, int64_t to) {
      const TileA p{w.scores + r * kKvPageSize + from, kKvPageSize, 1};
      const TileC sum{w.sum + r * D, D};
      if (widen_tiles)
        multiply(p, TileB<float>{w.values + from * D, D}, sum, count, D, to - from, true);
      else
        multiply_ahead(p, TileB<T>{values + from * D, D}, ahead, sum, count, D, to - from, true);
    };
    for (int64_t r = first; r < rows;) {
      // On the diagonal: the keys all rows of the block see together, then each row's own rest.
      const int64_t shared = visible(r);
      int64_t count = rows - r < kTileRows ? rows - r : kTileRows;
      if (shared == kKvPageSize) count = rows - r;
      add_values(r, count, 0, shared);
      for (int64_t i = r; i < r + count; ++i)
        if (visible(i) > shared) add_values(i, 1, shared, visible(i));
      r += count;
    }
  }

  for (int64_t r = 0; r < rows; ++r) {
    const int64_t row = (token + r / group) * op.H + g * group + r % group;
    const Vec total = broadcast(w.total[r]);
    int64_t d = 0;
    for (; d + kLanes <= D; d += kLanes) store(op.out + row * D + d, load(w.sum + r * D + d) / total);
    for (; d < D; ++d) op.out[row * D + d] = w.sum[r * D + d] / w.total[r];
    if (op.lse != nullptr)
      op.lse[row] = static_cast<float>(static_cast<double>(w.maximum[r]) + log(static_cast<double>(w.total[r])));
  }
}

}  // namespace

void attention_forward(const AttentionForward& op, ThreadPool& pool, Scratch& scratch) {
  const int64_t D = op.pages.D, G = op.pages.G, group = op.H / G;
  const int64_t tokens_per_task = group < kRowsPerTask ? kRowsPerTask / group : 1;
  int64_t tasks = 0;
  for (int64_t s = 0; s < op.map.S; ++s)
    tasks += (op.map.q_start[s + 1] - op.map.q_start[s] + tokens_per_task - 1) / tokens_per_task;
  Task* table = static_cast<Task*>(scratch.bytes(1, static_cast<size_t>(tasks) * sizeof(Task)));
  int64_t n = 0;
  int64_t rows = 0;
  for (int64_t s = 0; s < op.map.S; ++s) {
    const int64_t queries = op.map.q_start[s + 1] - op.map.q_start[s];
    // The last tokens see most keys: they go first, so that the pool ends on short tasks.
    for (int64_t first = (queries - 1) / tokens_per_task * tokens_per_task; first >= 0 && queries > 0;
         first -= tokens_per_task) {
      const int64_t count = queries - first < tokens_per_task ? queries - first : tokens_per_task;
      table[n++] = {static_cast<int32_t>(s), static_cast<int32_t>(first), static_cast<int32_t>(count)};
      if (count * group > rows) rows = count * group;
    }
  }
  const int64_t floats = workspace_floats(rows, D);
  float* memory = scratch.floats(0, floats * pool.threads());
  pool.parallel_for(tasks * G, [&](int64_t i, int worker) {
    const Workspace w = workspace(memory + worker * floats, rows, D);
    if (op.pages.dtype == DType::kBF16)
      attend<uint16_t>(op, table[i / G], i % G, w);
    else
      attend<float>(op, table[i / G], i % G, w);
  });
}

}  // namespace toolgrad::TOOLGRAD_ISA
