// Attention backward: probabilities are recomputed from lse, tile by tile; nothing of size T x T exists.
//
// One task: one query head of one sequence. Key tiles ascend; for each tile the query blocks that see it ascend. So dq
// of a row is one fma chain over its keys in order, and a head's part of dk, dv of a key is one fma chain over the
// queries from the tile's first token on; a pair with a later key counts as exactly 0, stale slots are never read. The
// parts of the heads that share a KV head are then added in head order. None of this depends on other sequences, on the
// pack or on threads. Scratch slot 0: one workspace per worker; 2 and 3: dk and dv parts of all but a group's first
// head.
#include "cpu/kernels/attention_tile.h"
#include "cpu/kernels/kernels.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kTile = kKvPageSize;
constexpr int64_t kDiagonalRows = 8;  // rows of a diagonal tile that share one key range; a hidden key has ds = 0 there

struct Workspace {
  float *q, *dout, *dq;  // [tokens, D] of one head
  float* delta;          // [tokens] sum_d dout * out
  float* p;              // [32 queries, 32 keys]
  float* ds;             // [32 queries, 32 keys]
  float* keys_t;         // [D, 32] as in the page
  float* keys;           // [32, D]
  float* values;         // [32, D] as in the page
  float* values_t;       // [D, 32]
  float *dk, *dv;        // [32, D]
};
int64_t workspace_floats(int64_t tokens, int64_t D) {
  return round_up(tokens * (3 * D + 1) + 2 * kTile * kTile + 6 * kTile * D, kLanes);
}
Workspace workspace(float* memory, int64_t tokens, int64_t D) {
  Workspace w;
  const auto take = [&memory](int64_t count) {
    float* at = memory;
    memory += count;
    return at;
  };
  w.p = take(kTile * kTile);
  w.ds = take(kTile * kTile);
  w.keys_t = take(kTile * D);
  w.keys = take(kTile * D);
  w.values = take(kTile * D);
  w.values_t = take(kTile * D);
  w.dk = take(kTile * D);
  w.dv = take(kTile * D);
  w.q = take(tokens * D);
  w.dout = take(tokens * D);
  w.dq = take(tokens * D);
  w.delta = take(tokens);
  return w;
}

// Where one head's part of dk and dv goes: row t at data + t * row.
struct Part {
  float *dk, *dv;
  int64_t row;
};

// From a row's scores (in p) and dp = dout . v (in ds) to its probabilities and score gradients; keys from `visible` on
// get exactly 0.
TOOLGRAD_INLINE void softmax_gradient(float* p, float* ds, int visible, float scale, float lse, float delta) {
  for (int half = 0; half < 2; ++half, p += kLanes, ds += kLanes, visible -= kLanes) {
    const int n = visible < 0 ? 0 : visible > kLanes ? kLanes : visible;
    const Vec probability = take_first(exp(load(p) * broadcast(scale) - broadcast(lse)), zero(), n);
    const Vec gradient = probability * (load(ds) - broadcast(delta)) * broadcast(scale);
    store(p, probability);
    store(ds, take_first(gradient, zero(), n));
  }
}

template <class T>
void load_page(const AttentionBackward& op, int32_t page, int64_t g, int64_t count, const Workspace& w) {
  const int64_t D = op.pages.D, offset = page * op.pages.page_stride + g * D * kTile;
  widen(static_cast<const T*>(op.pages.keys) + offset, w.keys_t, D * kTile);
  widen(static_cast<const T*>(op.pages.values) + offset, w.values, count * D);
  transpose(w.keys_t, D, kTile, w.keys, D);
  transpose(w.values, count, D, w.values_t, kTile);
}

template <class T>
void backward_head(const AttentionBackward& op, int64_t s, int64_t h, const Part& part, const Workspace& w) {
  const int64_t D = op.pages.D, g = h / (op.H / op.pages.G);
  const int64_t begin = op.map.q_start[s], tokens = op.map.q_start[s + 1] - begin;
  const int32_t* pages = op.map.page_table + op.map.page_start[s];

  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t row = ((begin + t) * op.H + h) * D;
    widen(op.q + row, w.q + t * D, D);
    widen(op.dout + row, w.dout + t * D, D);
    w.delta[t] = dot(op.dout + row, op.out + row, D);
  }

  for (int64_t key0 = 0; key0 < tokens; key0 += kTile) {
    const int64_t keys = tokens - key0 < kTile ? tokens - key0 : kTile;
    load_page<T>(op, pages[key0 / kTile], g, keys, w);
    for (int64_t q0 = key0; q0 < tokens; q0 += kTile) {
      const int64_t rows = tokens - q0 < kTile ? tokens - q0 : kTile;
      const bool diagonal = q0 == key0;
      multiply(TileA{w.q + q0 * D, D, 1}, TileB<float>{w.keys_t, kTile}, TileC{w.p, kTile}, rows, kTile, D, false);
      multiply(TileA{w.dout + q0 * D, D, 1}, TileB<float>{w.values_t, kTile}, TileC{w.ds, kTile}, rows, kTile, D,
               false);
      for (int64_t r = 0; r < rows; ++r)
        softmax_gradient(w.p + r * kTile, w.ds + r * kTile, static_cast<int>(diagonal ? r + 1 : kTile), op.scale,
                         op.lse[(begin + q0 + r) * op.H + h], w.delta[q0 + r]);

      const TileB<float> key_rows{w.keys, D};
      const bool continues = key0 > 0;
      if (diagonal) {
        for (int64_t r = 0; r < rows; r += kDiagonalRows) {
          const int64_t count = rows - r < kDiagonalRows ? rows - r : kDiagonalRows;
          multiply(TileA{w.ds + r * kTile, kTile, 1}, key_rows, TileC{w.dq + (q0 + r) * D, D}, count, D, r + count,
                   continues);
        }
      } else {
        multiply(TileA{w.ds, kTile, 1}, key_rows, TileC{w.dq + q0 * D, D}, rows, D, kTile, continues);
      }
      multiply(TileA{w.ds, 1, kTile}, TileB<float>{w.q + q0 * D, D}, TileC{w.dk, D}, keys, D, rows, !diagonal);
      multiply(TileA{w.p, 1, kTile}, TileB<float>{w.dout + q0 * D, D}, TileC{w.dv, D}, keys, D, rows, !diagonal);
    }
    for (int64_t j = 0; j < keys; ++j) {
      widen(w.dk + j * D, part.dk + (begin + key0 + j) * part.row, D);
      widen(w.dv + j * D, part.dv + (begin + key0 + j) * part.row, D);
    }
  }
  for (int64_t t = 0; t < tokens; ++t) widen(w.dq + t * D, op.dq + ((begin + t) * op.H + h) * D, D);
}

// to[i] = to[i] + parts[0][i] + parts[1][i] + ...
void add_parts(float* to, const float* parts, int64_t count, int64_t stride, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += kLanes) {
    const int n = static_cast<int>(end - i < kLanes ? end - i : kLanes);
    Vec sum = load_partial(to + i, n);
    for (int64_t part = 0; part < count; ++part) sum = sum + load_partial(parts + part * stride + i, n);
    store_partial(to + i, sum, n);
  }
}

}  // namespace

void attention_backward(const AttentionBackward& op, ThreadPool& pool, Scratch& scratch) {
  const int64_t D = op.pages.D, G = op.pages.G, group = op.H / G, size = op.map.T * G * D;
  int64_t longest = 0;
  for (int64_t s = 0; s < op.map.S; ++s) {
    const int64_t tokens = op.map.q_start[s + 1] - op.map.q_start[s];
    if (tokens > longest) longest = tokens;
  }
  const int64_t floats = workspace_floats(longest, D);
  float* memory = scratch.floats(0, floats * pool.threads());
  float* dk_parts = scratch.floats(2, (group - 1) * size);
  float* dv_parts = scratch.floats(3, (group - 1) * size);

  pool.parallel_for(op.map.S * op.H, [&](int64_t i, int worker) {
    const int64_t s = i / op.H, h = i % op.H, g = h / group, member = h % group;
    const Workspace w = workspace(memory + worker * floats, longest, D);
    const int64_t offset = member == 0 ? g * D : (member - 1) * size + g * D;
    const Part part{(member == 0 ? op.dk : dk_parts) + offset, (member == 0 ? op.dv : dv_parts) + offset, G * D};
    if (op.pages.dtype == DType::kBF16)
      backward_head<uint16_t>(op, s, h, part, w);
    else
      backward_head<float>(op, s, h, part, w);
  });

  if (group == 1) return;
  constexpr int64_t kChunk = 1 << 14;
  pool.parallel_for((size + kChunk - 1) / kChunk, [&](int64_t i, int) {
    const int64_t begin = i * kChunk, end = begin + kChunk < size ? begin + kChunk : size;
    add_parts(op.dk, dk_parts, group - 1, size, begin, end);
    add_parts(op.dv, dv_parts, group - 1, size, begin, end);
  });
}

}  // namespace toolgrad::TOOLGRAD_ISA
