// Gathering, head ops, scattering; see loss_head.h.
#include "engine/loss_head.h"

#include "engine/error.h"

namespace toolgrad {

void HeadArrays::plan(Arena& arena, const ModelShape& s, int64_t R, bool backward) {
  row_index = arena.take<int32_t>(R);
  labels = arena.take<int32_t>(R);
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

void LossHead::normalise_rows(const float* x, int64_t R, HeadArrays& arrays) const {
  const int64_t C = shape_.C;
  ops_.gather_rows({x, arrays.row_index, arrays.x, R, C});
  const float* weight = parameters_.vector(parameters_.layout().final_norm());
  ops_.rms_norm_forward({arrays.x, weight, arrays.hidden, arrays.rstd, R, C, shape_.norm_eps});
}

void LossHead::check(int32_t not_finite, const float* rstd, int64_t R) {
  bool sound = not_finite == 0;
  for (int64_t r = 0; r < R; ++r) sound = sound && rstd[r] > 0;  // 0: the sum of squares overflowed
  if (!sound)
    throw Error("ERR_NOT_FINITE",
                "Expected finite hidden states after the last layer but found NaN, infinity or values too large to "
                "normalise; the weights have diverged or the file is damaged: go back to an earlier checkpoint");
}

void LossHead::gather_unchecked(const float* x, int64_t R, HeadArrays& arrays, int32_t* not_finite) const {
  normalise_rows(x, R, arrays);
  ops_.find_not_finite(arrays.hidden, R * shape_.C, not_finite);
}

void LossHead::gather(const float* x, const std::vector<int32_t>& row_of, HeadArrays& arrays) const {
  const auto R = static_cast<int64_t>(row_of.size());
  Memory& memory = *ops_.memory();
  memory.upload(arrays.row_index, row_of);
  normalise_rows(x, R, arrays);
  const bool finite = ops_.all_finite(arrays.hidden, R * shape_.C);
  const OnHost<float> rstd(memory, arrays.rstd, R);
  check(finite ? 0 : 1, rstd.data(), R);
}

void LossHead::gather(const float* x, const HeadRows& rows, HeadArrays& arrays) const {
  std::vector<int32_t> row_of(rows.tokens);
  for (int32_t& row : row_of) --row;
  gather(x, row_of, arrays);
}

void LossHead::forward(const float* x, const HeadRows& rows, float temperature, HeadArrays& arrays) const {
  gather(x, rows, arrays);
  ops_.memory()->upload(arrays.labels, rows.labels);
  ops_.head_forward({arrays.hidden, parameters_.weight(parameters_.layout().head()), arrays.labels, temperature,
                     arrays.logprob, arrays.entropy, arrays.lse, rows.R()});
}

void LossHead::backward(const HeadRows& rows, float temperature, HeadArrays& arrays, float* dx, int64_t T) const {
  backward_vocabulary(rows, temperature, arrays);
  backward_norm(rows, arrays, dx, T);
}

void LossHead::backward_vocabulary(const HeadRows& rows, float temperature, HeadArrays& arrays) const {
  ops_.head_backward({arrays.hidden, parameters_.weight(parameters_.layout().head()), arrays.labels, temperature,
                      arrays.lse, arrays.entropy, arrays.d_logprob, arrays.d_entropy, arrays.dhidden,
                      parameters_.head_gradient(), rows.R()});
}

void LossHead::backward_norm(const HeadRows& rows, HeadArrays& arrays, float* dx, int64_t T) const {
  const int64_t C = shape_.C;
  const int norm = parameters_.layout().final_norm();
  ops_.rms_norm_backward({arrays.dhidden, arrays.x, parameters_.vector(norm), arrays.rstd, arrays.dx,
                          parameters_.vector_gradient(norm), rows.R(), C, false});
  ops_.scatter_rows({arrays.dx, arrays.row_index, dx, rows.R(), T, C});
}

}  // namespace toolgrad
