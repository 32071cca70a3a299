// What each file of binding/napi/ adds to the addon's exports: one function per file, called by addon.cc.
#pragma once

#include <napi.h>

namespace toolgrad {

void register_weights(Napi::Env env, Napi::Object exports);  // weights.cc: inspectWeights, readTensor
void register_losses(Napi::Env env, Napi::Object exports);   // losses.cc: groupAdvantages
void register_kernels(Napi::Env env, Napi::Object exports);  // kernels.cc: isaInfo, one function per op

}  // namespace toolgrad
