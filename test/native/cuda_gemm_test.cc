// Linear layers on the GPU: against fp64 on operands that bf16 holds exactly, against the CPU on others, and bit for bit
// between batch sizes, tile shapes and micro-batches.
#include <algorithm>
#include <cstdio>

#include "cuda_arrays.h"
#include "cuda_conflicts.h"
#include "cuda_panels.h"
#include "linear_problem.h"
#include "ops/gemm_launch.h"
#include "ops/linear.h"
#include "ops/ops.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

// Around every edge of the tiles (16, 32, 64, 128 rows; 32 and 128 along the contraction), odd widths, and one element.
const LinearShape kShapes[] = {{1, 1, 1},     {9, 70, 700},   {1, 24, 72},    {2, 33, 31},   {5, 15, 100},
                               {16, 40, 48},  {15, 33, 700},  {17, 100, 37},  {33, 64, 136}, {64, 65, 64},
                               {65, 130, 96}, {130, 257, 70}, {129, 140, 33}, {300, 70, 24}, {700, 17, 20}};

// A problem whose operands bf16 holds: then casts lose nothing and fp64 is the judge of the sums alone.
LinearProblem exact_problem(LinearShape shape, uint64_t seed) {
  LinearProblem p(shape, DType::kBF16, seed);
  p.x = rounded_to(DType::kBF16, p.x);
  p.dy = rounded_to(DType::kBF16, p.dy);
  return p;
}

LinearResults run(cuda::CudaDevice& gpu, Ops& cpu, const LinearProblem& p, int64_t step, Placement placement) {
  const auto [T, N, K] = p.s;
  DevicePanels w(cpu, gpu, p, placement);
  Packed dw_host(cpu, p.dw0, N, K, DType::kF32);
  const auto* dw_floats = reinterpret_cast<const float*>(dw_host.bytes.data());
  const Placement panels_at =
      placement == Placement::kOffset ? Placement::kFlush : placement;  // parameters are aligned
  DeviceArray<float> dw(gpu, std::vector<float>(dw_floats, dw_floats + packed_elements(N, K)), panels_at);
  DeviceArray<float> db(gpu, p.db0, placement);
  LinearResults out;
  for (int64_t t = 0; t < T; t += step) {
    const int64_t rows = std::min(step, T - t);
    const auto part = [&](const std::vector<float>& all, int64_t width) {
      return std::vector<float>(all.begin() + t * width, all.begin() + (t + rows) * width);
    };
    const auto append = [](std::vector<float>& to, DeviceArray<float>& from) {
      const std::vector<float> values = from.values();
      to.insert(to.end(), values.begin(), values.end());
    };
    DeviceArray<float> x(gpu, part(p.x, K), placement), dy(gpu, part(p.dy, N), placement);
    DeviceArray<float> y(gpu, nans(rows * N), placement), y_full(gpu, part(p.residual, N), placement);
    DeviceArray<float> dx(gpu, nans(rows * K), placement), dx_added(gpu, part(p.dx0, K), placement);
    DeviceArray<float> bias(gpu, p.bias, placement);
    cuda::linear_forward(gpu, {x.data(), w.matrix, nullptr, nullptr, y.data(), rows});
    cuda::linear_forward(gpu, {x.data(), w.matrix, bias.data(), y_full.data(), y_full.data(), rows});
    cuda::linear_backward_input(gpu, {dy.data(), w.matrix, dx.data(), rows, false});
    cuda::linear_backward_input(gpu, {dy.data(), w.matrix, dx_added.data(), rows, true});
    cuda::linear_backward_weight(gpu,
                                 {x.data(), dy.data(), {dw.data(), DType::kF32, N, K}, db.data(), rows, DType::kBF16});
    append(out.y, y);
    append(out.y_full, y_full);
    append(out.dx, dx);
    append(out.dx_added, dx_added);
  }
  out.db = db.values();
  const std::vector<float> panels = dw.values();
  out.dw.resize(static_cast<size_t>(N * K));
  // Zeros times a NaN of x are NaN; else padding rows stay zero.
  const bool spoiled = std::any_of(p.x.begin(), p.x.end(), [](float value) { return std::isnan(value); });
  bool padding = true;
  for (int64_t n = 0; n < round_up(N, kPanelRows); ++n)
    for (int64_t k = 0; k < K; ++k) {
      const float value = panels[packed_index(K, n, k)];
      if (n < N)
        out.dw[n * K + k] = value;
      else
        padding = padding && (spoiled || value == 0.0f);
    }
  if (!padding) check(false, "the padding rows of dW stay zero");
  return out;
}

LinearResults run_cpu(Ops& cpu, const LinearProblem& p) {
  const auto [T, N, K] = p.s;
  Packed w(cpu, p.w, N, K, DType::kBF16), dw(cpu, p.dw0, N, K, DType::kF32);
  LinearResults out;
  out.y.resize(T * N);
  out.y_full = p.residual;
  out.dx.resize(T * K);
  out.dx_added = p.dx0;
  out.db = p.db0;
  cpu.linear_forward({p.x.data(), w.matrix, nullptr, nullptr, out.y.data(), T});
  cpu.linear_forward({p.x.data(), w.matrix, p.bias.data(), out.y_full.data(), out.y_full.data(), T});
  cpu.linear_backward_input({p.dy.data(), w.matrix, out.dx.data(), T, false});
  cpu.linear_backward_input({p.dy.data(), w.matrix, out.dx_added.data(), T, true});
  cpu.linear_backward_weight({p.x.data(), p.dy.data(), dw.matrix, out.db.data(), T, DType::kBF16});
  out.dw = dw.unpacked(cpu);
  return out;
}

// Largest difference relative to the norm of the products' terms: bf16 keeps 8 bits of each factor.
double distance(const std::vector<float>& a, const std::vector<float>& b, int64_t terms) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= worst)) worst = difference;
  }
  return worst / std::sqrt(static_cast<double>(terms));
}

// NaN in one element of an operand reaches the row or column of the result that it belongs to and no other: what fills up a
// tile past its end is zero, not a neighbour.
void nan_stays(cuda::CudaDevice& gpu, Ops& cpu) {
  bool stays = true;
  for (const LinearShape& shape : {LinearShape{5, 40, 24}, {37, 21, 19}, {130, 45, 70}}) {
    const auto [T, N, K] = shape;
    for (const int place : {0, 1}) {  // the first element, where a copy that fetches nothing looks, and the last
      const auto run_with = [&](std::vector<float> LinearProblem::*operand) {
        LinearProblem p = exact_problem(shape, 5);
        (p.*operand)[place == 0 ? 0 : (p.*operand).size() - 1] = std::numeric_limits<float>::quiet_NaN();
        return run(gpu, cpu, p, shape.T, Placement::kFlush);
      };
      // Whether exactly the elements of row `row` (-1: every row) and column `column` (-1: every column) are NaN.
      const auto only = [&](const std::vector<float>& values, int64_t columns, int64_t row, int64_t column) {
        for (size_t i = 0; i < values.size(); ++i) {
          const bool there = (row < 0 || static_cast<int64_t>(i) / columns == row) &&
                             (column < 0 || static_cast<int64_t>(i) % columns == column);
          if (std::isnan(values[i]) != there) return false;
        }
        return true;
      };
      const auto at = [&](int64_t size) { return place == 0 ? 0 : size - 1; };
      const LinearResults x = run_with(&LinearProblem::x), w = run_with(&LinearProblem::w);
      const LinearResults dy = run_with(&LinearProblem::dy);
      stays = stays && only(x.y, N, at(T), -1) && only(x.dw, K, -1, at(K));
      stays = stays && only(w.y, N, -1, at(N)) && only(w.dx, K, -1, at(K));
      stays = stays && only(dy.dx, K, at(T), -1) && only(dy.dw, K, at(N), -1) && only(dy.db, N, -1, at(N));
    }
  }
  check(stays, "NaN in one element of x, W or dy reaches its own row or column of each product and no other");
}

// The wide shape is chosen only for many tiles; here it runs on few, and must give the bits of the others.
void shapes_agree(cuda::CudaDevice& gpu, Ops& cpu) {
  bool forward = true, input = true, weight = true;
  std::vector<LinearShape> shapes = {{5, 40, 72},     {150, 141, 70}, {257, 130, 33},
                                     {128, 256, 128}, {21, 9, 300},   {250, 250, 136}};
  // Odd widths that end in every eighth of a warp's tile, as columns of y and of dx.
  for (int64_t odd = 1; odd < 64; odd += 8) {
    shapes.push_back({130, 128 + odd, 7});
    shapes.push_back({130, 5, 128 + odd});
  }
  for (const LinearShape& shape : shapes) {
    const LinearProblem p = exact_problem(shape, 91);
    const auto [T, N, K] = shape;
    const LinearResults usual = run(gpu, cpu, p, T, Placement::kFlush);
    DevicePanels w(cpu, gpu, p, Placement::kFlush);
    DeviceArray<float> x(gpu, p.x), dy(gpu, p.dy), y(gpu, nans(T * N)), dx(gpu, nans(T * K));
    const cuda::Bf16Rows x_rows = cuda::to_bf16_rows(gpu, 3, x.data(), T, K);
    const cuda::Bf16Rows dy_rows = cuda::to_bf16_rows(gpu, 4, dy.data(), T, N);
    cuda::LinearForwardParams f{};
    f.x = x_rows.data;
    f.w = w.device.data();
    f.y = y.data();
    f.T = T;
    f.N = static_cast<int32_t>(N);
    f.K = static_cast<int32_t>(K);
    f.x_stride = x_rows.stride;
    cuda::launch_tiles<cuda::GemmWide>(gpu, cuda::kernels::linear_forward_wide, f, T, N);
    forward = forward && same_bits(y.values(), usual.y);
    // Every shape with every epilogue, at addresses aligned to 8 bytes and to 4.
    const auto biased = [&](bool bias, bool residual) {
      std::vector<float> expected = usual.y;
      for (int64_t i = 0; i < T * N; ++i) {
        if (bias) expected[i] += p.bias[i % N];
        if (residual) expected[i] += p.residual[i];
      }
      return expected;
    };
    for (const Placement placement : {Placement::kFlush, Placement::kOffset})
      for (int with = 0; with < 4; ++with)
        for (int tile = 0; tile < 3; ++tile) {
          DeviceArray<float> to(gpu, p.residual, placement), bias(gpu, p.bias, placement);
          cuda::LinearForwardParams full = f;
          full.bias = (with & 1) != 0 ? bias.data() : nullptr;
          full.residual = (with & 2) != 0 ? to.data() : nullptr;
          full.y = to.data();
          if (tile == 0) cuda::launch_tiles<cuda::GemmWide>(gpu, cuda::kernels::linear_forward_wide, full, T, N);
          if (tile == 1) cuda::launch_tiles<cuda::GemmMedium>(gpu, cuda::kernels::linear_forward_medium, full, T, N);
          if (tile == 2) cuda::launch_tiles<cuda::GemmSkinny>(gpu, cuda::kernels::linear_forward_skinny, full, T, N);
          forward = forward && same_bits(to.values(), biased((with & 1) != 0, (with & 2) != 0));
        }

    cuda::LinearBackwardInputParams b{};
    b.dy = dy_rows.data;
    b.w = w.device.data();
    b.dx = dx.data();
    b.T = T;
    b.N = static_cast<int32_t>(N);
    b.K = static_cast<int32_t>(K);
    b.dy_stride = dy_rows.stride;
    cuda::launch_tiles<cuda::GemmWide>(gpu, cuda::kernels::linear_backward_input_wide, b, T, K);
    input = input && same_bits(dx.values(), usual.dx);
    for (const Placement placement : {Placement::kFlush, Placement::kOffset}) {
      DeviceArray<float> dx_added(gpu, p.dx0, placement), plain(gpu, nans(T * K), placement);
      cuda::LinearBackwardInputParams added = b;
      added.dx = dx_added.data();
      added.accumulate = 1;
      cuda::launch_tiles<cuda::GemmWide>(gpu, cuda::kernels::linear_backward_input_wide, added, T, K);
      input = input && same_bits(dx_added.values(), usual.dx_added);
      added.dx = plain.data();
      added.accumulate = 0;
      cuda::launch_tiles<cuda::GemmWide>(gpu, cuda::kernels::linear_backward_input_wide, added, T, K);
      input = input && same_bits(plain.values(), usual.dx);
    }

    Packed dw_host(cpu, p.dw0, N, K, DType::kF32);
    const auto* floats = reinterpret_cast<const float*>(dw_host.bytes.data());
    DeviceArray<float> dw(gpu, std::vector<float>(floats, floats + packed_elements(N, K)));
    cuda::LinearBackwardWeightParams g{};
    g.x = x_rows.data;
    g.dy = dy_rows.data;
    g.dw = dw.data();
    g.T = T;
    g.N = static_cast<int32_t>(N);
    g.K = static_cast<int32_t>(K);
    g.x_stride = x_rows.stride;
    g.dy_stride = dy_rows.stride;
    cuda::launch_tiles<cuda::GemmWide>(gpu, cuda::kernels::linear_backward_weight_wide, g, K, N);
    const std::vector<float> panels = dw.values();
    for (int64_t n = 0; n < N; ++n)
      for (int64_t k = 0; k < K; ++k) {
        const float value = panels[packed_index(K, n, k)];
        weight = weight && std::memcmp(&value, &usual.dw[n * K + k], sizeof value) == 0;
      }
  }
  check(forward, "wide, medium and skinny tiles give the same bits of y, with and without bias and residual");
  check(input, "wide and medium tiles give the same bits of dx");
  check(weight, "wide and medium tiles give the same bits of dW");
}

}  // namespace

int main() {
  const std::shared_ptr<cuda::CudaDevice> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  Backend cpu(best_isa(), 2);
  double worst = 0, y = 0, dx = 0, dw = 0, db = 0;
  bool placed = true, offset = true, alone = true, pieces = true, steps_of_16 = true, repeated = true;
  uint64_t seed = 1;
  for (const LinearShape& shape : kShapes) {
    const LinearProblem p = exact_problem(shape, seed++);
    const LinearResults base = run(*gpu, *cpu.ops, p, shape.T, Placement::kFlush);
    worst = std::max(worst, worst_error(p, base));
    placed = placed && run(*gpu, *cpu.ops, p, shape.T, Placement::kAmongNan) == base;
    offset = offset && run(*gpu, *cpu.ops, p, shape.T, Placement::kOffset) == base;
    repeated = repeated && run(*gpu, *cpu.ops, p, shape.T, Placement::kFlush) == base;
    const auto rows_agree = [&](int64_t step) {
      const LinearResults r = run(*gpu, *cpu.ops, p, step, Placement::kFlush);
      return same_bits(r.y, base.y) && same_bits(r.y_full, base.y_full) && same_bits(r.dx, base.dx) &&
             same_bits(r.dx_added, base.dx_added);
    };
    if (shape.T <= 33) alone = alone && rows_agree(1);
    for (const int64_t step : {7, 40, 128})
      if (step < shape.T) pieces = pieces && rows_agree(step);
    if (shape.T > 16) {
      const LinearResults r = run(*gpu, *cpu.ops, p, 48, Placement::kFlush);
      steps_of_16 = steps_of_16 && same_bits(r.dw, base.dw);
    }

    const LinearProblem any(shape, DType::kBF16, seed++);
    const LinearResults found = run(*gpu, *cpu.ops, any, shape.T, Placement::kFlush), expected = run_cpu(*cpu.ops, any);
    y = std::max({y, distance(found.y, expected.y, shape.K), distance(found.y_full, expected.y_full, shape.K + 2)});
    dx = std::max(
        {dx, distance(found.dx, expected.dx, shape.N), distance(found.dx_added, expected.dx_added, shape.N + 1)});
    dw = std::max(dw, distance(found.dw, expected.dw, shape.T + 1));
    db = std::max(db, distance(found.db, expected.db, shape.T + 1));
  }
  check_below(worst, 2.0, "y, dx, dW and db against fp64, in units of (terms) 2^-24 sum|a b|");
  check_below(y, 1e-5, "y against the CPU, in units of sqrt(K)");
  check_below(dx, 1e-5, "dx against the CPU, in units of sqrt(N)");
  check_below(dw, 1e-5, "dW against the CPU, in units of sqrt(T)");
  check_below(db, 1e-5, "db against the CPU, in units of sqrt(T)");
  check(placed, "arrays among NaN give the bits of arrays of their own");
  check(offset, "arrays aligned to 4 bytes only give the same bits");
  check(repeated, "a second run gives the same bits");
  check(alone, "a row alone has the bits it has in the batch");
  check(pieces, "batches cut into 7, 40 or 128 rows give the same bits of y and dx");
  check(steps_of_16, "micro-batches cut at multiples of 16 tokens change no bit of dW");
  shapes_agree(*gpu, *cpu.ops);
  nan_stays(*gpu, *cpu.ops);
  check_conflicts();
  return finish();
}
