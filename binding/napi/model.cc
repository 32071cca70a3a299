// The model for JavaScript: open, passes, update, files. Arguments are checked here, synchronously; work runs as jobs
// on the engine thread. lib/model/model.ts wraps these functions; lib/native.ts has their types.
#include "napi/model.h"

#include <napi.h>

#include <cstring>
#include <utility>
#include <vector>

#include "cpu/scratch_plan.h"
#include "engine/error.h"
#include "engine/model_weights.h"
#include "napi/args.h"
#include "napi/batch.h"
#include "napi/choice.h"
#include "napi/guard.h"
#include "napi/job.h"
#include "napi/lora.h"
#include "napi/losses.h"
#include "napi/model_options.h"
#include "napi/register.h"
#include "napi/values.h"

namespace toolgrad {

void tag_value(Napi::Env env, Napi::Value value, const napi_type_tag& tag) {
  if (napi_type_tag_object(env, value, &tag) != napi_ok) throw Napi::Error::New(env);
}

void* read_tagged(Napi::Value value, const napi_type_tag& tag, std::string_view what, std::string_view name) {
  bool matches = false;
  if (value.IsExternal() && napi_check_object_type_tag(value.Env(), value, &tag, &matches) != napi_ok)
    throw Napi::Error::New(value.Env());
  if (!matches) throw_wrong_type(value, what, name);
  return value.As<Napi::External<void>>().Data();
}

void throw_disposed(std::string_view what) {
  throw Error("ERR_DISPOSED", "Expected a live " + std::string(what) + " but this one was disposed");
}

HandleRef<Model> read_model(Napi::Value value, bool may_be_disposed) {
  HandleRef<Model> handle = *static_cast<HandleRef<Model>*>(read_tagged(value, kModelTag, "model handle", "model"));
  if (!handle->object && !may_be_disposed) throw_disposed("model");
  return handle;
}

Napi::Float32Array to_float32(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(float));
  return array;
}

Napi::Value model_job(Napi::Env env, const HandleRef<Model>& handle, std::function<void(Model&)> work,
                      std::function<Napi::Value(Napi::Env)> resolve) {
  return run_job(
      env, [model = handle->object, work = std::move(work)] { work(*model); },
      [handle, resolve = std::move(resolve)](Napi::Env e) {
        handle->report(e);
        return resolve ? resolve(e) : e.Undefined();
      });
}

namespace {

std::vector<std::string> read_paths(Napi::Value value, const char* name) {
  const Napi::Array array = read_array(value, name);
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < array.Length(); ++i)
    paths.push_back(read_string(array.Get(i), std::string(name) + "[" + std::to_string(i) + "]"));
  return paths;
}

// modelOpen(shape, options, {files, valueHead?} | {seed, initStd}): promise of a handle; valueHead is the path of a
// value head's file.
Napi::Value model_open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const ModelShape shape = read_shape(argument(info, 0));
  const ModelOptions options = read_options(argument(info, 1));
  const Napi::Object source = read_object(argument(info, 2), "source", {"files", "valueHead", "seed", "initStd"});
  std::vector<std::string> files;
  uint64_t seed = 0;
  double std = 0;
  if (!is_absent(property(source, "files"))) {
    files = read_paths(property(source, "files"), "files");
  } else {
    seed = read_id(property(source, "seed"), "seed");
    std = read_number(property(source, "initStd"), "initStd");
    if (!(std > 0)) throw_out_of_range(property(source, "initStd"), "number above 0", "initStd");
  }
  const std::string value_head = string_or(source, "valueHead", "");
  auto opened = std::make_shared<std::shared_ptr<Model>>();
  return run_job(
      env,
      [=] {
        auto model = std::make_shared<Model>(shape, options);
        if (files.empty()) {
          model->initialise(seed, std);
        } else {
          model->load(*ModelWeights::open(files));
        }
        if (!value_head.empty()) model->load_value_head(value_head);
        *opened = std::move(model);
      },
      [opened](Napi::Env e) { return make_handle<Model>(e, std::move(*opened), kModelTag); });
}

Napi::Object to_memory_plan(Napi::Env env, const MemoryPlan& plan) {
  auto result = Napi::Object::New(env);
  result.Set("weightBytes", static_cast<double>(plan.weight_bytes));
  result.Set("masterBytes", static_cast<double>(plan.master_bytes));
  result.Set("momentBytes", static_cast<double>(plan.moment_bytes));
  result.Set("gradientBytes", static_cast<double>(plan.gradient_bytes));
  result.Set("adapterBytes", static_cast<double>(plan.adapter_bytes));
  result.Set("activationBytesPerToken", static_cast<double>(plan.activation_bytes_per_token));
  result.Set("activationBytesFixed", static_cast<double>(plan.activation_bytes_fixed));
  result.Set("kvBytesPerPage", static_cast<double>(plan.kv_bytes_per_page));
  result.Set("kvPageTokens", static_cast<double>(kKvPageSize));
  return result;
}

// planMemory(shape, dtype, trainable, lora?, recompute?): the MemoryPlan of lib/model/engine.ts, before anything is allocated.
Napi::Value plan_memory_for(const Napi::CallbackInfo& info) {
  const ModelShape shape = read_shape(argument(info, 0));
  const DType dtype = read_dtype(argument(info, 1));
  const bool trainable = read_boolean(argument(info, 2), "trainable");
  return to_memory_plan(info.Env(), plan_memory(shape, dtype, trainable, read_lora(argument(info, 3)),
                                                read_recompute(argument(info, 4))));
}

// planPass(shape, dtype, {kind, tokens, longest, threads, loraRank?, recompute?}): {arenaBytes, scratchBytes} of a pass on
// the CPU, or with 0 threads on a GPU, whose scratch is not planned.
Napi::Value plan_pass(const Napi::CallbackInfo& info) {
  constexpr Named<Pass::Kind> kKinds[] = {{"training", Pass::Kind::kTraining},
                                          {"critic", Pass::Kind::kCritic},
                                          {"scoring", Pass::Kind::kScoring},
                                          {"values", Pass::Kind::kValues},
                                          {"step", Pass::Kind::kStep}};
  const ModelShape shape = read_shape(argument(info, 0));
  const DType dtype = read_dtype(argument(info, 1));
  const Napi::Object object =
      read_object(argument(info, 2), "pass", {"kind", "tokens", "longest", "threads", "loraRank", "recompute"});
  Pass pass;
  pass.kind = read_choice(object, "kind", kKinds);
  pass.T = read_positive_integer(property(object, "tokens"), "tokens");
  pass.longest = read_positive_integer(property(object, "longest"), "longest");
  pass.recompute = read_recompute(property(object, "recompute"));
  pass.lora_rank = integer_or(object, "loraRank", 0, 0, INT32_MAX);
  const auto threads = static_cast<int>(read_integer(property(object, "threads"), "threads", 0, INT32_MAX));
  const bool on_cpu = threads > 0;
  const Isa isa = isa_from_environment();
  pass.product_rows = pass.lora_rank > 0 ? DType::kF32 : on_cpu ? cpu_product_dtype(isa, dtype) : dtype;
  auto result = Napi::Object::New(info.Env());
  result.Set("arenaBytes", static_cast<double>(arena_bytes(shape, dtype, pass)));
  const int64_t scratch = on_cpu ? scratch_bytes(shape, dtype, pass, threads, isa) : 0;
  result.Set("scratchBytes", static_cast<double>(scratch));
  return result;
}

// modelInfo(model): {parameterCount, parameterNames, isa, threads}.
Napi::Value model_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const HandleRef<Model> handle = read_model(argument(info, 0));
  const ParameterLayout& layout = handle->object->parameters().layout();
  auto names = Napi::Array::New(env, layout.all().size());
  for (size_t i = 0; i < layout.all().size(); ++i) names.Set(static_cast<uint32_t>(i), layout.all()[i].name);
  auto result = Napi::Object::New(env);
  result.Set("parameterCount", static_cast<double>(layout.parameter_count()));
  result.Set("parameterNames", names);
  result.Set("isa", handle->object->kernels());
  result.Set("threads", handle->object->options().threads);
  return result;
}

// modelVersion(model): updates so far.
Napi::Value model_version(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(read_model(argument(info, 0))->object->version()));
}

// availableMemory(): bytes this process may still take.
Napi::Value memory_left(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(available_memory()));
}

// modelMemoryLeft(model): promise of the bytes that may still be taken where the model lies.
Napi::Value model_memory_left(const Napi::CallbackInfo& info) {
  auto bytes = std::make_shared<int64_t>();
  return model_job(
      info.Env(), read_model(argument(info, 0)), [bytes](Model& model) { *bytes = model.ops().memory()->available(); },
      [bytes](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(*bytes)); });
}

// externalMemory(): bytes of native memory that V8 was told about, by all handles of this environment and by others.
Napi::Value external_memory(const Napi::CallbackInfo& info) {
  const int64_t bytes = Napi::MemoryManagement::AdjustExternalMemory(info.Env(), 0);
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

// modelDispose(model): frees the weights once the jobs in flight have ended; again: nothing.
Napi::Value model_dispose(const Napi::CallbackInfo& info) {
  read_model(argument(info, 0), true)->dispose(info.Env());
  return info.Env().Undefined();
}

// modelScore(model, batch, temperature, wanted?, adapter?): promise of {logprobs, entropies}.
Napi::Value model_score(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  OwnedBatch batch = read_batch(read_object(argument(info, 1), "batch"), handle->object->shape());
  const float temperature = read_temperature(argument(info, 2));
  std::vector<uint8_t> wanted;
  if (!is_absent(argument(info, 3))) {
    const std::span<uint8_t> given = read_uint8(argument(info, 3), "wanted", batch.T());
    wanted.assign(given.begin(), given.end());
  }
  const AdapterUse use = read_adapter_use(argument(info, 4));
  struct Result {
    std::vector<float> logprobs, entropies;
  };
  auto result = std::make_shared<Result>();
  return model_job(
      info.Env(), handle,
      [=](Model& model) {
        result->logprobs.resize(batch.tokens.size());
        result->entropies.resize(batch.tokens.size());
        model.score(batch.view(), temperature, wanted.empty() ? nullptr : wanted.data(), result->logprobs.data(),
                    result->entropies.data(), use);
      },
      [result](Napi::Env env) -> Napi::Value {
        auto object = Napi::Object::New(env);
        object.Set("logprobs", to_float32(env, result->logprobs));
        object.Set("entropies", to_float32(env, result->entropies));
        return object;
      });
}

Napi::Value floats_job(Napi::Env env, const HandleRef<Model>& handle, std::function<std::vector<float>(Model&)> work) {
  auto result = std::make_shared<std::vector<float>>();
  return model_job(
      env, handle, [=](Model& model) { *result = work(model); },
      [result](Napi::Env e) -> Napi::Value { return to_float32(e, *result); });
}

struct RowsRequest {
  OwnedBatch batch;
  std::vector<int32_t> positions;
  AdapterUse use;
};
RowsRequest read_rows_request(const Napi::CallbackInfo& info, const ModelShape& shape) {
  constexpr int64_t kMostValues = int64_t{1} << 28;  // 1 GiB of fp32
  RowsRequest request{
      read_batch(read_object(argument(info, 1), "batch"), shape), {}, read_adapter_use(argument(info, 3))};
  const std::span<int32_t> positions = read_int32(argument(info, 2), "positions");
  if (static_cast<int64_t>(positions.size()) * shape.V > kMostValues)
    throw_out_of_range(argument(info, 2), "at most " + std::to_string(kMostValues / shape.V) + " rows", "positions");
  for (const int32_t position : positions) {
    if (position >= 0 && position < request.batch.T()) continue;
    throw_out_of_range(Napi::Number::New(info.Env(), position),
                       "index of a token, 0 to " + std::to_string(request.batch.T() - 1) + ",", "positions");
  }
  request.positions.assign(positions.begin(), positions.end());
  return request;
}

// modelLogits(model, batch, positions, adapter?), modelHidden(…): promise of a Float32Array [rows, V or C].
Napi::Value model_logits(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  return floats_job(info.Env(), handle, [request = read_rows_request(info, handle->object->shape())](Model& model) {
    std::vector<float> out(request.positions.size() * static_cast<size_t>(model.shape().V));
    model.logits(request.batch.view(), request.positions.data(), static_cast<int64_t>(request.positions.size()),
                 out.data(), request.use);
    return out;
  });
}
Napi::Value model_hidden(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  return floats_job(info.Env(), handle, [request = read_rows_request(info, handle->object->shape())](Model& model) {
    std::vector<float> out(request.positions.size() * static_cast<size_t>(model.shape().C));
    model.hidden(request.batch.view(), request.positions.data(), static_cast<int64_t>(request.positions.size()),
                 out.data(), request.use);
    return out;
  });
}

void require_trainable(const Model& model, const char* operation) {
  if (model.options().trainable) return;
  throw Error("ERR_NOT_TRAINABLE",
              std::string(operation) + ": expected a model opened with trainable: true but this one has no gradients");
}

// modelAccumulate(model, batch, loss, recompute?): promise of a LossResult.
Napi::Value model_accumulate(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  require_trainable(*handle->object, "accumulate");
  OwnedLossBatch batch = read_loss_batch(argument(info, 1), handle->object->shape());
  const PolicyLossOptions options = read_loss_options(argument(info, 2), true);
  const OwnedValuePart value = read_value_part(argument(info, 1).As<Napi::Object>(),
                                               argument(info, 2).As<Napi::Object>(), batch.batch, *handle->object);
  const Recompute recompute = read_recompute(argument(info, 3));
  struct Result {
    PolicyLossStats stats;
    ValueLossStats value_stats;
    std::vector<float> logprobs, values;
  };
  auto result = std::make_shared<Result>();
  return model_job(
      info.Env(), handle,
      [=](Model& model) {
        result->logprobs.resize(batch.weight.size());
        result->values.resize(value.weight.size());
        ValuePart part = value.view(result->values.data());
        result->stats = model.accumulate(batch.batch.view(), batch.view(), options, result->logprobs.data(),
                                         value.present ? &part : nullptr, recompute);
        result->value_stats = part.stats;
      },
      [result, with_value = value.present](Napi::Env env) -> Napi::Value {
        Napi::Object object = to_loss_result(env, result->stats, result->logprobs);
        if (with_value) object.Set("value", to_value_result(env, result->value_stats, result->values));
        return object;
      });
}

// modelZeroGradients(model): promise.
Napi::Value model_zero_gradients(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  require_trainable(*handle->object, "zeroGradients");
  return model_job(info.Env(), handle, [](Model& model) { model.zero_gradients(); });
}

// modelResetOptimizer(model): promise.
Napi::Value model_reset_optimizer(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  require_trainable(*handle->object, "resetOptimizer");
  return model_job(info.Env(), handle, [](Model& model) { model.reset_optimizer(); });
}

// A parameter by name: of the model, or of its adapter (PEFT's names begin so). It lives as long as the model.
struct NamedParameter {
  Parameters* of;
  int index;
  const Parameter& place() const { return of->layout().all()[static_cast<size_t>(index)]; }
};
NamedParameter read_parameter(const Napi::CallbackInfo& info, Model& model) {
  const std::string name = read_string(argument(info, 1), "name");
  Parameters& of = name.rfind("base_model.", 0) == 0 ? model.trained() : model.parameters();
  return {&of, of.layout().find(name)};
}

// modelGradient(model, name), modelParameter(model, name): promise of a row-major Float32Array.
Napi::Value model_gradient(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  require_trainable(*handle->object, "gradient");
  const NamedParameter p = read_parameter(info, *handle->object);
  if (!p.of->trainable())
    throw Error("ERR_NOT_TRAINABLE", "gradient: expected a parameter of the adapter but \"" + p.place().name +
                                         "\" belongs to the frozen base");
  return floats_job(info.Env(), handle, [p](Model&) {
    std::vector<float> values(static_cast<size_t>(p.place().elements()));
    p.of->read_rows(ParameterArena::kGradient, p.index, 0, p.place().rows, values.data());
    return values;
  });
}
Napi::Value model_parameter(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  return floats_job(info.Env(), handle, [p = read_parameter(info, *handle->object)](Model&) {
    std::vector<float> values(static_cast<size_t>(p.place().elements()));
    p.of->get(p.index, values.data());
    return values;
  });
}

// modelSetParameter(model, name, values): promise. The values are copied.
Napi::Value model_set_parameter(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  const NamedParameter p = read_parameter(info, *handle->object);
  const std::span<float> given = read_float32(argument(info, 2), "values", p.place().elements());
  return model_job(info.Env(), handle, [p, values = std::vector<float>(given.begin(), given.end())](Model& model) {
    model.set_parameter(*p.of, p.index, values);
  });
}

// modelCopyWeights(to, from): promise. A job like any other: it comes after the calls made before it, of both models.
Napi::Value model_copy_weights(const Napi::CallbackInfo& info) {
  const HandleRef<Model> to = read_model(argument(info, 0)), from = read_model(argument(info, 1));
  return model_job(info.Env(), to, [source = from->object](Model& model) { model.copy_weights(*source); });
}

float read_in(Napi::Object object, const char* key, double min, double below) {
  const Napi::Value value = property(object, key);
  const double number = read_number(value, key);
  if (number >= min && number < below) return static_cast<float>(number);
  const std::string upper = below < 1e300 ? " and below " + std::to_string(static_cast<int>(below)) : "";
  throw_out_of_range(value, "number of " + std::to_string(static_cast<int>(min)) + " or more" + upper, key);
}

// modelUpdate(model, options): promise of {gradNorm, clipped, step}.
Napi::Value model_update(const Napi::CallbackInfo& info) {
  constexpr double kNoBound = 1e300;
  const HandleRef<Model> handle = read_model(argument(info, 0));
  require_trainable(*handle->object, "update");
  const Napi::Object object = read_object(
      argument(info, 1), "options", {"lr", "beta1", "beta2", "eps", "weightDecay", "maxGradNorm", "valueLr", "only"});
  AdamWOptions options{read_in(object, "lr", 0, kNoBound),
                       read_in(object, "beta1", 0, 1),
                       read_in(object, "beta2", 0, 1),
                       read_in(object, "eps", 0, kNoBound),
                       read_in(object, "weightDecay", 0, kNoBound),
                       read_in(object, "maxGradNorm", 0, kNoBound)};
  if (!is_absent(property(object, "valueLr"))) options.value_lr = read_in(object, "valueLr", 0, kNoBound);
  const std::string only = string_or(object, "only", "");
  if (!only.empty() && only != "value_head") throw_out_of_range(property(object, "only"), "\"value_head\"", "only");
  options.value_head_only = !only.empty();
  if (options.value_lr >= 0 || options.value_head_only) handle->object->require_value_head("update");
  auto result = std::make_shared<UpdateResult>();
  return model_job(
      info.Env(), handle, [=](Model& model) { *result = model.update(options); },
      [result](Napi::Env env) -> Napi::Value {
        auto object = Napi::Object::New(env);
        object.Set("gradNorm", result->grad_norm);
        object.Set("clipped", result->clipped);
        object.Set("step", static_cast<double>(result->step));
        return object;
      });
}

// modelSaveWeights(model, path), modelSaveOptimizer(model, path), modelLoadOptimizer(model, path): promise.
Napi::Value model_save_weights(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  return model_job(info.Env(), handle, [path = read_string(argument(info, 1), "path")](Model& model) {
    save_weights(model.parameters(), path);
  });
}
Napi::Value model_save_optimizer(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  require_trainable(*handle->object, "saveOptimizer");
  return model_job(info.Env(), handle,
                   [path = read_string(argument(info, 1), "path")](Model& model) { model.save_optimizer(path); });
}
Napi::Value model_load_optimizer(const Napi::CallbackInfo& info) {
  const HandleRef<Model> handle = read_model(argument(info, 0));
  require_trainable(*handle->object, "loadOptimizer");
  return model_job(info.Env(), handle,
                   [path = read_string(argument(info, 1), "path")](Model& model) { model.load_optimizer(path); });
}

}  // namespace

void register_model(Napi::Env env, Napi::Object exports) {
  export_function<model_open>(env, exports, "modelOpen");
  export_function<plan_memory_for>(env, exports, "planMemory");
  export_function<plan_pass>(env, exports, "planPass");
  export_function<memory_left>(env, exports, "availableMemory");
  export_function<external_memory>(env, exports, "externalMemory");
  export_function<model_info>(env, exports, "modelInfo");
  export_function<model_version>(env, exports, "modelVersion");
  export_function<model_dispose>(env, exports, "modelDispose");
  export_function<model_memory_left>(env, exports, "modelMemoryLeft");
  export_function<model_score>(env, exports, "modelScore");
  export_function<model_logits>(env, exports, "modelLogits");
  export_function<model_hidden>(env, exports, "modelHidden");
  export_function<model_accumulate>(env, exports, "modelAccumulate");
  export_function<model_zero_gradients>(env, exports, "modelZeroGradients");
  export_function<model_reset_optimizer>(env, exports, "modelResetOptimizer");
  export_function<model_gradient>(env, exports, "modelGradient");
  export_function<model_parameter>(env, exports, "modelParameter");
  export_function<model_set_parameter>(env, exports, "modelSetParameter");
  export_function<model_copy_weights>(env, exports, "modelCopyWeights");
  export_function<model_update>(env, exports, "modelUpdate");
  export_function<model_save_weights>(env, exports, "modelSaveWeights");
  export_function<model_save_optimizer>(env, exports, "modelSaveOptimizer");
  export_function<model_load_optimizer>(env, exports, "modelLoadOptimizer");
}

}  // namespace toolgrad
