// The policy loss against finite differences, alone against packed, and on bad input. See also
// policy_loss_golden_test.cc.
#include "engine/policy_loss.h"

#include <algorithm>
#include <limits>

#include "check.h"
#include "policy_loss_batch.h"

using namespace toolgrad;
using namespace toolgrad::test;
using Kind = PolicyLossOptions::Kind;
using Kl = PolicyLossOptions::Kl;

namespace {

Batch random_batch(Random* random, int64_t B, int64_t T) {
  Batch b;
  b.shape(B, T);
  for (int64_t i = 0; i < B * T; ++i) {
    const float logprob = -1.5f + 0.5f * random->normal();
    b.logprob.push_back(logprob);
    b.old_logprob.push_back(logprob + 0.2f * random->normal());
    b.ref_logprob.push_back(logprob + 0.3f * random->normal());
    b.advantage.push_back(random->normal());
    b.entropy.push_back(1.0f + 0.2f * random->normal());
    b.weight.push_back(random->uniform() < 0.3 ? 0.0f : static_cast<float>(0.1 + random->uniform()));
    b.policy_weight.push_back(static_cast<float>(random->uniform()));
  }
  return b;
}

void finite_differences() {
  Random random(11);
  const Batch batch = random_batch(&random, 3, 9);
  struct Named {
    const char* name;
    Kind kind;
    Kl kl;
    bool times_ratio;
    float dual_clip;
  };
  const Named cases[] = {
      {"cross entropy with k2", Kind::kCrossEntropy, Kl::kK2, false, 0},
      {"reinforce with k3", Kind::kReinforce, Kl::kK3, false, 0},
      {"ppo", Kind::kPpoClip, Kl::kNone, false, 0},
      {"ppo with dual clip and k3 times ratio", Kind::kPpoClip, Kl::kK3, true, 1.1f},
      {"gspo with k2", Kind::kGspo, Kl::kK2, false, 0},
      {"gspo with k3 times ratio", Kind::kGspo, Kl::kK3, true, 0},
      {"sequence ppo with k3 times ratio", Kind::kSequencePpo, Kl::kK3, true, 0},
  };
  for (const Named& c : cases) {
    PolicyLossOptions o;
    o.kind = c.kind;
    o.kl = c.kl;
    o.kl_coef = 0.3f;
    o.kl_times_ratio = c.times_ratio;
    o.dual_clip = c.dual_clip;
    o.entropy_coef = 0.05f;
    const Run r = run(o, batch);
    double worst = 0;
    for (size_t i = 0; i < batch.logprob.size(); ++i) {
      Batch up = batch, down = batch;
      up.logprob[i] += 0x1p-12f;
      down.logprob[i] -= 0x1p-12f;
      const double step = static_cast<double>(up.logprob[i]) - static_cast<double>(down.logprob[i]);
      const double slope = (run(o, up).result.loss - run(o, down).result.loss) / step;
      worst = std::max(worst, std::fabs(slope - static_cast<double>(r.d_logprob[i])));
      Batch more = batch;
      more.entropy[i] += 0.5f;
      const double by_entropy = (run(o, more).result.loss - r.result.loss) / 0.5;
      worst = std::max(worst, std::fabs(by_entropy - static_cast<double>(r.d_entropy[i])));
    }
    check_below(worst, 2e-6, std::string("finite differences, ") + c.name);
  }
}

void independence() {
  Random random(12);
  const Batch packed = random_batch(&random, 4, 7);
  for (Kind kind : {Kind::kPpoClip, Kind::kGspo, Kind::kSequencePpo}) {
    PolicyLossOptions o;
    o.kind = kind;
    o.kl = Kl::kK3;
    o.kl_coef = 0.1f;
    o.kl_times_ratio = true;
    const Run all = run(o, packed);
    bool same = true;
    PolicyLossStats sum;
    for (int64_t s = 0; s < 4; ++s) {
      Batch one;
      one.shape(1, 7);
      const auto cut = [s](const std::vector<float>& v) {
        return std::vector<float>(v.begin() + s * 7, v.begin() + (s + 1) * 7);
      };
      one.logprob = cut(packed.logprob);
      one.entropy = cut(packed.entropy);
      one.old_logprob = cut(packed.old_logprob);
      one.ref_logprob = cut(packed.ref_logprob);
      one.advantage = cut(packed.advantage);
      one.weight = cut(packed.weight);
      one.policy_weight = cut(packed.policy_weight);
      const Run alone = run(o, one);
      same = same && alone.d_logprob == cut(all.d_logprob);
      sum.add(alone.result);
    }
    check(same, "a sequence's gradient has the same bits alone and packed");
    check(sum.tokens == all.result.tokens && sum.clip_low_count == all.result.clip_low_count &&
              sum.clip_high_count == all.result.clip_high_count && sum.ratio_max == all.result.ratio_max &&
              std::fabs(sum.loss - all.result.loss) < 1e-12 && std::fabs(sum.kl_sum - all.result.kl_sum) < 1e-12,
          "the statistics of micro-batches add up to those of the whole");
  }
}

void bad_input() {
  Random random(13);
  Batch batch = random_batch(&random, 2, 5);
  batch.weight.assign(10, 0.5f);
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  PolicyLossOptions o;
  o.kl = Kl::kK3;
  o.kl_coef = 0.1f;
  const auto with = [&](std::vector<float> Batch::*array, size_t i, float value) {
    Batch b = batch;
    (b.*array)[i] = value;
    return [b, o] { run(o, b); };
  };
  check_throws(with(&Batch::logprob, 3, nan), "ERR_NOT_FINITE", "logprob of token 3 is NaN", "a NaN log-prob is named");
  check_throws(with(&Batch::old_logprob, 7, -infinity), "ERR_NOT_FINITE", "old_logprob of token 7 is infinite",
               "an infinite old log-prob is named");
  check_throws(with(&Batch::ref_logprob, 1, nan), "ERR_NOT_FINITE", "ref_logprob of token 1",
               "a NaN reference is named");
  check_throws(with(&Batch::advantage, 9, nan), "ERR_NOT_FINITE", "advantage of token 9", "a NaN advantage is named");
  check_throws(with(&Batch::weight, 2, nan), "ERR_NOT_FINITE", "weight of token 2", "a NaN weight is named");
  check_throws(with(&Batch::weight, 2, -1), "ERR_LOSS_INPUT", "weight of token 2", "a negative weight is refused");
  Batch masked = batch;
  masked.weight[4] = 0;
  masked.logprob[4] = masked.old_logprob[4] = masked.ref_logprob[4] = masked.advantage[4] = nan;
  check(std::isfinite(run(o, masked).result.loss), "nothing of a token with weight 0 is read");

  Batch far = batch;
  far.logprob[0] = 0;
  far.old_logprob[0] = -200;
  far.advantage[0] = -1;
  PolicyLossOptions open = o;
  open.log_ratio_clamp = 0;
  open.kl = Kl::kNone;
  check_throws([&] { run(open, far); }, "ERR_NOT_FINITE", "gradient of token 0 is infinite",
               "a ratio that overflows is an error when the clamp is off");
  const Run clamped = run(PolicyLossOptions{}, far);
  check(clamped.result.clamp_count == 1 && clamped.d_logprob[0] == 0 && clamped.result.abs_log_ratio_max == 200,
        "with the clamp on it is held, counted, and has no gradient");

  Batch missing = batch;
  missing.ref_logprob.clear();
  check_throws([&] { run(o, missing); }, "ERR_LOSS_INPUT", "ref_logprob", "KL without a reference is refused");
  missing = batch;
  missing.old_logprob.clear();
  check_throws([&] { run(PolicyLossOptions{}, missing); }, "ERR_LOSS_INPUT", "old_logprob",
               "PPO without old is refused");
  PolicyLossOptions bad = o;
  bad.dual_clip = 0.5f;
  check_throws([&] { run(bad, batch); }, "ERR_LOSS_OPTION", "dual_clip", "a dual clip below 1 is refused");
  bad = o;
  bad.clip_low = 1.5f;
  check_throws([&] { run(bad, batch); }, "ERR_LOSS_OPTION", "clip_low", "a lower clip beyond 1 is refused");
}

}  // namespace

int main() {
  finite_differences();
  independence();
  bad_input();
  return finish();
}
