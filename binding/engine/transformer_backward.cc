// The backward pass, layer by layer from the last; see transformer.h.
//
// dx always holds the gradient of the residual stream: a block adds its branch's gradient to it and leaves the skip
// connection's in place. What was not kept is recomputed by the functions of the forward pass, just before it is read.
#include "engine/error.h"
#include "engine/lora.h"
#include "engine/queue.h"
#include "engine/transformer.h"

namespace toolgrad {

void BackwardScratch::plan(Arena& arena, const ModelShape& s, int64_t T) {
  dx = arena.take<float>(T * s.C);
  dnormed = arena.take<float>(T * s.C);
  rstd = arena.take<float>(T);
  dact = arena.take<float>(T * s.F);
  dattention = arena.take<float>(T * s.q_width());
  dq = arena.take<float>(T * s.q_width());
  dk = arena.take<float>(T * s.kv_width());
  dv = arena.take<float>(T * s.kv_width());
  if (s.qk_norm) dk_pre = arena.take<float>(T * s.kv_width());
}

// dW += dy x^T, db += dy unless they are frozen; dx = dy W, or += with accumulate; then the adapter's share.
void Transformer::linear_backward(const LoraAdapter* adapter, ProductRows x, const float* dy, int weight, int bias,
                                  float* dx, bool accumulate, int64_t T) const {
  const bool trains = parameters_.trainable();
  ops_.linear_backward({x, dy, parameters_.weight(weight), trains ? parameters_.gradient(weight) : PackedMatrix{},
                        trains ? parameters_.vector_gradient(bias) : nullptr, dx, T, accumulate});
  if (adapter != nullptr) adapter->backward(ops_, weight, x.f32(), dy, dx, T);
}

void Transformer::backward(const TokenBatch& batch, Activations& all, BackwardScratch& scratch) const {
  const ParameterLayout& layout = parameters_.layout();
  for (int64_t l = shape_.L - 1; l >= 0; --l) {
    if (cancel_requested()) throw Error("ERR_CANCELLED", "The backward pass was asked to stop");
    const LayerActivations& a = all.layers[static_cast<size_t>(l)];
    if (all.recompute == Recompute::kFull) attention_forward(batch, a, layout.layer(l), all, all.own_pages);
    mlp_backward(batch.map.T, a, layout.layer(l), all, scratch);
    attention_backward(batch, a, layout.layer(l), all, scratch);
  }
  if (!parameters_.trainable()) return;
  ops_.embedding_backward({batch.ids, scratch.dx, parameters_.gradient(layout.embedding()), batch.map.T});
}

void Transformer::mlp_backward(int64_t T, const LayerActivations& a, const LayerParameters& p, const Activations& all,
                               BackwardScratch& scratch) const {
  const int64_t C = shape_.C;
  if (all.recompute == Recompute::kNone) {
    ops_.swiglu_forward({a.gate, a.up, all.act, T, shape_.F});
  } else {
    gated_forward(T, a, p, all, true);
  }
  linear_backward(all.adapter, all.act, scratch.dx, p.down, p.down_bias, scratch.dact, false, T);
  ops_.swiglu_backward({scratch.dact, a.gate, a.up, a.gate, a.up, T, shape_.F});  // gate and up become their gradients
  norm(a.x_mid, p.post_norm, all.normed, scratch.rstd, T, C);
  linear_backward(all.adapter, all.normed, a.gate, p.gate, p.gate_bias, scratch.dnormed, false, T);
  linear_backward(all.adapter, all.normed, a.up, p.up, p.up_bias, scratch.dnormed, true, T);
  ops_.rms_norm_backward({scratch.dnormed, a.x_mid, parameters_.vector(p.post_norm), scratch.rstd, scratch.dx,
                          parameters_.vector_gradient(p.post_norm), T, C, true});
}

void Transformer::attention_backward(const TokenBatch& batch, const LayerActivations& a, const LayerParameters& p,
                                     const Activations& all, BackwardScratch& scratch) const {
  const ModelShape& s = shape_;
  const int64_t T = batch.map.T;
  linear_backward(all.adapter, a.attention, scratch.dx, p.o, p.o_bias, scratch.dattention, false, T);
  ops_.attention_backward({scratch.dattention, a.q, a.attention, a.lse, a.pages, batch.map, scratch.dq, scratch.dk,
                           scratch.dv, s.H, attention_scale()});
  ops_.rope({scratch.dq, rope_.cos(), rope_.sin(), batch.positions, T, s.H, s.D, true});
  ops_.rope({scratch.dk, rope_.cos(), rope_.sin(), batch.positions, T, s.G, s.D, true});
  float *dq = scratch.dq, *dk = scratch.dk;
  if (s.qk_norm) {
    dq = scratch.dattention;  // free by now
    dk = scratch.dk_pre;
    ops_.rms_norm_backward({scratch.dq, a.q_pre, parameters_.vector(p.q_norm), a.q_rstd, dq,
                            parameters_.vector_gradient(p.q_norm), T * s.H, s.D, false});
    ops_.rms_norm_backward({scratch.dk, a.k_pre, parameters_.vector(p.k_norm), a.k_rstd, dk,
                            parameters_.vector_gradient(p.k_norm), T * s.G, s.D, false});
  }
  norm(a.x_in, p.input_norm, all.normed, scratch.rstd, T, s.C);
  linear_backward(all.adapter, all.normed, dq, p.q, p.q_bias, scratch.dnormed, false, T);
  linear_backward(all.adapter, all.normed, dk, p.k, p.k_bias, scratch.dnormed, true, T);
  linear_backward(all.adapter, all.normed, scratch.dv, p.v, p.v_bias, scratch.dnormed, true, T);
  ops_.rms_norm_backward({scratch.dnormed, a.x_in, parameters_.vector(p.input_norm), scratch.rstd, scratch.dx,
                          parameters_.vector_gradient(p.input_norm), T, s.C, true});
}

}  // namespace toolgrad
