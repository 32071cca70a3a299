// RMSNorm, RoPE, SwiGLU, embedding and reductions: float64 references, finite differences, in-place forms, and bits
// that do not depend on the batch or on threads.
#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "check.h"
#include "cpu/cpu.h"
#include "engine/dtype.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

using Floats = std::vector<float>;

bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}
// Largest difference, relative to the largest expected value.
double worst_error(const Floats& found, const std::vector<double>& expected) {
  double worst = found.size() == expected.size() ? 0 : INFINITY, size = 1e-30;
  for (size_t i = 0; i < found.size() && i < expected.size(); ++i) {
    const double error = std::fabs(static_cast<double>(found[i]) - expected[i]);
    if (!(error <= worst)) worst = error;
    size = std::max(size, std::fabs(expected[i]));
  }
  return worst / size;
}

struct Norm {
  int64_t T, C;
  Floats x, w, dy;
  float eps = 1e-5f;
};
struct NormReference {
  std::vector<double> y, dx, dw;
};
NormReference reference(const Norm& n) {
  NormReference r;
  r.y.assign(n.x.size(), 0);
  r.dx = r.y;
  r.dw.assign(static_cast<size_t>(n.C), 0);
  for (int64_t t = 0; t < n.T; ++t) {
    double squares = 0, product = 0;
    for (int64_t c = 0; c < n.C; ++c) squares += std::pow(static_cast<double>(n.x[t * n.C + c]), 2);
    const double rstd = 1 / std::sqrt(squares / static_cast<double>(n.C) + static_cast<double>(n.eps));
    for (int64_t c = 0; c < n.C; ++c) {
      const double xhat = n.x[t * n.C + c] * rstd;
      r.y[t * n.C + c] = xhat * static_cast<double>(n.w[c]);
      r.dw[c] += static_cast<double>(n.dy[t * n.C + c]) * xhat;
      product += static_cast<double>(n.dy[t * n.C + c]) * static_cast<double>(n.w[c]) * xhat;
    }
    for (int64_t c = 0; c < n.C; ++c) {
      const double xhat = n.x[t * n.C + c] * rstd;
      r.dx[t * n.C + c] = rstd * (static_cast<double>(n.dy[t * n.C + c]) * static_cast<double>(n.w[c]) -
                                  xhat * product / static_cast<double>(n.C));
    }
  }
  return r;
}
struct NormResult {
  Floats y, rstd, dx, dw;
};
NormResult run(Ops& ops, const Norm& n) {
  NormResult r{Floats(n.x.size()), Floats(static_cast<size_t>(n.T)), Floats(n.x.size()),
               Floats(static_cast<size_t>(n.C), 0)};
  ops.rms_norm_forward({n.x.data(), n.w.data(), r.y.data(), r.rstd.data(), n.T, n.C, n.eps});
  ops.rms_norm_backward(
      {n.dy.data(), n.x.data(), n.w.data(), r.rstd.data(), r.dx.data(), r.dw.data(), n.T, n.C, false});
  return r;
}

void rms_norm(Ops& ops) {
  double y = 0, dx = 0, dw = 0, slope_error = 0;
  bool alone = true, in_place = true, accumulates = true, continues = true;
  Random random(1);
  const std::pair<int64_t, int64_t> shapes[] = {{5, 8}, {40, 64}, {7, 72}, {3, 130}, {300, 576}, {33, 1001}};
  for (const auto& [T, C] : shapes) {
    Norm n{T, C, random.normals(T * C), random.normals(C), random.normals(T * C)};
    const NormReference expected = reference(n);
    const NormResult found = run(ops, n);
    y = std::max(y, worst_error(found.y, expected.y));
    dx = std::max(dx, worst_error(found.dx, expected.dx));
    dw = std::max(dw, worst_error(found.dw, expected.dw));
    for (int64_t t = 0; t < T; t += 3) {
      const auto row = [&](const Floats& v) { return Floats(v.begin() + t * C, v.begin() + (t + 1) * C); };
      const NormResult one = run(ops, {1, C, row(n.x), n.w, row(n.dy)});
      alone = alone && same_bits(one.y, row(found.y)) && same_bits(one.dx, row(found.dx));
    }
    Floats x = n.x;
    ops.rms_norm_forward({x.data(), n.w.data(), x.data(), nullptr, T, C, n.eps});
    in_place = in_place && same_bits(x, found.y);
    Floats stream = random.normals(T * C), before = stream, gradient(static_cast<size_t>(C), 0.0f);
    ops.rms_norm_backward(
        {n.dy.data(), n.x.data(), n.w.data(), found.rstd.data(), stream.data(), gradient.data(), T, C, true});
    for (size_t i = 0; i < stream.size(); ++i) accumulates = accumulates && stream[i] == before[i] + found.dx[i];
    // Two micro-batches give the dw of one.
    const int64_t cut = T / 2;
    Floats parts(static_cast<size_t>(C), 0.0f), scratch(n.x.size());
    ops.rms_norm_backward(
        {n.dy.data(), n.x.data(), n.w.data(), found.rstd.data(), scratch.data(), parts.data(), cut, C, false});
    ops.rms_norm_backward({n.dy.data() + cut * C, n.x.data() + cut * C, n.w.data(), found.rstd.data() + cut,
                           scratch.data(), parts.data(), T - cut, C, false});
    continues = continues && same_bits(parts, found.dw);
  }
  Norm small{3, 20, random.normals(60), random.normals(20), random.normals(60)};
  const NormResult g = run(ops, small);
  const auto loss = [&](const Norm& n) {
    const NormReference r = reference(n);
    double sum = 0;
    for (size_t i = 0; i < r.y.size(); ++i) sum += r.y[i] * static_cast<double>(n.dy[i]);
    return sum;
  };
  const auto slope = [&](Floats Norm::*array, size_t i) {
    Norm up = small, down = small;
    (up.*array)[i] += 0x1p-10f;
    (down.*array)[i] -= 0x1p-10f;
    return (loss(up) - loss(down)) / (static_cast<double>((up.*array)[i]) - static_cast<double>((down.*array)[i]));
  };
  for (size_t i = 0; i < small.x.size(); ++i)
    slope_error = std::max(slope_error, std::fabs(slope(&Norm::x, i) - static_cast<double>(g.dx[i])));
  for (size_t i = 0; i < small.w.size(); ++i)
    slope_error = std::max(slope_error, std::fabs(slope(&Norm::w, i) - static_cast<double>(g.dw[i])));
  check_below(y, 3e-7, "rms_norm forward against float64, relative to the largest value");
  check_below(dx, 1e-6, "rms_norm dx");
  check_below(dw, 1e-6, "rms_norm dw");
  check_below(slope_error, 1e-5, "rms_norm against finite differences");
  check(alone, "rms_norm: a row has the same bits alone and in a batch");
  check(in_place, "rms_norm: y may be x's buffer");
  check(accumulates, "rms_norm: accumulate adds exactly dx");
  check(continues, "rms_norm: dw of two micro-batches has the bits of one");
}

void rope(Ops& ops) {
  double forward = 0, back = 0;
  bool alone = true;
  Random random(2);
  for (int64_t D : {2, 8, 40, 64, 128, 250}) {
    const int64_t T = 37, heads = 3, half = D / 2, positions = 100;
    Floats cos, sin;
    for (int64_t p = 0; p < positions; ++p)
      for (int64_t d = 0; d < half; ++d) {
        const double angle =
            static_cast<double>(p) * std::pow(10000.0, -2.0 * static_cast<double>(d) / static_cast<double>(D));
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    std::vector<int32_t> at;
    for (int64_t t = 0; t < T; ++t) at.push_back(static_cast<int32_t>(random.next() % positions));
    const Floats x = random.normals(T * heads * D);
    std::vector<double> expected(x.size()), original(x.begin(), x.end());
    for (int64_t t = 0; t < T; ++t)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t d = 0; d < half; ++d) {
          const size_t a = static_cast<size_t>((t * heads + h) * D + d), b = a + static_cast<size_t>(half);
          const double c = cos[static_cast<size_t>(at[t] * half + d)], s = sin[static_cast<size_t>(at[t] * half + d)];
          expected[a] = x[a] * c - x[b] * s;
          expected[b] = x[b] * c + x[a] * s;
        }
    Floats y = x;
    ops.rope({y.data(), cos.data(), sin.data(), at.data(), T, heads, D, false});
    forward = std::max(forward, worst_error(y, expected));
    Floats row(x.begin() + 5 * heads * D, x.begin() + 6 * heads * D);
    ops.rope({row.data(), cos.data(), sin.data(), at.data() + 5, 1, heads, D, false});
    alone = alone && same_bits(row, Floats(y.begin() + 5 * heads * D, y.begin() + 6 * heads * D));
    ops.rope({y.data(), cos.data(), sin.data(), at.data(), T, heads, D, true});
    back = std::max(back, worst_error(y, original));
  }
  check_below(forward, 1e-7, "rope against float64");
  check_below(back, 3e-7, "rope backward is the inverse rotation");
  check(alone, "rope: a token has the same bits alone and in a batch");
}

void swiglu(Ops& ops) {
  Random random(3);
  const int64_t T = 19, F = 1003;
  Floats gate = random.normals(T * F, 3), up = random.normals(T * F), dact = random.normals(T * F);
  gate[0] = 100;
  gate[1] = -100;
  gate[2] = 0;
  const auto silu = [](double x) { return x / (1 + std::exp(-x)); };
  std::vector<double> act(gate.size()), dgate(gate.size()), dup(gate.size());
  double slope_error = 0;
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i], u = up[i], d = dact[i], s = 1 / (1 + std::exp(-g)), h = 1e-5;
    act[i] = silu(g) * u;
    dgate[i] = d * u * s * (1 + g * (1 - s));
    dup[i] = d * silu(g);
    slope_error = std::max(slope_error, std::fabs(d * u * (silu(g + h) - silu(g - h)) / (2 * h) - dgate[i]));
  }
  Floats found(gate.size());
  ops.swiglu_forward({gate.data(), up.data(), found.data(), T, F});
  check_below(worst_error(found, act), 2e-7, "swiglu forward against float64");
  Floats row(static_cast<size_t>(F));
  ops.swiglu_forward({gate.data() + 4 * F, up.data() + 4 * F, row.data(), 1, F});
  check(same_bits(row, Floats(found.begin() + 4 * F, found.begin() + 5 * F)),
        "swiglu: a row has the same bits alone and in a batch");
  Floats found_gate(gate.size()), found_up(gate.size());
  ops.swiglu_backward({dact.data(), gate.data(), up.data(), found_gate.data(), found_up.data(), T, F});
  check_below(worst_error(found_gate, dgate), 3e-7, "swiglu dgate");
  check_below(worst_error(found_up, dup), 2e-7, "swiglu dup");
  check_below(slope_error, 1e-7, "the reference of swiglu dgate against finite differences");
  Floats gate_buffer = gate, up_buffer = up;
  ops.swiglu_backward({dact.data(), gate_buffer.data(), up_buffer.data(), gate_buffer.data(), up_buffer.data(), T, F});
  check(same_bits(gate_buffer, found_gate) && same_bits(up_buffer, found_up),
        "swiglu: dgate and dup may overwrite gate and up");
}

void embedding(Ops& ops) {
  Random random(4);
  const int64_t V = 53, C = 70, T = 200;
  const Floats rows = random.normals(V * C);
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < T; ++t) ids.push_back(static_cast<int32_t>(random.next() % V));
  ids[0] = 52;
  const size_t packed = static_cast<size_t>(packed_elements(V, C));
  bool right = true;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    Floats wide(packed, 0);
    std::vector<uint16_t> narrow(packed, 0);
    for (int64_t n = 0; n < V; ++n)
      for (int64_t c = 0; c < C; ++c) {
        wide[static_cast<size_t>(packed_index(C, n, c))] = rows[static_cast<size_t>(n * C + c)];
        narrow[static_cast<size_t>(packed_index(C, n, c))] = f32_to_bf16(rows[static_cast<size_t>(n * C + c)]);
      }
    void* data = dtype == DType::kF32 ? static_cast<void*>(wide.data()) : narrow.data();
    Floats x(static_cast<size_t>(T * C));
    ops.embedding_forward({ids.data(), {data, dtype, V, C}, x.data(), T});
    for (int64_t t = 0; t < T; ++t)
      for (int64_t c = 0; c < C; ++c) {
        const float value = rows[static_cast<size_t>(ids[t] * C + c)];
        right = right &&
                x[static_cast<size_t>(t * C + c)] == (dtype == DType::kF32 ? value : bf16_to_f32(f32_to_bf16(value)));
      }
  }
  check(right, "embedding rows come out of the packed table, fp32 and bf16");
  const Floats dx = random.normals(T * C);
  Floats expected(packed, 0.5f), found(packed, 0.5f);
  for (int64_t t = 0; t < T; ++t)
    for (int64_t c = 0; c < C; ++c)
      expected[static_cast<size_t>(packed_index(C, ids[t], c))] += dx[static_cast<size_t>(t * C + c)];
  ops.embedding_backward({ids.data(), dx.data(), {found.data(), DType::kF32, V, C}, T});
  check(same_bits(found, expected), "embedding gradients are added in token order");
}

void reductions(Ops& ops) {
  Random random(5);
  double worst = 0;
  bool finite = true, found_bad = true;
  for (int64_t n : {0, 1, 7, 4095, 4096, 4097, 100003}) {
    Floats x = random.normals(n);
    long double sum = 0;
    for (float value : x) sum += static_cast<long double>(value) * static_cast<long double>(value);
    const double found = ops.sum_of_squares(x.data(), n);
    if (n > 0)
      worst = std::max(worst, std::fabs(found / static_cast<double>(sum) - 1));
    else
      worst = std::max(worst, found);
    finite = finite && ops.all_finite(x.data(), n);
    for (int64_t at : {int64_t{0}, n / 2, n - 1}) {
      if (n == 0) continue;
      for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                        -std::numeric_limits<float>::infinity()}) {
        const float kept = x[static_cast<size_t>(at)];
        x[static_cast<size_t>(at)] = bad;
        found_bad = found_bad && !ops.all_finite(x.data(), n);
        x[static_cast<size_t>(at)] = kept;
      }
    }
  }
  Floats huge(3, 1e30f);
  check_below(worst, 1e-14, "sum_of_squares, relative");
  check_below(std::fabs(ops.sum_of_squares(huge.data(), 3) / 3e60 - 1), 1e-6,
              "sum_of_squares beyond the range of fp32");
  check(finite, "all_finite accepts finite numbers of every length");
  check(found_bad, "all_finite finds one NaN or infinity at the start, in the middle, at the end");
}

// Everything whose work is split, at a size that makes many tasks.
void threads(Isa isa) {
  Random random(6);
  const int64_t T = 300, C = 577;
  const Norm n{T, C, random.normals(T * C), random.normals(C), random.normals(T * C)};
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < T; ++t) ids.push_back(static_cast<int32_t>(random.next() % 9));
  Floats first;
  bool same = true;
  for (int count : {1, 2, 3}) {
    ThreadPool pool(count);
    const std::unique_ptr<Ops> ops = make_cpu_ops(isa, pool);
    NormResult r = run(*ops, n);
    Floats all = r.y;
    for (const Floats* part : {&r.dx, &r.dw}) all.insert(all.end(), part->begin(), part->end());
    Floats act(n.x.size()), table(static_cast<size_t>(packed_elements(9, C)), 0.0f);
    ops->swiglu_forward({n.x.data(), n.dy.data(), act.data(), T, C});
    ops->embedding_backward({ids.data(), n.dy.data(), {table.data(), DType::kF32, 9, C}, T});
    all.insert(all.end(), act.begin(), act.end());
    all.insert(all.end(), table.begin(), table.end());
    all.push_back(static_cast<float>(ops->sum_of_squares(n.x.data(), T * C)));
    if (count == 1) first = all;
    same = same && same_bits(all, first);
  }
  check(same, "1, 2 and 3 threads give the same bits");
}

}  // namespace

int main() {
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
    ThreadPool pool(2);
    std::unique_ptr<Ops> ops;
    try {
      ops = make_cpu_ops(isa, pool);
    } catch (const Error& error) {
      std::printf("skipped %s: %s\n", isa_name(isa), error.what());
      continue;
    }
    std::printf("-- %s\n", ops->name());
    rms_norm(*ops);
    rope(*ops);
    swiglu(*ops);
    embedding(*ops);
    reductions(*ops);
    threads(isa);
  }
  return finish();
}
