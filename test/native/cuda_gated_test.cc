// The gate and up layers with SwiGLU in the epilogue: the three ops that it replaces, to the bit, in every tile shape, with
// and without biases, at widths around every edge of a tile, under three schedules; and what is not asked for is not written.
#include <cmath>
#include <limits>

#include "cuda_conflicts.h"
#include "cuda_panels.h"
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

struct Problem {
  LinearProblem gate, up;  // gate's x is that of both
  bool gate_biased = false, up_biased = false;
  Problem(LinearShape shape, uint64_t seed) : gate(shape, DType::kBF16, seed), up(shape, DType::kBF16, seed + 1000) {}
};

enum class Tile { kChosen, kWide, kMedium, kSkinny };

struct How {
  Tile tile = Tile::kChosen;
  bool keep = true, rounded = false;
};

/// gate, up and act one after another, act as numbers of 16 bits when it is rounded; gate and up that are not kept are what was
/// there before: NaN.
Floats fused(Gpu& gpu, Ops& cpu, const Problem& p, How how, Placement placement) {
  const auto [tile, keep, rounded] = how;
  const auto [T, F, K] = p.gate.s;
  // Panels are parameters: aligned.
  const Placement panels_at = placement == Placement::kOffset ? Placement::kFlush : placement;
  DevicePanels gate_w(cpu, gpu, p.gate, panels_at), up_w(cpu, gpu, p.up, panels_at);
  DeviceArray<float> x(gpu, p.gate.x, placement), gate_bias(gpu, p.gate.bias, placement);
  DeviceArray<float> up_bias(gpu, p.up.bias, placement);
  DeviceArray<float> gate(gpu, nans(T * F), placement), up(gpu, nans(T * F), placement),
      act(gpu, nans(T * F), placement);
  const int64_t stride = product_stride(DType::kBF16, F);
  DeviceArray<uint16_t> act_rounded(gpu, std::vector<uint16_t>(static_cast<size_t>(T * stride), 0xffff), placement);
  const float *bg = p.gate_biased ? gate_bias.data() : nullptr, *bu = p.up_biased ? up_bias.data() : nullptr;
  const ProductRowsOut out = rounded ? ProductRowsOut(act_rounded.data(), DType::kBF16) : ProductRowsOut(act.data());
  if (tile == Tile::kChosen) {
    cuda::gated_forward(gpu, {x.data(), gate_w.matrix, up_w.matrix, bg, bu, gate.data(), up.data(), out, T, keep});
  } else {
    const cuda::Bf16Rows rows = cuda::to_bf16_rows(gpu, 3, x.data(), T, K);
    const cuda::LinearGatedParams params{rows.data,
                                         gate_w.device.data(),
                                         up_w.device.data(),
                                         bg,
                                         bu,
                                         keep ? gate.data() : nullptr,
                                         keep ? up.data() : nullptr,
                                         rounded ? nullptr : act.data(),
                                         rounded ? act_rounded.data() : nullptr,
                                         T,
                                         static_cast<int32_t>(F),
                                         static_cast<int32_t>(K),
                                         rows.stride,
                                         static_cast<int32_t>(stride),
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
  if (!rounded) {
    append(all, act.values());
    return all;
  }
  const std::vector<uint16_t> halves = act_rounded.values();
  all.insert(all.end(), halves.begin(), halves.end());
  return all;
}

/// What three ops give: gate, up, act, and act rounded.
struct Expected {
  Floats gate_up, act, rounded;
};
Expected one_by_one(Gpu& gpu, Ops& cpu, const Problem& p) {
  const auto [T, F, K] = p.gate.s;
  DevicePanels gate_w(cpu, gpu, p.gate, Placement::kFlush), up_w(cpu, gpu, p.up, Placement::kFlush);
  DeviceArray<float> x(gpu, p.gate.x), gate_bias(gpu, p.gate.bias), up_bias(gpu, p.up.bias);
  DeviceArray<float> gate(gpu, nans(T * F)), up(gpu, nans(T * F)), act(gpu, nans(T * F));
  const float *bg = p.gate_biased ? gate_bias.data() : nullptr, *bu = p.up_biased ? up_bias.data() : nullptr;
  cuda::linear_forward(gpu, {x.data(), gate_w.matrix, bg, nullptr, gate.data(), T});
  cuda::linear_forward(gpu, {x.data(), up_w.matrix, bu, nullptr, up.data(), T});
  cuda::swiglu_forward(gpu, {gate.data(), up.data(), act.data(), T, F});
  const int64_t stride = product_stride(DType::kBF16, F);
  DeviceArray<uint16_t> rounded(gpu, std::vector<uint16_t>(static_cast<size_t>(T * stride), 0xffff));
  cuda::cast_rows(gpu, act.data(), rounded.data(), T, F, stride);
  Expected all{gate.values(), act.values(), {}};
  append(all.gate_up, up.values());
  const std::vector<uint16_t> halves = rounded.values();
  all.rounded.assign(halves.begin(), halves.end());
  return all;
}

bool agrees(const Floats& found, const Expected& expected, How how) {
  Floats all = how.keep ? expected.gate_up : nans(static_cast<int64_t>(expected.gate_up.size()));
  append(all, how.rounded ? expected.rounded : expected.act);
  return same_bits(found, all);
}

}  // namespace

int main() {
  const std::shared_ptr<Gpu> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  Backend cpu(best_isa(), 2);
  // Widths around the 8 columns of a fragment, the 16 of a panel and the tiles' 16, 32 and 64; odd ones; one element; more depth
  // than any pipeline.
  std::vector<LinearShape> shapes = {{1, 1, 1},     {1, 24, 72},   {2, 7, 31},     {5, 9, 100},   {16, 17, 40},
                                     {17, 31, 130}, {33, 63, 136}, {64, 65, 33},   {65, 70, 96},  {130, 129, 70},
                                     {129, 15, 33}, {257, 66, 20}, {150, 200, 48}, {20, 40, 700}, {20, 40, 657}};
  for (int64_t odd = 1; odd < 64; odd += 8) shapes.push_back({66, 64 + odd, 7});
  bool same = true, lean = true, rounds = true;
  uint64_t seed = 300;
  for (const LinearShape& shape : shapes) {
    Problem p(shape, seed++);
    for (int biases = 0; biases < 4; ++biases) {
      p.gate_biased = (biases & 1) != 0;
      p.up_biased = (biases & 2) != 0;
      const Expected expected = one_by_one(*gpu, *cpu.ops, p);
      const auto check_one = [&](How how, Placement placement) {
        return agrees(fused(*gpu, *cpu.ops, p, how, placement), expected, how);
      };
      for (const bool rounded : {false, true}) {
        const How how{Tile::kChosen, true, rounded};
        const Floats found = settled(rounded ? "gated_forward, rounded" : "gated_forward", Views::kAny,
                                     [&](Placement placement) { return fused(*gpu, *cpu.ops, p, how, placement); });
        same = same && agrees(found, expected, how);
      }
      for (const Tile tile : {Tile::kWide, Tile::kMedium, Tile::kSkinny})
        for (const Placement placement : {Placement::kFlush, Placement::kOffset}) {
          same = same && check_one({tile, true, false}, placement);
          rounds = rounds && check_one({tile, true, true}, placement) && check_one({tile, false, true}, placement);
          lean = lean && check_one({tile, false, false}, placement);
        }
    }
  }
  // NaN in the first weight of both matrices: where copies end at the tail of the contraction, it must not come again.
  bool apart = true;
  Problem p({20, 70, 33}, seed);
  p.gate.w[0] = p.up.w[0] = std::numeric_limits<float>::quiet_NaN();
  const Expected expected = one_by_one(*gpu, *cpu.ops, p);
  for (const Tile tile : {Tile::kWide, Tile::kMedium, Tile::kSkinny}) {
    const How how{tile, true, false};
    apart = apart && agrees(fused(*gpu, *cpu.ops, p, how, Placement::kFlush), expected, how);
  }
  for (size_t i = 0; i < expected.act.size(); ++i) apart = apart && std::isnan(expected.act[i]) == (i % 70 == 0);
  check(apart, "NaN in a weight stays in its column");
  check(same, "gate, up and act have the bits of two linear layers and SwiGLU, in every tile shape");
  check(rounds, "rounded, act is that of the cast, zero up to a multiple of eight columns, in every tile shape");
  check(lean, "without keep, act has the same bits and gate and up are left alone");
  check_conflicts();
  return finish();
}
