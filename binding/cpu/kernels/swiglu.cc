// SwiGLU forward and backward; element-wise. An element's bits do not depend on its place: partial vectors run the same
// operations as full ones.
#include "cpu/kernels/swiglu.h"

#include "cpu/kernels/gemm_rows.h"
#include "cpu/kernels/kernels.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kElementsPerTask = 1 << 14;

template <class F>
void run_elements(ThreadPool& pool, int64_t count, F&& f) {
  pool.parallel_for((count + kElementsPerTask - 1) / kElementsPerTask, [&](int64_t i, int) {
    const int64_t begin = i * kElementsPerTask, end = begin + kElementsPerTask;
    each_vector(begin, end < count ? end : count, f);
  });
}

}  // namespace

void swiglu_forward(const SwigluForward& op, ThreadPool& pool, Scratch&) {
  each_row(op.T, op.F, pool, [&](int64_t t) {
    const float *gate = op.gate + t * op.F, *up = op.up + t * op.F;
    each_vector(0, op.F, [&](int64_t f, int n) {
      put_product_row(op.act, t, op.F, f, swiglu(load_lanes(gate + f, n), load_lanes(up + f, n)), n);
    });
  });
}

// d silu(x) / dx = s + x s (1 - s), s = sigmoid(x).
void swiglu_backward(const SwigluBackward& op, ThreadPool& pool, Scratch&) {
  run_elements(pool, op.T * op.F, [&](int64_t i, int n) {
    const Vec gate = load_lanes(op.gate + i, n), up = load_lanes(op.up + i, n), dact = load_lanes(op.dact + i, n);
    const Vec s = sigmoid(gate), silu = gate * s;
    store_lanes(op.dgate + i, dact * up * fma(silu, broadcast(1.0f) - s, s), n);
    store_lanes(op.dup + i, dact * silu, n);
  });
}

}  // namespace toolgrad::TOOLGRAD_ISA
