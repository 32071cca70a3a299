// SwiGLU, element-wise: act = gate * sigmoid(gate) * up, and its gradients.
//
// Forward moves 12 bytes an element, backward 20, and computes one exponential and one division: bound by memory. One
// thread takes four elements, all read before any is written.
#include "kernels/bf16.cuh"
#include "kernels/four.cuh"
#include "kernels/swiglu.cuh"
#include "kernels/swiglu.h"

namespace toolgrad::cuda {

extern "C" __global__ void __launch_bounds__(kSwigluThreads) swiglu_act(const SwigluParams p) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * kSwigluThreads + threadIdx.x) * 4;
  if (i >= p.n) return;
  const bool wide = p.n - i >= 4 && aligned(p.gate, p.up, p.act);
  const Four gate = load_four(p.gate + i, p.n - i, wide), up = load_four(p.up + i, p.n - i, wide);
  Four act;
#pragma unroll
  for (int j = 0; j < 4; ++j) act.v[j] = swiglu(gate.v[j], up.v[j]);
  store_four(p.act + i, act, p.n - i, wide);
}

extern "C" __global__ void __launch_bounds__(kSwigluThreads) swiglu_act_rounded(const SwigluRoundedParams p) {
  const int groups = p.stride / 4;
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kSwigluThreads + threadIdx.x;
  if (at >= p.T * groups) return;
  const int64_t row = at / groups;
  const int col = static_cast<int>(at % groups) * 4;
  Four act{};
  if (col < p.F) {
    const bool wide = p.F % 4 == 0 && aligned(p.gate, p.up);
    const int64_t from = row * p.F + col;
    const Four gate = load_four(p.gate + from, p.F - col, wide), up = load_four(p.up + from, p.F - col, wide);
#pragma unroll
    for (int j = 0; j < 4; ++j) act.v[j] = swiglu(gate.v[j], up.v[j]);
  }
  *reinterpret_cast<uint2*>(p.act + row * p.stride + col) =
      make_uint2(pack_bf16(act.v[0], act.v[1]), pack_bf16(act.v[2], act.v[3]));
}

// d silu(x) / dx = s + x s (1 - s), s = sigmoid(x).
extern "C" __global__ void __launch_bounds__(kSwigluThreads) swiglu_gradient(const SwigluGradientParams p) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * kSwigluThreads + threadIdx.x) * 4;
  if (i >= p.n) return;
  const bool wide = p.n - i >= 4 && aligned(p.dact, p.gate, p.up, p.dgate, p.dup);
  const Four dact = load_four(p.dact + i, p.n - i, wide);
  Four gate = load_four(p.gate + i, p.n - i, wide), up = load_four(p.up + i, p.n - i, wide);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const float s = sigmoid(gate.v[j]), silu = gate.v[j] * s;
    gate.v[j] = dact.v[j] * up.v[j] * fmaf(silu, 1.0f - s, s);
    up.v[j] = dact.v[j] * silu;
  }
  store_four(p.dgate + i, gate, p.n - i, wide);
  store_four(p.dup + i, up, p.n - i, wide);
}

}  // namespace toolgrad::cuda
