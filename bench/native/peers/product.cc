#include "product.h"

#include <cmath>

#include "engine/error.h"

namespace toolgrad::bench {

namespace {

constexpr int64_t kChecked = 24;
constexpr double kTolerance = 1e-5;

std::vector<float> noise(int64_t count, uint32_t state) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  return values;
}

}  // namespace

Form form_from_name(const std::string& name) {
  if (name == "forward") return Form::kForward;
  if (name == "dX") return Form::kInput;
  if (name == "dW") return Form::kWeight;
  throw Error("ERR_INVALID_ARG", "Expected forward, dX or dW but received " + name);
}

Numbers numbers_of(const Product& p) {
  return {noise(p.T * (p.form == Form::kForward ? p.K : p.N), 1),
          noise(p.form == Form::kWeight ? p.T * p.K : p.N * p.K, 2)};
}

void check_result(const Product& p, const Numbers& numbers, ReadOutput read, const void* engine) {
  const float *left = numbers.left.data(), *right = numbers.right.data();
  const int64_t width = p.form == Form::kForward ? p.N : p.K;
  for (int64_t i = 0; i < kChecked; ++i) {
    const int64_t at = i * (p.outputs() - 1) / (kChecked - 1), row = at / width, column = at % width;
    const int64_t terms = p.form == Form::kForward ? p.K : p.form == Form::kInput ? p.N : p.T;
    double sum = 0, magnitude = 0;
    for (int64_t j = 0; j < terms; ++j) {
      float a = p.form == Form::kWeight ? left[j * p.N + row] : left[row * terms + j];
      float b = p.form == Form::kForward ? right[column * p.K + j] : right[j * p.K + column];
      if (p.dtype == DType::kBF16) a = bf16_to_f32(f32_to_bf16(a)), b = bf16_to_f32(f32_to_bf16(b));
      sum += static_cast<double>(a) * static_cast<double>(b);
      magnitude += std::abs(static_cast<double>(a) * static_cast<double>(b));
    }
    const double found = static_cast<double>(read(engine, at));
    if (!(std::abs(found - sum) <= kTolerance * magnitude))
      throw Error("ERR_WRONG_RESULT", "element " + std::to_string(at) + ": expected " + std::to_string(sum) +
                                          " but it computed " + std::to_string(found));
  }
}

}  // namespace toolgrad::bench
