// A packed batch that owns its arrays, and one run of the policy loss on it.
#pragma once

#include <vector>

#include "engine/policy_loss.h"

namespace toolgrad::test {

// One packed batch of B rows of T tokens with everything owned.
struct Batch {
  int64_t B = 0, T = 0;
  std::vector<int32_t> starts;
  std::vector<float> logprob, entropy, old_logprob, ref_logprob, advantage, weight, policy_weight;

  void shape(int64_t rows, int64_t columns) {
    B = rows;
    T = columns;
    starts.clear();
    for (int64_t i = 0; i <= B; ++i) starts.push_back(static_cast<int32_t>(i * T));
  }
  PolicyLossBatch view() const {
    const auto data = [](const std::vector<float>& v) { return v.empty() ? nullptr : v.data(); };
    PolicyLossBatch b;
    b.T = B * T;
    b.S = B;
    b.seq_starts = starts.data();
    b.logprob = data(logprob);
    b.entropy = data(entropy);
    b.old_logprob = data(old_logprob);
    b.ref_logprob = data(ref_logprob);
    b.advantage = data(advantage);
    b.weight = data(weight);
    b.policy_weight = data(policy_weight);
    return b;
  }
};

struct Run {
  PolicyLossResult result;
  std::vector<float> d_logprob, d_entropy;
};
inline Run run(const PolicyLossOptions& options, const Batch& batch) {
  Run r;
  r.d_logprob.assign(static_cast<size_t>(batch.B * batch.T), -1);
  r.d_entropy.assign(static_cast<size_t>(batch.B * batch.T), -1);
  r.result.d_logprob = r.d_logprob.data();
  r.result.d_entropy = r.d_entropy.data();
  policy_loss(options, batch.view(), &r.result);
  return r;
}

}  // namespace toolgrad::test
