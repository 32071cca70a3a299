// The options of the policy loss, read alike for the model handle and for kernels.policyLoss.
#pragma once

#include <napi.h>

#include "engine/policy_loss.h"

namespace toolgrad {

// LossOptions of lib/model/engine.ts; what is absent has the default of PolicyLossOptions. Unknown keys and names are
// RangeErrors that list what there is. `value` (values.h) is refused unless the caller reads it.
PolicyLossOptions read_loss_options(Napi::Value value, bool with_value_part = false);

}  // namespace toolgrad
