// Gathering, head ops, scattering; see loss_head.h.
#include "engine/loss_head.h"

#include <cstring>

#include "engine/error.h"

namespace toolgrad {

void HeadArrays::plan(Arena& arena, const ModelShape& s, int64_t R, bool backward) {
  x = arena.take<float>(R * s.C);
  hidden = arena.take<float>(R * s.C);
  rstd = arena.take<float>(R);
  logprob = arena.take<float>(R);
  entropy = arena.take<float>(R);
  lse = arena.take<float>(R);
  if (!backward) return;
  d_logprob = arena.take<float>(R);
  d_entropy = arena.take<float>(R);
  dhidden = arena.take<float>(R * s.C);
  dx = arena.take<float>(R * s.C);
}

void LossHead::gather(const float* x, const int32_t* row_of, int64_t R, HeadArrays& arrays) const {
  const int64_t C = shape_.C;
  for (int64_t r = 0; r < R; ++r)
    std::memcpy(arrays.x + r * C, x + row_of[r] * C, static_cast<size_t>(C) * sizeof(float));
  const float* weight = parameters_.vector(parameters_.layout().final_norm());
  ops_.rms_norm_forward({arrays.x, weight, arrays.hidden, arrays.rstd, R, C, shape_.norm_eps});
  bool sound = ops_.all_finite(arrays.hidden, R * C);
  for (int64_t r = 0; r < R; ++r) sound = sound && arrays.rstd[r] > 0;  // 0: the sum of squares overflowed
  if (!sound)
    throw Error("ERR_NOT_FINITE",
                "Expected finite hidden states after the last layer but found NaN, infinity or values too large to "
                "normalise; the weights have diverged or the file is damaged: go back to an earlier checkpoint");
}

void LossHead::gather(const float* x, const HeadRows& rows, HeadArrays& arrays) const {
  std::vector<int32_t> row_of(rows.tokens);
  for (int32_t& row : row_of) --row;
  gather(x, row_of.data(), rows.R(), arrays);
}

void LossHead::forward(const float* x, const HeadRows& rows, float temperature, HeadArrays& arrays) const {
  gather(x, rows, arrays);
  ops_.head_forward({arrays.hidden, parameters_.weight(parameters_.layout().head()), rows.labels.data(), temperature,
                     arrays.logprob, arrays.entropy, arrays.lse, rows.R()});
}

void LossHead::backward(const HeadRows& rows, float temperature, HeadArrays& arrays, float* dx, int64_t T) const {
  backward_vocabulary(rows, temperature, arrays);
  backward_norm(rows, arrays, dx, T);
}

void LossHead::backward_vocabulary(const HeadRows& rows, float temperature, HeadArrays& arrays) const {
  ops_.head_backward({arrays.hidden, parameters_.weight(parameters_.layout().head()), rows.labels.data(), temperature,
                      arrays.lse, arrays.entropy, arrays.d_logprob, arrays.d_entropy, arrays.dhidden,
                      parameters_.head_gradient(), rows.R()});
}

void LossHead::backward_norm(const HeadRows& rows, HeadArrays& arrays, float* dx, int64_t T) const {
  const int64_t C = shape_.C;
  const int norm = parameters_.layout().final_norm();
  ops_.rms_norm_backward({arrays.dhidden, arrays.x, parameters_.vector(norm), arrays.rstd, arrays.dx,
                          parameters_.vector_gradient(norm), rows.R(), C, false});
  std::memset(dx, 0, static_cast<size_t>(T * C) * sizeof(float));
  for (int64_t r = 0; r < rows.R(); ++r) {
    const int64_t row = rows.tokens[static_cast<size_t>(r)] - 1;
    std::memcpy(dx + row * C, arrays.dx + r * C, static_cast<size_t>(C) * sizeof(float));
  }
}

}  // namespace toolgrad
