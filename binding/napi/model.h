// The handle behind a JavaScript model or KV cache: an External that owns a share of the native object.
//
// A handle is tagged, so that no other External passes for it. dispose() drops the handle's share at once; jobs hold
// shares of their own, so the memory goes when the last job in flight has ended. Native memory is reported to V8 while
// the handle holds its share. Handles are touched on the JavaScript thread only.
#pragma once

#include <napi.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "engine/model.h"

namespace toolgrad {

template <class T>
struct Handle {
  std::shared_ptr<T> object;  // null once disposed
  int64_t reported = 0;       // bytes V8 was told about

  // Tells V8 how much the object holds now.
  void report(Napi::Env env) {
    const int64_t bytes = object ? object->bytes() : 0;
    if (bytes != reported) Napi::MemoryManagement::AdjustExternalMemory(env, bytes - reported);
    reported = bytes;
  }
  void dispose(Napi::Env env) {
    object.reset();
    report(env);
  }
};

template <class T>
using HandleRef = std::shared_ptr<Handle<T>>;

/// Checks the tag; throws the TypeError of args.h when `value` is no handle of this kind.
void* read_tagged(Napi::Value value, const napi_type_tag& tag, std::string_view what, std::string_view name);
void tag_value(Napi::Env env, Napi::Value value, const napi_type_tag& tag);
[[noreturn]] void throw_disposed(std::string_view what);

template <class T>
Napi::Value make_handle(Napi::Env env, std::shared_ptr<T> object, const napi_type_tag& tag) {
  auto handle = std::make_shared<Handle<T>>();
  handle->object = std::move(object);
  auto external = Napi::External<HandleRef<T>>::New(env, new HandleRef<T>(handle), [](Napi::Env e, HandleRef<T>* held) {
    (*held)->dispose(e);
    delete held;
  });
  tag_value(env, external, tag);
  handle->report(env);
  return external;
}

constexpr napi_type_tag kModelTag = {0x5a3f1c0e9b7d4426, 0x8f61e2d70c35ba91};

/// The model handle in `value`; with its model present unless `may_be_disposed`.
HandleRef<Model> read_model(Napi::Value value, bool may_be_disposed = false);

/// Runs `work(model)` as a job; `resolve` makes the result (default undefined), then V8 is told about memory the job took.
Napi::Value model_job(Napi::Env env, const HandleRef<Model>& handle, std::function<void(Model&)> work,
                      std::function<Napi::Value(Napi::Env)> resolve = nullptr);

/// A float array of JavaScript from native memory.
Napi::Float32Array to_float32(Napi::Env env, const std::vector<float>& values);

}  // namespace toolgrad
