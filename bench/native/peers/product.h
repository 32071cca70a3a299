// A matrix product as a linear layer does it, with its numbers, and the check that an engine computed it. T rows, N outputs,
// K inputs; W [N, K], x [T, K], dy [T, N] are row-major fp32. Every process makes the same numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/dtype.h"

namespace toolgrad::bench {

enum class Form {
  kForward,  // y [T, N]  = x W^T
  kInput,    // dx [T, K] = dy W
  kWeight,   // dw [N, K] += dy^T x
};

Form form_from_name(const std::string&);  // "forward" | "dX" | "dW"; else Error("ERR_INVALID_ARG")

struct Product {
  Form form;
  int64_t T, N, K;
  DType dtype;  // with bf16 all operands are rounded to it
  bool pack;    // lay the weights out anew for every product, where the engine has a layout of its own
  int copies;   // weights to go round, so that few rows find none of them in a cache

  int64_t outputs() const { return form == Form::kWeight ? N * K : T * (form == Form::kForward ? N : K); }
};

/// Product::form's operands: `left` is x or dy, `right` is W or x.
struct Numbers {
  std::vector<float> left, right;
};
Numbers numbers_of(const Product&);

/// Element `at` of a row-major result.
using ReadOutput = float (*)(const void* engine, int64_t at);

/// Compares elements all over the result with sums in double; Error("ERR_WRONG_RESULT") where one is off by more than 1e-5
/// of the sum of magnitudes.
void check_result(const Product&, const Numbers&, ReadOutput, const void* engine);

}  // namespace toolgrad::bench
