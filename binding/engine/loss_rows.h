// The policy loss of a training pass: its inputs for the rows of the loss head only, where the ops can read them.
//
// The rows are the tokens with weight, in order, still cut into sequences; log-probs and entropies are read where the head
// wrote them, and the gradients go where its backward pass reads them. So nothing that has one number a token leaves the
// device between the two.
#pragma once

#include <vector>

#include "engine/loss_head.h"
#include "engine/policy_loss.h"

namespace toolgrad {

/// Token-aligned inputs of the loss; see policy_loss.h. Null where the loss does not need them.
struct LossInputs {
  float temperature = 1;
  const float* weight = nullptr;
  const float *advantages = nullptr, *old_logprobs = nullptr, *ref_logprobs = nullptr, *policy_weight = nullptr;
};

/// Arrays of the ops' memory.
class LossRows {
 public:
  /// For `R` rows of `S` sequences; the inputs say which columns there are.
  void plan(Arena& arena, const LossInputs& inputs, int64_t S, int64_t R);
  /// The loss of the head's rows after its forward pass, and the gradients into arrays.d_logprob and d_entropy. Errors of
  /// policy_loss.h, which name tokens of the packed batch.
  PolicyLossStats run(Ops& ops, const LossInputs& inputs, const PolicyLossOptions& options, const int32_t* seq_starts,
                      int64_t S, const HeadRows& rows, const HeadArrays& arrays) const;

 private:
  static constexpr int kColumns = 5;
  static const float* column(const LossInputs& inputs, int index);
  int32_t* starts_ = nullptr;   // [S + 1]
  float* columns_[kColumns]{};  // [R] each; null where the input is
};

}  // namespace toolgrad
