// Rows that are rounded when they are made: the bits of the fp32 rows cast afterwards, padding included, from RMSNorm,
// SwiGLU and the gated layers; and products that read either kind give the same bits.
#include "cuda_conflicts.h"
#include "cuda_panels.h"
#include "cuda_settled.h"
#include "linear_problem.h"
#include "ops/linear.h"
#include "ops/ops.h"

using namespace toolgrad;
using namespace toolgrad::test;
using Gpu = cuda::CudaDevice;
using Floats = std::vector<float>;
using Halves = std::vector<uint16_t>;

namespace {

// NaN in bf16: what no element of the result may keep.
Halves fresh(int64_t T, int64_t width) {
  return Halves(static_cast<size_t>(T * product_stride(DType::kBF16, width)), 0xffff);
}
Halves cast(Gpu& gpu, const Floats& rows, int64_t T, int64_t width) {
  const int64_t stride = product_stride(DType::kBF16, width);
  DeviceArray<float> from(gpu, rows);
  DeviceArray<uint16_t> to(gpu, fresh(T, width));
  cuda::cast_rows(gpu, from.data(), to.data(), T, width, stride);
  return to.values();
}
// So that settled() may compare it.
Floats as_floats(const Halves& halves) {
  return {halves.begin(), halves.end()};
}

void rms_norm(Gpu& gpu) {
  Random random(71);
  bool same = true, factors = true;
  for (const auto& [T, C] : {std::pair<int64_t, int64_t>{1, 1},
                             {3, 5},
                             {2, 12},
                             {9, 64},
                             {17, 100},
                             {5, 511},
                             {4, 512},
                             {3, 513},
                             {2, 1026},
                             {2, 2048}}) {
    const Floats x = random.normals(T * C), w = random.normals(C);
    DeviceArray<float> xs(gpu, x), ws(gpu, w), y(gpu, nans(T * C)), rstd(gpu, nans(T));
    cuda::rms_norm_forward(gpu, {xs.data(), ws.data(), y.data(), rstd.data(), T, C, 1e-5f});
    const Floats expected = as_floats(cast(gpu, y.values(), T, C));
    same = same &&
           same_bits(settled("rms_norm, rounded", Views::kAny,
                             [&, T = T, C = C](Placement placement) {
                               DeviceArray<float> from(gpu, x, placement), by(gpu, w, placement);
                               DeviceArray<float> again(gpu, nans(T), placement);
                               DeviceArray<uint16_t> to(gpu, fresh(T, C), placement);
                               cuda::rms_norm_forward(
                                   gpu, {from.data(), by.data(), {to.data(), DType::kBF16}, again.data(), T, C, 1e-5f});
                               factors = factors && same_bits(again.values(), rstd.values());
                               return as_floats(to.values());
                             }),
                     expected);
  }
  check(same, "rms_norm: rounded rows are the rows, rounded; zero up to a multiple of eight columns");
  check(factors, "rms_norm: the rows' factors do not depend on rounding");
}

void swiglu(Gpu& gpu) {
  Random random(72);
  bool same = true;
  for (const auto& [T, F] :
       {std::pair<int64_t, int64_t>{1, 1}, {2, 3}, {5, 8}, {7, 20}, {3, 37}, {40, 64}, {2, 1030}}) {
    const Floats gate = random.normals(T * F), up = random.normals(T * F);
    DeviceArray<float> g(gpu, gate), u(gpu, up), act(gpu, nans(T * F));
    cuda::swiglu_forward(gpu, {g.data(), u.data(), act.data(), T, F});
    const Floats expected = as_floats(cast(gpu, act.values(), T, F));
    same =
        same && same_bits(settled("swiglu, rounded", Views::kAny,
                                  [&, T = T, F = F](Placement placement) {
                                    DeviceArray<float> gs(gpu, gate, placement), us(gpu, up, placement);
                                    DeviceArray<uint16_t> to(gpu, fresh(T, F), placement);
                                    cuda::swiglu_forward(gpu, {gs.data(), us.data(), {to.data(), DType::kBF16}, T, F});
                                    return as_floats(to.values());
                                  }),
                          expected);
  }
  check(same, "swiglu: rounded rows are the rows, rounded; zero up to a multiple of eight columns");
}

// dw, db, dx of the two ops, or of the one that does both.
Floats backward(Gpu& gpu, const LinearProblem& p, const DevicePanels& w, ProductRows x, bool at_once, bool frozen,
                bool accumulate) {
  const auto [T, N, K] = p.s;
  DeviceArray<float> dy(gpu, p.dy), dw(gpu, Floats(static_cast<size_t>(packed_elements(N, K)), 0.25f)), db(gpu, p.db0),
      dx(gpu, p.dx0);
  const PackedMatrix gradient{dw.data(), DType::kF32, N, K};
  if (at_once) {
    cuda::linear_backward(gpu, {x, dy.data(), w.matrix, frozen ? PackedMatrix{} : gradient,
                                frozen ? nullptr : db.data(), dx.data(), T, accumulate});
  } else {
    if (!frozen) cuda::linear_backward_weight(gpu, {x, dy.data(), gradient, db.data(), T, DType::kBF16});
    cuda::linear_backward_input(gpu, {dy.data(), w.matrix, dx.data(), T, accumulate});
  }
  Floats all = dw.values();
  append(all, db.values());
  append(all, dx.values());
  return all;
}

void products(Gpu& gpu, Ops& cpu) {
  bool forward = true, gated = true, both_ways = true;
  uint64_t seed = 500;
  for (const LinearShape& shape : {LinearShape{1, 1, 1}, LinearShape{3, 20, 70}, LinearShape{17, 31, 100},
                                   LinearShape{40, 8, 33}, LinearShape{65, 70, 96}, LinearShape{130, 130, 72}}) {
    const LinearProblem p(shape, DType::kBF16, seed++), q(shape, DType::kBF16, seed++);
    const auto [T, N, K] = shape;
    const DevicePanels w(cpu, gpu, p), v(cpu, gpu, q);
    DeviceArray<float> x(gpu, p.x), y(gpu, nans(T * N)), z(gpu, nans(T * N)), gate(gpu, nans(T * N));
    DeviceArray<float> up(gpu, nans(T * N)), act(gpu, nans(T * N));
    DeviceArray<uint16_t> rounded(gpu, cast(gpu, p.x, T, K)), act_rounded(gpu, fresh(T, N));
    const ProductRows rows(rounded.data(), DType::kBF16);
    cuda::linear_forward(gpu, {x.data(), w.matrix, nullptr, nullptr, y.data(), T});
    cuda::linear_forward(gpu, {rows, w.matrix, nullptr, nullptr, z.data(), T});
    forward = forward && same_bits(y.values(), z.values());
    cuda::gated_forward(gpu,
                        {x.data(), w.matrix, v.matrix, nullptr, nullptr, gate.data(), up.data(), act.data(), T, false});
    cuda::gated_forward(gpu, {rows,
                              w.matrix,
                              v.matrix,
                              nullptr,
                              nullptr,
                              gate.data(),
                              up.data(),
                              {act_rounded.data(), DType::kBF16},
                              T,
                              false});
    gated = gated && act_rounded.values() == cast(gpu, act.values(), T, N);
    for (const bool frozen : {false, true})
      for (const bool accumulate : {false, true}) {
        const Floats expected = backward(gpu, p, w, x.data(), false, frozen, accumulate);
        both_ways = both_ways && same_bits(backward(gpu, p, w, x.data(), true, frozen, accumulate), expected) &&
                    same_bits(backward(gpu, p, w, rows, true, frozen, accumulate), expected);
      }
  }
  check(forward, "a product of rounded rows has the bits of one that rounds");
  check(gated, "the gated layers' rounded result is their result, rounded, with its padding");
  check(both_ways,
        "both gradients at once have the bits of one after the other, frozen or not, from either kind of rows");
}

}  // namespace

int main() {
  const std::shared_ptr<Gpu> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  Backend cpu(best_isa(), 2);
  rms_norm(*gpu);
  swiglu(*gpu);
  products(*gpu, *cpu.ops);
  check_conflicts();
  return finish();
}
