// Attention in double, and the error of what an op found against it.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "paged_batch.h"

namespace toolgrad::test {

// Attention of one sequence in double, from the values the cache holds.
struct AttentionReference {
  std::vector<double> out, lse, dq, dk, dv;
};
inline AttentionReference attention_reference(const AttentionShape& shape, const Sequence& s) {
  const int64_t T = s.length, H = shape.H, G = shape.G, D = shape.D, group = H / G;
  const double scale = static_cast<double>(shape.scale());
  AttentionReference r;
  r.out.assign(s.q.size(), 0);
  r.dq = r.out;
  r.dk.assign(s.k.size(), 0);
  r.dv = r.dk;
  r.lse.assign(static_cast<size_t>(T * H), 0);
  std::vector<double> k(s.k.size()), v(s.v.size());
  for (size_t i = 0; i < k.size(); ++i) {
    k[i] = cached(s.k[i], shape.dtype);
    v[i] = cached(s.v[i], shape.dtype);
  }
  std::vector<double> p(static_cast<size_t>(T));
  for (int64_t t = 0; t < T; ++t)
    for (int64_t h = 0; h < H; ++h) {
      const int64_t row = (t * H + h) * D, g = h / group;
      double top = -INFINITY, sum = 0, delta = 0;
      for (int64_t j = 0; j <= t; ++j) {
        double score = 0;
        for (int64_t d = 0; d < D; ++d) score += static_cast<double>(s.q[row + d]) * k[(j * G + g) * D + d];
        p[j] = score * scale;
        top = std::max(top, p[j]);
      }
      for (int64_t j = 0; j <= t; ++j) sum += std::exp(p[j] - top);
      r.lse[t * H + h] = top + std::log(sum);
      for (int64_t j = 0; j <= t; ++j) {
        p[j] = std::exp(p[j] - top) / sum;
        for (int64_t d = 0; d < D; ++d) r.out[row + d] += p[j] * v[(j * G + g) * D + d];
      }
      for (int64_t d = 0; d < D; ++d) delta += static_cast<double>(s.dout[row + d]) * r.out[row + d];
      for (int64_t j = 0; j <= t; ++j) {
        const int64_t key = (j * G + g) * D;
        double dp = 0;
        for (int64_t d = 0; d < D; ++d) dp += static_cast<double>(s.dout[row + d]) * v[key + d];
        const double ds = p[j] * (dp - delta) * scale;
        for (int64_t d = 0; d < D; ++d) {
          r.dq[row + d] += ds * k[key + d];
          r.dk[key + d] += ds * static_cast<double>(s.q[row + d]);
          r.dv[key + d] += p[j] * static_cast<double>(s.dout[row + d]);
        }
      }
    }
  return r;
}

// Largest difference, relative to the largest reference value.
inline double worst_error(const float* found, const std::vector<double>& expected) {
  double worst = 0, size = 1e-30;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = std::fabs(static_cast<double>(found[i]) - expected[i]);
    if (!(error <= worst)) worst = error;
    size = std::max(size, std::fabs(expected[i]));
  }
  return worst / size;
}

/// The worst of each output over whole sequences, against the reference.
struct AttentionErrors {
  double forward = 0, lse = 0, dq = 0, dk = 0, dv = 0;

  void add(const AttentionShape& shape, const std::vector<Sequence>& sequences, const AttentionResult& found,
           const AttentionGradients& gradients) {
    int64_t token = 0;
    for (const Sequence& s : sequences) {
      const AttentionReference r = attention_reference(shape, s);
      const int64_t q = token * shape.H * shape.D, k = token * shape.G * shape.D;
      forward = std::max(forward, worst_error(found.out.data() + q, r.out));
      lse = std::max(lse, worst_error(found.lse.data() + token * shape.H, r.lse));
      if (s.length > 1) {  // with one key dq and dk are rounding noise around 0
        dq = std::max(dq, worst_error(gradients.dq.data() + q, r.dq));
        dk = std::max(dk, worst_error(gradients.dk.data() + k, r.dk));
      }
      dv = std::max(dv, worst_error(gradients.dv.data() + k, r.dv));
      token += s.length;
    }
  }
};

}  // namespace toolgrad::test
