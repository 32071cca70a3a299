// The groups of functions behind kernels.*, registered by kernels.cc on one object.
#pragma once

#include <napi.h>

namespace toolgrad {

void register_linear_kernels(Napi::Env env, Napi::Object exports);     // kernels_linear.cc
void register_row_kernels(Napi::Env env, Napi::Object exports);        // kernels_rows.cc
void register_attention_kernels(Napi::Env env, Napi::Object exports);  // kernels_attention.cc
void register_head_kernels(Napi::Env env, Napi::Object exports);       // kernels_head.cc
void register_probe(Napi::Env env, Napi::Object exports);              // probe.cc

}  // namespace toolgrad
