// The options of the policy loss, read alike for the model handle and for kernels.policyLoss.
#pragma once

#include <napi.h>

#include "engine/policy_loss.h"

namespace toolgrad {

// LossOptions of lib/model/engine.ts; what is absent has the default of PolicyLossOptions. Unknown keys and names are
// RangeErrors that list what there is.
PolicyLossOptions read_loss_options(Napi::Value value);

}  // namespace toolgrad
