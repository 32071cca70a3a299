// Cases of what a training step computes between the loss head's passes: policy loss and advantages, a batch of S sequences. The
// kernels of each op without its wait for the answer.
#include <cstdint>

#include "cases.h"
#include "ops/policy_loss.h"

namespace toolgrad::bench {
namespace {

using cuda::Launcher;

double real(int64_t n) {
  return static_cast<double>(n);
}

std::vector<int32_t> starts(const Batch& b) {
  std::vector<int32_t> values;
  for (int64_t s = 0; s <= b.S; ++s) values.push_back(static_cast<int32_t>(s * b.queries));
  return values;
}

void policy(Cases& cases, const Batch& b) {
  const int64_t T = b.tokens(), S = b.S;
  const double bytes = 28 * real(T);
  cases.push_back({"policy loss",
                   "training",
                   "T " + std::to_string(T) + ", S " + std::to_string(S),
                   Work::kStream,
                   0,
                   bytes,
                   bytes,
                   {},
                   [=](Launcher& gpu, Arena& arena) {
                     cuda::PolicyLossParams p{};
                     p.batch.T = T;
                     p.batch.S = S;
                     p.batch.seq_starts = arena.values(starts(b));
                     p.batch.logprob = arena.floats(T);
                     p.batch.entropy = arena.floats(T);
                     p.batch.old_logprob = arena.floats(T);
                     p.batch.advantage = arena.floats(T);
                     p.batch.weight = arena.values(std::vector<float>(static_cast<size_t>(T), 1.0f));
                     p.d_logprob = arena.zeros<float>(T);
                     p.d_entropy = arena.zeros<float>(T);
                     p.sums = arena.zeros<double>(cuda::kPolicyLossFields * S);
                     p.fault = arena.zeros<unsigned long long>(1);
                     double* total = arena.zeros<double>(cuda::kPolicyLossFields);
                     return [=, &gpu] {
                       gpu.launch(cuda::kernels::policy_loss_sequences, {S}, p);
                       gpu.launch(cuda::kernels::policy_loss_total, {1}, {p.sums, total, S});
                     };
                   }});
}

void group(Cases& cases, const Batch& b) {
  const int64_t P = b.S, G = 8;
  const double bytes = 8 * real(P * G);
  cases.push_back({"group advantages",
                   "training",
                   "P " + std::to_string(P) + ", G " + std::to_string(G),
                   Work::kStream,
                   0,
                   bytes,
                   bytes,
                   {},
                   [=](Launcher& gpu, Arena& arena) {
                     cuda::GroupAdvantageParams p{};
                     p.rewards = arena.floats(P * G);
                     p.out = arena.zeros<float>(P * G);
                     p.answer = arena.zeros<cuda::GroupAdvantageAnswer>(1);
                     p.P = P;
                     p.G = G;
                     return [=, &gpu] { gpu.launch(cuda::kernels::group_advantages_all, {1}, p); };
                   }});
}

void tokens(Cases& cases, const Batch& b) {
  const int64_t T = b.tokens(), S = b.S;
  const double bytes = 17 * real(T);
  cases.push_back({"GAE",
                   "training",
                   "T " + std::to_string(T) + ", S " + std::to_string(S),
                   Work::kStream,
                   0,
                   bytes,
                   bytes,
                   {},
                   [=](Launcher& gpu, Arena& arena) {
                     cuda::TokenAdvantageParams p{};
                     p.tokens.T = T;
                     p.tokens.S = S;
                     p.tokens.seq_starts = arena.values(starts(b));
                     p.tokens.reward = arena.floats(T);
                     p.tokens.mask = arena.values(std::vector<uint8_t>(static_cast<size_t>(T), 1));
                     p.value = arena.floats(T);
                     p.gamma = 0.99;
                     p.lambda = 0.95;
                     p.advantages = arena.zeros<float>(T);
                     p.returns = arena.zeros<float>(T);
                     p.answer = arena.zeros<cuda::TokenAdvantageAnswer>(1);
                     return [=, &gpu] {
                       gpu.zero(p.answer, sizeof *p.answer);
                       gpu.launch(cuda::kernels::token_advantages_all, {cuda::ceil_div(S, cuda::kAdvantageWarps)}, p);
                     };
                   }});
}

}  // namespace

void add_loss_cases(Cases& cases, const Phases& phases) {
  policy(cases, phases.train);
  group(cases, phases.train);
  tokens(cases, phases.train);
}

}  // namespace toolgrad::bench
