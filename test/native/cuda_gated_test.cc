// The gate and up layers with SwiGLU in the epilogue: the three ops that it replaces, to the bit, in every tile shape, with
// and without biases, at widths around every edge of a tile, under three schedules; and what is not asked for is not written.
#include "cuda_conflicts.h"
#include "cuda_settled.h"
#include "linear_problem.h"
#include "ops/gemm_launch.h"
#include "ops/linear.h"
#include "ops/ops.h"

using namespace toolgrad;
using namespace toolgrad::test;
using Gpu = cuda::CudaDevice;
using Floats = std::vector<float>;

namespace {

struct Panels {
  Packed host;
  DeviceArray<uint16_t> device;
  PackedMatrix matrix;
  Panels(Ops& cpu, Memory& memory, const LinearProblem& p, Placement placement)
      : host(cpu, p.w, p.s.N, p.s.K, DType::kBF16),
        device(memory,
               std::vector<uint16_t>(reinterpret_cast<uint16_t*>(host.bytes.data()),
                                     reinterpret_cast<uint16_t*>(host.bytes.data() + host.bytes.size())),
               placement),
        matrix{device.data(), DType::kBF16, p.s.N, p.s.K} {}
};

struct Problem {
  LinearProblem gate, up;  // x and bias of both
  bool biased;
  explicit Problem(LinearShape shape, uint64_t seed, bool with_bias)
      : gate(shape, DType::kBF16, seed), up(shape, DType::kBF16, seed + 1000), biased(with_bias) {}
};

enum class Tile { kChosen, kWide, kMedium, kSkinny };

/// gate, up and act one after another; gate and up of `keep` false are what was there before: NaN.
Floats fused(Gpu& gpu, Ops& cpu, const Problem& p, Tile tile, bool keep, Placement placement) {
  const auto [T, F, K] = p.gate.s;
  // Panels are parameters: aligned.
  const Placement panels_at = placement == Placement::kOffset ? Placement::kFlush : placement;
  Panels gate_w(cpu, gpu, p.gate, panels_at), up_w(cpu, gpu, p.up, panels_at);
  DeviceArray<float> x(gpu, p.gate.x, placement), gate_bias(gpu, p.gate.bias, placement);
  DeviceArray<float> up_bias(gpu, p.up.bias, placement);
  DeviceArray<float> gate(gpu, nans(T * F), placement), up(gpu, nans(T * F), placement),
      act(gpu, nans(T * F), placement);
  const float *bg = p.biased ? gate_bias.data() : nullptr, *bu = p.biased ? up_bias.data() : nullptr;
  if (tile == Tile::kChosen) {
    cuda::gated_forward(gpu,
                        {x.data(), gate_w.matrix, up_w.matrix, bg, bu, gate.data(), up.data(), act.data(), T, keep});
  } else {
    const cuda::Bf16Rows rows = cuda::to_bf16_rows(gpu, 3, x.data(), T, K);
    const cuda::LinearGatedParams params{rows.data,
                                         gate_w.device.data(),
                                         up_w.device.data(),
                                         bg,
                                         bu,
                                         keep ? gate.data() : nullptr,
                                         keep ? up.data() : nullptr,
                                         act.data(),
                                         nullptr,
                                         T,
                                         static_cast<int32_t>(F),
                                         static_cast<int32_t>(K),
                                         rows.stride,
                                         0,
                                         0,
                                         0};
    if (tile == Tile::kWide)
      cuda::launch_tiles<cuda::GemmWide>(gpu, cuda::kernels::linear_gated_wide, params, T, 2 * F);
    if (tile == Tile::kMedium)
      cuda::launch_tiles<cuda::GemmMedium>(gpu, cuda::kernels::linear_gated_medium, params, T, 2 * F);
    if (tile == Tile::kSkinny)
      cuda::launch_tiles<cuda::GemmSkinny>(gpu, cuda::kernels::linear_gated_skinny, params, T, 2 * F);
  }
  Floats all = gate.values();
  append(all, up.values());
  append(all, act.values());
  return all;
}

Floats one_by_one(Gpu& gpu, Ops& cpu, const Problem& p) {
  const auto [T, F, K] = p.gate.s;
  Panels gate_w(cpu, gpu, p.gate, Placement::kFlush), up_w(cpu, gpu, p.up, Placement::kFlush);
  DeviceArray<float> x(gpu, p.gate.x), gate_bias(gpu, p.gate.bias), up_bias(gpu, p.up.bias);
  DeviceArray<float> gate(gpu, nans(T * F)), up(gpu, nans(T * F)), act(gpu, nans(T * F));
  const float *bg = p.biased ? gate_bias.data() : nullptr, *bu = p.biased ? up_bias.data() : nullptr;
  cuda::linear_forward(gpu, {x.data(), gate_w.matrix, bg, nullptr, gate.data(), T});
  cuda::linear_forward(gpu, {x.data(), up_w.matrix, bu, nullptr, up.data(), T});
  cuda::swiglu_forward(gpu, {gate.data(), up.data(), act.data(), T, F});
  Floats all = gate.values();
  append(all, up.values());
  append(all, act.values());
  return all;
}

}  // namespace

int main() {
  const std::shared_ptr<Gpu> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  Backend cpu(best_isa(), 2);
  // Widths around the 8 columns of a fragment, the 16 of a panel and the tiles' 16, 32 and 64; odd ones; one element.
  const LinearShape shapes[] = {{1, 1, 1},     {1, 24, 72},   {2, 7, 31},    {5, 9, 100},  {16, 17, 40},
                                {17, 31, 130}, {33, 63, 136}, {64, 65, 33},  {65, 70, 96}, {130, 129, 70},
                                {129, 15, 33}, {257, 66, 20}, {150, 200, 48}};
  bool same = true, lean = true;
  uint64_t seed = 300;
  for (const LinearShape& shape : shapes) {
    for (const bool biased : {false, true}) {
      const Problem p(shape, seed++, biased);
      const size_t n = static_cast<size_t>(shape.T * shape.N);
      const Floats expected = one_by_one(*gpu, *cpu.ops, p);
      Floats only_act = nans(static_cast<int64_t>(2 * n));
      only_act.insert(only_act.end(), expected.begin() + static_cast<int64_t>(2 * n), expected.end());
      same = same && same_bits(expected, settled("gated_forward", Views::kAny, [&](Placement placement) {
                                 return fused(*gpu, *cpu.ops, p, Tile::kChosen, true, placement);
                               }));
      for (const Tile tile : {Tile::kWide, Tile::kMedium, Tile::kSkinny})
        same = same && same_bits(fused(*gpu, *cpu.ops, p, tile, true, Placement::kFlush), expected) &&
               same_bits(fused(*gpu, *cpu.ops, p, tile, true, Placement::kOffset), expected);
      for (const Placement placement : {Placement::kFlush, Placement::kOffset})
        lean = lean && same_bits(fused(*gpu, *cpu.ops, p, Tile::kChosen, false, placement), only_act);
    }
  }
  check(same, "gate, up and act have the bits of two linear layers and SwiGLU, in every tile shape");
  check(lean, "without keep, act has the same bits and gate and up are left alone");
  check_conflicts();
  return finish();
}
