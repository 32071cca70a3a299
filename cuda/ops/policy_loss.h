// What a training step computes between the loss head's two passes, on the device: the policy loss and advantages.
//
// The functions of engine/policy_loss.h, advantages.h and token_advantages.h on device arrays: same options, same errors;
// of several faults in one batch the first token's is named. Each waits for the device, to say what is wrong and to give
// the statistics. Sums have a fixed order, but not the CPU's: they differ in the last bits of a double.
#pragma once

#include "engine/advantages.h"
#include "engine/policy_loss.h"
#include "engine/token_advantages.h"
#include "launcher.h"

namespace toolgrad::cuda {

/// policy_loss.cu. `batch` holds device arrays; d_logprob [T] and d_entropy [T] are overwritten.
PolicyLossStats policy_loss(Launcher& launcher, const PolicyLossOptions& options, const PolicyLossBatch& batch,
                            float* d_logprob, float* d_entropy);

/// advantages.cu: engine/advantages.h group_advantages in one launch.
AdvantageStats group_advantages(Launcher& launcher, const AdvantageOptions& options, const float* rewards_P_G,
                                int64_t P, int64_t G, const uint8_t* valid, float* out);

/// Whitening of what token_advantages computes; engine/token_advantages.h whiten.
struct Whitening {
  bool on = false, keep_mean = false;
  double eps = 1e-8;
};
/// advantages.cu, one launch. Without `value` [T]: discounted returns into `returns` (lambda and `advantages` are not
/// used), whitened where asked. With it: GAE, `returns` = advantage + value, then the advantages are whitened. Returns how
/// many tokens were.
int64_t token_advantages(Launcher& launcher, const TokenRewards& tokens, const float* value, double gamma,
                         double lambda, const Whitening& whitening, float* advantages, float* returns);

}  // namespace toolgrad::cuda
