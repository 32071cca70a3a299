// The loss head on the GPU: against fp64 on operands that bf16 holds exactly, against the CPU on others, and bit for bit: a
// row alone or in the batch, repeats, and the logits of linear_forward digested by the same device functions.
#include <algorithm>
#include <cstdio>

#include "cuda_arrays.h"
#include "cuda_conflicts.h"
#include "head_problem.h"
#include "ops/gemm_launch.h"
#include "ops/linear.h"
#include "ops/ops.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

// One tile and its edges, several tiles, the ends of a range of 8192 columns, more rows than a tile of the kernel.
const HeadShape kShapes[] = {{1, 1, 1},     {1, 50, 7},    {3, 255, 64},  {7, 256, 16},   {13, 257, 33}, {40, 700, 48},
                             {70, 530, 20}, {130, 90, 72}, {5, 8300, 16}, {20, 300, 200}, {2, 34000, 8}};

HeadResults run(cuda::CudaDevice& gpu, Ops& cpu, const HeadProblem& p, int64_t step, Placement placement,
                int64_t scratch_bytes = cuda::kHeadScratchBytes) {
  const auto [R, V, C] = p.s;
  const Packed w_host(cpu, p.w, V, C, DType::kBF16), dw_host(cpu, p.dw0, V, C, DType::kF32);
  const auto* w_elements = reinterpret_cast<const uint16_t*>(w_host.bytes.data());
  const auto* dw_elements = reinterpret_cast<const float*>(dw_host.bytes.data());
  const int64_t size = packed_elements(V, C);
  DeviceArray<uint16_t> w(gpu, std::vector<uint16_t>(w_elements, w_elements + size), placement);
  const Placement panels_at =
      placement == Placement::kOffset ? Placement::kFlush : placement;  // parameters are aligned
  DeviceArray<float> dw(gpu, std::vector<float>(dw_elements, dw_elements + size), panels_at);
  const PackedMatrix weight{w.data(), DType::kBF16, V, C}, gradient{dw.data(), DType::kF32, V, C};
  HeadResults out;
  for (int64_t r = 0; r < R; r += step) {
    const int64_t rows = std::min(step, R - r);
    const auto part = [&](const auto& all, int64_t width) {
      return std::remove_cv_t<std::remove_reference_t<decltype(all)>>(all.begin() + r * width,
                                                                      all.begin() + (r + rows) * width);
    };
    DeviceArray<float> hidden(gpu, part(p.hidden, C), placement);
    DeviceArray<int32_t> labels(gpu, part(p.labels, 1), placement);
    DeviceArray<float> d_logprob(gpu, part(p.d_logprob, 1), placement), d_entropy(gpu, part(p.d_entropy, 1), placement);
    DeviceArray<float> logprob(gpu, nans(rows), placement), entropy(gpu, nans(rows), placement);
    DeviceArray<float> lse(gpu, nans(rows), placement), dhidden(gpu, nans(rows * C), placement);
    cuda::head_forward(
        gpu, {hidden.data(), weight, labels.data(), p.temperature, logprob.data(), entropy.data(), lse.data(), rows},
        scratch_bytes);
    cuda::head_backward(gpu,
                        {hidden.data(), weight, labels.data(), p.temperature, lse.data(), entropy.data(),
                         d_logprob.data(), d_entropy.data(), dhidden.data(), gradient, rows},
                        scratch_bytes);
    // A frozen head has no dw; its dhidden is the same.
    DeviceArray<float> frozen(gpu, nans(rows * C), placement);
    cuda::head_backward(gpu, {hidden.data(),
                              weight,
                              labels.data(),
                              p.temperature,
                              lse.data(),
                              entropy.data(),
                              d_logprob.data(),
                              d_entropy.data(),
                              frozen.data(),
                              {nullptr, DType::kF32, V, C},
                              rows});
    const auto append = [](std::vector<float>& to, const std::vector<float>& values) {
      to.insert(to.end(), values.begin(), values.end());
    };
    append(out.logprob, logprob.values());
    append(out.entropy, entropy.values());
    append(out.lse, lse.values());
    append(out.dhidden, dhidden.values());
    if (!same_bits(frozen.values(), dhidden.values())) check(false, "a frozen head gives the same dhidden");
  }
  const std::vector<float> panels = dw.values();
  for (int64_t v = 0; v < V; ++v)
    for (int64_t c = 0; c < C; ++c) out.dw.push_back(panels[packed_index(C, v, c)]);
  return out;
}

HeadResults run_cpu(Ops& cpu, const HeadProblem& p) {
  const auto [R, V, C] = p.s;
  Packed w(cpu, p.w, V, C, DType::kBF16), dw(cpu, p.dw0, V, C, DType::kF32);
  HeadResults out;
  for (auto* values : {&out.logprob, &out.entropy, &out.lse}) values->assign(R, 0.0f);
  out.dhidden.assign(R * C, 0.0f);
  cpu.head_forward({p.hidden.data(), w.matrix, p.labels.data(), p.temperature, out.logprob.data(), out.entropy.data(),
                    out.lse.data(), R});
  cpu.head_backward({p.hidden.data(), w.matrix, p.labels.data(), p.temperature, out.lse.data(), out.entropy.data(),
                     p.d_logprob.data(), p.d_entropy.data(), out.dhidden.data(), dw.matrix, R});
  out.dw = dw.unpacked(cpu);
  return out;
}

std::vector<double> doubles(const std::vector<float>& x) {
  return {x.begin(), x.end()};
}

// The wide shape is chosen only for many tiles; here it runs on few, and must give the bits of the medium one.
void shapes_agree(cuda::CudaDevice& gpu, Ops& cpu) {
  bool same = true, padded = true;
  for (const HeadShape& shape : {HeadShape{5, 40, 24}, {130, 261, 72}, {200, 129, 160}}) {
    const auto [R, V, C] = shape;
    HeadProblem p(shape, 0.7f, DType::kBF16, 17);
    const HeadResults forward = run(gpu, cpu, p, R, Placement::kFlush);
    const Packed w_host(cpu, p.w, V, C, DType::kBF16);
    const auto* elements = reinterpret_cast<const uint16_t*>(w_host.bytes.data());
    DeviceArray<uint16_t> w(gpu, std::vector<uint16_t>(elements, elements + packed_elements(V, C)));
    DeviceArray<float> hidden(gpu, p.hidden), lse(gpu, forward.lse), entropy(gpu, forward.entropy);
    DeviceArray<float> d_logprob(gpu, p.d_logprob), d_entropy(gpu, p.d_entropy);
    DeviceArray<int32_t> labels(gpu, p.labels);
    const cuda::Bf16Rows rows = cuda::to_bf16_rows(gpu, 3, hidden.data(), R, C);
    cuda::HeadGradientParams g{};
    g.hidden = rows.data;
    g.w = w.data();
    g.labels = labels.data();
    g.lse = lse.data();
    g.entropy = entropy.data();
    g.d_logprob = d_logprob.data();
    g.d_entropy = d_entropy.data();
    g.R = R;
    g.columns = static_cast<int32_t>(V);
    g.C = static_cast<int32_t>(C);
    g.stride = rows.stride;
    g.dz_stride = cuda::padded_stride(V);
    g.inv_temperature = 1.0f / p.temperature;
    const std::vector<uint16_t> unset(static_cast<size_t>(R * g.dz_stride), 0xffff);
    DeviceArray<uint16_t> wide(gpu, unset), medium(gpu, unset);
    g.dz = wide.data();
    cuda::launch_tiles<cuda::GemmWide>(gpu, cuda::kernels::head_gradient_wide, g, R, g.dz_stride);
    g.dz = medium.data();
    cuda::launch_tiles<cuda::GemmMedium>(gpu, cuda::kernels::head_gradient_medium, g, R, g.dz_stride);
    const std::vector<uint16_t> values = wide.values();
    same = same && values == medium.values();
    for (int64_t r = 0; r < R; ++r)
      for (int64_t v = V; v < g.dz_stride; ++v) padded = padded && values[r * g.dz_stride + v] == 0;
  }
  check(same, "wide and medium tiles give the same bits of dz");
  check(padded, "columns of dz past the vocabulary are zero");
}

void test_one_hot(cuda::CudaDevice& gpu, Ops& cpu) {
  HeadProblem p({1, 300, 8}, 1.0f, DType::kBF16, 1);
  std::fill(p.w.begin(), p.w.end(), 0.0f);
  p.w[17 * 8] = 1.0f;
  p.hidden = {9984.0f, 0, 0, 0, 0, 0, 0, 0};  // exact in bf16
  p.labels = {17};
  p.d_logprob = p.d_entropy = {1.0f};
  std::fill(p.dw0.begin(), p.dw0.end(), 0.0f);
  const HeadResults r = run(gpu, cpu, p, 1, Placement::kFlush);
  bool quiet = true;
  for (const auto* values : {&r.dw, &r.dhidden})
    for (const float g : *values) quiet = quiet && g == 0.0f;
  check(r.logprob[0] == 0.0f && r.entropy[0] == 0.0f && r.lse[0] == 9984.0f && quiet,
        "a one-hot distribution has log-prob 0, entropy 0 and zero gradients");
}

// Logits so far apart that their difference is no fp32 number: a probability of 0 still adds 0 to the entropy.
void test_far_apart(cuda::CudaDevice& gpu, Ops& cpu) {
  HeadProblem p({1, 300, 8}, 1.0f, DType::kBF16, 1);
  std::fill(p.w.begin(), p.w.end(), 0.0f);
  p.w[17 * 8] = 0x1p63f;
  for (int64_t v = 256; v < 300; ++v) p.w[v * 8] = -0x1p63f;
  p.hidden = {0x1.8p64f, 0, 0, 0, 0, 0, 0, 0};  // logits of 2.6e38 and -2.6e38
  p.labels = {17};
  p.d_logprob = p.d_entropy = {1.0f};
  std::fill(p.dw0.begin(), p.dw0.end(), 0.0f);
  const HeadResults r = run(gpu, cpu, p, 1, Placement::kFlush);
  bool quiet = true;
  for (const auto* values : {&r.dw, &r.dhidden})
    for (const float g : *values) quiet = quiet && g == 0.0f;
  check(r.logprob[0] == 0.0f && r.entropy[0] == 0.0f && r.lse[0] == 0x1.8p127f && quiet,
        "logits at both ends of fp32 give log-prob 0, entropy 0 and zero gradients");
}

// Whole tiles of -inf logits count as absent; NaN spreads to its row alone.
void test_not_finite(cuda::CudaDevice& gpu, Ops& cpu) {
  HeadProblem p({2, 600, 8}, 1.0f, DType::kBF16, 3);
  p.hidden = rounded_to(DType::kBF16, p.hidden);
  for (float& h : p.hidden) h = std::fabs(h) + 0.5f;
  p.hidden = rounded_to(DType::kBF16, p.hidden);
  p.labels = {5, 599};
  HeadProblem fewer = p;
  fewer.s.V = 344;
  fewer.w.erase(fewer.w.begin() + 256 * 8, fewer.w.begin() + 512 * 8);
  fewer.labels[1] = 343;
  fewer.dw0.resize(344 * 8);
  std::fill(p.w.begin() + 256 * 8, p.w.begin() + 512 * 8, -HUGE_VALF);
  const HeadResults r = run(gpu, cpu, p, 2, Placement::kFlush);
  const HeadReference expected = head_reference(fewer);
  check_below(std::max(worst_difference(r.logprob, expected.logprob), worst_difference(r.entropy, expected.entropy)),
              2e-5, "a tile of logits of -inf counts as absent");
  HeadProblem none = p;
  std::fill(none.w.begin(), none.w.end(), -HUGE_VALF);
  const HeadResults nothing = run(gpu, cpu, none, 2, Placement::kFlush);
  check(nothing.lse[0] == -HUGE_VALF && nothing.lse[1] == -HUGE_VALF, "logits of -inf only have the log-sum-exp -inf");
  std::fill(p.w.begin() + 256 * 8, p.w.begin() + 512 * 8, 0.25f);
  const HeadResults before = run(gpu, cpu, p, 2, Placement::kFlush);
  std::fill(p.hidden.begin(), p.hidden.begin() + 8, std::numeric_limits<float>::quiet_NaN());
  const HeadResults after = run(gpu, cpu, p, 2, Placement::kFlush);
  check(std::isnan(after.logprob[0]) && std::isnan(after.lse[0]) && after.logprob[1] == before.logprob[1] &&
            after.entropy[1] == before.entropy[1] && after.dhidden[8] == before.dhidden[8],
        "NaN hidden states make NaN of their own row and nothing of others");
}

}  // namespace

int main() {
  const std::shared_ptr<cuda::CudaDevice> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  Backend cpu(best_isa(), 2);
  double logprob = 0, entropy = 0, lse = 0, dhidden = 0, dw = 0, cpu_forward = 0, cpu_backward = 0;
  bool little_scratch = true, placed = true, offset = true, repeated = true, alone = true, pieces = true;
  uint64_t seed = 1;
  for (const HeadShape& shape : kShapes) {
    const float temperature = seed % 4 == 1 ? 1.0f : 0.7f;
    HeadProblem p(shape, temperature, DType::kBF16, seed++);
    p.hidden = rounded_to(DType::kBF16, p.hidden);
    const HeadResults base = run(*gpu, *cpu.ops, p, shape.R, Placement::kFlush);
    const HeadReference expected = head_reference(p);
    logprob = std::max(logprob, worst_difference(base.logprob, expected.logprob));
    entropy = std::max(entropy, worst_difference(base.entropy, expected.entropy));
    lse = std::max(lse, worst_difference(base.lse, expected.lse));
    if (shape.V > 1) {
      dhidden = std::max(dhidden, relative_norm(base.dhidden, expected.dhidden));
      dw = std::max(dw, relative_norm(base.dw, expected.dw));
    }
    placed = placed && run(*gpu, *cpu.ops, p, shape.R, Placement::kAmongNan) == base;
    offset = offset && run(*gpu, *cpu.ops, p, shape.R, Placement::kOffset) == base;
    repeated = repeated && run(*gpu, *cpu.ops, p, shape.R, Placement::kFlush) == base;
    const auto rows_agree = [&](int64_t step) {
      const HeadResults r = run(*gpu, *cpu.ops, p, step, Placement::kFlush);
      return same_bits(r.logprob, base.logprob) && same_bits(r.entropy, base.entropy) && same_bits(r.lse, base.lse) &&
             same_bits(r.dhidden, base.dhidden);
    };
    if (shape.R > 64) {
      const HeadResults cut = run(*gpu, *cpu.ops, p, shape.R, Placement::kFlush, 1);  // 64 rows at a time
      little_scratch = little_scratch && cut == base;
    }
    if (shape.R <= 13) alone = alone && rows_agree(1);
    if (shape.R > 48) pieces = pieces && rows_agree(48);

    const HeadProblem any(shape, temperature, DType::kBF16, seed++);
    const HeadResults found = run(*gpu, *cpu.ops, any, shape.R, Placement::kFlush), theirs = run_cpu(*cpu.ops, any);
    cpu_forward = std::max({cpu_forward, worst_difference(found.logprob, doubles(theirs.logprob)),
                            worst_difference(found.entropy, doubles(theirs.entropy))});
    if (shape.V > 1)
      cpu_backward = std::max({cpu_backward, relative_norm(found.dhidden, doubles(theirs.dhidden)),
                               relative_norm(found.dw, doubles(theirs.dw))});
  }
  check_below(logprob, 2e-5, "log-prob against fp64, nats");
  check_below(entropy, 2e-5, "entropy against fp64, nats");
  check_below(lse, 2e-5, "log-sum-exp against fp64, nats");
  check_below(dhidden, 4e-3, "gradient of the hidden states against fp64, relative norm: dz is rounded to bf16");
  check_below(dw, 4e-3, "gradient of the head against fp64, relative norm");
  check_below(cpu_forward, 2e-5, "log-prob and entropy against the CPU");
  check_below(cpu_backward, 1e-3, "both gradients against the CPU, relative norm");
  check(placed, "arrays among NaN give the bits of arrays of their own");
  check(offset, "arrays aligned to 4 bytes only give the same bits");
  check(repeated, "a second run gives the same bits");
  check(alone, "a row alone has the bits it has in the batch");
  check(little_scratch, "rows cut for want of scratch memory give the same bits, dW included");
  check(pieces, "batches cut into 48 rows give the same bits of log-prob, entropy and dhidden");
  shapes_agree(*gpu, *cpu.ops);
  test_one_hot(*gpu, *cpu.ops);
  test_far_apart(*gpu, *cpu.ops);
  test_not_finite(*gpu, *cpu.ops);
  check_conflicts();
  return finish();
}
