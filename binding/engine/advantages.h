// Rewards of groups of trajectories to one advantage per trajectory (GRPO, Dr.GRPO, RLOO).
//
// rewards_P_G: P prompts times G trajectories, group p at [p * G, (p + 1) * G). Arithmetic is in double. Whether all
// rewards of a group are equal is tested on the rewards themselves, before any division: seven rewards of 1/3 give
// exactly 0. A group whose rewards are all equal, or with fewer than two valid trajectories, is dead: its advantages
// are 0.
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/host_device.h"

namespace toolgrad {

struct AdvantageOptions {
  enum class Baseline {
    kGroupMean,    // R_i - mean of the group (GRPO; Shao 2024, section 4.1.2)
    kLeaveOneOut,  // R_i - mean of the others (RLOO; Ahmadian 2024)
  };
  enum class Std {
    kNone,        // no division (Dr.GRPO; Liu 2025)
    kSample,      // divisor n - 1
    kPopulation,  // divisor n
  };
  /// Over which rewards the standard deviation is taken; the baseline is always the group's. kBatch: TRL's
  /// scale_rewards="batch".
  enum class Scope { kGroup, kBatch };

  Baseline baseline = Baseline::kGroupMean;
  Std std = Std::kSample;
  Scope scope = Scope::kGroup;
  double eps = 1e-4;  // added to the standard deviation (TRL 1e-4, verl 1e-6)
};

struct AdvantageStats {
  int64_t trajectories = 0;  // valid ones
  int64_t groups = 0;        // groups with at least one valid trajectory
  int64_t dead_groups = 0;   // of these: all rewards equal, or a single valid trajectory
  double reward_sum = 0;     // over valid trajectories
};

/// Writes one advantage per trajectory to `out` [P * G]. `valid` [P * G] may be null (all valid); a trajectory with
/// valid 0 was lost to an infrastructure failure: it leaves its group before mean and std, its reward is not read, its
/// advantage is 0. Errors: ERR_NOT_FINITE (a valid reward is NaN or infinite; names the trajectory),
/// ERR_ADVANTAGE_OPTION (bad eps, P or G).
AdvantageStats group_advantages(const AdvantageOptions& options, const float* rewards_P_G, int64_t P, int64_t G,
                                const uint8_t* valid, float* out);

/// The checks that read no reward, and the error of a reward that is not finite.
void check_group_advantages(const AdvantageOptions& options, int64_t P, int64_t G);
[[noreturn]] void refuse_reward(int64_t trajectory, int64_t G, float reward);

// ---- arithmetic of one group, shared with other devices ----

struct RewardMoments {
  int64_t count = 0;
  double sum = 0, mean = 0, squares = 0;  // squares: sum of squared deviations from the mean
  bool all_equal = true;

  /// Without a baseline: all rewards equal, or fewer than two trajectories.
  TOOLGRAD_HOST_DEVICE bool dead() const { return count < 2 || all_equal; }
};

/// Moments of the valid entries of rewards[begin, end), in order.
TOOLGRAD_HOST_DEVICE RewardMoments reward_moments(const float* rewards, const uint8_t* valid, int64_t begin,
                                                  int64_t end) {
  RewardMoments m;
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

/// What the advantages of a group that is not dead are divided by; `m` of the group or the batch.
TOOLGRAD_HOST_DEVICE double deviation_scale(const AdvantageOptions& options, const RewardMoments& m) {
  if (options.std == AdvantageOptions::Std::kNone) return 1;
  const int64_t divisor = options.std == AdvantageOptions::Std::kSample ? m.count - 1 : m.count;
  return sqrt(m.squares / static_cast<double>(divisor)) + options.eps;
}

/// The advantage of one valid trajectory of a group that is not dead.
TOOLGRAD_HOST_DEVICE float group_advantage(const AdvantageOptions& options, const RewardMoments& group, float reward_f,
                                           double scale) {
  const double reward = reward_f;
  const double baseline = options.baseline == AdvantageOptions::Baseline::kGroupMean
                              ? group.mean
                              : (group.sum - reward) / static_cast<double>(group.count - 1);
  return static_cast<float>((reward - baseline) / scale);
}

}  // namespace toolgrad
