// Gathering the loss's inputs by row; see loss_rows.h.
#include "engine/loss_rows.h"

namespace toolgrad {

const float* LossRows::column(const LossInputs& inputs, int index) {
  const float* const all[kColumns] = {inputs.weight, inputs.advantages, inputs.old_logprobs, inputs.ref_logprobs,
                                      inputs.policy_weight};
  return all[index];
}

void LossRows::plan(Arena& arena, const LossInputs& inputs, int64_t S, int64_t R) {
  starts_ = arena.take<int32_t>(S + 1);
  for (int c = 0; c < kColumns; ++c) columns_[c] = column(inputs, c) == nullptr ? nullptr : arena.take<float>(R);
}

PolicyLossStats LossRows::run(Ops& ops, const LossInputs& inputs, const PolicyLossOptions& options,
                              const int32_t* seq_starts, int64_t S, const HeadRows& rows,
                              const HeadArrays& arrays) const {
  Memory& memory = *ops.memory();
  std::vector<int32_t> starts{0};
  for (int64_t s = 0; s < S; ++s) {
    auto row = static_cast<size_t>(starts.back());
    while (row < rows.tokens.size() && rows.tokens[row] < seq_starts[s + 1]) ++row;
    starts.push_back(static_cast<int32_t>(row));
  }
  memory.upload(starts_, starts);
  std::vector<float> values(rows.tokens.size());
  for (int c = 0; c < kColumns; ++c) {
    const float* from = column(inputs, c);
    if (from == nullptr) continue;
    for (size_t r = 0; r < values.size(); ++r) values[r] = from[rows.tokens[r]];
    memory.upload(columns_[c], values);
  }
  PolicyLossBatch batch;
  batch.T = rows.R();
  batch.S = S;
  batch.seq_starts = starts_;
  batch.logprob = arrays.logprob;
  batch.entropy = arrays.entropy;
  batch.weight = columns_[0];
  batch.advantage = columns_[1];
  batch.old_logprob = columns_[2];
  batch.ref_logprob = columns_[3];
  batch.policy_weight = columns_[4];
  batch.names = rows.tokens.data();
  return ops.policy_loss(options, batch, arrays.d_logprob, arrays.d_entropy);
}

}  // namespace toolgrad
