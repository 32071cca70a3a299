// Linear layers in fp32 and the low-rank addition made of them on the GPU: the CPU's bits of every output, at sizes around the
// 16 x 16 tile and the depth of 32, with and without bias, residual, bias gradient and what was there before.
#include "cuda_conflicts.h"
#include "cuda_settled.h"
#include "linear_problem.h"
#include "ops/ops.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

using Floats = std::vector<float>;
using Gpu = cuda::CudaDevice;
using Array = DeviceArray<float>;

// One element; a value head (one row); both sides of 16 and of 32; more of everything than a block or a round takes.
const LinearShape kShapes[] = {{1, 1, 1},    {5, 1, 40},   {16, 16, 32}, {17, 15, 31},
                               {15, 17, 33}, {33, 40, 65}, {70, 3, 16},  {3, 300, 9}};

Floats floats_of(const Packed& packed) {
  const auto* data = reinterpret_cast<const float*>(packed.bytes.data());
  return {data, data + packed_elements(packed.matrix.rows, packed.matrix.cols)};
}

void linear(Gpu& gpu, Ops& cpu) {
  bool forward = true, input = true, weight = true;
  uint64_t seed = 1;
  for (const LinearShape& shape : kShapes) {
    const auto [T, N, K] = shape;
    const LinearProblem p(shape, DType::kF32, seed++);
    const Packed w_host(cpu, p.w, N, K, DType::kF32), dw_host(cpu, p.dw0, N, K, DType::kF32);
    const Floats found = settled("linear_f32", Views::kAny, [&, T = T, N = N, K = K](Placement placement) {
      Array x(gpu, p.x, placement), dy(gpu, p.dy, placement), bias(gpu, p.bias, placement);
      Array w(gpu, floats_of(w_host), placement), dw(gpu, floats_of(dw_host), placement), db(gpu, p.db0, placement);
      Array y(gpu, nans(T * N), placement), y_full(gpu, p.residual, placement);
      Array dx(gpu, nans(T * K), placement), dx_added(gpu, p.dx0, placement);
      const PackedMatrix matrix{w.data(), DType::kF32, N, K}, gradient{dw.data(), DType::kF32, N, K};
      cuda::linear_f32_forward(gpu, {x.data(), matrix, nullptr, nullptr, y.data(), T});
      cuda::linear_f32_forward(gpu, {x.data(), matrix, bias.data(), y_full.data(), y_full.data(), T});
      cuda::linear_f32_backward_input(gpu, {dy.data(), matrix, dx.data(), T, false});
      cuda::linear_f32_backward_input(gpu, {dy.data(), matrix, dx_added.data(), T, true});
      cuda::linear_f32_backward_weight(gpu, {x.data(), dy.data(), gradient, db.data(), T});
      Floats all = y.values();
      for (Array* part : {&y_full, &dx, &dx_added, &dw, &db}) append(all, part->values());
      return all;
    });
    Floats y(T * N), y_full = p.residual, dx(T * K), dx_added = p.dx0, db = p.db0;
    cpu.linear_forward({p.x.data(), w_host.matrix, nullptr, nullptr, y.data(), T});
    cpu.linear_forward({p.x.data(), w_host.matrix, p.bias.data(), y_full.data(), y_full.data(), T});
    cpu.linear_backward_input({p.dy.data(), w_host.matrix, dx.data(), T, false});
    cpu.linear_backward_input({p.dy.data(), w_host.matrix, dx_added.data(), T, true});
    cpu.linear_backward_weight({p.x.data(), p.dy.data(), dw_host.matrix, db.data(), T});
    auto at = found.begin();
    const auto next = [&](const Floats& expected) {
      const Floats part(at, at + static_cast<int64_t>(expected.size()));
      at += static_cast<int64_t>(expected.size());
      return same_bits(part, expected);
    };
    forward = next(y) && forward;
    forward = next(y_full) && forward;
    input = next(dx) && input;
    input = next(dx_added) && input;
    weight = next(floats_of(dw_host)) && weight;
    weight = next(db) && weight;
  }
  check(forward, "linear_f32 forward has the CPU's bits, with and without bias and residual");
  check(input, "linear_f32 dx has the CPU's bits, overwriting and accumulating");
  check(weight, "linear_f32 dW, padding rows and db have the CPU's bits");
}

void low_rank(Gpu& gpu, Ops& cpu) {
  bool same = true;
  Random random(50);
  for (const auto& [T, N, K, r] : {std::array<int64_t, 4>{1, 1, 1, 1}, {20, 33, 40, 4}, {7, 16, 70, 17}}) {
    const Floats x = random.normals(T * K), dy = random.normals(T * N), y0 = random.normals(T * N);
    const Floats dx0 = random.normals(T * K);
    const Packed a(cpu, random.normals(r * K), r, K, DType::kF32), b(cpu, random.normals(N * r), N, r, DType::kF32);
    const Packed da(cpu, random.normals(r * K), r, K, DType::kF32), db(cpu, random.normals(N * r), N, r, DType::kF32);
    const Floats found = settled("low_rank", Views::kAny, [&, T = T, N = N, K = K, r = r](Placement placement) {
      Array xs(gpu, x, placement), dys(gpu, dy, placement), y(gpu, y0, placement), dx(gpu, dx0, placement);
      Array as(gpu, floats_of(a), placement), bs(gpu, floats_of(b), placement);
      Array das(gpu, floats_of(da), placement), dbs(gpu, floats_of(db), placement);
      const PackedMatrix am{as.data(), DType::kF32, r, K}, bm{bs.data(), DType::kF32, N, r};
      cuda::low_rank_forward(gpu, {xs.data(), am, bm, 0.7f, y.data(), T});
      cuda::low_rank_backward(gpu, {xs.data(),
                                    dys.data(),
                                    am,
                                    bm,
                                    0.7f,
                                    {das.data(), DType::kF32, r, K},
                                    {dbs.data(), DType::kF32, N, r},
                                    dx.data(),
                                    T});
      Floats all = y.values();
      for (Array* part : {&dx, &das, &dbs}) append(all, part->values());
      return all;
    });
    Floats expected = y0, dx = dx0;
    cpu.low_rank_forward({x.data(), a.matrix, b.matrix, 0.7f, expected.data(), T});
    cpu.low_rank_backward({x.data(), dy.data(), a.matrix, b.matrix, 0.7f, da.matrix, db.matrix, dx.data(), T});
    append(expected, dx);
    append(expected, floats_of(da));
    append(expected, floats_of(db));
    same = same && same_bits(found, expected);
  }
  check(same, "the low-rank addition and its four gradients have the CPU's bits");
}

}  // namespace

int main() {
  const std::shared_ptr<Gpu> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  Backend cpu(best_isa(), 1);
  linear(*gpu, *cpu.ops);
  low_rank(*gpu, *cpu.ops);
  check_conflicts();
  return finish();
}
