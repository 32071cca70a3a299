// Advantages token by token: discounted returns (REINFORCE++), generalised advantage estimation (PPO), and whitening.
//
// Sequences are packed; mask[t] != 0 marks the policy's tokens. A span of other tokens (a tool's output, the template) is
// as if cut out: no discount, no value, no reward passes at it, so a trajectory with a tool span has the numbers of the
// one without. Rewards belong on policy tokens: one anywhere else is an error, never dropped. Arithmetic is in double,
// each sequence from its end, sums in token order. Outputs are 0 off the mask. Nothing is allocated or kept.
#pragma once

#include <cstdint>

#include "engine/host_device.h"

namespace toolgrad {

/// State of the backward sweep over one sequence.
struct ReturnSweep {
  double next_value = 0;  // V of the next policy token; 0 beyond the end, truncated or not
  double running = 0;     // return-to-go or advantage of the next policy token
};

/// G_t = r_t + gamma G_{t+1}.
TOOLGRAD_HOST_DEVICE double discounted_return(ReturnSweep* sweep, double reward, double gamma) {
  sweep->running = reward + gamma * sweep->running;
  return sweep->running;
}

/// A_t = delta_t + gamma lambda A_{t+1}, delta_t = r_t + gamma V_{t+1} - V_t (Schulman 2016, eq. 16).
TOOLGRAD_HOST_DEVICE double gae_advantage(ReturnSweep* sweep, double reward, double value, double gamma,
                                          double lambda) {
  const double delta = reward + gamma * sweep->next_value - value;
  sweep->running = delta + gamma * lambda * sweep->running;
  sweep->next_value = value;
  return sweep->running;
}

/// S packed sequences of T tokens.
struct TokenRewards {
  int64_t T = 0, S = 0;
  const int32_t* seq_starts = nullptr;  // [S + 1]
  const float* reward = nullptr;        // [T]; not 0 on policy tokens only
  const uint8_t* mask = nullptr;        // [T]
};

/// Return-to-go of every policy token. Errors: ERR_NOT_FINITE (names the token), ERR_ADVANTAGE_OPTION (gamma outside
/// [0, 1], a reward off the mask).
void discounted_returns(const TokenRewards& tokens, double gamma, float* returns);

/// GAE of every policy token and returns = advantage + value, before any whitening. value[t] is V read at row t - 1. Same
/// errors, lambda in [0, 1] too.
void generalised_advantages(const TokenRewards& tokens, const float* value, double gamma, double lambda,
                            float* advantages, float* returns);

/// x -> (x - mean) / sqrt(variance + eps) over the tokens with mask, in place; variance with divisor n - 1; with
/// `keep_mean` the mean is added again. One token, or all equal: x - mean = 0 exactly (keep_mean: unchanged). Returns how
/// many tokens were whitened.
int64_t whiten(float* x, const uint8_t* mask, int64_t T, double eps, bool keep_mean);

// ---- the errors, for backends that walk the tokens themselves ----

/// A discount or lambda must be a number from 0 to 1.
void check_share(double value, const char* name);
[[noreturn]] void refuse_token_reward(int64_t token, int64_t sequence, float reward);
[[noreturn]] void refuse_reward_off_mask(int64_t token, int64_t sequence, float reward);
[[noreturn]] void refuse_token_value(int64_t token, int64_t sequence, float value);
[[noreturn]] void refuse_to_whiten(int64_t token, float value);

}  // namespace toolgrad
