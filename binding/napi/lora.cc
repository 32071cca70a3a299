// Adapters for JavaScript: what a model's adapter holds, and its files. lib/model/lora.ts checks the files and wraps these.
#include "napi/lora.h"

#include <string>

#include "engine/error.h"
#include "napi/args.h"
#include "napi/guard.h"
#include "napi/model.h"
#include "napi/register.h"

namespace toolgrad {

LoraOptions read_lora(Napi::Value value) {
  constexpr int64_t kMostRank = 1 << 16;
  LoraOptions options;
  if (is_absent(value)) return options;
  const Napi::Object object = read_object(value, "lora", {"rank", "scaling", "targets", "seed"});
  options.rank = read_integer(property(object, "rank"), "lora.rank", 1, kMostRank);
  options.scaling = read_number(property(object, "scaling"), "lora.scaling");
  const Napi::Array targets = read_array(property(object, "targets"), "lora.targets");
  for (uint32_t i = 0; i < targets.Length(); ++i)
    options.targets.push_back(read_string(targets.Get(i), "lora.targets[" + std::to_string(i) + "]"));
  options.seed = read_id(property(object, "seed"), "lora.seed");
  return options;
}

AdapterUse read_adapter_use(Napi::Value value) {
  if (is_absent(value)) return AdapterUse::kOn;
  const std::string use = read_string(value, "adapter");
  if (use == "on") return AdapterUse::kOn;
  if (use == "off") return AdapterUse::kOff;
  if (use == "reference") return AdapterUse::kReference;
  throw_out_of_range(value, "\"on\", \"off\" or \"reference\"", "adapter");
}

namespace {

HandleRef<Model> read_adapted_model(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  if (handle->object->options().lora.rank > 0) return handle;
  throw Error("ERR_NO_ADAPTER", "Expected a model loaded with lora but this one has only its own weights");
}

// modelAdapterInfo(model): {parameterCount, parameterNames} of the adapter.
Napi::Value model_adapter_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const HandleRef<Model> handle = read_adapted_model(info);
  const ParameterLayout& layout = handle->object->trained().layout();
  auto names = Napi::Array::New(env, layout.all().size());
  for (size_t i = 0; i < layout.all().size(); ++i) names.Set(static_cast<uint32_t>(i), layout.all()[i].name);
  auto result = Napi::Object::New(env);
  result.Set("parameterCount", static_cast<double>(layout.parameter_count()));
  result.Set("parameterNames", names);
  return result;
}

// modelLoadAdapter(model, path, adapter): promise. "reference" makes a second, frozen adapter.
Napi::Value model_load_adapter(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_adapted_model(info);
  const std::string path = read_string(argument(info, 1), "path");
  const AdapterUse which = read_adapter_use(argument(info, 2));
  if (which == AdapterUse::kOff) throw_out_of_range(argument(info, 2), "\"on\" or \"reference\"", "adapter");
  return model_job(info.Env(), handle, [path, which](Model& model) { model.load_adapter(path, which); });
}

// modelSaveAdapter(model, path): promise. The adapter's matrices, fp32, under PEFT's names.
Napi::Value model_save_adapter(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_adapted_model(info);
  return model_job(info.Env(), handle, [path = read_string(argument(info, 1), "path")](Model& model) {
    save_weights(model.trained(), path);
  });
}

// modelSaveMerged(model, path): promise. The weights of base and adapter together, in the model's dtype.
Napi::Value model_save_merged(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_adapted_model(info);
  return model_job(info.Env(), handle, [path = read_string(argument(info, 1), "path")](Model& model) {
    save_merged_weights(model.parameters(), *model.adapter(AdapterUse::kOn), path);
  });
}

}  // namespace

void register_lora(Napi::Env env, Napi::Object exports) {
  export_function<model_adapter_info>(env, exports, "modelAdapterInfo");
  export_function<model_load_adapter>(env, exports, "modelLoadAdapter");
  export_function<model_save_adapter>(env, exports, "modelSaveAdapter");
  export_function<model_save_merged>(env, exports, "modelSaveMerged");
}

}  // namespace toolgrad
