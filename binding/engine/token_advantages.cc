#include "engine/token_advantages.h"

#include <cmath>
#include <string>

#include "engine/error.h"

namespace toolgrad {
namespace {

std::string place(int64_t token, int64_t sequence) {
  return "token " + std::to_string(token) + " of sequence " + std::to_string(sequence);
}

// Every reward is finite and on a policy token, every value that is read is finite.
void check_tokens(const TokenRewards& tokens, const float* value) {
  for (int64_t s = 0; s < tokens.S; ++s) {
    const int64_t begin = tokens.seq_starts[s];
    for (int64_t t = begin; t < tokens.seq_starts[s + 1]; ++t) {
      if (!std::isfinite(tokens.reward[t])) refuse_token_reward(t - begin, s, tokens.reward[t]);
      if (tokens.mask[t] == 0 && tokens.reward[t] != 0) refuse_reward_off_mask(t - begin, s, tokens.reward[t]);
      if (value != nullptr && tokens.mask[t] != 0 && !std::isfinite(value[t]))
        refuse_token_value(t - begin, s, value[t]);
    }
  }
}

}  // namespace

void check_share(double value, const char* name) {
  if (value >= 0 && value <= 1) return;
  throw Error("ERR_ADVANTAGE_OPTION",
              std::string("Expected ") + name + " from 0 to 1 but received " + std::to_string(value));
}

void refuse_token_reward(int64_t token, int64_t sequence, float reward) {
  throw Error("ERR_NOT_FINITE", "Expected finite rewards but " + place(token, sequence) + " has " +
                                    std::to_string(static_cast<double>(reward)));
}

void refuse_reward_off_mask(int64_t token, int64_t sequence, float reward) {
  throw Error("ERR_ADVANTAGE_OPTION", "Expected rewards on the policy's tokens only but " + place(token, sequence) +
                                          ", which the policy did not write, has " +
                                          std::to_string(static_cast<double>(reward)) +
                                          "; place it on the last policy token");
}

void refuse_token_value(int64_t token, int64_t sequence, float value) {
  throw Error("ERR_NOT_FINITE", "Expected finite values but " + place(token, sequence) + " has " +
                                    std::to_string(static_cast<double>(value)));
}

void refuse_to_whiten(int64_t token, float value) {
  throw Error("ERR_NOT_FINITE", "Expected finite numbers to whiten but token " + std::to_string(token) + " has " +
                                    std::to_string(static_cast<double>(value)));
}

void discounted_returns(const TokenRewards& tokens, double gamma, float* returns) {
  check_share(gamma, "gamma");
  check_tokens(tokens, nullptr);
  for (int64_t s = 0; s < tokens.S; ++s) {
    ReturnSweep sweep;
    for (int64_t t = tokens.seq_starts[s + 1] - 1; t >= tokens.seq_starts[s]; --t)
      returns[t] = tokens.mask[t] == 0
                       ? 0.0f
                       : static_cast<float>(discounted_return(&sweep, static_cast<double>(tokens.reward[t]), gamma));
  }
}

void generalised_advantages(const TokenRewards& tokens, const float* value, double gamma, double lambda,
                            float* advantages, float* returns) {
  check_share(gamma, "gamma");
  check_share(lambda, "lambda");
  check_tokens(tokens, value);
  for (int64_t s = 0; s < tokens.S; ++s) {
    ReturnSweep sweep;
    for (int64_t t = tokens.seq_starts[s + 1] - 1; t >= tokens.seq_starts[s]; --t) {
      advantages[t] = returns[t] = 0;
      if (tokens.mask[t] == 0) continue;
      const double v = static_cast<double>(value[t]);
      const double advantage = gae_advantage(&sweep, static_cast<double>(tokens.reward[t]), v, gamma, lambda);
      advantages[t] = static_cast<float>(advantage);
      returns[t] = static_cast<float>(advantage + v);
    }
  }
}

int64_t whiten(float* x, const uint8_t* mask, int64_t T, double eps, bool keep_mean) {
  int64_t n = 0;
  double sum = 0;
  bool all_equal = true;
  float first = 0;
  for (int64_t t = 0; t < T; ++t) {
    if (mask[t] == 0) continue;
    if (n == 0) first = x[t];
    if (!std::isfinite(x[t])) refuse_to_whiten(t, x[t]);
    all_equal = all_equal && x[t] == first;
    sum += static_cast<double>(x[t]);
    ++n;
  }
  const double mean = n == 0 ? 0 : sum / static_cast<double>(n);
  double squares = 0;
  for (int64_t t = 0; t < T; ++t)
    if (mask[t] != 0) squares += (static_cast<double>(x[t]) - mean) * (static_cast<double>(x[t]) - mean);
  const double scale = n < 2 ? 0 : 1 / std::sqrt(squares / static_cast<double>(n - 1) + eps);
  for (int64_t t = 0; t < T; ++t) {
    if (mask[t] == 0)
      x[t] = 0;
    else if (all_equal)
      x[t] = keep_mean ? x[t] : 0.0f;
    else
      x[t] = static_cast<float>((static_cast<double>(x[t]) - mean) * scale + (keep_mean ? mean : 0));
  }
  return n;
}

}  // namespace toolgrad
