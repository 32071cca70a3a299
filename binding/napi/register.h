// What each file of binding/napi/ adds to the addon's exports: one function per file, called by addon.cc.
#pragma once

#include <napi.h>

namespace toolgrad {

void register_weights(Napi::Env env, Napi::Object exports);   // weights.cc: inspectWeights, readTensor
void register_losses(Napi::Env env, Napi::Object exports);    // losses.cc: groupAdvantages
void register_kernels(Napi::Env env, Napi::Object exports);   // kernels.cc: isaInfo, kernels
void register_model(Napi::Env env, Napi::Object exports);     // model.cc: planMemory, modelOpen, modelScore, …
void register_lora(Napi::Env env, Napi::Object exports);      // lora.cc: modelAdapterInfo, modelLoadAdapter, …
void register_kv_cache(Napi::Env env, Napi::Object exports);  // kv_cache.cc: kvOpen, kvStep, …

}  // namespace toolgrad
