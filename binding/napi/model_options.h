// The shape and the options of a model as JavaScript gives them.
#pragma once

#include <napi.h>

#include "engine/model.h"

namespace toolgrad {

/// TypeError or RangeError naming the field, or the errors of check_shape().
ModelShape read_shape(Napi::Value value);
DType read_dtype(Napi::Value value);
ModelOptions read_options(Napi::Value value);
/// Absent: kNone.
Recompute read_recompute(Napi::Value value);

}  // namespace toolgrad
