// Rotary position embedding in place, half-split pairs (d, d + D/2); element-wise, so every order gives the same bits.
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/lanes.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kElementsPerTask = 1 << 15;

// (a, b) -> (a cos - b sin, b cos + a sin); `sign` is -1 for the inverse rotation.
TOOLGRAD_INLINE void rotate(float* head, const float* cos, const float* sin, int64_t half, Vec sign) {
  each_vector(0, half, [=](int64_t d, int lanes) {
    const Vec a = load_lanes(head + d, lanes), b = load_lanes(head + half + d, lanes);
    const Vec c = load_lanes(cos + d, lanes), s = load_lanes(sin + d, lanes) * sign;
    store_lanes(head + d, a * c - b * s, lanes);
    store_lanes(head + half + d, b * c + a * s, lanes);
  });
}

}  // namespace

void rope(const Rope& op, ThreadPool& pool, Scratch&) {
  const int64_t half = op.D / 2, row = op.heads * op.D;
  const int64_t rows = row >= kElementsPerTask ? 1 : kElementsPerTask / row;
  pool.parallel_for((op.T + rows - 1) / rows, [&](int64_t i, int) {
    const int64_t end = (i + 1) * rows < op.T ? (i + 1) * rows : op.T;
    const Vec sign = broadcast(op.backward ? -1.0f : 1.0f);
    for (int64_t t = i * rows; t < end; ++t) {
      const float* cos = op.cos + op.positions[t] * half;
      const float* sin = op.sin + op.positions[t] * half;
      for (int64_t h = 0; h < op.heads; ++h) rotate(op.x + t * row + h * op.D, cos, sin, half, sign);
    }
  });
}

}  // namespace toolgrad::TOOLGRAD_ISA
