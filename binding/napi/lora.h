// Readers of what JavaScript says about adapters; the functions on a model's adapter are in lora.cc.
#pragma once

#include <napi.h>

#include "engine/lora.h"

namespace toolgrad {

/// {rank, scaling, targets, seed}; absent: no adapter.
LoraOptions read_lora(Napi::Value value);

/// "on", "off" or "reference"; absent: on.
AdapterUse read_adapter_use(Napi::Value value);

}  // namespace toolgrad
