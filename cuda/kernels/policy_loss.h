// Parameters of policy_loss.cu: the policy loss of engine/policy_loss.h on arrays of the device.
#pragma once

#include <cstdint>

#include "engine/policy_loss.h"

namespace toolgrad::cuda {

constexpr int kPolicyLossThreads = 256;

/// Sums of one sequence, and of all; counts are whole numbers well below 2^53.
enum PolicyLossField : int {
  kLossPolicy,
  kLossKl,
  kLossEntropyBonus,
  kLossTokens,
  kLossKlSum,
  kLossEntropySum,
  kLossRatioSum,
  kLossOldKlSum,
  kLossClipLow,
  kLossClipHigh,
  kLossDualClip,
  kLossClamp,
  kLossShared,  // gradient by the log of the sequence's ratio; of no use in the total
  kLossSums,    // how many are added; the others are maxima
  kLossRatioMax = kLossSums,
  kLossLogRatioMax,
  kPolicyLossFields
};

/// What may be wrong with a token. The report is the complement of (token << 8 | what << 1 | NaN), the largest of all
/// tokens, so the first token's; 0: nothing is wrong.
enum class LossFault : int {
  kWeight,
  kNegativeWeight,
  kLogprob,
  kOldLogprob,
  kRefLogprob,
  kAdvantage,
  kPolicyWeight,
  kEntropy,
  kRatio,
  kGradient
};

struct PolicyLossParams {
  PolicyLossOptions options;
  PolicyLossBatch batch;         // device arrays
  float *d_logprob, *d_entropy;  // [T]; d_entropy may be null
  double* sums;                  // [kPolicyLossFields, S]
  unsigned long long* fault;     // zero before the launch
};
struct PolicyLossTotalParams {
  const double* sums;
  double* total;  // [kPolicyLossFields]
  int64_t S;
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_POLICY_LOSS_KERNELS(X)                                                                              \
  X(policy_loss, policy_loss_sequences, ::toolgrad::cuda::PolicyLossParams, ::toolgrad::cuda::kPolicyLossThreads, 0) \
  X(policy_loss, policy_loss_total, ::toolgrad::cuda::PolicyLossTotalParams, ::toolgrad::cuda::kPolicyLossThreads, 0)
