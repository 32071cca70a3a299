// A critic's inputs and results at the boundary: `value` of LossBatch, LossOptions and LossResult (lib/model/engine.ts).
#pragma once

#include <napi.h>

#include <vector>

#include "napi/batch.h"

namespace toolgrad {

/// The value part of a training pass; owns its arrays. Absent when both objects lack `value`.
struct OwnedValuePart {
  bool present = false;
  std::vector<float> returns, old_values, weight;
  ValueLossOptions options;
  bool detach_trunk = false;
  /// Borrows the arrays; `values` [T] gets the values.
  ValuePart view(float* values) const;
};

/// Reads `batch.value` and `loss.value`. One without the other, or either on a model without a value head, is an error.
OwnedValuePart read_value_part(Napi::Object batch, Napi::Object loss, const OwnedBatch& owned, const Model& model);

/// {loss, tokens, clipCount, …, values} of LossResult.
Napi::Object to_value_result(Napi::Env env, const ValueLossStats& stats, const std::vector<float>& values);

}  // namespace toolgrad
