// The value loss against verl's golden cases, finite differences in float64 and bad input.
#include "engine/value_loss.h"

#include <algorithm>
#include <limits>

#include "check.h"
#include "golden.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

struct Batch {
  std::vector<float> value, old_value, returns, weight;
  ValueLossBatch view() const {
    return {static_cast<int64_t>(value.size()), value.data(), old_value.empty() ? nullptr : old_value.data(),
            returns.data(), weight.data()};
  }
};

struct Run {
  ValueLossStats stats;
  std::vector<float> d_value;
};
Run run(const ValueLossOptions& options, const Batch& batch) {
  Run r;
  r.d_value.assign(batch.value.size(), -1.0f);
  r.stats = value_loss(options, batch.view(), r.d_value.data());
  return r;
}

Batch random_batch(int64_t T) {
  Random random(5);
  Batch b;
  b.value = random.normals(T);
  b.returns = random.normals(T);
  for (float v : b.value) b.old_value.push_back(v + 0.6f * random.normal());
  for (int64_t t = 0; t < T; ++t) b.weight.push_back(t % 5 == 0 ? 0.0f : static_cast<float>(0.1 + random.uniform()));
  return b;
}

// The same formula written plainly, to differentiate and to compare with.
double plain_loss(const Batch& b, double clip, size_t moved, double by) {
  double loss = 0;
  for (size_t t = 0; t < b.value.size(); ++t) {
    const double v = static_cast<double>(b.value[t]) + (t == moved ? by : 0.0), target = b.returns[t];
    double square = (v - target) * (v - target);
    if (clip > 0) {
      const double old = b.old_value[t], held = std::min(std::max(v, old - clip), old + clip);
      square = std::max(square, (held - target) * (held - target));
    }
    loss += 0.5 * static_cast<double>(b.weight[t]) * square;
  }
  return loss;
}

void finite_differences() {
  constexpr double kStep = 1e-6;
  const Batch batch = random_batch(200);
  for (const float clip : {0.0f, 0.2f, 0.5f}) {
    const Run r = run({clip, 1}, batch);
    double worst = 0;
    for (size_t t = 0; t < batch.value.size(); ++t) {
      const double slope = (plain_loss(batch, static_cast<double>(clip), t, kStep) -
                            plain_loss(batch, static_cast<double>(clip), t, -kStep)) /
                           (2 * kStep);
      worst = std::max(worst, std::fabs(slope - static_cast<double>(r.d_value[t])));
    }
    const std::string label = "clip " + std::to_string(clip);
    check_below(worst, 1e-6, label + ": gradient against float64 finite differences");
    check_below(std::fabs(r.stats.loss - plain_loss(batch, static_cast<double>(clip), 0, 0)), 1e-12, label + ": loss");
    if (clip > 0)
      check(r.stats.clip_count > 10 && r.stats.clip_count < r.stats.tokens - 10,
            label + ": both branches occur (" + std::to_string(r.stats.clip_count) + " of " +
                std::to_string(r.stats.tokens) + " clipped)");
    Run doubled = run({clip, 2}, batch);
    for (float& d : doubled.d_value) d *= 0.5f;
    check(doubled.d_value == r.d_value && doubled.stats.loss == r.stats.loss,
          label + ": coef scales the gradient and not the reported loss");
  }
}

void edges() {
  // At the edge of the interval both squares are one: the gradient flows, as with torch.clamp.
  Batch b{{0.5f, 0.5f, 2.0f, 3.0f}, {0.25f, 0.25f, 0.0f, 0.0f}, {1.0f, -1.0f, 3.0f, -7.0f}, {1, 1, 1, 0}};
  const Run r = run({0.25f, 1}, b);
  check(r.d_value[0] == -0.5f && r.d_value[1] == 1.5f, "at the clip's edge the gradient is v - R");
  check(r.d_value[2] == 0 && r.stats.clip_count == 1, "a value that moved towards its return too far has no gradient");
  check(r.d_value[3] == 0 && r.stats.tokens == 3, "a token of weight 0 has no gradient");
  check(r.stats.value_sum == 3 && r.stats.return_sum == 3 && r.stats.return_squares == 11 &&
            r.stats.residual_sum == 0 && r.stats.residual_squares == 3.5,
        "sums of values, returns and residuals");
  ValueLossStats sum;
  Batch parts[2] = {b, b};
  for (int i = 0; i < 2; ++i) {
    parts[i].weight = {i == 0 ? 1.0f : 0.0f, i == 0 ? 0.0f : 1.0f, i == 0 ? 1.0f : 0.0f, 0.0f};
    sum.add(run({0.25f, 1}, parts[i]).stats);
  }
  check(sum.loss == r.stats.loss && sum.tokens == 3 && sum.clip_count == 1 && sum.value_sum == r.stats.value_sum &&
            sum.return_squares == r.stats.return_squares && sum.residual_squares == r.stats.residual_squares &&
            sum.return_sum == r.stats.return_sum && sum.residual_sum == r.stats.residual_sum,
        "statistics of parts add up");
}

void bad_input() {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const Batch good{{0, 0, 0}, {0, 0, 0}, {1, 1, 1}, {0, 1, 1}};
  std::vector<float> d(3);
  const auto fails = [&](ValueLossOptions o, Batch b, const char* code, const char* part, const char* sentence) {
    check_throws([&] { value_loss(o, b.view(), d.data()); }, code, part, sentence);
  };
  Batch b = good;
  b.returns[2] = nan;
  fails({}, b, "ERR_NOT_FINITE", "return of token 2 is NaN", "a NaN return names its token");
  b = good;
  b.value[1] = infinity;
  fails({}, b, "ERR_NOT_FINITE", "value of token 1 is infinite", "so does an infinite value");
  b = good;
  b.old_value[1] = nan;
  fails({0.2f, 1}, b, "ERR_NOT_FINITE", "old value of token 1 is NaN", "and a NaN old value, when it is read");
  check(value_loss({0, 1}, b.view(), d.data()).tokens == 2, "without clipping old values are not read");
  b = good;
  b.returns[0] = nan;
  check(value_loss({0, 1}, b.view(), d.data()).tokens == 2, "what a token of weight 0 holds is not read");
  b.weight[1] = -1;
  fails({}, b, "ERR_LOSS_INPUT", "weight of token 1", "a negative weight is refused");
  fails({-0.1f, 1}, good, "ERR_LOSS_OPTION", "clip: expected", "a negative clip is refused");
  fails({0, nan}, good, "ERR_LOSS_OPTION", "coef: expected", "a NaN coefficient is refused");
  b = good;
  b.old_value.clear();
  fails({0.2f, 1}, b, "ERR_LOSS_INPUT", "old_value is required when clip is not 0", "clipping needs old values");
}

void golden(const std::string& folder) {
  const Golden inputs(folder + "/inputs.safetensors"), expected(folder + "/expected.safetensors");
  const json::Value document = read_json(folder + "/expected.json");
  const int64_t B = 8, T = 24;
  const std::vector<int32_t> mask = inputs.ints("response_mask");
  int cases = 0;
  for (const json::Value& c : document.find("cases")->as_array()) {
    const std::string name = text(c, "name");
    if (name.rfind("verl.value_clip.", 0) != 0) continue;
    ++cases;
    const json::Value& params = *c.find("params");
    const bool token_mean = text(params, "agg") == "token-mean";
    Batch b{inputs.floats("vpreds"), inputs.floats("values"), inputs.floats("returns"), {}};
    b.weight.assign(b.value.size(), 0.0f);
    const double tokens = static_cast<double>(std::count(mask.begin(), mask.end(), 1));
    for (int64_t row = 0; row < B; ++row) {
      const auto from = mask.begin() + row * T;
      const double own = static_cast<double>(std::count(from, from + T, 1)), rows = 7;  // row 5 has no token
      for (int64_t t = row * T; t < (row + 1) * T; ++t)
        if (mask[static_cast<size_t>(t)] != 0)
          b.weight[static_cast<size_t>(t)] = static_cast<float>(token_mean ? 1 / tokens : 1 / (rows * own));
    }
    const Run r = run({static_cast<float>(number(params, "cliprange_value", 0)), 1}, b);
    const std::vector<float> gradient = expected.floats("grad/" + name);
    double worst = 0;
    bool masked_zero = true;
    for (size_t i = 0; i < gradient.size(); ++i) {
      const double difference = std::fabs(static_cast<double>(r.d_value[i]) - static_cast<double>(gradient[i]));
      worst = std::max(worst, difference / (1e-6 + 2e-5 * std::fabs(static_cast<double>(gradient[i]))));
      masked_zero = masked_zero && (mask[i] != 0 || r.d_value[i] == 0);
    }
    const double loss = number(c, "loss", NAN), fraction = number(*c.find("metrics"), "vf_clipfrac", NAN);
    check_below(std::fabs(r.stats.loss - loss) / std::fabs(loss), 1e-5, name + ": relative error of the loss");
    check_below(worst, 1, name + ": gradient, in units of atol 1e-6 + rtol 2e-5");
    check_below(std::fabs(static_cast<double>(r.stats.clip_count) / static_cast<double>(r.stats.tokens) - fraction),
                1e-6, name + ": fraction of clipped tokens");
    check(masked_zero, name + ": gradients outside the mask are exactly 0");
  }
  check(cases == 2, "both cases of the value loss were found");
}

}  // namespace

int main(int argc, char** argv) {
  finite_differences();
  edges();
  bad_input();
  const std::string shared = shared_folder(argc, argv);
  if (shared.empty()) return failures() > 0 ? 1 : kSkipped;
  golden(shared + "/golden/losses");
  return finish();
}
