// The forward pass and the plans of its arrays; see transformer.h.
#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/lora.h"
#include "engine/queue.h"
#include "engine/transformer.h"

namespace toolgrad {
namespace {

KvPages take_pages(Arena& arena, const ModelShape& s, DType dtype, int64_t pages) {
  const size_t bytes = static_cast<size_t>(pages * page_elements(s)) * dtype_size(dtype);
  void* keys = arena.take_bytes(bytes);
  void* values = arena.take_bytes(bytes);
  return {keys, values, dtype, page_elements(s), s.G, s.D};
}

void clear_pages(Memory& memory, const KvPages& pages, int64_t count) {
  const size_t bytes = static_cast<size_t>(count * pages.page_stride) * dtype_size(pages.dtype);
  memory.zero(pages.keys, bytes);
  memory.zero(pages.values, bytes);
}

// Visits the arrays of a batch in the order in which they lie in a staged copy.
template <class Visit>
void each_array(const TokenBatch& batch, Visit&& visit) {
  const SequenceMap& map = batch.map;
  int64_t pages = 0;
  for (int64_t s = 0; s < map.S; ++s)
    pages = std::max(pages, map.page_start[s] + (map.kv_len[s] + kKvPageSize - 1) / kKvPageSize);
  visit(batch.ids, map.T);
  visit(batch.positions, map.T);
  visit(map.q_start, map.S + 1);
  visit(map.kv_len, map.S);
  visit(map.page_start, map.S);
  visit(map.page_table, pages);
}

}  // namespace

void StagedBatch::plan(Arena& arena, const TokenBatch& host) {
  int64_t total = 0;
  each_array(host, [&](const int32_t*, int64_t count) { total += count; });
  arrays_ = arena.take<int32_t>(total);
}

TokenBatch StagedBatch::upload(Memory& memory, const TokenBatch& host) const {
  std::vector<int32_t> values;
  std::vector<const int32_t*> at;
  each_array(host, [&](const int32_t* array, int64_t count) {
    at.push_back(arrays_ + values.size());
    values.insert(values.end(), array, array + count);
  });
  memory.upload(arrays_, values);
  const SequenceMap& map = host.map;
  return {at[0], at[1], {at[2], at[3], at[4], at[5], map.S, map.T, map.max_q, map.max_kv}};
}

WholeSequences::WholeSequences(const int32_t* ids, const int32_t* seq_starts, int64_t S) {
  const int64_t T = seq_starts[S];
  positions_.resize(static_cast<size_t>(T));
  int32_t pages = 0;
  q_start_.push_back(0);
  for (int64_t s = 0; s < S; ++s) {
    const int32_t length = seq_starts[s + 1] - seq_starts[s];
    for (int32_t i = 0; i < length; ++i) positions_[static_cast<size_t>(seq_starts[s] + i)] = i;
    q_start_.push_back(seq_starts[s + 1]);
    kv_len_.push_back(length);
    page_start_.push_back(pages);
    pages += static_cast<int32_t>((length + kKvPageSize - 1) / kKvPageSize);
    longest_ = std::max<int64_t>(longest_, length);
  }
  for (int32_t page = 0; page < pages; ++page) page_table_.push_back(page);
  batch_ = {ids, positions_.data(),
            sequence_map(q_start_.data(), kv_len_.data(), page_start_.data(), page_table_.data(), S)};
}

ProductRowsOut Activations::take_product_rows(Arena& arena, int64_t T, int64_t width) const {
  const int64_t elements = T * product_stride(product_dtype, width);
  return {arena.take_bytes(static_cast<size_t>(elements) * dtype_size(product_dtype)), product_dtype};
}

void Activations::plan_inference(Arena& arena, const ModelShape& s, int64_t T) {
  LayerActivations a{};
  x = arena.take<float>(T * s.C);
  a.x_in = a.x_mid = x;
  normed = take_product_rows(arena, T, s.C);
  a.q = arena.take<float>(T * s.q_width());
  k = arena.take<float>(T * s.kv_width());
  v = arena.take<float>(T * s.kv_width());
  if (s.qk_norm) {  // normalised in place
    a.q_pre = a.q;
    a.k_pre = k;
  }
  a.attention = arena.take<float>(T * s.q_width());
  a.gate = arena.take<float>(T * s.F);
  a.up = arena.take<float>(T * s.F);
  act = take_product_rows(arena, T, s.F);
  layers.assign(static_cast<size_t>(s.L), a);
}

void Activations::plan_scoring(Arena& arena, const ModelShape& s, DType kv_dtype, int64_t T, int64_t pages) {
  plan_inference(arena, s, T);
  const KvPages shared = take_pages(arena, s, kv_dtype, pages);
  for (LayerActivations& a : layers) a.pages = shared;
}

void Activations::plan_training(Arena& arena, const ModelShape& s, DType kv_dtype, int64_t T, int64_t pages) {
  training = true;
  own_pages = pages;
  normed = take_product_rows(arena, T, s.C);
  k = arena.take<float>(T * s.kv_width());
  v = arena.take<float>(T * s.kv_width());
  act = take_product_rows(arena, T, s.F);
  layers.assign(static_cast<size_t>(s.L), LayerActivations{});
  const auto take_attention = [&](LayerActivations& a) {
    a.x_mid = arena.take<float>(T * s.C);
    if (s.qk_norm) {
      a.q_pre = arena.take<float>(T * s.q_width());
      a.k_pre = arena.take<float>(T * s.kv_width());
      a.q_rstd = arena.take<float>(T * s.H);
      a.k_rstd = arena.take<float>(T * s.G);
    }
    a.q = arena.take<float>(T * s.q_width());
    a.attention = arena.take<float>(T * s.q_width());
    a.lse = arena.take<float>(T * s.H);
    a.pages = take_pages(arena, s, kv_dtype, pages);
  };
  const auto take_mlp = [&](LayerActivations& a) {
    a.gate = arena.take<float>(T * s.F);
    a.up = arena.take<float>(T * s.F);
  };
  LayerActivations shared{};
  if (recompute == Recompute::kFull) take_attention(shared);
  if (recompute != Recompute::kNone) take_mlp(shared);
  for (LayerActivations& a : layers) {
    a = shared;
    a.x_in = arena.take<float>(T * s.C);
    if (recompute != Recompute::kFull) take_attention(a);
    if (recompute == Recompute::kNone) take_mlp(a);
  }
  x = arena.take<float>(T * s.C);
}

float Transformer::attention_scale() const {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape_.D)));
}

void Transformer::linear(const LoraAdapter* adapter, ProductRows x, int weight, int bias, const float* residual,
                         float* y, int64_t T) const {
  ops_.linear_forward({x, parameters_.weight(weight), parameters_.vector(bias), residual, y, T});
  if (adapter != nullptr) adapter->forward(ops_, weight, x.f32(), y, T);
}

void Transformer::norm(const float* x, int weight, ProductRowsOut y, float* rstd, int64_t rows, int64_t width) const {
  ops_.rms_norm_forward({x, parameters_.vector(weight), y, rstd, rows, width, shape_.norm_eps});
}

void Transformer::forward(const TokenBatch& batch, Activations& all, int64_t own_pages) const {
  const int64_t T = batch.map.T;
  const ParameterLayout& layout = parameters_.layout();
  rope_.grow(batch.map.max_kv);
  ops_.embedding_forward({batch.ids, parameters_.weight(layout.embedding()), all.layers.front().x_in, T});
  for (int64_t l = 0; l < shape_.L; ++l) {
    if (cancel_requested()) throw Error("ERR_CANCELLED", "The forward pass was asked to stop");
    const auto at = static_cast<size_t>(l);
    const LayerActivations& a = all.layers[at];
    attention_forward(batch, a, layout.layer(l), all, own_pages);
    mlp_forward(T, a, layout.layer(l), all, l + 1 < shape_.L ? all.layers[at + 1].x_in : all.x);
  }
}

void Transformer::attention_forward(const TokenBatch& batch, const LayerActivations& a, const LayerParameters& p,
                                    const Activations& all, int64_t own_pages) const {
  const ModelShape& s = shape_;
  const int64_t T = batch.map.T;
  norm(a.x_in, p.input_norm, all.normed, nullptr, T, s.C);
  float *const q = s.qk_norm ? a.q_pre : a.q, *const k = s.qk_norm ? a.k_pre : all.k;
  const LinearForward projections[] = {
      {all.normed, parameters_.weight(p.q), parameters_.vector(p.q_bias), nullptr, q, T},
      {all.normed, parameters_.weight(p.k), parameters_.vector(p.k_bias), nullptr, k, T},
      {all.normed, parameters_.weight(p.v), parameters_.vector(p.v_bias), nullptr, all.v, T}};
  ops_.linear_forwards(projections, 3);
  if (all.adapter != nullptr) {
    all.adapter->forward(ops_, p.q, all.normed.f32(), q, T);
    all.adapter->forward(ops_, p.k, all.normed.f32(), k, T);
    all.adapter->forward(ops_, p.v, all.normed.f32(), all.v, T);
  }
  if (s.qk_norm) {
    norm(a.q_pre, p.q_norm, a.q, a.q_rstd, T * s.H, s.D);
    norm(a.k_pre, p.k_norm, all.k, a.k_rstd, T * s.G, s.D);
  }
  ops_.rope({a.q, rope_.cos(), rope_.sin(), batch.positions, T, s.H, s.D, false});
  ops_.rope({all.k, rope_.cos(), rope_.sin(), batch.positions, T, s.G, s.D, false});
  if (own_pages > 0) clear_pages(*ops_.memory(), a.pages, own_pages);
  ops_.kv_write({all.k, all.v, a.pages, batch.map});
  ops_.attention_forward({a.q, a.pages, batch.map, a.attention, a.lse, s.H, attention_scale()});
  linear(all.adapter, a.attention, p.o, p.o_bias, a.x_in, a.x_mid, T);
}

void Transformer::mlp_forward(int64_t T, const LayerActivations& a, const LayerParameters& p, const Activations& all,
                              float* x_out) const {
  gated_forward(T, a, p, all, all.training && all.recompute == Recompute::kNone);
  linear(all.adapter, all.act, p.down, p.down_bias, a.x_mid, x_out, T);
}

void Transformer::gated_forward(int64_t T, const LayerActivations& a, const LayerParameters& p, const Activations& all,
                                bool keep) const {
  norm(a.x_mid, p.post_norm, all.normed, nullptr, T, shape_.C);
  if (all.adapter == nullptr) {
    ops_.gated_forward({all.normed, parameters_.weight(p.gate), parameters_.weight(p.up),
                        parameters_.vector(p.gate_bias), parameters_.vector(p.up_bias), a.gate, a.up, all.act, T,
                        keep});
    return;
  }
  // The adapter adds to gate and up before SwiGLU.
  linear(all.adapter, all.normed, p.gate, p.gate_bias, nullptr, a.gate, T);
  linear(all.adapter, all.normed, p.up, p.up_bias, nullptr, a.up, T);
  ops_.swiglu_forward({a.gate, a.up, all.act, T, shape_.F});
}

}  // namespace toolgrad
