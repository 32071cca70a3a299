// The linear layer's three products and packing: against fp64 with the bound of one fp32 chain, and bit for bit between
// batch sizes, thread counts, micro-batches, weight types and instruction sets.
#include <algorithm>
#include <cstdio>

#include "linear_problem.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

using Shape = LinearShape;
using Problem = LinearProblem;
using Results = LinearResults;

const Shape kShapes[] = {{1, 1, 1},      {1, 16, 1},     {1, 17, 5},     {2, 33, 31},    {3, 48, 64},   {5, 15, 100},
                         {6, 130, 96},   {7, 64, 1},     {11, 100, 37},  {12, 32, 1025}, {13, 47, 17},  {25, 160, 48},
                         {29, 40, 2100}, {61, 81, 50},   {100, 256, 64}, {401, 96, 33},  {530, 40, 20}, {300, 70, 256},
                         {40, 33, 512},  {25, 1536, 48}, {13, 512, 1536}};

// Rows [t0, t1) of the problem through all three products; dw and db continue in `weight` and `db`.
void run_rows(Ops& ops, const Problem& p, const Packed& w, int64_t t0, int64_t t1, Results& out, Packed& dw) {
  const auto [T, N, K] = p.s;
  const int64_t rows = t1 - t0;
  const float* dy = p.dy.data() + t0 * N;
  ops.linear_forward({p.x.data() + t0 * K, w.matrix, nullptr, nullptr, out.y.data() + t0 * N, rows});
  std::copy(p.residual.begin() + t0 * N, p.residual.begin() + t1 * N, out.y_full.begin() + t0 * N);
  float* y_full = out.y_full.data() + t0 * N;  // the residual aliases y
  ops.linear_forward({p.x.data() + t0 * K, w.matrix, p.bias.data(), y_full, y_full, rows});
  ops.linear_backward_input({dy, w.matrix, out.dx.data() + t0 * K, rows, false});
  ops.linear_backward_input({dy, w.matrix, out.dx_added.data() + t0 * K, rows, true});
  ops.linear_backward_weight({p.x.data() + t0 * K, dy, dw.matrix, out.db.data(), rows, w.matrix.dtype});
}

// The whole problem, cut into row blocks of at most `step` rows.
Results run(Ops& ops, const Problem& p, DType dtype, int64_t step) {
  const auto [T, N, K] = p.s;
  Packed w(ops, p.w, N, K, dtype), dw(ops, p.dw0, N, K, DType::kF32);
  Results out;
  // One guard element past each array must survive.
  out.y.assign(T * N + 1, 7.0f);
  out.y_full.assign(T * N + 1, 7.0f);
  out.dx.assign(T * K + 1, 7.0f);
  out.dx_added = p.dx0;
  out.dx_added.push_back(7.0f);
  out.db = p.db0;
  out.db.push_back(7.0f);
  for (int64_t t = 0; t < T; t += step) run_rows(ops, p, w, t, std::min(T, t + step), out, dw);
  out.dw = dw.unpacked(ops);
  return out;
}

bool guards_intact(const Results& r) {
  for (const auto* values : {&r.y, &r.y_full, &r.dx, &r.dx_added, &r.db})
    if (values->back() != 7.0f) return false;
  return true;
}

void test_packing(Backend& backend, const std::string& isa) {
  bool exact = true, padded = true;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 1}, {16, 3}, {17, 9}, {50, 33}}) {
      Random random(rows);
      const std::vector<float> values = random.normals(rows * cols);
      const Packed packed(*backend.ops, values, rows, cols, dtype);
      exact = exact && same_bits(packed.unpacked(*backend.ops), rounded_to(dtype, values));
      for (int64_t r = rows; r < round_up(rows, kPanelRows); ++r)
        for (int64_t k = 0; k < cols; ++k)
          for (size_t b = 0; b < dtype_size(dtype); ++b)
            padded = padded && packed.bytes[packed_index(cols, r, k) * dtype_size(dtype) + b] == 0;
    }
  }
  check(exact, isa + ": packing and unpacking returns every element, rounded to the nearest even bf16 or exact");
  check(padded, isa + ": the padding rows of the last panel are zero");
}

// Gate, up and SwiGLU in one, and several products in one call, against the ops one by one: bits, at edges of tiles and panels.
void test_fused(Backend& backend, const std::string& what) {
  const float kUntouched = 12345.0f;
  bool gated = true, unkept = true, together = true;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const auto& [T, F, K] :
         {Shape{1, 5, 7}, {1, 200, 64}, {3, 36, 20}, {9, 300, 130}, {40, 33, 65}, {500, 40, 24}, {30, 50, 1024}}) {
      const Problem a({T, F, K}, dtype, 70), b({T, F, K}, dtype, 71), c({T, 2 * F + 3, K}, dtype, 72);
      Packed wa(*backend.ops, a.w, F, K, dtype), wb(*backend.ops, b.w, F, K, dtype);
      Packed wc(*backend.ops, c.w, 2 * F + 3, K, dtype);
      const auto fresh = [&](int64_t n) { return std::vector<float>(static_cast<size_t>(n), kUntouched); };
      std::vector<float> gate = fresh(T * F), up = gate, act = gate, other = fresh(T * (2 * F + 3));
      const LinearForward ops[] = {{a.x.data(), wa.matrix, a.bias.data(), nullptr, gate.data(), T},
                                   {a.x.data(), wb.matrix, nullptr, nullptr, up.data(), T},
                                   {a.x.data(), wc.matrix, c.bias.data(), c.residual.data(), other.data(), T}};
      for (const LinearForward& op : ops) backend.ops->linear_forward(op);
      backend.ops->swiglu_forward({gate.data(), up.data(), act.data(), T, F});
      const std::vector<std::vector<float>> expected{gate, up, other, act};

      std::fill(gate.begin(), gate.end(), kUntouched);
      std::fill(up.begin(), up.end(), kUntouched);
      std::fill(other.begin(), other.end(), kUntouched);
      backend.ops->linear_forwards(ops, 3);
      together =
          together && same_bits(gate, expected[0]) && same_bits(up, expected[1]) && same_bits(other, expected[2]);

      std::vector<float> room = fresh(T * F + 16);  // nothing may be written behind act
      for (const bool keep : {true, false}) {
        std::fill(gate.begin(), gate.end(), kUntouched);
        std::fill(up.begin(), up.end(), kUntouched);
        std::fill(room.begin(), room.end(), kUntouched);
        backend.ops->gated_forward(
            {a.x.data(), wa.matrix, wb.matrix, a.bias.data(), nullptr, gate.data(), up.data(), room.data(), T, keep});
        const bool right = same_bits(std::vector<float>(room.begin(), room.end() - 16), expected[3]) &&
                           std::all_of(room.end() - 16, room.end(), [&](float x) { return x == kUntouched; });
        if (keep)
          gated = gated && right && same_bits(gate, expected[0]) && same_bits(up, expected[1]);
        else
          unkept = unkept && right;
      }
    }
  }
  // Nothing to compute, between products that read the same rows.
  const Problem p({40, 33, 65}, DType::kBF16, 73);
  Packed w(*backend.ops, p.w, 33, 65, DType::kBF16);
  const PackedMatrix none{nullptr, DType::kBF16, 0, 65};
  std::vector<float> alone(40 * 33), first = alone, last = alone;
  backend.ops->linear_forward({p.x.data(), w.matrix, nullptr, nullptr, alone.data(), 40});
  const LinearForward around[] = {{p.x.data(), none, nullptr, nullptr, nullptr, 40},
                                  {p.x.data(), w.matrix, nullptr, nullptr, first.data(), 40},
                                  {p.x.data(), none, nullptr, nullptr, nullptr, 40},
                                  {p.x.data(), w.matrix, nullptr, nullptr, last.data(), 40}};
  backend.ops->linear_forward(around[0]);
  backend.ops->linear_forwards(around, 4);
  check(same_bits(first, alone) && same_bits(last, alone), what + ": a product without outputs disturbs no other");
  check(together, what + ": products of one call have the bits of a call each");
  check(gated, what + ": gate, up and SwiGLU in one have the bits of three ops");
  check(unkept, what + ": so has SwiGLU when gate and up are not kept");
}

// Rows that RMSNorm and SwiGLU round for products against the same rows in fp32, and several widths of them.
void test_product_rows(Backend& backend, const std::string& isa) {
  Ops& ops = *backend.ops;
  const DType dtype = ops.product_dtype(DType::kBF16);
  if (dtype == DType::kF32) {
    std::printf("skipped %s: its products take fp32 rows\n", isa.c_str());
    return;
  }
  bool norms = true, gates = true, fused = true, gradients = true;
  for (const auto& [T, N, K] : {Shape{1, 40, 7}, {3, 33, 64}, {40, 50, 129}, {21, 24, 2048}, {14, 24, 256}}) {
    const Problem p({T, N, K}, DType::kBF16, 90);
    Random random(91);
    const std::vector<float> scale = random.normals(K), up = random.normals(T * K);
    Packed w(ops, p.w, N, K, DType::kBF16);
    std::vector<float> rows(T * K), expected(T * N), got(T * N);
    std::vector<uint16_t> rounded(T * product_stride(dtype, K));
    const ProductRowsOut out{rounded.data(), dtype};
    const auto same_products = [&] {
      ops.linear_forward({rows.data(), w.matrix, p.bias.data(), nullptr, expected.data(), T});
      ops.linear_forward({out, w.matrix, p.bias.data(), nullptr, got.data(), T});
      return same_bits(got, expected);
    };
    ops.rms_norm_forward({p.x.data(), scale.data(), rows.data(), nullptr, T, K, 1e-5f});
    ops.rms_norm_forward({p.x.data(), scale.data(), out, nullptr, T, K, 1e-5f});
    norms = norms && same_products();
    Packed one(ops, p.dw0, N, K, DType::kF32), two(ops, p.dw0, N, K, DType::kF32);
    ops.linear_backward_weight({rows.data(), p.dy.data(), one.matrix, nullptr, T, DType::kBF16});
    ops.linear_backward_weight({out, p.dy.data(), two.matrix, nullptr, T, DType::kBF16});
    gradients = gradients && one.bytes == two.bytes;
    ops.swiglu_forward({p.x.data(), up.data(), rows.data(), T, K});
    ops.swiglu_forward({p.x.data(), up.data(), out, T, K});
    gates = gates && same_products();
    // The gate's rows [T, N] feed a product of width N.
    Packed down(ops, p.w, K, N, DType::kBF16);
    std::vector<float> gate(T * N), other(T * N), act(T * N), wide(T * K), wide_rounded(T * K);
    std::vector<uint16_t> act_rounded(T * product_stride(dtype, N));
    const ProductRowsOut act_out{act_rounded.data(), dtype};
    ops.gated_forward(
        {p.x.data(), w.matrix, w.matrix, nullptr, nullptr, gate.data(), other.data(), act.data(), T, true});
    ops.gated_forward({p.x.data(), w.matrix, w.matrix, nullptr, nullptr, gate.data(), other.data(), act_out, T, false});
    ops.linear_forward({act.data(), down.matrix, nullptr, nullptr, wide.data(), T});
    ops.linear_forward({act_out, down.matrix, nullptr, nullptr, wide_rounded.data(), T});
    fused = fused && same_bits(wide, wide_rounded);
  }
  check(norms, isa + ": products of rows that RMSNorm rounded have the bits of those of fp32 rows");
  check(gradients, isa + ": so have the gradients of their weights");
  check(gates, isa + ": so have those of SwiGLU's rows");
  check(fused, isa + ": and those of the rows of gate, up and SwiGLU in one");
}

// Products whose terms and sums are subnormal here and there; they must not depend on the build.
Results run_tiny(Ops& ops) {
  Problem p({9, 40, 70}, DType::kBF16, 95);
  Random random(96);
  const auto shrink = [&](std::vector<float>& values, int least) {
    for (float& value : values) value = std::ldexp(value, least + static_cast<int>(random.next() % 40));
  };
  shrink(p.x, -145);
  shrink(p.dy, -145);
  shrink(p.w, -30);
  for (auto* values : {&p.bias, &p.residual, &p.dx0, &p.dw0, &p.db0}) std::fill(values->begin(), values->end(), 0.0f);
  return run(ops, p, DType::kBF16, p.s.T);
}

}  // namespace

int main() {
  std::vector<Results> portable_results, avx2_results, tiny;
  for (const Isa isa : supported_isas()) {
    const std::string name = isa_name(isa);
    Backend one(isa, 1), two(isa, 2), three(isa, 3);
    test_packing(two, name);
    test_fused(one, name + ", 1 thread");
    test_fused(three, name + ", 3 threads");
    test_product_rows(one, name + ", 1 thread");
    test_product_rows(three, name + ", 3 threads");
    if (isa >= Isa::kAvx2) {  // without fusing, a product is rounded by itself, to zero where it is subnormal
      tiny.push_back(run_tiny(*two.ops));
      check(tiny.back() == tiny.front(), name + ": subnormal numbers are zero in products, as in avx2");
    }
    bool guards = true, threads_agree = true, alone_agrees = true, parts_agree = true, types_agree = true;
    bool isas_agree = true;
    size_t index = 0;
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      double worst = 0;
      for (const Shape& shape : kShapes) {
        const Problem problem(shape, dtype, 1 + index);
        const Results base = run(*one.ops, problem, dtype, shape.T);
        worst = std::max(worst, worst_error(problem, base));
        guards = guards && guards_intact(base);
        threads_agree = threads_agree && run(*two.ops, problem, dtype, shape.T) == base &&
                        run(*three.ops, problem, dtype, shape.T) == base;
        alone_agrees = alone_agrees && run(*two.ops, problem, dtype, 1) == base;
        for (const int64_t step : {2, 3, 5, 8, 13, 64})
          parts_agree = parts_agree && run(*two.ops, problem, dtype, step) == base;
        if (dtype == DType::kBF16) {
          Problem rounded = problem;
          rounded.x = problem.x_read;
          rounded.dy = problem.dy_read;
          Results in_fp32 = run(*one.ops, rounded, DType::kF32, shape.T);
          in_fp32.db = base.db;  // sums of dy as it is
          types_agree = types_agree && in_fp32 == base;
        }
        // Products of bf16 numbers are exact in fp32, so the build without fused multiply-adds has the same bits.
        if (isa == Isa::kPortable) portable_results.push_back(base);
        if (isa == Isa::kAvx2) {
          avx2_results.push_back(base);
          if (dtype == DType::kBF16) isas_agree = isas_agree && portable_results[index] == base;
        }
        if (isa > Isa::kAvx2) isas_agree = isas_agree && avx2_results[index] == base;
        ++index;
      }
      check_below(worst, 1.0,
                  name + ", " + dtype_name(dtype) +
                      " weights: y, dx, dw and db against fp64, in units of (terms) 2^-24 sum|a b|");
    }
    check(guards, name + ": nothing is written past the end of an array");
    check(threads_agree, name + ": 1, 2 and 3 threads give the same bits");
    check(alone_agrees,
          name + ": a row alone has the bits it has in the batch, and dW summed row by row those of one call");
    check(parts_agree, name + ": batches cut into micro-batches of 2, 3, 5, 8, 13 or 64 rows give the same bits");
    check(types_agree, name + ": bf16 weights give the bits of fp32 ones with all operands rounded to bf16");
    if (isa == Isa::kAvx2) check(isas_agree, "avx2 gives the bits of portable with bf16 weights");
    if (isa > Isa::kAvx2) check(isas_agree, name + " gives the bits of avx2");
  }
  return finish();
}
