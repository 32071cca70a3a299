// The policy loss, group advantages, returns, GAE and whitening on the GPU against the CPU: every loss, KL and bound, ragged
// sequences, tokens that must not be read, and the CPU's errors.
#include <algorithm>

#include "cuda_conflicts.h"
#include "cuda_settled.h"
#include "ops/policy_loss.h"

using namespace toolgrad;
using namespace toolgrad::test;
using Kind = PolicyLossOptions::Kind;
using Kl = PolicyLossOptions::Kl;

namespace {

using Floats = std::vector<float>;
using Gpu = cuda::CudaDevice;

// Sequences of no token, one token, more tokens than a block has threads; tokens out of the loss hold NaN.
struct Batch {
  std::vector<int32_t> starts{0};
  Floats logprob, entropy, old_logprob, ref_logprob, advantage, weight, policy_weight;

  void add_sequence(Random& random, int64_t length, double share_in_loss) {
    const float outcome = random.normal();
    for (int64_t t = 0; t < length; ++t) {
      const bool in_loss = random.uniform() < share_in_loss;
      const auto put = [&](Floats& to, double value) { to.push_back(in_loss ? static_cast<float>(value) : NAN); };
      const double lp = -2.0 * random.uniform(), drift = random.uniform() < 0.05 ? 40 : 0.3;
      put(logprob, lp);
      put(old_logprob, lp + drift * static_cast<double>(random.normal()));
      put(ref_logprob, lp + 0.5 * static_cast<double>(random.normal()));
      put(entropy, random.uniform());
      put(advantage, static_cast<double>(outcome) + 0.1 * static_cast<double>(random.normal()));
      put(policy_weight, 2 * random.uniform());
      weight.push_back(in_loss ? static_cast<float>(0.01 + 0.01 * random.uniform()) : 0.0f);
    }
    starts.push_back(static_cast<int32_t>(weight.size()));
  }
  int64_t T() const { return starts.back(); }
  int64_t S() const { return static_cast<int64_t>(starts.size()) - 1; }
  Batch sequence(int64_t s) const {
    const int64_t first = starts[s], count = starts[s + 1] - first;
    const auto part = [&](const Floats& all) { return rows_of(all, first, count, 1); };
    return {{0, static_cast<int32_t>(count)},
            part(logprob),
            part(entropy),
            part(old_logprob),
            part(ref_logprob),
            part(advantage),
            part(weight),
            part(policy_weight)};
  }
};
Batch ragged() {
  Random random(1);
  Batch batch;
  for (const auto& [length, share] :
       {std::pair<int64_t, double>{1, 1}, {0, 1}, {5, 0}, {256, 0.9}, {257, 0.6}, {700, 0.8}, {33, 1}})
    batch.add_sequence(random, length, share);
  return batch;
}

struct Result {
  PolicyLossStats stats;
  Floats d_logprob, d_entropy;
};
Result on_cpu(const PolicyLossOptions& o, const Batch& b) {
  Result r{{}, nans(b.T()), nans(b.T())};
  PolicyLossResult result;
  result.d_logprob = r.d_logprob.data();
  result.d_entropy = r.d_entropy.data();
  policy_loss(o,
              {b.T(), b.S(), b.starts.data(), b.logprob.data(), b.entropy.data(), b.old_logprob.data(),
               b.ref_logprob.data(), b.advantage.data(), b.weight.data(), b.policy_weight.data()},
              &result);
  r.stats = result;
  return r;
}
Result on_gpu(Gpu& gpu, const PolicyLossOptions& o, const Batch& b, Placement placement) {
  DeviceArray<int32_t> starts(gpu, b.starts, placement);
  DeviceArray<float> logprob(gpu, b.logprob, placement), entropy(gpu, b.entropy, placement);
  DeviceArray<float> old_logprob(gpu, b.old_logprob, placement), ref_logprob(gpu, b.ref_logprob, placement);
  DeviceArray<float> advantage(gpu, b.advantage, placement), weight(gpu, b.weight, placement);
  DeviceArray<float> policy_weight(gpu, b.policy_weight, placement);
  DeviceArray<float> d_logprob(gpu, nans(b.T()), placement), d_entropy(gpu, nans(b.T()), placement);
  Result r;
  r.stats = cuda::policy_loss(gpu, o,
                              {b.T(), b.S(), starts.data(), logprob.data(), entropy.data(), old_logprob.data(),
                               ref_logprob.data(), advantage.data(), weight.data(), policy_weight.data()},
                              d_logprob.data(), d_entropy.data());
  r.d_logprob = d_logprob.values();
  r.d_entropy = d_entropy.values();
  return r;
}

// All options at once would hide one another: a list of variants, each with every kind.
std::vector<PolicyLossOptions> variants() {
  std::vector<PolicyLossOptions> all;
  for (const Kind kind : {Kind::kCrossEntropy, Kind::kReinforce, Kind::kPpoClip, Kind::kGspo, Kind::kGspoToken,
                          Kind::kSequencePpo, Kind::kCispo}) {
    PolicyLossOptions plain;
    plain.kind = kind;
    if (kind == Kind::kCispo) plain.clip_high = 5;
    all.push_back(plain);
    for (const Kl kl : {Kl::kK2, Kl::kK3, Kl::kK1Plus, Kl::kK3Plus}) {
      PolicyLossOptions o = plain;
      o.kl = kl;
      o.kl_coef = 0.3f;
      o.kl_clamp = kl == Kl::kK3 ? 0.4f : 0;
      o.kl_times_ratio = uses_ratio(kind);
      o.entropy_coef = 0.01f;
      all.push_back(o);
    }
    PolicyLossOptions bounds = plain;
    bounds.ratio_cap = 1.1f;
    bounds.log_ratio_clamp = 2;
    bounds.sequence_log_ratio_max = 0.05f;
    bounds.entropy_coef = -0.2f;
    bounds.entropy_weight = 0.02f;
    all.push_back(bounds);
    PolicyLossOptions dual = plain;
    dual.dual_clip = 1.05f;
    all.push_back(dual);
  }
  return all;
}

double relative(double found, double expected) {
  return std::fabs(found - expected) / std::max(1.0, std::fabs(expected));
}

void losses(Gpu& gpu) {
  const Batch batch = ragged();
  double stats = 0, gradients = 0;
  bool counts = true, alone = true, entropies = true;
  int64_t clipped = 0, shared = 0;
  for (const PolicyLossOptions& o : variants()) {
    const Result expected = on_cpu(o, batch);
    Result found;
    settled("policy_loss", [&](Placement placement) {
      found = on_gpu(gpu, o, batch, placement);
      Floats all = found.d_logprob;
      append(all, found.d_entropy);
      for (const double sum : {found.stats.loss, found.stats.kl_sum, found.stats.ratio_sum, found.stats.old_kl_sum}) {
        Floats bits(2);
        std::memcpy(bits.data(), &sum, sizeof sum);
        append(all, bits);
      }
      return all;
    });
    const PolicyLossStats &a = found.stats, &b = expected.stats;
    for (const auto field : {&PolicyLossStats::loss, &PolicyLossStats::policy_loss, &PolicyLossStats::kl_loss,
                             &PolicyLossStats::entropy_bonus, &PolicyLossStats::kl_sum, &PolicyLossStats::entropy_sum,
                             &PolicyLossStats::ratio_sum, &PolicyLossStats::ratio_max, &PolicyLossStats::old_kl_sum,
                             &PolicyLossStats::abs_log_ratio_max})
      stats = std::max(stats, relative(a.*field, b.*field));
    for (const auto field :
         {&PolicyLossStats::tokens, &PolicyLossStats::clip_low_count, &PolicyLossStats::clip_high_count,
          &PolicyLossStats::dual_clip_count, &PolicyLossStats::clamp_count})
      counts = counts && a.*field == b.*field;
    clipped += a.clip_low_count + a.clip_high_count + a.dual_clip_count + a.clamp_count;
    gradients =
        std::max(gradients, worst_error(found.d_logprob, {expected.d_logprob.begin(), expected.d_logprob.end()}));
    entropies = entropies && same_bits(found.d_entropy, expected.d_entropy);
    shared += uses_sequence_ratio(o.kind);
    for (const int64_t s : {0, 4, 5}) {
      const Result one = on_gpu(gpu, o, batch.sequence(s), Placement::kFlush);
      const int64_t first = batch.starts[s], length = batch.starts[s + 1] - first;
      alone = alone && same_bits(one.d_logprob, rows_of(found.d_logprob, first, length, 1));
    }
  }
  check_below(stats, 1e-12, "policy_loss: ten sums and maxima of 49 variants against the CPU");
  check_below(gradients, 1.5e-7, "policy_loss: gradients, relative to the largest (a last bit of fp32)");
  check(counts && clipped > 1000 && shared > 0,
        "policy_loss: the counts are the CPU's, " + std::to_string(clipped) + " tokens at a bound");
  check(entropies, "policy_loss: entropy gradients have the CPU's bits, 0 out of the loss");
  check(alone, "policy_loss: a sequence's gradient has the same bits alone and packed");
}

// Arrays that an option does not need may be missing.
void missing_arrays(Gpu& gpu) {
  Batch batch = ragged();
  bool same = true;
  for (const Kind kind : {Kind::kCrossEntropy, Kind::kReinforce, Kind::kPpoClip}) {
    PolicyLossOptions o;
    o.kind = kind;
    DeviceArray<int32_t> starts(gpu, batch.starts);
    DeviceArray<float> logprob(gpu, batch.logprob), old_logprob(gpu, batch.old_logprob);
    DeviceArray<float> advantage(gpu, batch.advantage), weight(gpu, batch.weight), d_logprob(gpu, nans(batch.T()));
    const auto given = [&](bool is_needed, const auto& pointer) { return is_needed ? pointer : nullptr; };
    const bool has_advantage = kind != Kind::kCrossEntropy, has_old = kind == Kind::kPpoClip;
    const float *on_old = old_logprob.data(), *on_advantage = advantage.data();
    const PolicyLossStats found =
        cuda::policy_loss(gpu, o,
                          {batch.T(), batch.S(), starts.data(), logprob.data(), nullptr, given(has_old, on_old),
                           nullptr, given(has_advantage, on_advantage), weight.data(), nullptr},
                          d_logprob.data(), nullptr);
    Floats expected(batch.T());
    PolicyLossResult result;
    result.d_logprob = expected.data();
    const float *old = batch.old_logprob.data(), *advantages = batch.advantage.data();
    policy_loss(o,
                {batch.T(), batch.S(), batch.starts.data(), batch.logprob.data(), nullptr, given(has_old, old), nullptr,
                 given(has_advantage, advantages), batch.weight.data(), nullptr},
                &result);
    same = same && same_bits(d_logprob.values(), expected) && relative(found.loss, result.loss) < 1e-12;
  }
  check(same, "policy_loss: without the arrays that an option does not need");
  PolicyLossOptions ppo;
  check_throws([&] { cuda::policy_loss(gpu, ppo, {}, nullptr, nullptr); }, "ERR_LOSS_INPUT", "seq_starts",
               "policy_loss names an array that is missing");
}

// Without a clamp a ratio may come near the ends of a double.
void extreme_ratios(Gpu& gpu) {
  Batch batch = ragged().sequence(6);
  for (size_t t = 0; t < 6; ++t) {
    batch.old_logprob[t] = 0;
    batch.logprob[t] = std::vector<float>{-740, -708.5f, -720, -750, -88, -0.0f}[t];
    batch.advantage[t] = 1;
  }
  PolicyLossOptions o;
  o.log_ratio_clamp = 0;
  const Result expected = on_cpu(o, batch), found = on_gpu(gpu, o, batch, Placement::kFlush);
  check(same_bits(found.d_logprob, expected.d_logprob) &&
            relative(found.stats.ratio_sum, expected.stats.ratio_sum) < 1e-13,
        "policy_loss: ratios down to the smallest doubles are the CPU's");
}

// The largest ratio and the farthest log-ratio are found wherever they are: in any lane, warp and sequence.
void extremes(Gpu& gpu) {
  Random random(6);
  Batch batch;
  for (int64_t s = 0; s < 70; ++s) batch.add_sequence(random, s % 10 == 0 ? 300 : 9, 1);
  PolicyLossOptions o;
  o.kind = Kind::kPpoClip;
  bool found = true;
  for (const int64_t at : {int64_t{0}, int64_t{15}, int64_t{16}, int64_t{31}, int64_t{47}, int64_t{200}, int64_t{299},
                           int64_t{320}, batch.T() / 2, batch.T() - 1}) {
    Batch one = batch;
    for (int64_t t = 0; t < batch.T(); ++t) one.old_logprob[t] = one.logprob[t] + (t == at ? -3.0f : 0.5f);
    const PolicyLossStats got = on_gpu(gpu, o, one, Placement::kFlush).stats, cpu = on_cpu(o, one).stats;
    found = found && relative(got.ratio_max, cpu.ratio_max) < 1e-13 && got.ratio_max > 20 &&
            got.abs_log_ratio_max == cpu.abs_log_ratio_max && got.abs_log_ratio_max > 2.9;
  }
  check(found, "policy_loss: the largest ratio is found in every lane, warp and sequence");
}

void loss_faults(Gpu& gpu) {
  const Batch batch = ragged();
  const auto spoil = [&](Floats Batch::*array, int64_t token, float value, const std::string& code,
                         const std::string& part) {
    Batch bad = batch;
    (bad.*array)[token] = value;
    PolicyLossOptions o;
    o.kl = Kl::kK3;
    o.kl_coef = 0.1f;
    check_throws([&] { on_gpu(gpu, o, bad, Placement::kFlush); }, code, part, "policy_loss refuses it");
  };
  spoil(&Batch::weight, 7, NAN, "ERR_NOT_FINITE", "weight of token 7 is NaN");
  spoil(&Batch::weight, 9, -0.5f, "ERR_LOSS_INPUT", "weight of token 9 is -0.5");
  spoil(&Batch::logprob, 0, -INFINITY, "ERR_NOT_FINITE", "logprob of token 0 is infinite");
  const auto last = static_cast<int64_t>(batch.weight.size()) - 1;
  for (const auto& [array, name] : {std::pair{&Batch::old_logprob, "old_logprob"},
                                    {&Batch::ref_logprob, "ref_logprob"},
                                    {&Batch::advantage, "advantage"},
                                    {&Batch::policy_weight, "policy_weight"},
                                    {&Batch::entropy, "entropy"}})
    spoil(array, last, NAN, "ERR_NOT_FINITE", std::string(name) + " of token " + std::to_string(last) + " is NaN");
  PolicyLossOptions free;
  free.log_ratio_clamp = 0;
  Batch far = batch;
  far.old_logprob[0] = -2000;
  check_throws([&] { on_gpu(gpu, free, far, Placement::kFlush); }, "ERR_NOT_FINITE",
               "ratio exp(logprob - old_logprob) of token 0", "policy_loss refuses a ratio that overflows");
  PolicyLossOptions through;
  through.kind = Kind::kSequencePpo;
  Batch huge = batch.sequence(0);
  huge.logprob[0] = 0, huge.old_logprob[0] = -15, huge.advantage[0] = -1, huge.weight[0] = 1e38f;
  check_throws([&] { on_gpu(gpu, through, huge, Placement::kFlush); }, "ERR_NOT_FINITE",
               "gradient of token 0 is infinite",
               "policy_loss refuses a gradient through the sequence's ratio that overflows");
  PolicyLossOptions wrong;
  wrong.clip_low = 2;
  check_throws([&] { on_gpu(gpu, wrong, batch, Placement::kFlush); }, "ERR_LOSS_OPTION", "clip_low",
               "policy_loss refuses an option");
}

void groups(Gpu& gpu) {
  Random random(3);
  bool same = true, counts = true;
  double batch_scope = 0, sums = 0;
  for (const auto& [P, G] : {std::pair<int64_t, int64_t>{1, 1}, {1, 8}, {300, 4}, {7, 33}, {5, 2}, {9, 3}, {4, 7}}) {
    Floats rewards = random.normals(P * G);
    std::vector<uint8_t> valid;
    for (int64_t i = 0; i < P * G; ++i) {
      valid.push_back(random.uniform() < 0.8);
      if (i / G % 3 == 0) rewards[i] = 1.0f / 3;  // a dead group
      if (valid.back() == 0) rewards[i] = NAN;
    }
    for (const auto baseline : {AdvantageOptions::Baseline::kGroupMean, AdvantageOptions::Baseline::kLeaveOneOut})
      for (const auto std :
           {AdvantageOptions::Std::kNone, AdvantageOptions::Std::kSample, AdvantageOptions::Std::kPopulation})
        for (const auto scope : {AdvantageOptions::Scope::kGroup, AdvantageOptions::Scope::kBatch})
          for (const bool all_valid : {false, true}) {
            Floats given = rewards;
            if (all_valid)
              for (float& reward : given) reward = std::isnan(reward) ? 0.25f : reward;
            const AdvantageOptions o{baseline, std, scope, 1e-4};
            Floats expected = nans(P * G);
            const AdvantageStats a =
                group_advantages(o, given.data(), P, G, all_valid ? nullptr : valid.data(), expected.data());
            AdvantageStats b;
            const Floats found = settled("group_advantages", [&, P = P, G = G](Placement placement) {
              DeviceArray<float> in(gpu, given, placement), out(gpu, nans(P * G), placement);
              DeviceArray<uint8_t> mask(gpu, valid, placement);
              b = cuda::group_advantages(gpu, o, in.data(), P, G, all_valid ? nullptr : mask.data(), out.data());
              return out.values();
            });
            counts =
                counts && a.trajectories == b.trajectories && a.groups == b.groups && a.dead_groups == b.dead_groups;
            sums = std::max(sums, relative(b.reward_sum, a.reward_sum));
            if (scope == AdvantageOptions::Scope::kGroup)
              same = same && same_bits(found, expected);
            else
              batch_scope = std::max(batch_scope, worst_error(found, {expected.begin(), expected.end()}));
          }
  }
  check(same, "group_advantages has the CPU's bits with the group's scale");
  check_below(batch_scope, 1.5e-7, "group_advantages with the batch's scale, relative to the largest");
  check(counts, "group_advantages counts trajectories, groups and dead groups");
  check_below(sums, 1e-13, "group_advantages: the sum of rewards");
  Floats bad = random.normals(24);
  bad[13] = INFINITY;
  bad[20] = NAN;
  DeviceArray<float> in(gpu, bad), out(gpu, nans(24));
  check_throws([&] { cuda::group_advantages(gpu, {}, in.data(), 4, 6, nullptr, out.data()); }, "ERR_NOT_FINITE",
               "trajectory 13 (group 2, sample 1) is infinite", "group_advantages names the first bad reward");
  std::vector<uint8_t> some(24, 1);
  some[13] = 0;
  DeviceArray<uint8_t> valid(gpu, some);
  check_throws([&] { cuda::group_advantages(gpu, {}, in.data(), 4, 6, valid.data(), out.data()); }, "ERR_NOT_FINITE",
               "trajectory 20 (group 3, sample 2) is NaN", "group_advantages names the first bad reward that counts");
  check_throws([&] { cuda::group_advantages(gpu, {}, in.data(), 4, 0, nullptr, out.data()); }, "ERR_ADVANTAGE_OPTION",
               "G = 0", "group_advantages refuses empty groups");
}

struct Tokens {
  std::vector<int32_t> starts{0};
  Floats reward, value;
  std::vector<uint8_t> mask;
  TokenRewards view(const int32_t* s, const float* r, const uint8_t* m) const {
    return {starts.back(), static_cast<int64_t>(starts.size()) - 1, s, r, m};
  }
};

// One token a sequence. "All equal" is decided in two steps, and each of them alone must see a difference: tokens of one thread
// (a block's threads apart) and tokens of two threads.
void differing_tokens(Gpu& gpu) {
  double worst = 0;
  bool differs = true;
  const int64_t threads = cuda::kAdvantageThreads;
  for (const auto& [T, equal] :
       {std::pair<int64_t, int64_t>{3 * threads + 5, threads}, {threads, threads - 1}, {2, 1}}) {
    std::vector<int32_t> starts;
    for (int64_t t = 0; t <= T; ++t) starts.push_back(static_cast<int32_t>(t));
    Floats reward(T, 0.25f);
    std::fill(reward.begin() + equal, reward.end(), 0.75f);
    const std::vector<uint8_t> mask(T, 1);
    DeviceArray<int32_t> on_starts(gpu, starts);
    DeviceArray<float> on_reward(gpu, reward), returns(gpu, nans(T));
    DeviceArray<uint8_t> on_mask(gpu, mask);
    cuda::token_advantages(gpu, {T, T, on_starts.data(), on_reward.data(), on_mask.data()}, nullptr, 1, 1,
                           {true, false, 1e-8}, nullptr, returns.data());
    Floats expected = reward;
    whiten(expected.data(), mask.data(), T, 1e-8, false);
    const Floats found = returns.values();
    worst = std::max(worst, worst_error(found, {expected.begin(), expected.end()}));
    differs = differs && found.front() < 0 && found.back() > 0;
  }
  check_below(worst, 1.5e-7, "whitened returns that only two threads, or only one thread, see to differ");
  check(differs, "returns that differ in a few tokens are not taken for equal");
}

void tokens(Gpu& gpu) {
  Random random(4);
  Tokens in;
  // More sequences than a block has warps, spans of tokens that the policy did not write, lengths around 32.
  for (const int64_t length : {1, 0, 31, 32, 33, 64, 65, 200, 3, 7, 100}) {
    for (int64_t t = 0; t < length; ++t) {
      const bool mine = t % 17 < 11 && length != 7;
      in.mask.push_back(mine);
      in.reward.push_back(mine && random.uniform() < 0.3 ? random.normal() : 0.0f);
      in.value.push_back(mine ? random.normal() : NAN);
    }
    in.starts.push_back(static_cast<int32_t>(in.mask.size()));
  }
  const int64_t T = in.starts.back();
  bool swept = true, counted = true;
  double whitened = 0;
  for (const bool gae : {false, true})
    for (const int kind : {0, 1, 2}) {
      const cuda::Whitening whitening{kind > 0, kind == 2, 1e-8};
      int64_t count = -1;
      const Floats found = settled("token_advantages", [&](Placement placement) {
        DeviceArray<int32_t> starts(gpu, in.starts, placement);
        DeviceArray<float> reward(gpu, in.reward, placement), value(gpu, in.value, placement);
        DeviceArray<uint8_t> mask(gpu, in.mask, placement);
        DeviceArray<float> advantages(gpu, nans(T), placement), returns(gpu, nans(T), placement);
        count = cuda::token_advantages(gpu, in.view(starts.data(), reward.data(), mask.data()),
                                       gae ? value.data() : nullptr, 0.97, 0.9, whitening,
                                       gae ? advantages.data() : nullptr, returns.data());
        Floats all = returns.values();
        if (gae) append(all, advantages.values());
        return all;
      });
      const TokenRewards host = in.view(in.starts.data(), in.reward.data(), in.mask.data());
      Floats advantages(T), returns(T);
      if (gae)
        generalised_advantages(host, in.value.data(), 0.97, 0.9, advantages.data(), returns.data());
      else
        discounted_returns(host, 0.97, returns.data());
      if (kind > 0) {
        const int64_t expected = whiten(gae ? advantages.data() : returns.data(), in.mask.data(), T, 1e-8, kind == 2);
        counted = counted && count == expected;
      }
      Floats all = returns;
      if (gae) append(all, advantages);
      if (kind == 0)
        swept = swept && same_bits(found, all);
      else
        whitened = std::max(whitened, worst_error(found, {all.begin(), all.end()}));
    }
  check(swept, "returns and GAE have the CPU's bits, 0 off the mask");
  check_below(whitened, 1.5e-7, "whitened returns and advantages, relative to the largest");
  check(counted, "whitening counts its tokens");

  const auto run = [&](const Tokens& given, bool with_value, double gamma, bool whitens = false) {
    DeviceArray<int32_t> starts(gpu, given.starts);
    DeviceArray<float> reward(gpu, given.reward), value(gpu, given.value), advantages(gpu, nans(T)),
        returns(gpu, nans(T));
    DeviceArray<uint8_t> mask(gpu, given.mask);
    cuda::token_advantages(gpu, given.view(starts.data(), reward.data(), mask.data()),
                           with_value ? value.data() : nullptr, gamma, 1, {whitens, false, 1e-8}, advantages.data(),
                           returns.data());
    return returns.values();
  };
  // Equal numbers become exactly 0: one reward at the end of each sequence, no discount.
  Tokens equal = in;
  std::fill(equal.reward.begin(), equal.reward.end(), 0.0f);
  for (size_t s = 0; s + 1 < equal.starts.size(); ++s)
    for (int32_t t = equal.starts[s + 1] - 1; t >= equal.starts[s]; --t)
      if (equal.mask[t] != 0) {
        equal.reward[t] = 1.0f / 3;
        break;
      }
  check(same_bits(run(equal, false, 1, true), Floats(T, 0.0f)), "equal returns are whitened to exactly 0");
  differing_tokens(gpu);
  Tokens large = in;
  for (int64_t t = 0; t < T; ++t) large.reward[t] = in.mask[t] != 0 ? 3e38f : 0.0f;
  check_throws([&] { run(large, false, 1, true); }, "ERR_NOT_FINITE",
               "Expected finite numbers to whiten but token 1 has inf", "returns that overflow are not whitened");
  const int64_t at = in.starts[8] - 30;  // token 170 of sequence 7
  Tokens bad = in;
  bad.reward[at] = NAN;
  check_throws([&] { run(bad, false, 1); }, "ERR_NOT_FINITE", "token 170 of sequence 7", "a bad reward is named");
  check_throws([&] { run(bad, true, 1); }, "ERR_NOT_FINITE", "token 170 of sequence 7",
               "a bad reward is named beside values");
  bad = in;
  for (int64_t t = at; t < T; ++t)
    if (bad.mask[t] == 0) bad.reward[t] = 1;
  check_throws([&] { run(bad, false, 1); }, "ERR_ADVANTAGE_OPTION", "of sequence 7, which the policy did not write",
               "a reward off the mask is named");
  check_throws([&] { run(bad, true, 1); }, "ERR_ADVANTAGE_OPTION", "of sequence 7, which the policy did not write",
               "a reward off the mask is named beside values");
  bad = in;
  bad.value[0] = INFINITY;
  check_throws([&] { run(bad, true, 1); }, "ERR_NOT_FINITE", "finite values but token 0 of sequence 0",
               "a bad value is named");
  check_throws([&] { run(in, true, 1.5); }, "ERR_ADVANTAGE_OPTION", "gamma", "gamma must be at most 1");
}

}  // namespace

int main() {
  const std::shared_ptr<Gpu> gpu = open_gpu();
  if (gpu == nullptr) return kSkipped;
  losses(*gpu);
  missing_arrays(*gpu);
  extreme_ratios(*gpu);
  extremes(*gpu);
  loss_faults(*gpu);
  groups(*gpu);
  tokens(*gpu);
  check_conflicts();
  return finish();
}
