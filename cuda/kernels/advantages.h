// Parameters of advantages.cu: advantages of groups and of tokens, one launch each.
#pragma once

#include <cstdint>

#include "engine/advantages.h"
#include "engine/token_advantages.h"

namespace toolgrad::cuda {

constexpr int kAdvantageThreads = 256;
constexpr int kAdvantageWarps = kAdvantageThreads / 32;  // sequences of one block

struct GroupAdvantageAnswer {
  int64_t trajectories, groups, dead_groups;
  double reward_sum;
  int64_t bad;  // the first trajectory whose reward is not finite, or -1
};
struct GroupAdvantageParams {
  AdvantageOptions options;
  const float* rewards;  // [P, G]
  const uint8_t* valid;  // [P, G] or null
  float* out;            // [P, G]
  GroupAdvantageAnswer* answer;
  int64_t P, G;
};

/// What may be wrong with a token; reported as LossFault is (policy_loss.h): ~(token << 8 | what), the largest.
enum class AdvantageFault : int { kReward, kRewardOffMask, kValue, kResult };

struct TokenAdvantageAnswer {
  unsigned long long fault;  // zero before the launch
  int64_t whitened;
  uint32_t blocks_done;  // zero before the launch
};
struct TokenAdvantageParams {
  TokenRewards tokens;  // device arrays
  const float* value;   // [T]; null: discounted returns
  double gamma, lambda;
  float* advantages;  // [T]; null without values
  float* returns;     // [T]
  int32_t whiten;     // the advantages, or the returns when there are no values
  int32_t keep_mean;
  double eps;
  TokenAdvantageAnswer* answer;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_ADVANTAGES_KERNELS(X)                                                                                \
  X(advantages, group_advantages_all, ::toolgrad::cuda::GroupAdvantageParams, ::toolgrad::cuda::kAdvantageThreads, 0) \
  X(advantages, token_advantages_all, ::toolgrad::cuda::TokenAdvantageParams, ::toolgrad::cuda::kAdvantageThreads, 0)
