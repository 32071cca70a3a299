// Returns, GAE and whitening against verl (golden/advantages) and against float64 written from the formulas; KL estimates
// and correction weights against verl and TRL (golden/losses). The part without golden data runs everywhere.
#include "engine/token_advantages.h"

#include <algorithm>
#include <limits>

#include "check.h"
#include "engine/correction.h"
#include "golden.h"

using namespace toolgrad;
using namespace toolgrad::test;
using Level = CorrectionOptions::Level;
using Reject = CorrectionOptions::Reject;

namespace {

std::vector<int32_t> equal_rows(int64_t B, int64_t T) {
  std::vector<int32_t> starts;
  for (int64_t b = 0; b <= B; ++b) starts.push_back(static_cast<int32_t>(b * T));
  return starts;
}
std::vector<uint8_t> to_mask(const std::vector<int32_t>& ints) {
  return {ints.begin(), ints.end()};
}

// Worst error in units of atol + rtol |expected|, over the mask; off the mask the result must be exactly 0.
double units(const std::vector<float>& found, const std::vector<float>& expected, const std::vector<uint8_t>& mask,
             double atol, double rtol) {
  double worst = found.size() == expected.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    if (mask[i] == 0 && found[i] != 0) return INFINITY;
    if (mask[i] == 0) continue;
    const double error = std::fabs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
    worst = std::max(worst, error / (atol + rtol * std::fabs(static_cast<double>(expected[i]))));
  }
  return worst;
}

struct Gae {
  std::vector<float> advantages, returns;
};
Gae gae(const TokenRewards& tokens, const std::vector<float>& values, double gamma, double lambda) {
  Gae g;
  g.advantages.assign(static_cast<size_t>(tokens.T), -99.0f);
  g.returns = g.advantages;
  generalised_advantages(tokens, values.data(), gamma, lambda, g.advantages.data(), g.returns.data());
  return g;
}

void golden_advantages(const std::string& folder) {
  const Golden inputs(folder + "/inputs.safetensors"), expected(folder + "/expected.safetensors");
  const auto mask = to_mask(inputs.ints("response_mask")), cut_mask = to_mask(inputs.ints("cut_mask"));
  const int64_t B = inputs.shape("values")[0], T = inputs.shape("values")[1], K = inputs.shape("cut_mask")[1];
  const std::vector<int32_t> starts = equal_rows(B, T), cut_starts = equal_rows(B, K);
  const std::vector<float> values = inputs.floats("values");
  const std::vector<int32_t> index = inputs.ints("cut_index");
  std::vector<float> cut_values(static_cast<size_t>(B * K));
  for (int64_t b = 0; b < B; ++b)
    for (int64_t k = 0; k < K; ++k) {
      const int32_t from = index[static_cast<size_t>(b * K + k)];
      cut_values[static_cast<size_t>(b * K + k)] = from < 0 ? 0 : values[static_cast<size_t>(b * T + from)];
    }
  double raw = 0, white = 0, returned = 0;
  int cases = 0;
  for (const std::string kind : {"outcome", "dense"})
    for (const std::string setting : {"gamma1.lam0.95", "gamma0.99.lam0.95", "gamma1.lam1"})
      for (const bool cut : {false, true}) {
        const std::string name = "verl.gae." + kind + "." + setting + (cut ? ".cut" : "");
        const std::vector<float> rewards =
            inputs.floats(std::string(cut ? "cut_" : "") + "token_level_rewards" + (kind == "dense" ? "_dense" : ""));
        const std::vector<uint8_t>& m = cut ? cut_mask : mask;
        const TokenRewards tokens{static_cast<int64_t>(m.size()), B, (cut ? cut_starts : starts).data(), rewards.data(),
                                  m.data()};
        const double gamma = setting.find("0.99") != std::string::npos ? 0.99 : 1;
        const double lambda = setting.find("lam1") != std::string::npos ? 1 : 0.95;
        Gae g = gae(tokens, cut ? cut_values : values, gamma, lambda);
        raw = std::max(raw, units(g.advantages, expected.floats(name + ".raw_advantages"), m, 2e-6, 1e-5));
        if (!cut) returned = std::max(returned, units(g.returns, expected.floats(name + ".returns"), m, 2e-6, 1e-5));
        whiten(g.advantages.data(), m.data(), tokens.T, 1e-8, false);
        white = std::max(white, units(g.advantages, expected.floats(name + ".whitened_advantages"), m, 1e-5, 1e-5));
        ++cases;
      }
  check(cases == 12, "all GAE cases were run but the one with a reward on a tool token, which is refused here");
  check_below(raw, 1, "GAE of verl, raw, in units of atol 2e-6 + rtol 1e-5");
  check_below(returned, 1, "its returns");
  check_below(white, 1, "whitened, in units of atol 1e-5 + rtol 1e-5");

  for (const bool keep : {false, true}) {
    std::vector<float> x = inputs.floats("whiten_values");
    whiten(x.data(), mask.data(), B * T, 1e-8, keep);
    check_below(units(x, expected.floats(keep ? "verl.masked_whiten.keep_mean" : "verl.masked_whiten"), mask, 1e-5, 0),
                1, keep ? "masked_whiten with its mean, in units of 1e-5" : "masked_whiten, in units of 1e-5");
  }

  const std::vector<float> rewards = inputs.floats("token_level_rewards");
  for (const double gamma : {1.0, 0.9}) {
    const std::string name = std::string("verl.reinforce_plus_plus") + (gamma < 1 ? ".gamma0.9" : "");
    std::vector<float> returns(mask.size());
    discounted_returns({B * T, B, starts.data(), rewards.data(), mask.data()}, gamma, returns.data());
    check_below(units(returns, expected.floats(name + ".returns"), mask, 2e-6, 1e-5), 1, name + ": returns");
    whiten(returns.data(), mask.data(), B * T, 1e-8, false);
    check_below(units(returns, expected.floats(name), mask, 1e-5, 0), 1, name + ", in units of 1e-5");
  }
  // The baseline form: the group's mean is taken off the sequence reward, every policy token gets it, then whitened.
  const std::vector<float> sequence = inputs.floats("rewards");
  const std::vector<int32_t> groups = inputs.ints("group_ids");
  std::vector<float> x(mask.size());
  for (int64_t b = 0; b < B; ++b) {
    double sum = 0, n = 0;
    for (int64_t o = 0; o < B; ++o)
      if (groups[static_cast<size_t>(o)] == groups[static_cast<size_t>(b)])
        sum += sequence[static_cast<size_t>(o)], ++n;
    for (int64_t t = 0; t < T; ++t)
      x[static_cast<size_t>(b * T + t)] = static_cast<float>(sequence[static_cast<size_t>(b)] - sum / n);
  }
  whiten(x.data(), mask.data(), B * T, 1e-8, false);
  check_below(units(x, expected.floats("verl.reinforce_plus_plus_baseline"), mask, 1e-5, 0), 1,
              "verl.reinforce_plus_plus_baseline, in units of 1e-5");
}

void golden_correction(const std::string& folder) {
  const Golden inputs(folder + "/inputs.safetensors"), expected(folder + "/expected.safetensors");
  const auto mask = to_mask(inputs.ints("response_mask"));
  const int64_t B = inputs.shape("logp_new")[0], T = inputs.shape("logp_new")[1];
  const std::vector<int32_t> starts = equal_rows(B, T);
  const std::vector<float> lo = inputs.floats("logp_old"), ls = inputs.floats("logp_rollout");
  struct Named {
    const char* name;
    CorrectionOptions options;
  };
  const std::vector<Named> cases = {
      {"verl.token.truncate", {Level::kToken, 2, Reject::kNone, 0, 0, false}},
      {"verl.token.truncate.batchnorm", {Level::kToken, 2, Reject::kNone, 0, 0, true}},
      {"verl.token.icepop", {Level::kToken, 0, Reject::kZero, 0.5, 2, false}},
      {"verl.token.icepop.batchnorm", {Level::kToken, 0, Reject::kZero, 0.5, 2, true}},
      {"verl.sequence.truncate", {Level::kSequence, 2, Reject::kNone, 0, 0, false}},
      {"verl.sequence.truncate.batchnorm", {Level::kSequence, 2, Reject::kNone, 0, 0, true}},
      {"verl.sequence.icepop", {Level::kSequence, 0, Reject::kZero, 0.5, 2, false}},
      {"verl.sequence.icepop.batchnorm", {Level::kSequence, 0, Reject::kZero, 0.5, 2, true}},
      {"trl.token_truncate", {Level::kToken, 2, Reject::kNone, 0, 0, false}},
      {"trl.token_mask", {Level::kToken, 0, Reject::kZero, 0, 2, false}},
      {"trl.sequence_truncate", {Level::kSequence, 2, Reject::kNone, 0, 0, false}},
      {"trl.sequence_mask", {Level::kSequence, 0, Reject::kZero, 0, 2, false}},
  };
  for (const auto& [name, options] : cases) {
    std::vector<float> weight(mask.size());
    std::vector<uint8_t> keep(mask.size());
    correction_weights(options, B, starts.data(), mask.data(), lo.data(), ls.data(), weight.data(), keep.data());
    std::vector<float> want = expected.floats(std::string("is_weights/") + name);
    if (want.size() == static_cast<size_t>(B)) {
      std::vector<float> wide;
      for (const float w : want) wide.insert(wide.end(), static_cast<size_t>(T), w);
      want = wide;
    }
    check_below(units(weight, want, mask, 2e-6, 1e-5), 1, std::string(name) + ", in units of atol 2e-6 + rtol 1e-5");
  }
  const std::vector<float> lp = inputs.floats("logp_new"), lr = inputs.floats("logp_ref");
  for (const auto& [name, kind] : {std::pair{"k1", KlEstimate::kK1},
                                   {"abs", KlEstimate::kAbs},
                                   {"k2", KlEstimate::kK2},
                                   {"k3", KlEstimate::kK3}}) {
    std::vector<float> kl(mask.size());
    kl_estimates(kind, B * T, mask.data(), lp.data(), lr.data(), kl.data());
    check_below(units(kl, expected.floats(std::string("kl_per_token/") + name), mask, 2e-6, 1e-5), 1,
                std::string("KL estimate ") + name);
  }
}

// The formulas as sums, not as recurrences: A_t = sum_k (gamma lambda)^k delta_{t+k} over policy tokens.
void float64_reference() {
  Random random(7);
  const std::vector<int32_t> starts = {0, 9, 10, 30};
  const int64_t T = starts.back();
  std::vector<uint8_t> mask(static_cast<size_t>(T));
  for (uint8_t& m : mask) m = random.uniform() < 0.6 ? 1 : 0;
  std::vector<float> rewards = random.normals(T), values = random.normals(T);
  for (size_t t = 0; t < mask.size(); ++t)
    if (mask[t] == 0) rewards[t] = 0, values[t] = std::numeric_limits<float>::quiet_NaN();  // never read
  const double gamma = 0.97, lambda = 0.9;
  const Gae g = gae({T, 3, starts.data(), rewards.data(), mask.data()}, values, gamma, lambda);
  std::vector<float> returns(static_cast<size_t>(T));
  discounted_returns({T, 3, starts.data(), rewards.data(), mask.data()}, gamma, returns.data());
  double worst = 0, worst_return = 0;
  for (size_t s = 0; s < 3; ++s) {
    std::vector<size_t> own;
    for (int32_t t = starts[s]; t < starts[s + 1]; ++t)
      if (mask[static_cast<size_t>(t)] != 0) own.push_back(static_cast<size_t>(t));
    for (size_t i = 0; i < own.size(); ++i) {
      double advantage = 0, ret = 0;
      for (size_t k = i; k < own.size(); ++k) {
        const double next = k + 1 < own.size() ? values[own[k + 1]] : 0;
        const double delta = rewards[own[k]] + gamma * next - values[own[k]];
        advantage += std::pow(gamma * lambda, static_cast<double>(k - i)) * delta;
        ret += std::pow(gamma, static_cast<double>(k - i)) * static_cast<double>(rewards[own[k]]);
      }
      worst = std::max(worst, std::fabs(advantage - static_cast<double>(g.advantages[own[i]])));
      worst_return = std::max(worst_return, std::fabs(ret - static_cast<double>(returns[own[i]])));
    }
  }
  check_below(worst, 1e-6, "GAE equals the sum over policy tokens, tool spans cut out");
  check_below(worst_return, 1e-6, "returns equal the discounted sum over policy tokens");
}

void misuse() {
  const std::vector<int32_t> starts = {0, 3};
  const std::vector<uint8_t> mask = {0, 1, 1};
  std::vector<float> reward = {0, 0, 1}, value = {0, 0, 0}, out(3), ret(3);
  const auto run = [&] {
    generalised_advantages({3, 1, starts.data(), reward.data(), mask.data()}, value.data(), 1, 1, out.data(),
                           ret.data());
  };
  reward[0] = 1;
  check_throws(run, "ERR_ADVANTAGE_OPTION", "token 0 of sequence 0",
               "a reward where the policy wrote nothing is refused");
  reward[0] = 0;
  reward[2] = NAN;
  check_throws(run, "ERR_NOT_FINITE", "token 2 of sequence 0", "a NaN reward names its token");
  reward[2] = 1;
  value[1] = INFINITY;
  check_throws(run, "ERR_NOT_FINITE", "values but token 1", "an infinite value names its token");
  check_throws(
      [&] {
        discounted_returns({3, 1, starts.data(), reward.data(), mask.data()}, 1.5, out.data());
      },
      "ERR_ADVANTAGE_OPTION", "gamma", "gamma above 1 is refused");
  std::vector<float> equal = {7, 0.1f, 0.1f};
  check(whiten(equal.data(), mask.data(), 3, 1e-8, false) == 2 && equal == std::vector<float>{0, 0, 0},
        "equal numbers whiten to exactly 0");
  std::vector<float> one = {0, 3, 0};
  const std::vector<uint8_t> single = {0, 1, 0};
  check(whiten(one.data(), single.data(), 3, 1e-8, false) == 1 && one[1] == 0, "a single token whitens to exactly 0");

  std::vector<float> weight(3);
  std::vector<uint8_t> keep(3);
  const std::vector<float> lo = {0, -1, -1}, ls = {0, -1, -4};
  const auto correct = [&](CorrectionOptions o) {
    return correction_weights(o, 1, starts.data(), mask.data(), lo.data(), ls.data(), weight.data(), keep.data());
  };
  const CorrectionStats masked = correct({Level::kToken, 2, Reject::kMask, 0, 10, false});
  check(masked.rejected == 1 && masked.capped == 1 && keep == std::vector<uint8_t>{0, 1, 0} && weight[1] == 1,
        "rejection by mask takes the token out of the loss");
  correct({Level::kToken, 2, Reject::kZero, 0, 10, false});
  check(keep == std::vector<uint8_t>{0, 1, 1} && weight[2] == 0,
        "rejection by zero weight keeps it in the denominator");
  correct({Level::kGeometric, 0, Reject::kNone, 0, 0, false});
  check_below(std::fabs(static_cast<double>(weight[1]) - std::exp(1.5)), 1e-6, "geometric: exp of the mean");
  check_throws(
      [&] {
        correct({Level::kToken, 2, Reject::kMask, 2, 1, false});
      },
      "ERR_CORRECTION_OPTION", "0 <= low", "bounds the wrong way round are refused");
}

}  // namespace

int main(int argc, char** argv) {
  float64_reference();
  misuse();
  const std::string shared = shared_folder(argc, argv);
  if (!shared.empty()) {
    golden_advantages(shared + "/golden/advantages");
    golden_correction(shared + "/golden/losses");
  }
  return finish();
}
