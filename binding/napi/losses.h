// Reading the options of the policy loss, shared by the model handle and by kernels.policyLoss.
#pragma once

#include <napi.h>

#include "engine/policy_loss.h"

namespace toolgrad {

// LossOptions of lib/model/engine.ts. Unknown keys and names are RangeErrors that list what there is.
PolicyLossOptions read_loss_options(Napi::Value value);

}  // namespace toolgrad
