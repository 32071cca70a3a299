// Weight files for JavaScript: what is in one, and one tensor of it. Synchronous, for headers and small tensors; a
// model is loaded through its own handle, on the engine thread.
#include <napi.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/gguf.h"
#include "engine/weight_file.h"
#include "napi/args.h"
#include "napi/guard.h"
#include "napi/register.h"

namespace toolgrad {
namespace {

constexpr int64_t kMaxReadElements = int64_t{1} << 28;  // 1 GiB of fp32

Napi::Value to_js_value(Napi::Env env, const json::Value& value);

// An own data property whatever the key: plain assignment of "__proto__" would change the prototype instead.
void define(Napi::Env env, Napi::Object object, const std::string& key, Napi::Value value) {
  napi_property_descriptor descriptor{};
  descriptor.name = Napi::String::New(env, key);
  descriptor.value = value;
  descriptor.attributes = napi_default_jsproperty;
  if (napi_define_properties(env, object, 1, &descriptor) != napi_ok) throw Napi::Error::New(env);
}

Napi::Value to_js_array(Napi::Env env, const json::Array& items) {
  Napi::Array array = Napi::Array::New(env, items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const Napi::HandleScope scope(env);  // a tokenizer has 10^5 strings
    array.Set(static_cast<uint32_t>(i), to_js_value(env, items[i]));
  }
  return array;
}

// Integers beyond 2^53 become BigInt, so that none is changed.
Napi::Value to_js_value(Napi::Env env, const json::Value& value) {
  if (value.is_bool()) return Napi::Boolean::New(env, value.as_bool());
  if (value.is_int64()) {
    const int64_t integer = value.as_int64();
    if (integer < -kMaxSafeInteger || integer > kMaxSafeInteger) return Napi::BigInt::New(env, integer);
    return Napi::Number::New(env, static_cast<double>(integer));
  }
  if (value.is_uint64()) return Napi::BigInt::New(env, value.as_uint64());
  if (value.is_double()) return Napi::Number::New(env, value.as_double());
  if (value.is_string()) return Napi::String::New(env, value.as_string());
  if (value.is_array()) return to_js_array(env, value.as_array());
  if (value.is_null()) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  for (const json::Member& member : value.as_object()) {
    const Napi::HandleScope scope(env);
    define(env, object, member.key, to_js_value(env, member.value));
  }
  return object;
}

Napi::Value to_js_tensor(Napi::Env env, const TensorEntry& entry, WeightFormat format) {
  Napi::Array shape = Napi::Array::New(env, entry.shape.size());
  for (size_t i = 0; i < entry.shape.size(); ++i)
    shape.Set(static_cast<uint32_t>(i), static_cast<double>(entry.shape[i]));
  Napi::Object tensor = Napi::Object::New(env);
  tensor.Set("name", entry.name);
  tensor.Set("dtype", entry.dtype);
  tensor.Set("shape", shape);
  tensor.Set("bytes", static_cast<double>(entry.bytes));
  const std::optional<std::string> name = format == WeightFormat::kGguf ? gguf_hf_name(entry.name) : entry.name;
  tensor.Set("hfName", name ? Napi::Value(Napi::String::New(env, *name)) : env.Null());
  tensor.Set("readable", is_readable(entry));
  return tensor;
}

// inspectWeights(path): {format: 'safetensors' | 'gguf', tensors: [{name, dtype, shape, bytes, hfName, readable}],
// metadata}.
Napi::Value inspect_weights(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::shared_ptr<WeightFile> file = WeightFile::open(read_string(argument(info, 0), "path"));
  Napi::Array tensors = Napi::Array::New(env, file->tensors().size());
  for (size_t i = 0; i < file->tensors().size(); ++i) {
    const Napi::HandleScope scope(env);
    tensors.Set(static_cast<uint32_t>(i), to_js_tensor(env, file->tensors()[i], file->format()));
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("format", file->format() == WeightFormat::kGguf ? "gguf" : "safetensors");
  result.Set("tensors", tensors);
  result.Set("metadata", to_js_value(env, file->metadata()));
  return result;
}

// readTensor(path, name): Float32Array, row-major, under the file's own names and row order.
Napi::Value read_tensor(const Napi::CallbackInfo& info) {
  const std::shared_ptr<WeightFile> file = WeightFile::open(read_string(argument(info, 0), "path"));
  const TensorEntry& entry = file->at(read_string(argument(info, 1), "name"));
  const int64_t elements = checked_elements(entry.shape, entry.name);
  if (elements > kMaxReadElements) {
    throw Error("ERR_OUT_OF_RANGE", file->path() + ": tensor " + json::quote(entry.name) + " " +
                                        shape_text(entry.shape) + " is larger than the " +
                                        std::to_string(kMaxReadElements) + " elements that readTensor returns");
  }
  auto values = Napi::Float32Array::New(info.Env(), static_cast<size_t>(elements));
  if (elements > 0) file->read_f32(entry, values.Data());
  return values;
}

}  // namespace

void register_weights(Napi::Env env, Napi::Object exports) {
  export_function<inspect_weights>(env, exports, "inspectWeights");
  export_function<read_tensor>(env, exports, "readTensor");
}

}  // namespace toolgrad
