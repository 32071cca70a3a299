// THE CONTRACT: every operation a backend provides, its shapes, its in-place rules and its order of reduction.
//
// Dimensions: T tokens (rows), C hidden width, H query heads, G key/value heads, D head size, F feed-forward width,
// V vocabulary, N/K output/input width of a linear layer, S sequences, R rows of the loss head.
// Activations and gradients are fp32, row-major. Parameter gradients ACCUMULATE; activation gradients are overwritten
// unless the op says otherwise. Every reduction runs in one order fixed per output element: the result of a row does
// not depend on the other rows, on T, or on the number of threads. Ops validate nothing: callers (engine, binding) do.
// Pointers belong to the backend's device; nothing here allocates except through Scratch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "engine/dtype.h"
#include "engine/memory.h"
#include "engine/philox.h"
#include "engine/policy_loss.h"

namespace toolgrad {

constexpr int64_t kPanelRows = 16;   // output rows in one weight panel
constexpr int64_t kKvPageSize = 32;  // tokens in one KV page; also the key tile of attention, anchored at key 0
constexpr int64_t kVocabTile = 256;  // columns of one loss-head tile: the unit in which (max, sum) are merged, in order

inline constexpr int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

// A matrix W [rows, cols] stored in panels of 16 rows: element (n, k) is at [(n / 16) * cols + k] * 16 + n % 16.
// Padding rows are zero. The same layout holds compute weights (bf16 or fp32), masters, moments and gradients (fp32).
struct PackedMatrix {
  void* data = nullptr;
  DType dtype = DType::kF32;  // kF32 or kBF16
  int64_t rows = 0, cols = 0;
};
inline constexpr int64_t packed_elements(int64_t rows, int64_t cols) {
  return round_up(rows, kPanelRows) * cols;
}
inline constexpr int64_t packed_index(int64_t cols, int64_t row, int64_t col) {
  return ((row / kPanelRows) * cols + col) * kPanelRows + row % kPanelRows;
}

// Rows [T, width] that only the products of linear layers read: fp32, or rounded already to what a backend's products round
// them to anyway (Ops::product_dtype()): bf16, each row with room for a multiple of eight columns, in the order that suits the
// backend that wrote them. Their results have the same bits either way.
struct ProductRows {
  const void* data;
  DType dtype;
  ProductRows(const float* rows) : data(rows), dtype(DType::kF32) {}  // NOLINT: a plain array is such rows
  ProductRows(const void* rows, DType of) : data(rows), dtype(of) {}
  const float* f32() const { return static_cast<const float*>(data); }
};
// The same to be written.
struct ProductRowsOut {
  void* data = nullptr;
  DType dtype = DType::kF32;
  ProductRowsOut() = default;
  ProductRowsOut(float* rows) : data(rows) {}  // NOLINT
  ProductRowsOut(void* rows, DType of) : data(rows), dtype(of) {}
  float* f32() const { return static_cast<float*>(data); }
  operator ProductRows() const { return {data, dtype}; }  // NOLINT
};
inline constexpr int64_t product_stride(DType dtype, int64_t width) {
  return dtype == DType::kBF16 ? round_up(width, 8) : width;
}

// Products with bf16 weights, the loss head's too, round their other inputs (x, dy) to bf16 and accumulate in fp32; those with
// fp32 weights take fp32.
// y[t,n] = fma chain over k = 0..K-1 of x[t,k] * W[n,k], from 0; then + bias[n] (if any); then + residual[t,n] (if any).
struct LinearForward {
  ProductRows x;          // [T, K]
  PackedMatrix w;         // [N, K]
  const float* bias;      // [N] or null
  const float* residual;  // [T, N] or null; may alias y
  float* y;               // [T, N]
  int64_t T;
};
// dx[t,k] = fma chain over n = 0..N-1 of dy[t,n] * W[n,k], from 0 or (accumulate) from the dx that is there.
struct LinearBackwardInput {
  const float* dy;  // [T, N]
  PackedMatrix w;   // [N, K]
  float* dx;        // [T, K]
  int64_t T;
  bool accumulate;
};
// dw[n,k] continues its fma chain over t = 0..T-1 of dy[t,n] * x[t,k]; db[n] likewise (plain adds, t order).
struct LinearBackwardWeight {
  ProductRows x;    // [T, K]
  const float* dy;  // [T, N]
  PackedMatrix dw;  // [N, K] fp32
  float* db;        // [N] or null
  int64_t T;
  DType weights;  // of the layer
};
// Both at once: dw (unless it has no data) and db, then dx.
struct LinearBackward {
  ProductRows x;    // [T, K]
  const float* dy;  // [T, N]
  PackedMatrix w;   // [N, K]
  PackedMatrix dw;  // [N, K] fp32; no data when W is frozen
  float* db;        // [N] or null
  float* dx;        // [T, K]
  int64_t T;
  bool accumulate;
};

// A low-rank addition to a linear layer (LoRA), y += scale * B (A x). h[t,j] = scale * (fma chain over k = 0..K-1 of
// x[t,k] * A[j,k], from 0); y[t,n] becomes (fma chain over j = 0..r-1 of h[t,j] * B[n,j], from 0) + y[t,n].
struct LowRankForward {
  const float* x;  // [T, K]
  PackedMatrix a;  // [r, K]
  PackedMatrix b;  // [N, r]
  float scale;
  float* y;  // [T, N], +=
  int64_t T;
};
// dh[t,j] = scale * (fma chain over n = 0..N-1 of dy[t,n] * B[n,j], from 0); h is recomputed as above. db[n,j] continues
// its fma chain over t of dy[t,n] * h[t,j], da[j,k] over t of dh[t,j] * x[t,k], dx[t,k] over j of dh[t,j] * A[j,k].
struct LowRankBackward {
  const float* x;   // [T, K]
  const float* dy;  // [T, N]
  PackedMatrix a, b;
  float scale;
  PackedMatrix da, db;  // fp32, +=
  float* dx;            // [T, K], +=
  int64_t T;
};

// y = x * rsqrt(mean(x^2) + eps) * w per row of C. Also per-head QK-norm: T = tokens * heads, C = D.
struct RmsNormForward {
  const float* x;    // [T, C]
  const float* w;    // [C]
  ProductRowsOut y;  // [T, C]; fp32 may alias x when the caller does not need x again
  float* rstd;       // [T] or null
  int64_t T, C;
  float eps;
};
struct RmsNormBackward {
  const float *dy, *x, *w, *rstd;
  float* dx;  // [T, C]; overwritten, or += when accumulate (residual stream)
  float* dw;  // [C]; += in t order; null when w is frozen
  int64_t T, C;
  bool accumulate;
};

// Half-split ("rotate_half") rotation in place: pairs (d, d + D/2) of each head by the angle of positions[t].
// cos/sin: [max_position, D/2]. backward = true rotates by the negative angle.
struct Rope {
  float* x;  // [T, heads, D]
  const float *cos, *sin;
  const int32_t* positions;  // [T]
  int64_t T, heads, D;
  bool backward;
};

// Paged keys and values of ONE layer. Page p holds kKvPageSize tokens of one sequence:
// keys  [G, D, kKvPageSize] (transposed: a score tile is an fma chain over d, vectorised over keys),
// values [G, kKvPageSize, D]. Unwritten slots are zero. dtype kBF16 (round to nearest even on write) or kF32.
struct KvPages {
  void* keys;
  void* values;
  DType dtype;
  int64_t page_stride;  // elements from page p to page p + 1 (the same for keys and values)
  int64_t G, D;
};
// Which pages hold which sequence. Sequence s owns query rows [q_start[s], q_start[s+1]); these are its LAST
// q_start[s+1] - q_start[s] tokens of kv_len[s] tokens in all. Token i is in page page_table[page_start[s] + i / 32].
struct SequenceMap {
  const int32_t* q_start;     // [S + 1]
  const int32_t* kv_len;      // [S]
  const int32_t* page_start;  // [S] offset into page_table
  const int32_t* page_table;
  int64_t S, T;
  int64_t max_q, max_kv;  // the longest run of query rows and the longest sequence: what launch shapes are made from
};
// The map of host arrays, its numbers filled in.
inline SequenceMap sequence_map(const int32_t* q_start, const int32_t* kv_len, const int32_t* page_start,
                                const int32_t* page_table, int64_t S) {
  SequenceMap map{q_start, kv_len, page_start, page_table, S, q_start[S], 0, 0};
  for (int64_t s = 0; s < S; ++s) {
    const int64_t queries = q_start[s + 1] - q_start[s];
    if (queries > map.max_q) map.max_q = queries;
    if (kv_len[s] > map.max_kv) map.max_kv = kv_len[s];
  }
  return map;
}
// Write the new tokens' K and V (after RoPE) into their pages.
struct KvWrite {
  const float *k, *v;  // [T, G, D]
  KvPages pages;
  SequenceMap map;
};
// Makes pages ready for a step, in every layer of a cache: the `fresh` pages are zeroed, then the first slots[i] tokens of
// page from[i] are copied to page to[i]. All arrays are on the host.
struct KvPrepare {
  KvPages pages;   // of layer 0
  int64_t layers;  // layer l's keys and values lie l * layer_bytes further
  int64_t layer_bytes;
  const int32_t* fresh;  // [fresh_count]
  int64_t fresh_count;
  const int32_t *from, *to, *slots;  // [copy_count]
  int64_t copy_count;
};
// Causal grouped-query attention. Per (token, head): key tiles of 32 anchored at key 0; scores = fma chain over d, times
// scale; online softmax (max, sum, output rescaled per tile) in tile order; the tail tile is masked at full width.
struct AttentionForward {
  const float* q;  // [T, H, D]
  KvPages pages;
  SequenceMap map;
  float* out;  // [T, H, D]
  float* lse;  // [T, H] or null
  int64_t H;
  float scale;
};
// Recomputes probabilities from lse. dk/dv are overwritten; the gradient passes straight through the cache's rounding.
// Requires q rows to be the whole sequence (training).
struct AttentionBackward {
  const float *dout, *q, *out, *lse;
  KvPages pages;
  SequenceMap map;
  float* dq;       // [T, H, D]
  float *dk, *dv;  // [T, G, D]
  int64_t H;
  float scale;
};

// act = silu(gate) * up.
struct SwigluForward {
  const float *gate, *up;  // [T, F]
  ProductRowsOut act;      // [T, F]
  int64_t T, F;
};
struct SwigluBackward {
  const float *dact, *gate, *up;
  float *dgate, *dup;  // [T, F]; dgate may alias gate's buffer, dup may alias up's
  int64_t T, F;
};

// The gate and up layers of an MLP and SwiGLU: the three ops in one, to the bit. Without `keep` nobody reads gate and up
// later: a backend may use them as scratch or leave them alone.
struct GatedForward {
  ProductRows x;                     // [T, K]
  PackedMatrix w_gate, w_up;         // [F, K]
  const float *bias_gate, *bias_up;  // [F] or null
  float *gate, *up;                  // [T, F]
  ProductRowsOut act;                // [T, F]
  int64_t T;
  bool keep;
};

struct EmbeddingForward {
  const int32_t* ids;  // [T]
  PackedMatrix table;  // [V, C]
  float* x;            // [T, C]
  int64_t T;
};
struct EmbeddingBackward {
  const int32_t* ids;
  const float* dx;      // [T, C]
  PackedMatrix dtable;  // fp32; += in token order
  int64_t T;
};

// out[r, :] = x[rows[r], :].
struct GatherRows {
  const float* x;       // [., C]
  const int32_t* rows;  // [R]
  float* out;           // [R, C]
  int64_t R, C;
};
// out[rows[r], :] = x[r, :], every other row of out is zero. No row is named twice.
struct ScatterRows {
  const float* x;       // [R, C]
  const int32_t* rows;  // [R]
  float* out;           // [T, C]
  int64_t R, T, C;
};

// From hidden states to log-prob and entropy in tiles of kVocabTile columns: z = linear(h, W) * (1 / temperature);
// per-tile (max, sum e^(z-max), sum z e^(z-max)) merged in tile order. [R, V] is never allocated.
struct HeadForward {
  const float* hidden;    // [R, C]
  PackedMatrix w;         // [V, C]
  const int32_t* labels;  // [R]
  float temperature;
  float* logprob;  // [R] nats
  float* entropy;  // [R] nats
  float* lse;      // [R] log sum exp of z
  int64_t R;
};
// dz_v = (d_logprob * (1[v = label] - p_v) - d_entropy * p_v * (log p_v + entropy)) / temperature.
struct HeadBackward {
  const float* hidden;
  PackedMatrix w;
  const int32_t* labels;
  float temperature;
  const float *lse, *entropy;
  const float *d_logprob, *d_entropy;  // [R]
  float* dhidden;                      // [R, C], overwritten
  PackedMatrix dw;                     // [V, C] fp32, +=; no data when W is frozen
  int64_t R;
};

// Sampling from logits rows. The log-prob is that of the temperature distribution BEFORE top-k/top-p/min-p, computed with
// HeadForward's tiles and merge order, so it equals HeadForward's to the bit. Greedy: temperature 0 (log-prob at 1.0).
// Filters in the order top-k (keeps ties), top-p, min-p; 0 / 1 / 0 switch them off.
struct Sample {
  const float* logits;       // [R, V] raw logits (no temperature)
  const float* temperature;  // [R]
  const int32_t* top_k;      // [R]
  const float* top_p;        // [R]
  const float* min_p;        // [R]
  const SampleKey* keys;     // [R]
  int32_t* token;            // [R]
  float* logprob;            // [R]
  int64_t R, V;
};

// AdamW on n elements with fp32 masters. g' = grad * grad_scale. weight = round(master) in weight_dtype.
struct AdamW {
  float *master, *m, *v;
  const float* grad;
  void* weight;  // compute copy: kBF16 or kF32 elements
  DType weight_dtype;
  bool round_to_bf16;  // weight is stored as fp32 but holds bf16-rounded values (norms and biases of a bf16 model)
  int64_t n;
  double lr, beta1, beta2, eps, weight_decay;  // double: 1 - 0.999f is off by 1e-5
  float grad_scale;
  int64_t step;  // 1-based, for bias correction
};

// Scratch memory is owned by the backend, grown once and reused; valid until the next op. Ops are issued in order; on a
// device that works on its own, only those that return a value wait for it.
class Ops {
 public:
  virtual ~Ops() = default;
  virtual const char* name() const = 0;                       // "cpu-avx512", "cpu-avx2", "cpu-portable", "cuda"
  virtual const std::shared_ptr<Memory>& memory() const = 0;  // where the pointers of its structs point to
  virtual int64_t scratch_held() const = 0;                   // bytes; not to be asked while an op runs

  virtual void pack(const float* src, PackedMatrix dst) = 0;  // row-major [rows, cols] -> panels (rounds to dtype)
  virtual void unpack(PackedMatrix src, float* dst) = 0;      // panels -> row-major fp32
  virtual void linear_forward(const LinearForward&) = 0;
  /// Several products, none of which reads what another writes: one after another, to the bit.
  virtual void linear_forwards(const LinearForward* ops, int64_t count) {
    for (int64_t i = 0; i < count; ++i) linear_forward(ops[i]);
  }
  virtual void linear_backward_input(const LinearBackwardInput&) = 0;
  virtual void linear_backward_weight(const LinearBackwardWeight&) = 0;
  virtual void linear_backward(const LinearBackward&) = 0;
  // The dtype in which products with such weights read ProductRows without a copy; they may be fp32, too.
  virtual DType product_dtype(DType weights) const = 0;
  virtual void low_rank_forward(const LowRankForward&) = 0;
  virtual void low_rank_backward(const LowRankBackward&) = 0;
  virtual void rms_norm_forward(const RmsNormForward&) = 0;
  virtual void rms_norm_backward(const RmsNormBackward&) = 0;
  virtual void rope(const Rope&) = 0;
  virtual void kv_write(const KvWrite&) = 0;
  virtual void kv_prepare(const KvPrepare&) = 0;
  virtual void attention_forward(const AttentionForward&) = 0;
  virtual void attention_backward(const AttentionBackward&) = 0;
  virtual void swiglu_forward(const SwigluForward&) = 0;
  virtual void swiglu_backward(const SwigluBackward&) = 0;
  virtual void gated_forward(const GatedForward&) = 0;
  virtual void embedding_forward(const EmbeddingForward&) = 0;
  virtual void embedding_backward(const EmbeddingBackward&) = 0;
  virtual void gather_rows(const GatherRows&) = 0;
  virtual void scatter_rows(const ScatterRows&) = 0;
  virtual void head_forward(const HeadForward&) = 0;
  virtual void head_backward(const HeadBackward&) = 0;
  // policy_loss.h over the rows of the loss head: all arrays but `names` are the backend's; d_logprob and d_entropy [T] are
  // overwritten.
  virtual PolicyLossStats policy_loss(const PolicyLossOptions&, const PolicyLossBatch&, float* d_logprob,
                                      float* d_entropy) = 0;
  virtual void sample(const Sample&) = 0;            // a row that has no distribution: bad_logits()
  virtual void sample_unchecked(const Sample&) = 0;  // such a row gets token -1
  virtual void adamw(const AdamW&) = 0;
  virtual void add(float* to, const float* x, int64_t n) = 0;    // to += x
  virtual double sum_of_squares(const float* x, int64_t n) = 0;  // fixed blocks of 4096, doubles, block order
  virtual bool all_finite(const float* x, int64_t n) = 0;
  virtual void find_not_finite(const float* x, int64_t n, int32_t* found) = 0;  // *found = 0, or 1 where one is not

  /// Runs `body`: ops that return nothing, and nothing else that touches the memory of the ops. A device that pays for every
  /// launch may replay the body's from an earlier call, where all of them are the same. An error of the body is thrown, and
  /// then any part of its work may be undone.
  virtual void recorded(const std::function<void()>& body) { body(); }
};

/// The error of a row of logits without a distribution.
[[noreturn]] void bad_logits(int64_t row);

}  // namespace toolgrad
