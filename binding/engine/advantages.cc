// Group statistics in double, two passes (mean, then squared deviations), trajectories in order.
#include "engine/advantages.h"

#include <cmath>
#include <string>

#include "engine/error.h"

namespace toolgrad {
void check_group_advantages(const AdvantageOptions& options, int64_t P, int64_t G) {
  if (P < 0 || G < 1)
    throw Error("ERR_ADVANTAGE_OPTION",
                "group_advantages: expected P >= 0 groups of G >= 1 trajectories but received P = " +
                    std::to_string(P) + ", G = " + std::to_string(G));
  if (!(options.eps >= 0) || !std::isfinite(options.eps))
    throw Error("ERR_ADVANTAGE_OPTION",
                "group_advantages: eps: expected a finite number >= 0 but received " + std::to_string(options.eps));
}

void refuse_reward(int64_t trajectory, int64_t G, float reward) {
  throw Error("ERR_NOT_FINITE",
              "group_advantages: reward of trajectory " + std::to_string(trajectory) + " (group " +
                  std::to_string(trajectory / G) + ", sample " + std::to_string(trajectory % G) + ") is " +
                  (std::isnan(reward) ? "NaN" : "infinite") +
                  "; expected a finite number. Fix the reward function, or mark a trajectory lost to an "
                  "infrastructure failure as not valid");
}

AdvantageStats group_advantages(const AdvantageOptions& options, const float* rewards_P_G, int64_t P, int64_t G,
                                const uint8_t* valid, float* out) {
  check_group_advantages(options, P, G);
  for (int64_t i = 0; i < P * G; ++i)
    if ((valid == nullptr || valid[i] != 0) && !std::isfinite(rewards_P_G[i])) refuse_reward(i, G, rewards_P_G[i]);

  AdvantageStats stats;
  const RewardMoments batch = reward_moments(rewards_P_G, valid, 0, P * G);
  for (int64_t p = 0; p < P; ++p) {
    const RewardMoments group = reward_moments(rewards_P_G, valid, p * G, (p + 1) * G);
    const bool dead = group.dead();
    stats.trajectories += group.count;
    stats.groups += group.count > 0;
    stats.dead_groups += group.count > 0 && dead;
    stats.reward_sum += group.sum;
    const double scale =
        dead ? 1 : deviation_scale(options, options.scope == AdvantageOptions::Scope::kBatch ? batch : group);
    for (int64_t i = p * G; i < (p + 1) * G; ++i) {
      out[i] = 0;
      if (dead || (valid != nullptr && valid[i] == 0)) continue;
      out[i] = group_advantage(options, group, rewards_P_G[i], scale);
    }
  }
  return stats;
}

}  // namespace toolgrad
