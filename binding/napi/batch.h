// Packed batches from JavaScript: checked once, in full, on the JavaScript thread, and copied for the engine thread.
//
// Copies are small (a few numbers per token) and make later changes or transfers of the caller's arrays harmless.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

#include "engine/model.h"

namespace toolgrad {

struct OwnedBatch {
  std::vector<int32_t> tokens, seq_starts;
  PackedBatch view() const {
    return {tokens.data(), seq_starts.data(), static_cast<int64_t>(tokens.size()),
            static_cast<int64_t>(seq_starts.size()) - 1};
  }
  int64_t T() const { return static_cast<int64_t>(tokens.size()); }
};

/// {tokens, seqStarts} of `object`: ids below V, starts ascending from 0 to T, no empty sequence, none longer than the
/// model's positions. TypeError or RangeError naming field, index and value.
OwnedBatch read_batch(Napi::Object object, const ModelShape& shape);

/// Token ids below V; RangeError names the index.
std::vector<int32_t> read_tokens(Napi::Value value, std::string_view name, const ModelShape& shape);

/// A number above 0.
float read_temperature(Napi::Value value);

/// LossBatch of lib/model/engine.ts. Arrays the loss ignores may be absent.
struct OwnedLossBatch {
  OwnedBatch batch;
  float temperature = 1;
  std::vector<float> weight, advantages, old_logprobs, ref_logprobs, policy_weight;
  LossInputs view() const;
};
OwnedLossBatch read_loss_batch(Napi::Value value, const ModelShape& shape);

/// LossResult of lib/model/engine.ts.
Napi::Object to_loss_result(Napi::Env env, const PolicyLossStats& stats, const std::vector<float>& logprobs);

}  // namespace toolgrad
