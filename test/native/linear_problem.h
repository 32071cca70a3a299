// A linear layer with random operands, what its three products give, and their error against fp64.
#pragma once

#include <algorithm>
#include <vector>

#include "testing.h"

namespace toolgrad::test {

struct LinearShape {
  int64_t T, N, K;
};

struct LinearProblem {
  LinearShape s;
  std::vector<float> x, w, bias, residual, dy, dx0, dw0, db0;
  std::vector<float> x_read, dy_read;  // what products with such weights round x and dy to
  LinearProblem(LinearShape shape, DType dtype, uint64_t seed) : s(shape) {
    Random random(seed);
    x = random.normals(s.T * s.K);
    w = rounded_to(dtype, random.normals(s.N * s.K));
    bias = random.normals(s.N);
    residual = random.normals(s.T * s.N);
    dy = random.normals(s.T * s.N);
    dx0 = random.normals(s.T * s.K);
    dw0 = random.normals(s.N * s.K);
    db0 = random.normals(s.N);
    x_read = rounded_to(dtype, x);
    dy_read = rounded_to(dtype, dy);
  }
};

struct LinearResults {
  std::vector<float> y, y_full, dx, dx_added, dw, db;
  bool operator==(const LinearResults& o) const {
    return same_bits(y, o.y) && same_bits(y_full, o.y_full) && same_bits(dx, o.dx) && same_bits(dx_added, o.dx_added) &&
           same_bits(dw, o.dw) && same_bits(db, o.db);
  }
};

// Worst error of every output in units of its chain's bound.
inline double worst_error(const LinearProblem& p, const LinearResults& r) {
  const auto [T, N, K] = p.s;
  double worst = 0;
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t n = 0; n < N; ++n) {
      Chain y;
      for (int64_t k = 0; k < K; ++k) y.add(p.x_read[t * K + k], p.w[n * K + k]);
      worst = std::max(worst, y.error(r.y[t * N + n], K + 1));
      y.add(p.bias[n]);
      y.add(p.residual[t * N + n]);
      worst = std::max(worst, y.error(r.y_full[t * N + n], K + 3));
    }
    for (int64_t k = 0; k < K; ++k) {
      Chain dx;
      for (int64_t n = 0; n < N; ++n) dx.add(p.dy_read[t * N + n], p.w[n * K + k]);
      worst = std::max(worst, dx.error(r.dx[t * K + k], N + 1));
      dx.add(p.dx0[t * K + k]);
      worst = std::max(worst, dx.error(r.dx_added[t * K + k], N + 2));
    }
  }
  for (int64_t n = 0; n < N; ++n) {
    Chain db;
    db.add(p.db0[n]);
    for (int64_t t = 0; t < T; ++t) db.add(p.dy[t * N + n]);
    worst = std::max(worst, db.error(r.db[n], T + 1));
    for (int64_t k = 0; k < K; ++k) {
      Chain dw;
      dw.add(p.dw0[n * K + k]);
      for (int64_t t = 0; t < T; ++t) dw.add(p.dy_read[t * N + n], p.x_read[t * K + k]);
      worst = std::max(worst, dw.error(r.dw[n * K + k], T + 2));
    }
  }
  return worst;
}

}  // namespace toolgrad::test
