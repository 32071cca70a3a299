// Rewards of groups of trajectories to one advantage per trajectory (GRPO, Dr.GRPO, RLOO).
//
// rewards_P_G: P prompts times G trajectories, group p at [p * G, (p + 1) * G). Arithmetic is in double. Whether all
// rewards of a group are equal is tested on the rewards themselves, before any division: seven rewards of 1/3 give
// exactly 0. A group whose rewards are all equal, or with fewer than two valid trajectories, is dead: its advantages
// are 0.
#pragma once

#include <cstdint>

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

}  // namespace toolgrad
