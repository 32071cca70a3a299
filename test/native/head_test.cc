// The loss head against fp64, its gradients against finite differences of the fp64 definition, and its bits: a row
// alone or in a batch, any thread count, micro-batches, instruction sets, and the sampler's log-prob.
#include <algorithm>
#include <cstdio>

#include "head_problem.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

using Shape = HeadShape;
using Problem = HeadProblem;
using Results = HeadResults;

const Shape kShapes[] = {{1, 1, 1},      {1, 50, 7},     {3, 255, 64},   {7, 256, 16},    {13, 257, 33}, {40, 700, 48},
                         {250, 530, 20}, {530, 300, 12}, {30, 5000, 24}, {26, 300, 1100}, {3, 40000, 16}};

Results run(Ops& ops, const Problem& p, DType dtype, int64_t step) {
  const auto [R, V, C] = p.s;
  Packed w(ops, p.w, V, C, dtype), dw(ops, p.dw0, V, C, DType::kF32);
  Results out;
  for (auto* values : {&out.logprob, &out.entropy, &out.lse}) values->assign(R, 0.0f);
  out.dhidden.assign(R * C, 0.0f);
  for (int64_t r = 0; r < R; r += step) {
    const int64_t rows = std::min(step, R - r);
    const float* hidden = p.hidden.data() + r * C;
    ops.head_forward(
        {hidden, w.matrix, p.labels.data() + r, p.temperature, &out.logprob[r], &out.entropy[r], &out.lse[r], rows});
    ops.head_backward({hidden, w.matrix, p.labels.data() + r, p.temperature, &out.lse[r], &out.entropy[r],
                       &p.d_logprob[r], &p.d_entropy[r], out.dhidden.data() + r * C, dw.matrix, rows});
  }
  out.dw = dw.unpacked(ops);
  return out;
}

// d/dh and d/dw of sum_r (d_logprob logprob + d_entropy entropy), by central differences of the fp64 definition.
double finite_difference_error(const Problem& p, const Results& r) {
  const auto [R, V, C] = p.s;
  std::vector<double> w(p.w.begin(), p.w.end()), hidden = p.hidden_read();
  const auto objective = [&] {
    double sum = 0;
    for (int64_t i = 0; i < R; ++i) {
      const RowReference row = reference_row(&hidden[i * C], w, V, C, p.labels[i], p.temperature);
      sum += p.d_logprob[i] * row.logprob + p.d_entropy[i] * row.entropy;
    }
    return sum;
  };
  const auto slope = [&](double& parameter) {
    const double step = 1e-4, saved = parameter;
    parameter = saved + step;
    const double above = objective();
    parameter = saved - step;
    const double below = objective();
    parameter = saved;
    return (above - below) / (2 * step);
  };
  double worst = 0;
  for (int64_t i = 0; i < R * C; i += 1 + R * C / 40)
    worst = std::max(worst, std::fabs(slope(hidden[i]) - r.dhidden[i]));
  for (int64_t i = 0; i < V * C; i += 1 + V * C / 40)
    worst = std::max(worst, std::fabs(slope(w[i]) - (r.dw[i] - p.dw0[i])));
  return worst;
}

// Log-probs of sampled tokens against head_forward's for the same hidden states: through linear_forward, row by row.
bool sampler_agrees(Backend& batch, Backend& single, const Problem& p, DType dtype) {
  const auto [R, V, C] = p.s;
  Packed w(*batch.ops, p.w, V, C, dtype);
  std::vector<float> logits(R * V), sampled(R), recomputed(R), entropy(R), lse(R);
  std::vector<float> temperature(R, p.temperature), one(R, 1.0f), zero(R, 0.0f);
  std::vector<int32_t> none(R, 0), tokens(R);
  std::vector<SampleKey> keys;
  for (int64_t r = 0; r < R; ++r) keys.push_back({42, 1, 2, 3, static_cast<uint32_t>(r)});
  for (int64_t r = 0; r < R; ++r)
    single->linear_forward({p.hidden.data() + r * C, w.matrix, nullptr, nullptr, logits.data() + r * V, 1});
  batch->sample({logits.data(), temperature.data(), none.data(), one.data(), zero.data(), keys.data(), tokens.data(),
                 sampled.data(), R, V});
  single->head_forward(
      {p.hidden.data(), w.matrix, tokens.data(), p.temperature, recomputed.data(), entropy.data(), lse.data(), R});
  return same_bits(sampled, recomputed);
}

void test_extremes(Backend& backend, const std::string& isa) {
  // One token holds all the probability: log-prob 0, entropy 0, no gradient, nothing NaN.
  const int64_t V = 300, C = 2;
  std::vector<float> values(V * C, 0.0f);
  values[17 * C] = 1.0f;
  Packed w(*backend.ops, values, V, C, DType::kF32), dw(V, C, DType::kF32);
  const std::vector<float> hidden = {1e4f, 0.0f}, ones = {1.0f};
  const std::vector<int32_t> label = {17};
  std::vector<float> logprob(1), entropy(1), lse(1), dhidden(2, 9.0f);
  backend->head_forward({hidden.data(), w.matrix, label.data(), 1.0f, logprob.data(), entropy.data(), lse.data(), 1});
  backend->head_backward({hidden.data(), w.matrix, label.data(), 1.0f, lse.data(), entropy.data(), ones.data(),
                          ones.data(), dhidden.data(), dw.matrix, 1});
  bool quiet = true;
  for (const float g : dw.unpacked(*backend.ops)) quiet = quiet && g == 0.0f;
  check(logprob[0] == 0.0f && entropy[0] == 0.0f && lse[0] == 1e4f && dhidden[0] == 0.0f && dhidden[1] == 0.0f && quiet,
        isa + ": a one-hot distribution has log-prob 0, entropy 0 and zero gradients");
}

}  // namespace

int main() {
  std::vector<Results> avx2_results;
  for (const Isa isa : supported_isas()) {
    const std::string name = isa_name(isa);
    Backend one(isa, 1), two(isa, 2), three(isa, 3);
    bool threads_agree = true, alone_agrees = true, parts_agree = true, sampled_agree = true, isas_agree = true;
    double logprob = 0, entropy = 0, lse = 0, dhidden = 0, dw = 0, differences = 0;
    double rounded_dhidden = 0, rounded_dw = 0, rounded_differences = 0;
    size_t index = 0;
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      for (const Shape& shape : kShapes) {
        const float temperature = index % 2 == 0 ? 1.0f : 0.7f;
        const Problem p(shape, temperature, dtype, 1 + index);
        const Results base = run(*one.ops, p, dtype, shape.R);
        const HeadReference expected = head_reference(p);
        const bool rounds = dtype == DType::kBF16;
        logprob = std::max(logprob, worst_difference(base.logprob, expected.logprob));
        entropy = std::max(entropy, worst_difference(base.entropy, expected.entropy));
        lse = std::max(lse, worst_difference(base.lse, expected.lse));
        if (shape.V > 1) {
          double &to_hidden = rounds ? rounded_dhidden : dhidden, &to_weight = rounds ? rounded_dw : dw;
          to_hidden = std::max(to_hidden, relative_norm(base.dhidden, expected.dhidden));
          to_weight = std::max(to_weight, relative_norm(base.dw, expected.dw));
        }
        double& slopes = rounds ? rounded_differences : differences;
        if (shape.R * shape.V * shape.C < 150000) slopes = std::max(slopes, finite_difference_error(p, base));
        threads_agree =
            threads_agree && run(*two.ops, p, dtype, shape.R) == base && run(*three.ops, p, dtype, shape.R) == base;
        alone_agrees = alone_agrees && run(*two.ops, p, dtype, 1) == base;
        for (const int64_t step : {2, 7, 16, 100}) parts_agree = parts_agree && run(*two.ops, p, dtype, step) == base;
        sampled_agree = sampled_agree && sampler_agrees(one, two, p, dtype) && sampler_agrees(three, one, p, dtype);
        if (isa == Isa::kAvx2) avx2_results.push_back(base);
        if (isa > Isa::kAvx2) isas_agree = isas_agree && avx2_results[index] == base;
        ++index;
      }
    }
    check_below(logprob, 2e-5, name + ": log-prob against fp64, nats");
    check_below(entropy, 2e-5, name + ": entropy against fp64, nats");
    check_below(lse, 2e-5, name + ": log-sum-exp against fp64, nats");
    check_below(dhidden, 1e-5, name + ": gradient of the hidden states against fp64, relative norm");
    check_below(dw, 1e-5, name + ": gradient of the head against fp64, relative norm");
    check_below(differences, 1e-4, name + ": both gradients against finite differences, absolute");
    // The reference rounds its own dz: where that is close to the middle of two bf16 numbers, it may take the other one.
    check_below(rounded_dhidden, 1e-3, name + ": bf16 weights, gradient of the hidden states, relative norm");
    check_below(rounded_dw, 1e-3, name + ": bf16 weights, gradient of the head, relative norm");
    check_below(rounded_differences, 2e-2, name + ": bf16 weights, both gradients against finite differences");
    check(threads_agree, name + ": 1, 2 and 3 threads give the same bits");
    check(alone_agrees, name + ": a row alone has the bits it has in the batch");
    check(parts_agree, name + ": micro-batches of 2, 7, 16 or 100 rows give the same bits, dW included");
    check(sampled_agree, name + ": the sampler's log-prob equals head_forward's to the bit");
    if (isa > Isa::kAvx2) check(isas_agree, name + " gives the bits of avx2");
    test_extremes(two, name);
  }
  return finish();
}
