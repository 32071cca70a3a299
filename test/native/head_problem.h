// The loss head with random operands, what its ops give, and the definition in fp64.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "testing.h"

namespace toolgrad::test {

struct HeadShape {
  int64_t R, V, C;
};

struct HeadProblem {
  HeadShape s;
  float temperature;
  DType dtype;
  std::vector<float> hidden, w, d_logprob, d_entropy, dw0;
  std::vector<int32_t> labels;
  HeadProblem(HeadShape shape, float t, DType of_weights, uint64_t seed) : s(shape), temperature(t), dtype(of_weights) {
    Random random(seed);
    hidden = random.normals(s.R * s.C, 2.0f);
    w = rounded_to(dtype, random.normals(s.V * s.C, 1.0f / std::sqrt(static_cast<float>(s.C))));
    d_logprob = random.normals(s.R);
    d_entropy = random.normals(s.R, 0.3f);
    dw0 = random.normals(s.V * s.C, 0.1f);
    for (int64_t r = 0; r < s.R; ++r)
      labels.push_back(static_cast<int32_t>(random.next() % static_cast<uint64_t>(s.V)));
    labels[0] = static_cast<int32_t>(s.V - 1);
  }
  /// What products with such weights read.
  std::vector<double> hidden_read() const {
    const std::vector<float> rounded = rounded_to(dtype, hidden);
    return {rounded.begin(), rounded.end()};
  }
};

struct HeadResults {
  std::vector<float> logprob, entropy, lse, dhidden, dw;
  bool operator==(const HeadResults& o) const {
    return same_bits(logprob, o.logprob) && same_bits(entropy, o.entropy) && same_bits(lse, o.lse) &&
           same_bits(dhidden, o.dhidden) && same_bits(dw, o.dw);
  }
};

struct RowReference {
  std::vector<double> z;
  double lse = 0, entropy = 0, logprob = 0;
};

// The definition in fp64, of what the products read.
inline RowReference reference_row(const double* hidden, const std::vector<double>& w, int64_t V, int64_t C,
                                  int32_t label, double temperature) {
  RowReference row;
  row.z.resize(static_cast<size_t>(V));
  double top = -HUGE_VAL, sum = 0, weighted = 0;
  for (int64_t v = 0; v < V; ++v) {
    double z = 0;
    for (int64_t c = 0; c < C; ++c) z += hidden[c] * w[v * C + c];
    row.z[v] = z / temperature;
    top = std::max(top, row.z[v]);
  }
  for (const double z : row.z) {
    sum += std::exp(z - top);
    weighted += z * std::exp(z - top);
  }
  row.lse = top + std::log(sum);
  row.entropy = row.lse - weighted / sum;
  row.logprob = row.z[label] - row.lse;
  return row;
}

struct HeadReference {
  std::vector<double> logprob, entropy, lse, dhidden, dw;
};

inline HeadReference head_reference(const HeadProblem& p) {
  const auto [R, V, C] = p.s;
  HeadReference out;
  const std::vector<double> w(p.w.begin(), p.w.end()), hidden = p.hidden_read();
  out.dhidden.assign(R * C, 0.0);
  out.dw.assign(p.dw0.begin(), p.dw0.end());
  for (int64_t r = 0; r < R; ++r) {
    const RowReference row = reference_row(&hidden[r * C], w, V, C, p.labels[r], p.temperature);
    out.logprob.push_back(row.logprob);
    out.entropy.push_back(row.entropy);
    out.lse.push_back(row.lse);
    for (int64_t v = 0; v < V; ++v) {
      const double log_p = row.z[v] - row.lse, probability = std::exp(log_p);
      double dz = (p.d_logprob[r] * ((v == p.labels[r] ? 1.0 : 0.0) - probability) -
                   p.d_entropy[r] * probability * (log_p + row.entropy)) /
                  p.temperature;
      if (p.dtype == DType::kBF16) dz = bf16_to_f32(f32_to_bf16(static_cast<float>(dz)));
      for (int64_t c = 0; c < C; ++c) {
        out.dhidden[r * C + c] += dz * w[v * C + c];
        out.dw[v * C + c] += dz * hidden[r * C + c];
      }
    }
  }
  return out;
}

inline double worst_difference(const std::vector<float>& got, const std::vector<double>& expected) {
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::fabs(got[i] - expected[i]);
    if (!(difference <= worst)) worst = difference;  // keeps a NaN
  }
  return worst;
}

inline double relative_norm(const std::vector<float>& got, const std::vector<double>& expected) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (got[i] - expected[i]) * (got[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return std::sqrt(error / std::max(norm, 1e-12));
}

}  // namespace toolgrad::test
