// What every sampler must do, whatever it runs on: draws against the fp64 inverse CDF, greedy ties, filters, log-probs before
// the filters, rows without a distribution, golden filtered distributions.
#pragma once

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include "engine/philox.h"
#include "engine/weight_file.h"
#include "testing.h"

namespace toolgrad::test {

/// Runs the op on arrays of the host.
using Sampler = std::function<void(const Sample&)>;

struct Settings {
  float temperature = 1.0f;
  int32_t top_k = 0;
  float top_p = 1.0f, min_p = 0.0f;
  double repetition_penalty = 1.0;  // applied to the logits by the test: the op has none
};

struct Draws {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  bool operator==(const Draws& o) const { return tokens == o.tokens && same_bits(logprobs, o.logprobs); }
};

constexpr uint64_t kSeed = 0x123456789abcdef0ull;

inline SampleKey key_of(int64_t position) {
  return {kSeed, 3, 5, 7, static_cast<uint32_t>(position)};
}
inline double uniform_of(int64_t position) {
  return sample_uniform(kSeed, 3, 5, 7, static_cast<uint32_t>(position));
}

// Samples rows with one set of settings; row r uses position first + r.
inline Draws draw(const Sampler& sample, const std::vector<float>& logits, int64_t V, const Settings& s,
                  int64_t first = 0) {
  const int64_t R = static_cast<int64_t>(logits.size()) / V;
  const std::vector<float> temperature(R, s.temperature), top_p(R, s.top_p), min_p(R, s.min_p);
  const std::vector<int32_t> top_k(R, s.top_k);
  std::vector<SampleKey> keys;
  for (int64_t r = 0; r < R; ++r) keys.push_back(key_of(first + r));
  Draws out{std::vector<int32_t>(R, -2), std::vector<float>(R, 9.0f)};
  sample({logits.data(), temperature.data(), top_k.data(), top_p.data(), min_p.data(), keys.data(), out.tokens.data(),
          out.logprobs.data(), R, V});
  return out;
}

inline std::vector<float> repeated(const std::vector<float>& row, int64_t times) {
  std::vector<float> rows;
  for (int64_t i = 0; i < times; ++i) rows.insert(rows.end(), row.begin(), row.end());
  return rows;
}

// The token at `uniform` of the distribution, and the distance from the uniform to the nearest step of the CDF.
template <class P>
int32_t inverse_cdf(const P& probabilities, double uniform, double* margin) {
  double total = 0, sum = 0;
  for (const auto p : probabilities) total += p;
  int32_t token = -1;
  *margin = 1;
  for (size_t v = 0; v < probabilities.size(); ++v) {
    if (probabilities[v] == 0) continue;
    sum += probabilities[v] / total;
    if (sum < 1 - 1e-12) *margin = std::min(*margin, std::fabs(sum - uniform));
    if (token < 0 && sum > uniform) token = static_cast<int32_t>(v);
  }
  return token;
}

inline std::vector<double> softmax(const std::vector<float>& logits, double temperature) {
  double top = -HUGE_VAL, sum = 0;
  for (const float z : logits) top = std::max(top, z / temperature);
  std::vector<double> p;
  for (const float z : logits) p.push_back(std::exp(z / temperature - top)), sum += p.back();
  for (double& v : p) v /= sum;
  return p;
}

inline void test_unfiltered(const Sampler& sample, const std::string& name) {
  int64_t wrong = 0, compared = 0;
  double worst = 0;
  for (const int64_t V : {1, 2, 16, 255, 257, 5000}) {
    Random random(V);
    for (const float temperature : {1.0f, 0.5f}) {
      const std::vector<float> row = random.normals(V, 3.0f);
      const std::vector<double> p = softmax(row, temperature);
      const Draws got = draw(sample, repeated(row, 300), V, {.temperature = temperature});
      for (int64_t i = 0; i < 300; ++i) {
        double margin;
        const int32_t expected = inverse_cdf(p, uniform_of(i), &margin);
        if (margin < 1e-6) continue;
        ++compared;
        wrong += got.tokens[i] != expected;
        worst = std::max(worst, std::fabs(got.logprobs[i] - std::log(p[expected])));
      }
    }
  }
  check(wrong == 0 && compared > 3000, name + ": " + std::to_string(compared) + " draws equal the fp64 inverse CDF");
  check_below(worst, 5e-6, name + ": their log-probs against fp64, nats");
}

inline void test_greedy_and_filters(const Sampler& sample, const std::string& name) {
  std::vector<float> row(600, 0.0f);
  row[300] = row[31] = row[599] = 2.5f;
  const Draws greedy = draw(sample, row, 600, {.temperature = 0.0f, .top_k = 3, .top_p = 0.1f});
  const double expected = std::log(softmax(row, 1.0)[31]);
  check(greedy.tokens[0] == 31 && std::fabs(greedy.logprobs[0] - expected) < 1e-6,
        name + ": greedy takes the lowest id of the largest logits, with its log-prob at temperature 1");

  // Top-k keeps ties: three tokens share the largest logit, so k = 1 keeps all three.
  std::set<int32_t> seen;
  const Draws tied = draw(sample, repeated(row, 200), 600, {.top_k = 1});
  seen.insert(tied.tokens.begin(), tied.tokens.end());
  check(seen == std::set<int32_t>({31, 300, 599}), name + ": top-k 1 keeps every token tied for the largest logit");
  bool unfiltered = true;
  for (const float logprob : tied.logprobs) unfiltered = unfiltered && logprob == greedy.logprobs[0];
  check(unfiltered, name + ": the log-prob is that of the distribution before the filters");

  const float infinity = HUGE_VALF;
  std::vector<float> masked(600, -infinity);
  masked[5] = 1.0f, masked[450] = 1.0f;
  seen.clear();
  for (const Settings& s : {Settings{}, Settings{.top_k = 500}, Settings{.top_p = 0.999f}, Settings{.min_p = 0.1f}}) {
    const Draws got = draw(sample, repeated(masked, 100), 600, s);
    seen.insert(got.tokens.begin(), got.tokens.end());
  }
  check(seen == std::set<int32_t>({5, 450}), name + ": a logit of -inf is never drawn, filtered or not");

  for (const float bad : {std::nanf(""), infinity}) {
    for (const float temperature : {0.0f, 1.0f}) {
      std::vector<float> rows = repeated(row, 3);
      rows[600 + 577] = bad;
      check_throws([&] { draw(sample, rows, 600, {.temperature = temperature}); }, "ERR_NOT_FINITE", "row 1",
                   name + ": a logit of " + std::to_string(bad) + " names its row");
    }
  }
  check_throws([&] { draw(sample, std::vector<float>(600, -infinity), 600, {}); }, "ERR_NOT_FINITE", "row 0",
               name + ": a row of -inf names its row");
  std::vector<float> one_nan(600, -infinity);
  one_nan[3] = std::nanf("");
  one_nan[400] = 0.0f;
  check_throws([&] { draw(sample, one_nan, 600, {}); }, "ERR_NOT_FINITE", "row 0",
               name + ": a NaN in a tile that holds nothing else is found");
}

// Mixed settings in one call: rows alone, on other thread counts and on the other fused build give the same bits.
inline Draws mixed(const Sampler& sample, int64_t first, int64_t last) {
  const int64_t V = 1300, R = last - first;
  std::vector<float> logits, temperature, top_p, min_p;
  std::vector<int32_t> top_k;
  std::vector<SampleKey> keys;
  for (int64_t r = first; r < last; ++r) {
    Random random(100 + r);
    const std::vector<float> row = random.normals(V, 2.0f);
    logits.insert(logits.end(), row.begin(), row.end());
    temperature.push_back(r % 5 == 0 ? 0.0f : 0.5f + 0.1f * static_cast<float>(r % 7));
    top_k.push_back(r % 3 == 0 ? 20 : 0);
    top_p.push_back(r % 4 == 0 ? 0.9f : 1.0f);
    min_p.push_back(r % 6 == 0 ? 0.05f : 0.0f);
    keys.push_back(key_of(r));
  }
  Draws out{std::vector<int32_t>(R), std::vector<float>(R)};
  sample({logits.data(), temperature.data(), top_k.data(), top_p.data(), min_p.data(), keys.data(), out.tokens.data(),
          out.logprobs.data(), R, V});
  return out;
}

inline std::vector<float> golden_tensor(const WeightFile& file, const std::string& name) {
  const TensorEntry& entry = file.at(name);
  std::vector<float> values(static_cast<size_t>(checked_elements(entry.shape, name)));
  file.read_f32(entry, values.data());
  return values;
}

struct GoldenCase {
  const char* name;
  Settings settings;
};
// The settings of sampling.json, in its order.
inline const GoldenCase kGoldenCases[] = {
    {"case0", {}},
    {"case1", {.temperature = 0.7f}},
    {"case2", {.temperature = 1.5f}},
    {"case3", {.top_k = 1}},
    {"case4", {.top_k = 5}},
    {"case5", {.top_k = 60}},
    {"case6", {.top_p = 0.9f}},
    {"case7", {.top_p = 0.5f}},
    {"case8", {.top_p = 0.01f}},
    {"case9", {.top_p = 1.0f}},
    {"case10", {.min_p = 0.1f}},
    {"case11", {.min_p = 0.5f}},
    {"case12", {.repetition_penalty = 1.3}},
    {"case13", {.repetition_penalty = 0.8}},
    {"case14", {.temperature = 0.6f, .top_k = 20, .top_p = 0.95f}},
    {"case15", {.temperature = 0.7f, .top_k = 20, .top_p = 0.8f, .repetition_penalty = 1.05}},
    {"case16", {.temperature = 1.2f, .top_p = 0.9f, .min_p = 0.05f}},
    {"case17", {.temperature = 0.8f, .top_k = 10, .top_p = 0.7f, .min_p = 0.02f, .repetition_penalty = 1.2}},
};

inline void test_golden(const Sampler& sample, const std::string& name, const WeightFile& file, int64_t draws = 1000) {
  const int64_t V = 50, tie_draws = 6 * draws;
  const std::vector<float> logits = golden_tensor(file, "logits"), plain = golden_tensor(file, "logp_unfiltered");
  const TensorEntry& previous = file.at("previous_ids");
  const int64_t previous_count = previous.shape[1];
  int64_t wrong = 0, compared = 0, wrong_counts = 0, counts = 0;
  double worst = 0;
  for (const auto& [golden, settings] : kGoldenCases) {
    const std::vector<float> probs = golden_tensor(file, std::string(golden) + ".probs");
    for (int64_t r = 0; r < 6; ++r) {
      std::vector<float> row(logits.begin() + r * V, logits.begin() + (r + 1) * V);
      const std::vector<float> p(probs.begin() + r * V, probs.begin() + (r + 1) * V);
      std::set<int32_t> penalised;
      for (int64_t i = 0; i < previous_count && settings.repetition_penalty != 1.0; ++i) {
        int32_t id;
        std::memcpy(&id, previous.data + (r * previous_count + i) * 4, 4);
        const float penalty = static_cast<float>(settings.repetition_penalty);
        if (penalised.insert(id).second) row[id] = row[id] < 0 ? row[id] * penalty : row[id] / penalty;
      }
      // Which of several equal logits survive top-p is the peer's sort order: there only the number kept is compared.
      const bool ties_cut = settings.top_p < 1.0f && (r == 3 || r == 4);
      const Draws got = draw(sample, repeated(row, ties_cut ? tie_draws : draws), V, settings);
      if (ties_cut) {
        ++counts;
        wrong_counts += static_cast<int64_t>(std::set<int32_t>(got.tokens.begin(), got.tokens.end()).size()) !=
                        V - std::count(p.begin(), p.end(), 0.0f);
        continue;
      }
      for (int64_t i = 0; i < draws; ++i) {
        double margin;
        const int32_t expected = inverse_cdf(p, uniform_of(i), &margin);
        if (margin < 1e-5) continue;
        ++compared;
        wrong += got.tokens[i] != expected;
        if (settings.temperature == 1.0f && settings.repetition_penalty == 1.0)
          worst = std::max(worst, std::fabs(got.logprobs[i] - static_cast<double>(plain[r * V + got.tokens[i]])));
      }
    }
  }
  check(wrong == 0 && compared > 90 * draws,
        name + ": " + std::to_string(compared) + " golden draws over 18 cases agree");
  check(wrong_counts == 0 && counts == 14,
        name + ": where top-p cuts through ties, as many tokens stay as in the golden data (" + std::to_string(counts) +
            " rows)");
  check_below(worst, 2e-6, name + ": log-probs against the golden unfiltered log-softmax, nats");
}

}  // namespace toolgrad::test
