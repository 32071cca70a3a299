// The critic for JavaScript: values, the value part of accumulate, the head's file.
#include "napi/values.h"

#include <cmath>
#include <memory>
#include <string>

#include "napi/args.h"
#include "napi/guard.h"
#include "napi/model.h"
#include "napi/register.h"

namespace toolgrad {
namespace {

std::vector<float> copy_of(Napi::Object object, const char* key, std::string_view name, int64_t T) {
  const std::span<float> span = read_float32(property(object, key), name, T);
  return {span.begin(), span.end()};
}

void check_weights(Napi::Env env, const std::vector<float>& weight, const OwnedBatch& batch) {
  const auto fail_at = [env, &weight](size_t t, const char* what) {
    throw_out_of_range(Napi::Number::New(env, static_cast<double>(weight[t])), what,
                       "value.weight[" + std::to_string(t) + "]");
  };
  for (size_t t = 0; t < weight.size(); ++t)
    if (!(weight[t] >= 0) || std::isinf(weight[t])) fail_at(t, "a finite number of 0 or more");
  for (size_t s = 0; s + 1 < batch.seq_starts.size(); ++s) {
    const auto first = static_cast<size_t>(batch.seq_starts[s]);
    if (weight[first] != 0) fail_at(first, "0 (no row predicts the first token of a sequence)");
  }
}

float read_not_negative(Napi::Object object, const char* key) {
  const Napi::Value value = property(object, key);
  const std::string name = std::string("value.") + key;
  const double number = read_number(value, name);
  if (number < 0) throw_out_of_range(value, "number of 0 or more", name);
  return static_cast<float>(number);
}

// modelValues(model, batch, wanted?): promise of a Float32Array [T].
Napi::Value model_values(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  handle->object->require_value_head("values");
  OwnedBatch batch = read_batch(read_object(argument(info, 1), "batch"), handle->object->shape());
  std::vector<uint8_t> wanted;
  if (!is_absent(argument(info, 2))) {
    const std::span<uint8_t> given = read_uint8(argument(info, 2), "wanted", batch.T());
    wanted.assign(given.begin(), given.end());
  }
  auto result = std::make_shared<std::vector<float>>(batch.tokens.size());
  return model_job(
      info.Env(), handle,
      [=](Model& model) { model.values(batch.view(), wanted.empty() ? nullptr : wanted.data(), result->data()); },
      [result](Napi::Env env) -> Napi::Value { return to_float32(env, *result); });
}

// modelSaveValueHead(model, path), modelLoadValueHead(model, path): promise.
Napi::Value model_save_value_head(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  handle->object->require_value_head("saveValueHead");
  return model_job(info.Env(), handle,
                   [path = read_string(argument(info, 1), "path")](Model& model) { model.save_value_head(path); });
}
Napi::Value model_load_value_head(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  handle->object->require_value_head("loadValueHead");
  return model_job(info.Env(), handle,
                   [path = read_string(argument(info, 1), "path")](Model& model) { model.load_value_head(path); });
}

}  // namespace

ValuePart OwnedValuePart::view(float* values) const {
  ValuePart part;
  part.returns = returns.data();
  part.old_values = old_values.empty() ? nullptr : old_values.data();
  part.weight = weight.data();
  part.options = options;
  part.detach_trunk = detach_trunk;
  part.values = values;
  return part;
}

OwnedValuePart read_value_part(Napi::Object batch, Napi::Object loss, const OwnedBatch& owned, const Model& model) {
  const Napi::Value inputs_value = property(batch, "value"), options_value = property(loss, "value");
  OwnedValuePart part;
  if (is_absent(inputs_value) && is_absent(options_value)) return part;
  model.require_value_head("accumulate");
  if (is_absent(inputs_value))
    throw_wrong_type(inputs_value, "an object {returns, oldValues, weight}, because loss.value is given,",
                     "batch.value");
  if (is_absent(options_value))
    throw_wrong_type(options_value, "an object {clip, coef}, because batch.value is given,", "loss.value");
  const Napi::Object inputs = read_object(inputs_value, "batch.value", {"returns", "oldValues", "weight"});
  const Napi::Object options = read_object(options_value, "loss.value", {"clip", "coef", "detachTrunk"});
  part.present = true;
  part.options = {read_not_negative(options, "clip"), read_not_negative(options, "coef")};
  part.detach_trunk = boolean_or(options, "detachTrunk", false);
  part.returns = copy_of(inputs, "returns", "value.returns", owned.T());
  part.weight = copy_of(inputs, "weight", "value.weight", owned.T());
  if (part.options.clip > 0 || !is_absent(property(inputs, "oldValues")))
    part.old_values = copy_of(inputs, "oldValues", "value.oldValues", owned.T());
  check_weights(batch.Env(), part.weight, owned);
  return part;
}

Napi::Object to_value_result(Napi::Env env, const ValueLossStats& stats, const std::vector<float>& values) {
  auto result = Napi::Object::New(env);
  result.Set("loss", stats.loss);
  result.Set("tokens", static_cast<double>(stats.tokens));
  result.Set("clipCount", static_cast<double>(stats.clip_count));
  result.Set("valueSum", stats.value_sum);
  result.Set("returnSum", stats.return_sum);
  result.Set("returnSquares", stats.return_squares);
  result.Set("residualSum", stats.residual_sum);
  result.Set("residualSquares", stats.residual_squares);
  result.Set("values", to_float32(env, values));
  return result;
}

void register_values(Napi::Env env, Napi::Object exports) {
  export_function<model_values>(env, exports, "modelValues");
  export_function<model_save_value_head>(env, exports, "modelSaveValueHead");
  export_function<model_load_value_head>(env, exports, "modelLoadValueHead");
}

}  // namespace toolgrad
