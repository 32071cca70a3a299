// y += scale * B (A x), the low-rank addition of LoRA, and its gradients: the products of the linear layer through a
// narrow [T, r] array, so every chain is theirs and bits depend on neither T nor threads. h is recomputed backward:
// r / N of the layer's work instead of r floats per token. Scratch: slots 2 and 3 (the products use 0 and 1).
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/lanes.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kElementsPerTask = 1 << 14;

void multiply(float* x, int64_t count, float factor, ThreadPool& pool) {
  pool.parallel_for((count + kElementsPerTask - 1) / kElementsPerTask, [&](int64_t i, int) {
    const int64_t begin = i * kElementsPerTask, end = begin + kElementsPerTask;
    const Vec scale = broadcast(factor);
    each_vector(begin, end < count ? end : count,
                [&](int64_t at, int n) { store_lanes(x + at, load_lanes(x + at, n) * scale, n); });
  });
}

// h = scale * A x, [T, r] in slot 2.
float* narrow(const float* x, PackedMatrix a, float scale, int64_t T, ThreadPool& pool, Scratch& scratch) {
  float* h = scratch.floats(2, T * a.rows);
  const LinearForward narrow{x, a, nullptr, nullptr, h, T};
  linear_forward(&narrow, 1, pool, scratch);
  multiply(h, T * a.rows, scale, pool);
  return h;
}

}  // namespace

void low_rank_forward(const LowRankForward& op, ThreadPool& pool, Scratch& scratch) {
  if (op.T <= 0) return;
  const float* h = narrow(op.x, op.a, op.scale, op.T, pool, scratch);
  const LinearForward wide{h, op.b, nullptr, op.y, op.y, op.T};
  linear_forward(&wide, 1, pool, scratch);
}

void low_rank_backward(const LowRankBackward& op, ThreadPool& pool, Scratch& scratch) {
  if (op.T <= 0) return;
  const float* h = narrow(op.x, op.a, op.scale, op.T, pool, scratch);
  linear_backward_weight({h, op.dy, op.db, nullptr, op.T, DType::kF32}, pool, scratch);
  float* dh = scratch.floats(3, op.T * op.a.rows);
  linear_backward_input({op.dy, op.b, dh, op.T, false}, pool, scratch);
  multiply(dh, op.T * op.a.rows, op.scale, pool);
  linear_backward_weight({op.x, dh, op.da, nullptr, op.T, DType::kF32}, pool, scratch);
  linear_backward_input({dh, op.a, op.dx, op.T, true}, pool, scratch);
}

}  // namespace toolgrad::TOOLGRAD_ISA
