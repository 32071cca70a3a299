// The loss head around the head ops: which rows of the residual stream are needed, gathering them, and the way back.
//
// The row that predicts token t is row t - 1. Only rows of wanted tokens are gathered, in token order; the others cost
// nothing and get no gradient. The final norm runs on gathered rows only: it works row by row, so the bits are the
// same.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/arena.h"
#include "engine/model_shape.h"
#include "engine/ops.h"
#include "engine/parameters.h"

namespace toolgrad {

/// The wanted tokens of a packed batch and the rows that predict them.
struct HeadRows {
  std::vector<int32_t> tokens;  // [R] index t of the token
  std::vector<int32_t> labels;  // [R] its id
  int64_t R() const { return static_cast<int64_t>(tokens.size()); }
  /// `wanted(t)` is asked for every token that has a predecessor in its sequence.
  template <class Wanted>
  static HeadRows of(const int32_t* ids, const int32_t* seq_starts, int64_t S, Wanted&& wanted) {
    HeadRows rows;
    for (int64_t s = 0; s < S; ++s) {
      for (int32_t t = seq_starts[s] + 1; t < seq_starts[s + 1]; ++t) {
        if (!wanted(t)) continue;
        rows.tokens.push_back(t);
        rows.labels.push_back(ids[t]);
      }
    }
    return rows;
  }
};

/// Arrays of the ops' memory.
struct HeadArrays {
  int32_t *row_index = nullptr, *labels = nullptr;               // [R]
  float *x = nullptr, *hidden = nullptr;                         // [R, C] before and after the final norm
  float* rstd = nullptr;                                         // [R]
  float *logprob = nullptr, *entropy = nullptr, *lse = nullptr;  // [R]
  float *d_logprob = nullptr, *d_entropy = nullptr;              // [R], backward only
  float *dhidden = nullptr, *dx = nullptr;                       // [R, C], backward only

  void plan(Arena& arena, const ModelShape& s, int64_t R, bool backward);
};

class LossHead {
 public:
  LossHead(const ModelShape& shape, Parameters& parameters, Ops& ops)
      : shape_(shape), parameters_(parameters), ops_(ops) {}

  /// Final norm of the given rows of x [T, C] into arrays.hidden. Error{"ERR_NOT_FINITE"} when a row is not finite or too
  /// large to be normalised: the vocabulary softmax would hide it.
  void gather(const float* x, const std::vector<int32_t>& row_of, HeadArrays& arrays) const;
  /// The same in two parts, for work that must not wait: the rows are those of arrays.row_index [R], and whether they are
  /// sound is said by *not_finite and arrays.rstd, which the caller hands to check() when it has them on the host.
  void gather_unchecked(const float* x, int64_t R, HeadArrays& arrays, int32_t* not_finite) const;
  static void check(int32_t not_finite, const float* rstd, int64_t R);
  /// The same for the rows that predict the given tokens.
  void gather(const float* x, const HeadRows& rows, HeadArrays& arrays) const;
  /// Log-prob, entropy and lse of the wanted tokens, from the residual stream after the last layer.
  void forward(const float* x, const HeadRows& rows, float temperature, HeadArrays& arrays) const;
  /// From d_logprob and d_entropy to dx [T, C] (overwritten, zero where no token is wanted) and the gradients of the
  /// head and the final norm. After forward on the same arrays.
  void backward(const HeadRows& rows, float temperature, HeadArrays& arrays, float* dx, int64_t T) const;
  /// The two halves of backward: the vocabulary's gradients into arrays.dhidden, and from there through the final norm.
  void backward_vocabulary(const HeadRows& rows, float temperature, HeadArrays& arrays) const;
  void backward_norm(const HeadRows& rows, HeadArrays& arrays, float* dx, int64_t T) const;

 private:
  void normalise_rows(const float* x, int64_t R, HeadArrays& arrays) const;

  const ModelShape& shape_;
  Parameters& parameters_;
  Ops& ops_;
};

}  // namespace toolgrad
