// Launches advantages.cu and turns what it found wrong into the CPU's errors. Scratch slot 1: the answer.
#include <algorithm>
#include <vector>

#include "ops/policy_loss.h"

namespace toolgrad::cuda {
namespace {

template <class T>
T fetch(Launcher& launcher, const T* from) {
  T value{};
  launcher.download(&value, from, sizeof value);
  return value;
}

[[noreturn]] void refuse(Launcher& launcher, unsigned long long report, const TokenRewards& tokens, const float* value,
                         const float* result) {
  const unsigned long long code = ~report;
  const auto t = static_cast<int64_t>(code >> 8);
  const auto what = static_cast<AdvantageFault>(code & 0xff);
  if (what == AdvantageFault::kResult) refuse_to_whiten(t, fetch(launcher, result + t));
  std::vector<int32_t> starts(static_cast<size_t>(tokens.S) + 1);
  launcher.download(starts.data(), tokens.seq_starts, starts.size() * sizeof(int32_t));
  const int64_t s = std::upper_bound(starts.begin(), starts.end(), t) - starts.begin() - 1;
  const int64_t place = t - starts[static_cast<size_t>(s)];
  if (what == AdvantageFault::kValue) refuse_token_value(place, s, fetch(launcher, value + t));
  const float reward = fetch(launcher, tokens.reward + t);
  if (what == AdvantageFault::kReward) refuse_token_reward(place, s, reward);
  refuse_reward_off_mask(place, s, reward);
}

}  // namespace

AdvantageStats group_advantages(Launcher& launcher, const AdvantageOptions& options, const float* rewards_P_G,
                                int64_t P, int64_t G, const uint8_t* valid, float* out) {
  check_group_advantages(options, P, G);
  if (P == 0) return {};
  auto* answer = launcher.scratch<GroupAdvantageAnswer>(1, 1);
  launcher.launch(kernels::group_advantages_all, {1}, {options, rewards_P_G, valid, out, answer, P, G});
  const auto found = fetch(launcher, answer);
  if (found.bad >= 0) refuse_reward(found.bad, G, fetch(launcher, rewards_P_G + found.bad));
  return {found.trajectories, found.groups, found.dead_groups, found.reward_sum};
}

int64_t token_advantages(Launcher& launcher, const TokenRewards& tokens, const float* value, double gamma,
                         double lambda, const Whitening& whitening, float* advantages, float* returns) {
  check_share(gamma, "gamma");
  if (value != nullptr) check_share(lambda, "lambda");
  if (tokens.S == 0) return 0;
  auto* answer = launcher.scratch<TokenAdvantageAnswer>(1, 1);
  launcher.zero(answer, sizeof(TokenAdvantageAnswer));
  launcher.launch(
      kernels::token_advantages_all, {ceil_div(tokens.S, kAdvantageWarps)},
      {tokens, value, gamma, lambda, advantages, returns, whitening.on, whitening.keep_mean, whitening.eps, answer});
  const auto found = fetch(launcher, answer);
  if (found.fault != 0) refuse(launcher, found.fault, tokens, value, value == nullptr ? returns : advantages);
  return found.whitened;
}

}  // namespace toolgrad::cuda
