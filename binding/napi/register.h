// What each file of binding/napi/ adds to the addon's exports: one function per file, called by addon.cc.
#pragma once

#include <napi.h>

namespace toolgrad {

void register_weights(Napi::Env env, Napi::Object exports);     // weights.cc: inspectWeights, readTensor
void register_advantages(Napi::Env env, Napi::Object exports);  // advantages.cc: groupAdvantages, tokenGae, …
void register_device(Napi::Env env, Napi::Object exports);      // device.cc: cudaDevices
void register_kernels(Napi::Env env, Napi::Object exports);     // kernels.cc: isaInfo, kernels
void register_model(Napi::Env env, Napi::Object exports);       // model.cc: planMemory, modelOpen, modelScore, …
void register_values(Napi::Env env, Napi::Object exports);      // values.cc: modelValues, modelSaveValueHead, …
void register_lora(Napi::Env env, Napi::Object exports);        // lora.cc: modelAdapterInfo, modelLoadAdapter, …
void register_process(Napi::Env env, Napi::Object exports);     // process.cc: spawnProcess, reapProcess
void register_kv_cache(Napi::Env env, Napi::Object exports);    // kv_cache.cc: kvOpen, kvStep, …

}  // namespace toolgrad
