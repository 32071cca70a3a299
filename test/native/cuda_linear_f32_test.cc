// fp32 linear layers and LoRA on the GPU (linear_f32.cu): the CPU's bits, and the error against fp64, at depths that are and
// are not multiples of the tile's 32, with and without bias and residual.
#include <algorithm>

#include "cuda_conflicts.h"
#include "cuda_settled.h"
#include "linear_problem.h"
#include "ops/ops.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

// A value head, factors of LoRA, one element; whole tiles of 16 and 32 along every side, and one more or less.
const LinearShape kShapes[] = {{1, 1, 1},   {40, 1, 64},   {64, 48, 64},   {33, 16, 95},  {31, 64, 33},
                               {65, 17, 1}, {128, 15, 96}, {100, 33, 129}, {16, 100, 30}, {3, 5, 31},
                               {5, 1, 40},  {16, 16, 32},  {17, 15, 31},   {15, 17, 33},  {33, 40, 65},
                               {70, 3, 16}, {3, 300, 9},   {20, 33, 40},   {7, 16, 70}};

std::vector<float> panels(const Packed& packed) {
  const auto* values = reinterpret_cast<const float*>(packed.bytes.data());
  return {values, values + packed.bytes.size() / sizeof(float)};
}

// The results of all products, one after the other. `gpu` null: on the CPU.
std::vector<float> run(cuda::CudaDevice* gpu, Ops& cpu, const LinearProblem& p, Placement placement) {
  const auto [T, N, K] = p.s;
  const Packed w(cpu, p.w, N, K, DType::kF32), dw(cpu, p.dw0, N, K, DType::kF32);
  Memory& memory = gpu != nullptr ? static_cast<Memory&>(*gpu) : *host_memory();
  DeviceArray<float> x(memory, p.x, placement), dy(memory, p.dy, placement), bias(memory, p.bias, placement);
  DeviceArray<float> weights(memory, panels(w), placement), gradient(memory, panels(dw), placement);
  DeviceArray<float> db(memory, p.db0, placement), dx(memory, nans(T * K), placement), added(memory, p.dx0, placement);
  const PackedMatrix matrix{weights.data(), DType::kF32, N, K}, sums{gradient.data(), DType::kF32, N, K};
  std::vector<float> all;
  for (const bool with_bias : {false, true}) {
    for (const bool with_residual : {false, true}) {
      DeviceArray<float> y(memory, with_residual ? p.residual : nans(T * N), placement);
      const LinearForward op{x.data(), matrix, with_bias ? bias.data() : nullptr, with_residual ? y.data() : nullptr,
                             y.data(), T};
      gpu != nullptr ? cuda::linear_f32_forward(*gpu, op) : cpu.linear_forward(op);
      append(all, y.values());
    }
  }
  const LinearBackwardInput input{dy.data(), matrix, dx.data(), T, false},
      more{dy.data(), matrix, added.data(), T, true};
  const LinearBackwardWeight weight{x.data(), dy.data(), sums, db.data(), T, DType::kF32};
  gpu != nullptr ? cuda::linear_f32_backward_input(*gpu, input) : cpu.linear_backward_input(input);
  gpu != nullptr ? cuda::linear_f32_backward_input(*gpu, more) : cpu.linear_backward_input(more);
  gpu != nullptr ? cuda::linear_f32_backward_weight(*gpu, weight) : cpu.linear_backward_weight(weight);
  append(all, dx.values());
  append(all, added.values());
  append(all, gradient.values());
  append(all, db.values());
  return all;
}

// `all` of run() in its parts.
LinearResults parts_of(const std::vector<float>& all, Ops& cpu, const LinearShape& s) {
  const auto [T, N, K] = s;
  auto at = all.begin();
  const auto take = [&](int64_t count) {
    std::vector<float> part(at, at + count);
    at += count;
    return part;
  };
  LinearResults r;
  r.y = take(T * N);
  take(2 * T * N);  // with one of bias and residual
  r.y_full = take(T * N);
  r.dx = take(T * K);
  r.dx_added = take(T * K);
  const std::vector<float> gradient = take(packed_elements(N, K));
  Packed dw(N, K, DType::kF32);
  std::memcpy(dw.bytes.data(), gradient.data(), dw.bytes.size());
  r.dw = dw.unpacked(cpu);
  r.db = take(N);
  return r;
}

std::vector<float> run_low_rank(cuda::CudaDevice* gpu, Ops& cpu, const LinearShape& s, int64_t r, Placement placement) {
  const auto [T, N, K] = s;
  Random random(static_cast<uint64_t>(T * 1000 + N * 10 + r));
  const auto packed = [&](int64_t rows, int64_t cols) {
    return panels(Packed(cpu, random.normals(rows * cols), rows, cols, DType::kF32));
  };
  Memory& memory = gpu != nullptr ? static_cast<Memory&>(*gpu) : *host_memory();
  DeviceArray<float> a(memory, packed(r, K), placement), b(memory, packed(N, r), placement);
  DeviceArray<float> da(memory, packed(r, K), placement), db(memory, packed(N, r), placement);
  DeviceArray<float> x(memory, random.normals(T * K), placement), dy(memory, random.normals(T * N), placement);
  DeviceArray<float> y(memory, random.normals(T * N), placement), dx(memory, random.normals(T * K), placement);
  const PackedMatrix A{a.data(), DType::kF32, r, K}, B{b.data(), DType::kF32, N, r};
  const LowRankForward forward{x.data(), A, B, 0.7f, y.data(), T};
  const LowRankBackward backward{
      x.data(), dy.data(), A, B, 0.7f, {da.data(), DType::kF32, r, K}, {db.data(), DType::kF32, N, r}, dx.data(), T};
  gpu != nullptr ? cuda::low_rank_forward(*gpu, forward) : cpu.low_rank_forward(forward);
  gpu != nullptr ? cuda::low_rank_backward(*gpu, backward) : cpu.low_rank_backward(backward);
  std::vector<float> all = y.values();
  append(all, dx.values());
  append(all, da.values());
  append(all, db.values());
  return all;
}

}  // namespace

int main() {
  const std::shared_ptr<cuda::CudaDevice> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  Backend cpu(best_isa(), 2);
  bool linear = true, low_rank = true;
  double worst = 0;
  uint64_t seed = 1;
  for (const LinearShape& shape : kShapes) {
    const LinearProblem p(shape, DType::kF32, seed++);
    const std::vector<float> found = settled(
        "fp32 linear", Views::kAny, [&](Placement placement) { return run(gpu.get(), *cpu.ops, p, placement); });
    linear = linear && same_bits(found, run(nullptr, *cpu.ops, p, Placement::kFlush));
    worst = std::max(worst, worst_error(p, parts_of(found, *cpu.ops, shape)));
    for (const int64_t r : {1, 4, 16, 17, 33}) {
      const std::vector<float> lora = settled("LoRA", Views::kAny, [&, r = r](Placement placement) {
        return run_low_rank(gpu.get(), *cpu.ops, shape, r, placement);
      });
      low_rank = low_rank && same_bits(lora, run_low_rank(nullptr, *cpu.ops, shape, r, Placement::kFlush));
    }
  }
  check(
      linear,
      "fp32 linear layers have the CPU's bits: y with and without bias and residual, dx, dW and its padding rows, db");
  check_below(worst, 1.0, "fp32 y, dx, dW and db against fp64, in units of (terms) 2^-24 sum|a b|");
  check(low_rank, "LoRA has the CPU's bits, forward and backward");
  check_conflicts();
  return finish();
}
