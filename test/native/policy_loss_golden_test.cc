// The policy loss against verl and TRL: golden/losses, every case that is one of the losses of policy_loss.h.
#include <algorithm>
#include <map>

#include "check.h"
#include "golden.h"
#include "policy_loss_batch.h"

using namespace toolgrad;
using namespace toolgrad::test;
using Kind = PolicyLossOptions::Kind;
using Kl = PolicyLossOptions::Kl;

namespace {

bool starts_with(const std::string& s, const std::string& prefix) {
  return s.compare(0, prefix.size(), prefix) == 0;
}

// |found - expected| in units of the tolerance atol + rtol |expected|.
double error_units(double found, double expected, double atol, double rtol) {
  return std::fabs(found - expected) / (atol + rtol * std::fabs(expected));
}
double relative(double found, double expected) {
  const double error = std::fabs(found - expected);
  return expected == 0 ? error : error / std::fabs(expected);
}
// Norm of the difference over the norm of what is expected.
double relative_norm(const std::vector<float>& found, const std::vector<float>& expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double e = static_cast<double>(expected[i]), d = static_cast<double>(found[i]) - e;
    difference += d * d, norm += e * e;
  }
  return std::sqrt(norm == 0 ? difference : difference / norm);
}
double gradient_units(const std::vector<float>& found, const std::vector<float>& expected) {
  double worst = found.size() == expected.size() ? 0 : INFINITY;
  for (size_t i = 0; i < found.size() && i < expected.size(); ++i)
    worst = std::max(worst, error_units(static_cast<double>(found[i]), static_cast<double>(expected[i]), 1e-6, 2e-5));
  return worst;
}

// Per-token weights of one aggregation; `rows` and `tokens` are the denominators.
enum class Reduce { kToken, kRowMean, kRowSum };
std::vector<float> weights(const std::vector<int32_t>& mask, int64_t B, int64_t T, Reduce reduce, double denominator) {
  std::vector<float> w(mask.size(), 0.0f);
  for (int64_t b = 0; b < B; ++b) {
    int64_t row = 0;
    for (int64_t t = 0; t < T; ++t) row += mask[static_cast<size_t>(b * T + t)];
    for (int64_t t = 0; t < T; ++t) {
      const size_t i = static_cast<size_t>(b * T + t);
      if (mask[i] == 0) continue;
      w[i] = static_cast<float>(1.0 / denominator / (reduce == Reduce::kRowMean ? static_cast<double>(row) : 1.0));
    }
  }
  return w;
}

// The algorithm of a case: what stands before its reductions and variants.
std::string algorithm(const std::string& name) {
  const auto part = [&](int n) {
    size_t at = 0;
    for (int i = 0; i < n && at != std::string::npos; ++i) at = name.find('.', at + 1);
    return name.substr(0, at);
  };
  if (starts_with(name, "verl.kl.")) return part(3);
  if (name.find(".is.") != std::string::npos) return "trl.dapo.is";
  if (name.find(".tis.") != std::string::npos) return "verl.ppo_clip.tis";
  if (name.find(".sequence") != std::string::npos && starts_with(name, "trl.")) return "trl, GSPO (sequence level)";
  return part(2);
}

struct Case {
  PolicyLossOptions options;
  Batch batch;
};

// Cases that are other losses than the ones policy_loss.h defines, and why they are not here.
const std::map<std::string, std::string> kNotOurs = {
    {"verl.sapo.adv_seq", "SAPO's sigmoid gate instead of a clip"},
    {"trl.sapo.token", "SAPO's sigmoid gate instead of a clip"},
    {"trl.vespo", "VESPO's gamma weighting instead of a clip"},
    {"verl.geo_mean.adv_seq", "GMPO's geometric mean of clipped ratios"},
    {"verl.kl.abs.token-mean", "|k1| has no place in the loss; as an estimate in token_advantages_test.cc"},
    {"verl.kl.abs.seq-mean-token-mean", "|k1| has no place in the loss; as an estimate in token_advantages_test.cc"},
    {"verl.kl.k1.token-mean", "bare k1 in the loss is refused; as an estimate in token_advantages_test.cc"},
    {"verl.kl.k1.seq-mean-token-mean", "bare k1 in the loss is refused; as an estimate in token_advantages_test.cc"},
    {"verl.value_clip.token-mean", "the critic's loss: value_loss_test.cc"},
    {"verl.value_clip.seq-mean-token-mean", "the critic's loss: value_loss_test.cc"},
    {"trl.luspo.token", "averages over masked positions too"},
};

std::vector<float> broadcast_rows(const std::vector<float>& row_values, int64_t T) {
  std::vector<float> values;
  for (float value : row_values) values.insert(values.end(), static_cast<size_t>(T), value);
  return values;
}

Case golden_case(const json::Value& c, const Golden& inputs, const Golden& expected) {
  const std::string name = text(c, "name");
  const json::Value& p = *c.find("params");
  const int64_t B = 8, T = 24;
  Case out;
  Batch& b = out.batch;
  PolicyLossOptions& o = out.options;
  b.shape(B, T);
  b.logprob = inputs.floats("logp_new");
  b.entropy = inputs.floats("entropies");
  b.advantage.assign(static_cast<size_t>(B * T), 0.0f);
  for (const json::Value& input : c.find("inputs")->as_array()) {
    const std::string& which = input.as_string();
    if (which == "logp_old") b.old_logprob = inputs.floats(which);
    if (which == "logp_ref") b.ref_logprob = inputs.floats(which);
    if (which == "adv_seq") b.advantage = broadcast_rows(inputs.floats(which), T);
    if (which == "adv_tok") b.advantage = inputs.floats(which);
    if (starts_with(which, "is_weights/")) {
      b.policy_weight = expected.floats(which);
      if (b.policy_weight.size() == static_cast<size_t>(B)) b.policy_weight = broadcast_rows(b.policy_weight, T);
    }
  }
  const std::vector<int32_t> mask = inputs.ints("response_mask");
  const double tokens = static_cast<double>(std::count(mask.begin(), mask.end(), 1)), all_rows = 8, rows = 7;
  const auto reduce = [&](Reduce how, double denominator) { b.weight = weights(mask, B, T, how, denominator); };

  o.clip_low = static_cast<float>(number(p, "clip_low", number(p, "epsilon_low", 0.2)));
  o.clip_high = static_cast<float>(number(p, "clip_high", number(p, "epsilon_high", 0.2)));
  o.dual_clip = static_cast<float>(number(p, "dual_clip", 0));
  o.ratio_cap = static_cast<float>(number(p, "delta", 0));

  if (starts_with(name, "verl.")) {
    o.kl_clamp = 10;
    o.sequence_log_ratio_max = 10;
    const std::string agg = text(p, "agg");
    const double row_count = number(p, "global_batch_size", rows);
    if (agg == "token-mean") reduce(Reduce::kToken, number(p, "global_batch_num_tokens", tokens));
    if (agg == "token-sum") reduce(Reduce::kToken, 1);
    if (starts_with(agg, "seq-mean-token-mean")) reduce(Reduce::kRowMean, row_count);
    if (agg == "seq-mean-token-sum") reduce(Reduce::kRowSum, row_count);
    if (agg == "seq-mean-token-sum-norm") reduce(Reduce::kRowSum, row_count * number(p, "constant_divisor", 24));
  }
  if (starts_with(name, "trl.")) {
    o.log_ratio_clamp = 0;
    o.sequence_log_ratio_max = 0;
    const std::string type = text(p, "loss_type");
    if (type == "grpo") reduce(Reduce::kRowMean, all_rows * number(p, "current_gradient_accumulation_steps", 1));
    if (type == "dr_grpo") reduce(Reduce::kRowSum, all_rows * number(p, "max_completion_length", 0));
    if (type == "luspo") reduce(Reduce::kRowSum, all_rows);
    if (type == "dapo" || type == "bnpo" || type == "cispo" || type.empty())
      reduce(Reduce::kToken, number(p, "num_items_in_batch", tokens));
    if (text(p, "importance_sampling_level") == "sequence") o.kind = Kind::kGspo;
    if (p.find("beta") != nullptr) {
      o.kl = Kl::kK3;
      o.kl_coef = static_cast<float>(number(p, "beta", 0));
      o.kl_times_ratio = p.find("use_bias_correction_kl")->as_bool();
    }
  }

  if (starts_with(name, "verl.kl.")) {
    const std::string kind = text(p, "kind");
    o.kind = Kind::kReinforce;  // advantages are 0: only the KL term is left
    o.kl = kind == "k2" ? Kl::kK2 : kind == "k3" ? Kl::kK3 : kind == "k1+" ? Kl::kK1Plus : Kl::kK3Plus;
    o.kl_coef = 1;
  }
  if (name == "verl.ppo_clip_plus_kl_k3") {
    o.kl = Kl::kK3;
    o.kl_coef = static_cast<float>(number(p, "kl_coef", 0));
  }
  if (starts_with(name, "verl.gspo")) o.kind = Kind::kGspoToken;
  if (starts_with(name, "verl.reinforce") || starts_with(name, "verl.gpg")) o.kind = Kind::kReinforce;
  if (starts_with(name, "verl.cispo")) {
    o.kind = Kind::kCispo;
    o.clip_low = 1 - o.clip_low;
    o.clip_high = 1 + o.clip_high;
  }
  if (starts_with(name, "trl.cispo")) {
    o.kind = Kind::kCispo;
    o.clip_low = 0;
  }
  if (starts_with(name, "trl.dapo.on_policy")) b.old_logprob = b.logprob;
  if (name == "trl.rloo.ppo_sequence_sum") {
    o.kind = Kind::kSequencePpo;
    reduce(Reduce::kRowMean, all_rows);
  }
  if (name == "trl.grpo.top_entropy0.2") {
    // Tokens below the 0.8 quantile of the entropies leave the loss; the denominators stay.
    std::vector<float> sorted;
    for (size_t i = 0; i < mask.size(); ++i)
      if (mask[i] != 0) sorted.push_back(b.entropy[i]);
    std::sort(sorted.begin(), sorted.end());
    const double at = 0.8 * static_cast<double>(sorted.size() - 1);
    const size_t below = static_cast<size_t>(at);
    const double quantile = sorted[below] + (at - static_cast<double>(below)) * (sorted[below + 1] - sorted[below]);
    for (size_t i = 0; i < mask.size(); ++i)
      if (static_cast<double>(b.entropy[i]) < quantile) b.weight[i] = 0;
  }
  if (name == "own.rloo_reinforce") {
    o.kind = Kind::kReinforce;
    const std::vector<float> rewards = inputs.floats("rewards");
    const std::vector<int32_t> groups = inputs.ints("group_ids");
    std::vector<float> row_advantages;
    for (size_t i = 0; i < rewards.size(); ++i) {
      double others = 0, count = 0;
      for (size_t j = 0; j < rewards.size(); ++j)
        if (j != i && groups[j] == groups[i]) {
          others += rewards[j];
          count += 1;
        }
      row_advantages.push_back(static_cast<float>(rewards[i] - others / count));
    }
    b.advantage = broadcast_rows(row_advantages, T);
    reduce(Reduce::kRowSum, rows);
  }
  if (name == "own.gspo_sequence") {
    o.kind = Kind::kGspo;
    reduce(Reduce::kRowMean, rows);
  }
  return out;
}

void check_metrics(const std::string& name, const json::Value& metrics, const Case& c, const PolicyLossStats& s) {
  const double tokens = static_cast<double>(s.tokens);
  double worst = 0;
  const auto compare = [&](const char* key, double found) {
    if (metrics.find(key) != nullptr) worst = std::max(worst, error_units(found, number(metrics, key, 0), 3e-6, 1e-5));
  };
  if (c.options.kind == Kind::kPpoClip && name != "trl.grpo.top_entropy0.2") {
    compare("actor/pg_clipfrac", static_cast<double>(s.clip_low_count + s.clip_high_count) / tokens);
    compare("actor/pg_clipfrac_lower", static_cast<double>(s.dual_clip_count) / tokens);
    compare("actor/ppo_kl", s.old_kl_sum / tokens);
    compare("clip_ratio/low_mean", static_cast<double>(s.clip_low_count) / tokens);
    compare("clip_ratio/high_mean", static_cast<double>(s.clip_high_count) / tokens);
    compare("entropy", s.entropy_sum / tokens);
    if (c.options.kl != Kl::kNone && !c.options.kl_times_ratio) compare("kl", s.kl_sum / tokens);
  }
  if (worst > 1) check_below(worst, 1, name + ": metrics, in units of the tolerance");
}

void golden_losses(const std::string& folder) {
  const Golden inputs(folder + "/inputs.safetensors"), expected(folder + "/expected.safetensors");
  const json::Value document = read_json(folder + "/expected.json");
  double worst_loss = 0, worst_gradient = 0;
  int cases = 0;
  size_t skipped = 0;
  bool masked_zero = true;
  struct Row {
    int cases = 0;
    double loss = 0, gradient = 0;
  };
  std::map<std::string, Row> table;
  const std::vector<int32_t> mask = inputs.ints("response_mask");
  for (const json::Value& c : document.find("cases")->as_array()) {
    const std::string name = text(c, "name");
    if (kNotOurs.count(name) != 0) {
      std::printf("       %-48s left out: %s\n", name.c_str(), kNotOurs.at(name).c_str());
      ++skipped;
      continue;
    }
    const Case golden = golden_case(c, inputs, expected);
    if (golden.batch.weight.empty()) {
      check(false, name + ": the test knows its reduction");
      continue;
    }
    const Run r = run(golden.options, golden.batch);
    // TRL's mean over all rows counts the fully masked row 5 with ratio 1: a constant, in no gradient.
    const double constant = name == "trl.rloo.ppo_sequence_sum" ? -golden.batch.advantage[5 * 24] / 8.0 : 0.0;
    const double loss = error_units(r.result.loss + constant, number(c, "loss", NAN), 3e-6, 1e-5);
    const double gradient = gradient_units(r.d_logprob, expected.floats("grad/" + name));
    worst_loss = std::max(worst_loss, loss);
    worst_gradient = std::max(worst_gradient, gradient);
    for (size_t i = 0; i < mask.size(); ++i) masked_zero = masked_zero && (mask[i] != 0 || r.d_logprob[i] == 0);
    std::printf("       %-48s loss %.2e, gradient %.2e of the tolerance\n", name.c_str(), loss, gradient);
    Row& row = table[algorithm(name)];
    ++row.cases;
    row.loss = std::max(row.loss, relative(r.result.loss + constant, number(c, "loss", NAN)));
    row.gradient = std::max(row.gradient, relative_norm(r.d_logprob, expected.floats("grad/" + name)));
    if (!(loss <= 1 && gradient <= 1))
      check(false, name + ": loss " + std::to_string(r.result.loss) + " for " + std::to_string(number(c, "loss", 0)) +
                       ", gradient off by " + std::to_string(gradient) + " tolerances");
    check_metrics(name, *c.find("metrics"), golden, r.result);
    ++cases;
  }
  std::printf("       | algorithm | cases | worst relative error of the loss | of the gradient (norm-wise) |\n");
  for (const auto& [name, row] : table)
    std::printf("       | %s | %d | %.1e | %.1e |\n", name.c_str(), row.cases, row.loss, row.gradient);
  check(skipped == kNotOurs.size(), "every case that is left out is a known other loss");
  check(masked_zero, "gradients outside the mask are exactly 0");
  check_below(worst_loss, 1, std::to_string(cases) + " losses of verl and TRL, in units of atol 3e-6 + rtol 1e-5");
  check_below(worst_gradient, 1, "their gradients, in units of atol 1e-6 + rtol 2e-5");
}

void golden_extremes(const std::string& folder) {
  const Golden data(folder + "/extreme.safetensors");
  const json::Value document = read_json(folder + "/extreme.json");
  for (const json::Value& c : document.find("cases")->as_array()) {
    const std::string name = text(c, "name");
    Case e;
    e.batch.shape(2, 8);
    e.batch.logprob = data.floats("logp_new");
    e.batch.old_logprob = data.floats("logp_old");
    e.batch.ref_logprob = data.floats("logp_ref");
    e.batch.advantage = data.floats("advantages");
    e.batch.weight.assign(16, 1.0f / 16);
    PolicyLossOptions& o = e.options;
    o.kl_clamp = 10;
    if (starts_with(name, "trl.")) o.log_ratio_clamp = 0;
    if (name == "verl.ppo_dual3") o.dual_clip = 3;
    if (name == "trl.dapo.delta4") o.ratio_cap = 4;
    if (name == "verl.cispo" || name == "trl.cispo5") {
      o.kind = Kind::kCispo;
      o.clip_low = name == "verl.cispo" ? 0.8f : 0.0f;
      o.clip_high = name == "verl.cispo" ? 1.2f : 5.0f;
    }
    if (starts_with(name, "verl.kl")) {
      o.kind = Kind::kReinforce;
      e.batch.advantage.assign(16, 0.0f);
      o.kl = name == "verl.kl_k2" ? Kl::kK2 : Kl::kK3;
      o.kl_coef = 1;
    }
    const Run r = run(o, e.batch);
    check_below(error_units(r.result.loss, number(c, "loss", NAN), 3e-6, 1e-5), 1,
                "extreme ratios, " + name + ": loss");
    check_below(gradient_units(r.d_logprob, data.floats("grad/" + name)), 1, "extreme ratios, " + name + ": gradient");
  }
}

// d loss / d logits through log-prob and entropy, as the fused head computes it.
void golden_from_logits(const std::string& folder) {
  const Golden data(folder + "/from_logits.safetensors");
  const json::Value document = read_json(folder + "/from_logits.json");
  const int64_t B = 3, T = 7, V = 11;
  const std::vector<float> logits = data.floats("logits");
  const std::vector<int32_t> ids = data.ints("ids"), mask = data.ints("mask");
  const double tokens = static_cast<double>(std::count(mask.begin(), mask.end(), 1));
  for (const json::Value& c : document.find("cases")->as_array()) {
    const std::string name = text(c, "name");
    const json::Value& p = *c.find("params");
    const double temperature = number(p, "temperature", 1);
    std::vector<double> logprobs(logits.size());
    Case e;
    e.batch.shape(B, T);
    for (int64_t i = 0; i < B * T; ++i) {
      const float* row = logits.data() + i * V;
      double top = -INFINITY, sum = 0, entropy = 0;
      for (int64_t v = 0; v < V; ++v) top = std::max(top, row[v] / temperature);
      for (int64_t v = 0; v < V; ++v) sum += std::exp(row[v] / temperature - top);
      for (int64_t v = 0; v < V; ++v) {
        const double lp = row[v] / temperature - top - std::log(sum);
        logprobs[static_cast<size_t>(i * V + v)] = lp;
        entropy -= std::exp(lp) * lp;
      }
      e.batch.logprob.push_back(static_cast<float>(logprobs[static_cast<size_t>(i * V + ids[static_cast<size_t>(i)])]));
      e.batch.entropy.push_back(static_cast<float>(entropy));
    }
    e.batch.old_logprob = data.floats("logp_old");
    e.batch.ref_logprob = data.floats("logp_ref");
    e.batch.advantage = broadcast_rows(data.floats("advantages"), T);
    e.batch.weight = weights(mask, B, T, Reduce::kToken, tokens);
    PolicyLossOptions& o = e.options;
    o.log_ratio_clamp = 0;
    o.entropy_coef = static_cast<float>(number(p, "entropy_coef", 0));
    o.entropy_weight = static_cast<float>(1 / tokens);
    if (number(p, "beta", 0) > 0) {
      o.kl = Kl::kK3;
      o.kl_coef = static_cast<float>(number(p, "beta", 0));
      o.kl_times_ratio = p.find("use_bias_correction_kl")->as_bool();
    }
    if (name == "verl_entropy_token_mean") {
      e.batch.advantage.assign(static_cast<size_t>(B * T), 0.0f);
      o.entropy_coef = -1;
    }
    const Run r = run(o, e.batch);
    const std::vector<float> expected = data.floats("dlogits/" + name);
    std::vector<float> found(expected.size());
    for (int64_t i = 0; i < B * T; ++i)
      for (int64_t v = 0; v < V; ++v) {
        const double lp = logprobs[static_cast<size_t>(i * V + v)];
        const double one = v == ids[static_cast<size_t>(i)] ? 1 : 0;
        const double entropy = e.batch.entropy[static_cast<size_t>(i)];
        found[static_cast<size_t>(i * V + v)] =
            static_cast<float>((r.d_logprob[static_cast<size_t>(i)] * (one - std::exp(lp)) -
                                r.d_entropy[static_cast<size_t>(i)] * std::exp(lp) * (lp + entropy)) /
                               temperature);
      }
    check_below(error_units(r.result.loss, number(c, "loss", NAN), 3e-6, 1e-5), 1, "from logits, " + name + ": loss");
    check_below(gradient_units(found, expected), 1, "from logits, " + name + ": d loss / d logits");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string shared = shared_folder(argc, argv);
  if (shared.empty()) return kSkipped;
  golden_losses(shared + "/golden/losses");
  golden_extremes(shared + "/golden/losses");
  golden_from_logits(shared + "/golden/losses");
  return finish();
}
