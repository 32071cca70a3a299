// Group advantages against verl, TRL and float64 (golden/advantages), degenerate groups, lost trajectories, bad
// rewards.
#include "engine/advantages.h"

#include <algorithm>
#include <limits>
#include <map>

#include "check.h"
#include "golden.h"

using namespace toolgrad;
using namespace toolgrad::test;
using Baseline = AdvantageOptions::Baseline;
using Std = AdvantageOptions::Std;
using Scope = AdvantageOptions::Scope;

namespace {

struct Run {
  std::vector<float> advantages;
  AdvantageStats stats;
};
Run run(const AdvantageOptions& options, const std::vector<float>& rewards, int64_t G,
        const std::vector<uint8_t>& valid = {}) {
  Run r;
  r.advantages.assign(rewards.size(), -99.0f);
  r.stats = group_advantages(options, rewards.data(), static_cast<int64_t>(rewards.size()) / G, G,
                             valid.empty() ? nullptr : valid.data(), r.advantages.data());
  return r;
}
AdvantageOptions options(Baseline baseline, Std std, double eps, Scope scope = Scope::kGroup) {
  return {baseline, std, scope, eps};
}

// Largest |found - expected| in units of atol 1e-5 (the golden data's advice).
double units(const std::vector<float>& found, const std::vector<float>& expected) {
  double worst = found.size() == expected.size() ? 0 : INFINITY;
  for (size_t i = 0; i < found.size() && i < expected.size(); ++i) {
    const double error = std::fabs(static_cast<double>(found[i]) - static_cast<double>(expected[i])) / 1e-5;
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

// Cases of other estimators, and why they are not among the options.
const std::map<std::string, std::string> kNotOurs = {
    {"verl.opo", "OPO's baseline, weighted by length: in neither system"},
    {"verl.gpg", "GPG's batch scale, B over the number of rewards that are not 0: in neither system"},
    {"verl.grpo_passk", "only the best of a group has an advantage (pass@k training): in neither system"},
    {"verl.gae.reward_on_tool_token.raw_advantages",
     "a reward on a token that the policy did not write: verl drops it without a word, here it is refused"},
};

void golden(const std::string& folder) {
  const Golden inputs(folder + "/inputs.safetensors"), expected(folder + "/expected.safetensors");
  const std::map<std::string, AdvantageOptions> cases = {
      {"verl.grpo", options(Baseline::kGroupMean, Std::kSample, 1e-6)},
      {"verl.grpo_vectorized", options(Baseline::kGroupMean, Std::kSample, 1e-6)},
      {"verl.grpo_no_std", options(Baseline::kGroupMean, Std::kNone, 0)},
      {"verl.rloo", options(Baseline::kLeaveOneOut, Std::kNone, 0)},
      {"verl.rloo_vectorized", options(Baseline::kLeaveOneOut, Std::kNone, 0)},
      {"trl.grpo.group", options(Baseline::kGroupMean, Std::kSample, 1e-4)},
      {"trl.grpo.batch", options(Baseline::kGroupMean, Std::kSample, 1e-4, Scope::kBatch)},
      {"trl.grpo.none", options(Baseline::kGroupMean, Std::kNone, 0)},
      {"own.grpo.ddof0.eps0.0001", options(Baseline::kGroupMean, Std::kPopulation, 1e-4)},
      {"own.grpo.ddof0.eps1e-06", options(Baseline::kGroupMean, Std::kPopulation, 1e-6)},
      {"own.grpo.ddof0.eps1e-08", options(Baseline::kGroupMean, Std::kPopulation, 1e-8)},
      {"own.grpo.ddof1.eps0.0001", options(Baseline::kGroupMean, Std::kSample, 1e-4)},
      {"own.grpo.ddof1.eps1e-06", options(Baseline::kGroupMean, Std::kSample, 1e-6)},
      {"own.grpo.ddof1.eps1e-08", options(Baseline::kGroupMean, Std::kSample, 1e-8)},
      {"own.dr_grpo", options(Baseline::kGroupMean, Std::kNone, 0)},
      {"own.rloo", options(Baseline::kLeaveOneOut, Std::kNone, 0)},
      {"own.batch_std.ddof1.eps1e-4", options(Baseline::kGroupMean, Std::kSample, 1e-4, Scope::kBatch)},
  };
  bool known = true;
  const json::Value document = read_json(folder + "/expected.json");
  for (const json::Value& c : document.find("cases")->as_array()) {
    const std::string name = text(c, "name");
    const auto is = [&](const char* prefix) { return name.rfind(prefix, 0) == 0; };
    const bool token_by_token = is("verl.gae.") || is("verl.reinforce_plus_plus") || is("verl.masked_whiten");
    if (kNotOurs.count(name) != 0) {
      std::printf("       %-48s left out: %s\n", name.c_str(), kNotOurs.at(name).c_str());
    } else if (cases.count(name) == 0 && !token_by_token) {
      known = false;
      check(false, name + ": the case is neither tested nor left out with a reason");
    }
  }
  check(known, "every case is tested here, in token_advantages_test.cc, or left out with a reason");
  const std::vector<float> rewards = inputs.floats("rewards");
  for (const auto& [name, option] : cases) {
    const Run r = run(option, rewards, 4);
    check_below(units(r.advantages, expected.floats(name)), 1, name + ", in units of 1e-5");
    bool zero = true;
    for (size_t i = 0; i < 4; ++i) zero = zero && r.advantages[i] == 0;
    if (!zero || r.stats.dead_groups != 1 || r.stats.groups != 4)
      check(false, name + ": the group of equal rewards is dead and exactly 0");
  }
}

std::vector<float> numbers(const json::Value& array) {
  std::vector<float> values;
  for (const json::Value& value : array.as_array())
    values.push_back(!value.is_string()                 ? static_cast<float>(value.as_double())
                     : value.as_string() == "NaN"       ? std::numeric_limits<float>::quiet_NaN()
                     : value.as_string() == "-Infinity" ? -std::numeric_limits<float>::infinity()
                                                        : std::numeric_limits<float>::infinity());
  return values;
}

void degenerate(const std::string& folder) {
  const AdvantageOptions verl = options(Baseline::kGroupMean, Std::kSample, 1e-6);
  const AdvantageOptions trl = options(Baseline::kGroupMean, Std::kSample, 1e-4);
  const json::Value document = read_json(folder + "/degenerate.json");
  for (const json::Value& c : document.find("cases")->as_array()) {
    const std::string name = text(c, "name");
    const std::vector<float> rewards = numbers(*c.find("rewards"));
    const int64_t n = static_cast<int64_t>(rewards.size());
    if (name == "all_equal" || name == "all_equal_thirds") {
      const Run r = run(verl, rewards, n);
      bool zero = true;
      for (float a : r.advantages) zero = zero && a == 0;
      check(zero && r.stats.dead_groups == 1, name + ": exactly 0");
    } else if (name == "group_of_one") {
      const Run lone = run(verl, {rewards[0]}, 1), pair = run(verl, {rewards[1], rewards[2]}, 2);
      const std::vector<float> expected = numbers(*c.find("verl_grpo"));
      check(lone.advantages[0] == 0 && lone.stats.dead_groups == 1, "a group of one gets 0 and counts as dead");
      check_below(units(pair.advantages, {expected[1], expected[2]}), 1, "the group beside it, in units of 1e-5");
    } else if (name == "nan_reward" || name == "inf_reward") {
      check_throws([&] { run(verl, rewards, n); }, "ERR_NOT_FINITE", "trajectory 1 (group 0, sample 1)",
                   name + " is an error that names the trajectory");
    } else if (name == "interleaved_groups") {
      // The caller lays groups out one after the other; here by id.
      std::map<int64_t, std::vector<size_t>> groups;
      for (size_t i = 0; i < rewards.size(); ++i) groups[c.find("group_ids")->as_array()[i].as_int64()].push_back(i);
      std::vector<float> laid_out, expected;
      const std::vector<float> given = numbers(*c.find("verl_grpo"));
      for (const auto& [id, members] : groups)
        for (size_t i : members) {
          laid_out.push_back(rewards[i]);
          expected.push_back(given[i]);
        }
      check_below(units(run(verl, laid_out, 3).advantages, expected), 1, "interleaved groups, in units of 1e-5");
    } else if (name == "tiny_std") {
      check_below(units(run(verl, rewards, n).advantages, numbers(*c.find("verl_grpo"))), 200,
                  "a tiny std with eps 1e-6 (verl computes in fp32: 2e-3 of slack), in units of 1e-5");
      check_below(units(run(trl, rewards, n).advantages, numbers(*c.find("trl")->find("grpo.group"))), 200,
                  "a tiny std with eps 1e-4, in units of 1e-5");
    } else {
      check(false, "the test knows the case " + name);
    }
  }
}

void lost_trajectories() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const AdvantageOptions grpo = options(Baseline::kGroupMean, Std::kSample, 1e-4);
  for (const AdvantageOptions& option : {grpo, options(Baseline::kLeaveOneOut, Std::kNone, 0)}) {
    const Run whole = run(option, {1, 0, 0.5f}, 3);
    const Run lost = run(option, {1, nan, 0, 0.5f}, 4, {1, 0, 1, 1});
    check(lost.advantages[0] == whole.advantages[0] && lost.advantages[1] == 0 &&
              lost.advantages[2] == whole.advantages[1] && lost.advantages[3] == whole.advantages[2] &&
              lost.stats.trajectories == 3,
          "a lost trajectory leaves its group before mean and std, and its reward is not read");
  }
  const Run one_left = run(grpo, {1, 0, 0, 1, 0, 1}, 2, {1, 0, 0, 0, 1, 1});
  check(one_left.advantages[0] == 0 && one_left.stats.groups == 2 && one_left.stats.dead_groups == 1 &&
            one_left.stats.reward_sum == 2,
        "one trajectory left makes a dead group; none left makes no group");
}

void statistics() {
  Random random(1);
  std::vector<float> rewards = random.normals(40);
  const Run r = run(options(Baseline::kGroupMean, Std::kSample, 0), rewards, 8);
  double worst = 0;
  for (size_t p = 0; p < 5; ++p) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < 8; ++i) {
      sum += r.advantages[p * 8 + i];
      squares += std::pow(static_cast<double>(r.advantages[p * 8 + i]), 2);
    }
    worst = std::max({worst, std::fabs(sum), std::fabs(squares - 7)});
  }
  check_below(worst, 1e-5, "advantages of a group have mean 0 and unit sample variance");
  check(r.stats.dead_groups == 0 && r.stats.trajectories == 40, "no group of distinct rewards is dead");
  check_throws([&] { run(options(Baseline::kGroupMean, Std::kSample, -1), rewards, 8); }, "ERR_ADVANTAGE_OPTION", "eps",
               "a negative eps is refused");
}

}  // namespace

int main(int argc, char** argv) {
  lost_trajectories();
  statistics();
  const std::string shared = shared_folder(argc, argv);
  if (!shared.empty()) {
    golden(shared + "/golden/advantages");
    degenerate(shared + "/golden/advantages");
  }
  const int status = finish();
  return status == 0 && shared.empty() ? kSkipped : status;
}
