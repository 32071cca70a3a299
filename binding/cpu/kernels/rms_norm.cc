// RMSNorm forward and backward. Rows are independent; a row's sum of squares has one fixed order. dw runs over rows in
// t order, continuing from what is there, one task per range of columns. No scratch.
#include "cpu/kernels/gemm_rows.h"
#include "cpu/kernels/kernels.h"

namespace toolgrad::TOOLGRAD_ISA {
namespace {

constexpr int64_t kElementsPerTask = 1 << 15;

// Sum over c of f(c) for vectors f: four partial sums, vectors dealt out in turn, then (0 + 1) + (2 + 3), then lanes.
template <class F>
TOOLGRAD_INLINE float sum_over(int64_t C, F&& f) {
  Vec sum[4] = {zero(), zero(), zero(), zero()};
  int64_t c = 0;
  for (; c + 4 * kLanes <= C; c += 4 * kLanes)
    for (int i = 0; i < 4; ++i) sum[i] = f(c + i * kLanes, kLanes, sum[i]);
  for (int i = 0; c < C; ++i, c += kLanes) sum[i] = f(c, lanes_left(C - c), sum[i]);
  return sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

void forward_rows(const RmsNormForward& op, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const float* x = op.x + t * op.C;
    const float squares = sum_over(op.C, [x](int64_t c, int n, Vec sum) {
      const Vec v = load_lanes(x + c, n);
      return fma(v, v, sum);
    });
    const float rstd = 1.0f / __builtin_sqrtf(squares / static_cast<float>(op.C) + op.eps);
    const Vec scale = broadcast(rstd);
    for (int64_t c = 0; c < op.C; c += kLanes) {
      const int n = lanes_left(op.C - c);
      put_product_row(op.y, t, op.C, c, load_lanes(x + c, n) * scale * load_lanes(op.w + c, n), n);
    }
    if (op.rstd != nullptr) op.rstd[t] = rstd;
  }
}

// dx = rstd * (dy w - xhat * mean(dy w xhat)), xhat = x rstd.
void backward_rows(const RmsNormBackward& op, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const float* x = op.x + t * op.C;
    const float* dy = op.dy + t * op.C;
    float* dx = op.dx + t * op.C;
    const float rstd = op.rstd[t];
    const float* w = op.w;
    const float product = sum_over(op.C, [x, dy, w](int64_t c, int n, Vec sum) {
      return fma(load_lanes(dy + c, n) * load_lanes(w + c, n), load_lanes(x + c, n), sum);
    });
    const Vec scale = broadcast(rstd);
    const Vec pull = broadcast(-(product / static_cast<float>(op.C)) * rstd * rstd);  // times x
    for (int64_t c = 0; c < op.C; c += kLanes) {
      const int n = lanes_left(op.C - c);
      const Vec inner = fma(load_lanes(x + c, n), pull, load_lanes(dy + c, n) * load_lanes(w + c, n));
      const Vec gradient = inner * scale;
      store_lanes(dx + c, op.accumulate ? load_lanes(dx + c, n) + gradient : gradient, n);
    }
  }
}

void backward_weight_columns(const RmsNormBackward& op, int64_t begin, int64_t end) {
  constexpr int kVecs = 4;
  for (int64_t c = begin; c < end; c += kVecs * kLanes) {
    if (end - c >= kVecs * kLanes) {
      Vec sum[kVecs];
      for (int i = 0; i < kVecs; ++i) sum[i] = load(op.dw + c + i * kLanes);
      for (int64_t t = 0; t < op.T; ++t) {
        const Vec scale = broadcast(op.rstd[t]);
        const float* x = op.x + t * op.C + c;
        const float* dy = op.dy + t * op.C + c;
        for (int i = 0; i < kVecs; ++i) sum[i] = fma(load(dy + i * kLanes), load(x + i * kLanes) * scale, sum[i]);
      }
      for (int i = 0; i < kVecs; ++i) store(op.dw + c + i * kLanes, sum[i]);
      continue;
    }
    for (int64_t at = c; at < end; at += kLanes) {
      const int n = lanes_left(end - at);
      Vec sum = load_lanes(op.dw + at, n);
      for (int64_t t = 0; t < op.T; ++t)
        sum =
            fma(load_lanes(op.dy + t * op.C + at, n), load_lanes(op.x + t * op.C + at, n) * broadcast(op.rstd[t]), sum);
      store_lanes(op.dw + at, sum, n);
    }
  }
}

int64_t rows_per_task(int64_t C) {
  return C >= kElementsPerTask ? 1 : kElementsPerTask / C;
}

}  // namespace

void rms_norm_forward(const RmsNormForward& op, ThreadPool& pool, Scratch&) {
  const int64_t rows = rows_per_task(op.C);
  pool.parallel_for((op.T + rows - 1) / rows, [&](int64_t i, int) {
    const int64_t end = (i + 1) * rows;
    forward_rows(op, i * rows, end < op.T ? end : op.T);
  });
}

void rms_norm_backward(const RmsNormBackward& op, ThreadPool& pool, Scratch&) {
  // dw first: dx may be dy's buffer.
  constexpr int64_t kColumns = 64;
  pool.parallel_for(op.dw == nullptr ? 0 : (op.C + kColumns - 1) / kColumns, [&](int64_t i, int) {
    const int64_t end = (i + 1) * kColumns;
    backward_weight_columns(op, i * kColumns, end < op.C ? end : op.C);
  });
  const int64_t rows = rows_per_task(op.C);
  pool.parallel_for((op.T + rows - 1) / rows, [&](int64_t i, int) {
    const int64_t end = (i + 1) * rows;
    backward_rows(op, i * rows, end < op.T ? end : op.T);
  });
}

}  // namespace toolgrad::TOOLGRAD_ISA
