// The KV cache for JavaScript: bookkeeping answers at once, step() is a job. See engine/kv_cache.h for what may happen
// while a step runs. A cache holds a share of its model.
#include "engine/kv_cache.h"

#include <napi.h>

#include <utility>
#include <vector>

#include "engine/error.h"
#include "engine/generate.h"
#include "napi/args.h"
#include "napi/batch.h"
#include "napi/guard.h"
#include "napi/job.h"
#include "napi/lora.h"
#include "napi/model.h"
#include "napi/register.h"

namespace toolgrad {
namespace {

constexpr napi_type_tag kCacheTag = {0x1d88c57ab2f04e13, 0xa94e6b3f5d20c7e8};
constexpr int64_t kMostPages = int64_t{1} << 24;

struct ModelCache {
  std::shared_ptr<Model> model;
  KvCache cache;
  AdapterUse adapter;  // that its keys and values were made with
  /// Bytes of the host, which V8 is told about.
  int64_t bytes() const { return model->ops().memory()->on_host() ? cache.bytes() : 0; }
};

HandleRef<ModelCache> read_cache(Napi::Value value, bool may_be_disposed = false) {
  HandleRef<ModelCache> handle =
      *static_cast<HandleRef<ModelCache>*>(read_tagged(value, kCacheTag, "KV cache handle", "cache"));
  if (!handle->object && !may_be_disposed) throw_disposed("KV cache");
  return handle;
}

KvCache& cache_of(const Napi::CallbackInfo& info) {
  // The handle stays alive through the call: JavaScript holds its External.
  return read_cache(argument(info, 0))->object->cache;
}

int32_t read_seq(Napi::Value value, std::string_view name) {
  return static_cast<int32_t>(read_integer(value, name, 0, INT32_MAX));
}

Napi::Value number(const Napi::CallbackInfo& info, int64_t value) {
  return Napi::Number::New(info.Env(), static_cast<double>(value));
}

// kvOpen(model, pages, adapter?): a handle.
Napi::Value kv_open(const Napi::CallbackInfo& info) {
  const HandleRef<Model> model = read_model(argument(info, 0));
  const int64_t pages = read_integer(argument(info, 1), "pages", 1, kMostPages);
  auto cache = std::shared_ptr<ModelCache>(
      new ModelCache{model->object,
                     {model->object->ops(), model->object->shape(), model->object->options().dtype, pages},
                     read_adapter_use(argument(info, 2))});
  return make_handle<ModelCache>(info.Env(), std::move(cache), kCacheTag);
}

Napi::Value kv_pages_free(const Napi::CallbackInfo& info) {
  return number(info, cache_of(info).pages_free());
}
Napi::Value kv_pages_total(const Napi::CallbackInfo& info) {
  return number(info, cache_of(info).pages_total());
}
Napi::Value kv_tokens_computed(const Napi::CallbackInfo& info) {
  return number(info, cache_of(info).tokens_computed());
}
Napi::Value kv_add(const Napi::CallbackInfo& info) {
  return number(info, cache_of(info).add());
}
Napi::Value kv_fork(const Napi::CallbackInfo& info) {
  return number(info, cache_of(info).fork(read_seq(argument(info, 1), "seq")));
}
Napi::Value kv_length(const Napi::CallbackInfo& info) {
  return number(info, cache_of(info).length(read_seq(argument(info, 1), "seq")));
}
Napi::Value kv_free(const Napi::CallbackInfo& info) {
  cache_of(info).free(read_seq(argument(info, 1), "seq"));
  return info.Env().Undefined();
}
Napi::Value kv_pages_for(const Napi::CallbackInfo& info) {
  const int32_t seq = read_seq(argument(info, 1), "seq");
  return number(info, cache_of(info).pages_for(seq, read_integer(argument(info, 2), "tokens", 0, INT32_MAX)));
}
Napi::Value kv_clear(const Napi::CallbackInfo& info) {
  cache_of(info).clear();
  return info.Env().Undefined();
}
Napi::Value kv_dispose(const Napi::CallbackInfo& info) {
  read_cache(argument(info, 0), true)->dispose(info.Env());
  return info.Env().Undefined();
}

// A number with an inclusive lower and upper bound.
float read_bounded(Napi::Object object, const char* key, const std::string& name, double min, double max,
                   const char* what) {
  const Napi::Value value = property(object, key);
  const std::string field = name + "." + key;
  const double given = read_number(value, field);
  if (!(given >= min && given <= max)) throw_out_of_range(value, what, field);
  return static_cast<float>(given);
}

void read_sampling(Napi::Value value, const std::string& name, StepRow* row) {
  const Napi::Object object = read_object(value, name);
  const auto word = [&](const char* key) {
    return static_cast<uint32_t>(read_integer(property(object, key), name + "." + key, 0, UINT32_MAX));
  };
  row->sample = true;
  row->temperature = read_bounded(object, "temperature", name, 0, 1e6, "number of 0 or more");
  row->top_k = static_cast<int32_t>(read_integer(property(object, "topK"), name + ".topK", 0, INT32_MAX));
  row->top_p = read_bounded(object, "topP", name, 1e-30, 1, "number above 0, at most 1");
  row->min_p = read_bounded(object, "minP", name, 0, 1, "number from 0 to 1");
  row->key = {read_id(property(object, "runSeed"), name + ".runSeed"), word("step"), word("prompt"), word("sample"), 0};
}

std::vector<StepRow> read_rows(Napi::Value value, const ModelShape& shape) {
  const Napi::Array array = read_array(value, "rows");
  if (array.Length() == 0) throw_out_of_range(value, "at least one row", "rows");
  std::vector<StepRow> rows(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::HandleScope scope(value.Env());
    const std::string name = "rows[" + std::to_string(i) + "]";
    const Napi::Object object = read_object(array.Get(i), name);
    rows[i].seq = read_seq(property(object, "seq"), name + ".seq");
    const Napi::Value tokens = property(object, "tokens");
    rows[i].tokens = read_tokens(tokens, name + ".tokens", shape);
    if (rows[i].tokens.empty()) throw_out_of_range(tokens, "at least one token", name + ".tokens");
    const Napi::Value sample = property(object, "sample");
    if (!is_absent(sample)) read_sampling(sample, name + ".sample", &rows[i]);
  }
  return rows;
}

// kvStep(cache, rows): promise of {tokens, logprobs}.
Napi::Value kv_step(const Napi::CallbackInfo& info) {
  const HandleRef<ModelCache> handle = read_cache(argument(info, 0));
  std::vector<StepRow> rows = read_rows(argument(info, 1), handle->object->model->shape());
  handle->object->cache.pin(appends_of(rows));
  auto result = std::make_shared<StepResult>();
  return run_job(
      info.Env(),
      [cache = handle->object, rows = std::move(rows), result] {
        *result = step(*cache->model, cache->cache, rows, cache->adapter);
      },
      [cache = handle->object, result](Napi::Env env) -> Napi::Value {
        cache->cache.commit(result->plan);
        auto tokens = Napi::Int32Array::New(env, result->tokens.size());
        std::copy(result->tokens.begin(), result->tokens.end(), tokens.Data());
        auto object = Napi::Object::New(env);
        object.Set("tokens", tokens);
        object.Set("logprobs", to_float32(env, result->logprobs));
        return object;
      });
}

}  // namespace

void register_kv_cache(Napi::Env env, Napi::Object exports) {
  export_function<kv_open>(env, exports, "kvOpen");
  export_function<kv_pages_free>(env, exports, "kvPagesFree");
  export_function<kv_pages_total>(env, exports, "kvPagesTotal");
  export_function<kv_tokens_computed>(env, exports, "kvTokensComputed");
  export_function<kv_add>(env, exports, "kvAdd");
  export_function<kv_fork>(env, exports, "kvFork");
  export_function<kv_length>(env, exports, "kvLength");
  export_function<kv_free>(env, exports, "kvFree");
  export_function<kv_pages_for>(env, exports, "kvPagesFor");
  export_function<kv_clear>(env, exports, "kvClear");
  export_function<kv_dispose>(env, exports, "kvDispose");
  export_function<kv_step>(env, exports, "kvStep");
}

}  // namespace toolgrad
