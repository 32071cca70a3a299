// What backends share of the op contract; see ops.h.
#include "engine/ops.h"

#include <string>

#include "engine/error.h"

namespace toolgrad {

void bad_logits(int64_t row) {
  throw Error("ERR_NOT_FINITE", "sample: the logits of row " + std::to_string(row) +
                                    " hold NaN or +inf, or nothing above -inf; " +
                                    "expected finite logits (have the weights or the learning rate diverged?)");
}

}  // namespace toolgrad
