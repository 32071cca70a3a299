// The low-rank addition of LoRA and its gradients: against fp64 with the bound of the chains it is made of, and bit for
// bit between batch sizes, thread counts, micro-batches and instruction sets.
#include <algorithm>

#include "testing.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

struct Shape {
  int64_t T, N, K, r;
};
const Shape kShapes[] = {{1, 1, 1, 1},     {1, 16, 40, 16},  {2, 33, 31, 3},    {5, 48, 64, 8},  {12, 20, 1030, 17},
                         {29, 100, 57, 4}, {64, 17, 20, 64}, {300, 70, 96, 16}, {401, 96, 33, 5}};
constexpr float kScale = 0.7f;

struct Problem {
  Shape s;
  std::vector<float> x, a, b, dy, y0, dx0, da0, db0;
  Problem(Shape shape, uint64_t seed) : s(shape) {
    Random random(seed);
    x = random.normals(s.T * s.K);
    a = random.normals(s.r * s.K);
    b = random.normals(s.N * s.r);
    dy = random.normals(s.T * s.N);
    y0 = random.normals(s.T * s.N);
    dx0 = random.normals(s.T * s.K);
    da0 = random.normals(s.r * s.K);
    db0 = random.normals(s.N * s.r);
  }
};

struct Results {
  std::vector<float> y, dx, da, db;
  bool operator==(const Results& o) const {
    return same_bits(y, o.y) && same_bits(dx, o.dx) && same_bits(da, o.da) && same_bits(db, o.db);
  }
};

// The whole problem, cut into row blocks of at most `step` rows; one guard element past y and dx must survive.
Results run(Ops& ops, const Problem& p, int64_t step) {
  const auto [T, N, K, r] = p.s;
  const Packed a(ops, p.a, r, K, DType::kF32), b(ops, p.b, N, r, DType::kF32);
  const Packed da(ops, p.da0, r, K, DType::kF32), db(ops, p.db0, N, r, DType::kF32);
  Results out{p.y0, p.dx0, {}, {}};
  out.y.push_back(7.0f);
  out.dx.push_back(7.0f);
  for (int64_t t = 0; t < T; t += step) {
    const int64_t rows = std::min(step, T - t);
    const float* x = p.x.data() + t * K;
    ops.low_rank_forward({x, a.matrix, b.matrix, kScale, out.y.data() + t * N, rows});
    ops.low_rank_backward(
        {x, p.dy.data() + t * N, a.matrix, b.matrix, kScale, da.matrix, db.matrix, out.dx.data() + t * K, rows});
  }
  out.da = da.unpacked(ops);
  out.db = db.unpacked(ops);
  return out;
}

// Worst error of every output in units of the bound of its chains: the inner chain's error is carried by the outer one.
double worst_error(const Problem& p, const Results& found) {
  const auto [T, N, K, r] = p.s;
  const double scale = static_cast<double>(kScale);
  std::vector<Chain> h(static_cast<size_t>(T * r)), dh(h);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t j = 0; j < r; ++j) {
      for (int64_t k = 0; k < K; ++k) h[t * r + j].add(scale * p.a[j * K + k], p.x[t * K + k]);
      for (int64_t n = 0; n < N; ++n) dh[t * r + j].add(scale * p.b[n * r + j], p.dy[t * N + n]);
    }
  }
  // A sum over products with an inner chain; magnitudes are those of all the terms.
  const auto add = [](Chain& sum, const Chain& inner, float factor) {
    sum.value += inner.value * static_cast<double>(factor);
    sum.magnitude += inner.magnitude * std::fabs(static_cast<double>(factor));
  };
  double worst = 0;
  const auto compare = [&](const Chain& sum, float got, int64_t terms) {
    worst = std::max(worst, sum.error(got, terms));
  };
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t n = 0; n < N; ++n) {
      Chain y;
      y.add(p.y0[t * N + n]);
      for (int64_t j = 0; j < r; ++j) add(y, h[t * r + j], p.b[n * r + j]);
      compare(y, found.y[t * N + n], K + r + 3);
    }
    for (int64_t k = 0; k < K; ++k) {
      Chain dx;
      dx.add(p.dx0[t * K + k]);
      for (int64_t j = 0; j < r; ++j) add(dx, dh[t * r + j], p.a[j * K + k]);
      compare(dx, found.dx[t * K + k], N + r + 3);
    }
  }
  for (int64_t j = 0; j < r; ++j) {
    for (int64_t k = 0; k < K; ++k) {
      Chain da;
      da.add(p.da0[j * K + k]);
      for (int64_t t = 0; t < T; ++t) add(da, dh[t * r + j], p.x[t * K + k]);
      compare(da, found.da[j * K + k], N + T + 3);
    }
    for (int64_t n = 0; n < N; ++n) {
      Chain db;
      db.add(p.db0[n * r + j]);
      for (int64_t t = 0; t < T; ++t) add(db, h[t * r + j], p.dy[t * N + n]);
      compare(db, found.db[n * r + j], K + T + 3);
    }
  }
  return worst;
}

// A frozen norm or head: null weight gradients are left out and change nothing else.
void test_frozen(Ops& ops, const std::string& isa) {
  Random random(3);
  const int64_t R = 40, C = 48, V = 600;
  const std::vector<float> hidden = random.normals(R * C), values = random.normals(V * C, 0.2f), w = random.normals(C);
  const Packed table(ops, values, V, C, DType::kF32), dw(V, C, DType::kF32);
  std::vector<int32_t> labels;
  for (int64_t r = 0; r < R; ++r) labels.push_back(static_cast<int32_t>(random.next() % static_cast<uint64_t>(V)));
  std::vector<float> logprob(R), entropy(R), lse(R), one = random.normals(R), two = random.normals(R);
  ops.head_forward({hidden.data(), table.matrix, labels.data(), 1, logprob.data(), entropy.data(), lse.data(), R});
  std::vector<float> with(R * C), without(R * C), norm_with(R * C), norm_without(R * C), rstd(R, 0.8f), dnorm(C);
  const auto head = [&](PackedMatrix gradient, float* dhidden) {
    ops.head_backward({hidden.data(), table.matrix, labels.data(), 1, lse.data(), entropy.data(), one.data(),
                       two.data(), dhidden, gradient, R});
  };
  head(dw.matrix, with.data());
  head({}, without.data());
  ops.rms_norm_backward(
      {with.data(), hidden.data(), w.data(), rstd.data(), norm_with.data(), dnorm.data(), R, C, false});
  ops.rms_norm_backward({with.data(), hidden.data(), w.data(), rstd.data(), norm_without.data(), nullptr, R, C, false});
  check(same_bits(with, without) && same_bits(norm_with, norm_without),
        isa + ": a frozen head and a frozen norm pass the same gradients on");
}

}  // namespace

int main() {
  std::vector<Results> avx2_results;
  for (const Isa isa : supported_isas()) {
    const std::string name = isa_name(isa);
    Backend one(isa, 1), two(isa, 2), three(isa, 3);
    double worst = 0;
    bool guards = true, threads_agree = true, parts_agree = true, isas_agree = true;
    size_t index = 0;
    for (const Shape& shape : kShapes) {
      const Problem problem(shape, 1 + index);
      const Results base = run(*one.ops, problem, shape.T);
      worst = std::max(worst, worst_error(problem, base));
      guards = guards && base.y.back() == 7.0f && base.dx.back() == 7.0f;
      threads_agree =
          threads_agree && run(*two.ops, problem, shape.T) == base && run(*three.ops, problem, shape.T) == base;
      for (const int64_t step : {1, 2, 5, 13, 64}) parts_agree = parts_agree && run(*two.ops, problem, step) == base;
      if (isa == Isa::kAvx2) avx2_results.push_back(base);
      if (isa > Isa::kAvx2) isas_agree = isas_agree && avx2_results[index] == base;
      ++index;
    }
    check_below(worst, 1.0, name + ": y, dx, dA and dB against fp64, in units of (terms) 2^-24 sum|a b|");
    check(guards, name + ": nothing is written past the end of an array");
    check(threads_agree, name + ": 1, 2 and 3 threads give the same bits");
    check(parts_agree, name + ": rows alone and micro-batches of 2, 5, 13 or 64 rows give the bits of one batch");
    if (isa > Isa::kAvx2) check(isas_agree, name + " gives the bits of avx2");
    test_frozen(*two.ops, name);
  }
  return finish();
}
