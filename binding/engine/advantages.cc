// Group statistics in double, two passes (mean, then squared deviations), trajectories in order.
#include "engine/advantages.h"

#include <cmath>
#include <string>

#include "engine/error.h"

namespace toolgrad {
namespace {

struct Moments {
  int64_t count = 0;
  double sum = 0, mean = 0, squares = 0;  // squares: sum of squared deviations from the mean
  bool all_equal = true;
};

// Moments of the valid entries of rewards[begin, end).
Moments moments(const float* rewards, const uint8_t* valid, int64_t begin, int64_t end) {
  Moments m;
  float first = 0;
  for (int64_t i = begin; i < end; ++i) {
    if (valid != nullptr && valid[i] == 0) continue;
    if (m.count == 0) first = rewards[i];
    if (rewards[i] != first) m.all_equal = false;
    m.sum += static_cast<double>(rewards[i]);
    ++m.count;
  }
  if (m.count == 0) return m;
  m.mean = m.sum / static_cast<double>(m.count);
  for (int64_t i = begin; i < end; ++i) {
    if (valid != nullptr && valid[i] == 0) continue;
    const double deviation = static_cast<double>(rewards[i]) - m.mean;
    m.squares += deviation * deviation;
  }
  return m;
}

double deviation_scale(const AdvantageOptions& options, const Moments& m) {
  if (options.std == AdvantageOptions::Std::kNone) return 1;
  const int64_t divisor = options.std == AdvantageOptions::Std::kSample ? m.count - 1 : m.count;
  return std::sqrt(m.squares / static_cast<double>(divisor)) + options.eps;
}

}  // namespace

AdvantageStats group_advantages(const AdvantageOptions& options, const float* rewards_P_G, int64_t P, int64_t G,
                                const uint8_t* valid, float* out) {
  if (P < 0 || G < 1)
    throw Error("ERR_ADVANTAGE_OPTION",
                "group_advantages: expected P >= 0 groups of G >= 1 trajectories but received P = " +
                    std::to_string(P) + ", G = " + std::to_string(G));
  if (!(options.eps >= 0) || !std::isfinite(options.eps))
    throw Error("ERR_ADVANTAGE_OPTION",
                "group_advantages: eps: expected a finite number >= 0 but received " + std::to_string(options.eps));
  for (int64_t i = 0; i < P * G; ++i)
    if ((valid == nullptr || valid[i] != 0) && !std::isfinite(rewards_P_G[i]))
      throw Error("ERR_NOT_FINITE",
                  "group_advantages: reward of trajectory " + std::to_string(i) + " (group " + std::to_string(i / G) +
                      ", sample " + std::to_string(i % G) + ") is " +
                      (std::isnan(rewards_P_G[i]) ? "NaN" : "infinite") +
                      "; expected a finite number. Fix the reward function, or mark a trajectory lost "
                      "to an infrastructure failure as not valid");

  AdvantageStats stats;
  const Moments batch = moments(rewards_P_G, valid, 0, P * G);
  for (int64_t p = 0; p < P; ++p) {
    const Moments group = moments(rewards_P_G, valid, p * G, (p + 1) * G);
    const bool dead = group.count < 2 || group.all_equal;
    stats.trajectories += group.count;
    stats.groups += group.count > 0;
    stats.dead_groups += group.count > 0 && dead;
    stats.reward_sum += group.sum;
    const double scale =
        dead ? 1 : deviation_scale(options, options.scope == AdvantageOptions::Scope::kBatch ? batch : group);
    for (int64_t i = p * G; i < (p + 1) * G; ++i) {
      out[i] = 0;
      if (dead || (valid != nullptr && valid[i] == 0)) continue;
      const double reward = rewards_P_G[i];
      const double baseline = options.baseline == AdvantageOptions::Baseline::kGroupMean
                                  ? group.mean
                                  : (group.sum - reward) / static_cast<double>(group.count - 1);
      out[i] = static_cast<float>((reward - baseline) / scale);
    }
  }
  return stats;
}

}  // namespace toolgrad
