// RoPE frequencies: Su et al. 2021 (theta^(-2i/D)); llama3 scaling as in Llama 3.1's reference code and transformers'
// _compute_llama3_parameters.
#include "engine/rope_table.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/error.h"

namespace toolgrad {
namespace {

constexpr double kTwoPi = 6.283185307179586476925286766559;
constexpr int64_t kFirstRows = 1024;

double scaled(double frequency, const RopeScaling& rope) {
  switch (rope.kind) {
    case RopeScaling::Kind::kNone:
      return frequency;
    case RopeScaling::Kind::kLinear:
      return frequency / rope.factor;
    case RopeScaling::Kind::kLlama3:
      break;
  }
  const double wavelength = kTwoPi / frequency;
  if (wavelength < rope.original_max_positions / rope.high_freq_factor) return frequency;
  if (wavelength > rope.original_max_positions / rope.low_freq_factor) return frequency / rope.factor;
  const double smooth = (rope.original_max_positions / wavelength - rope.low_freq_factor) /
                        (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

}  // namespace

RopeTable::RopeTable(const ModelShape& shape) : max_positions_(shape.max_positions) {
  for (int64_t i = 0; i < shape.D / 2; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(shape.D);
    frequencies_.push_back(scaled(std::pow(shape.rope_theta, exponent), shape.rope));
  }
}

void RopeTable::grow(int64_t positions) {
  if (positions > max_positions_)
    throw Error("ERR_TOO_LONG", "Expected a sequence of at most " + std::to_string(max_positions_) +
                                    " tokens (the model's max_position_embeddings) but found " +
                                    std::to_string(positions));
  if (positions <= rows_) return;
  const int64_t rows = std::min(max_positions_, std::max({positions, 2 * rows_, kFirstRows}));
  const auto half = static_cast<int64_t>(frequencies_.size());
  cos_.resize(static_cast<size_t>(rows * half));
  sin_.resize(static_cast<size_t>(rows * half));
  for (int64_t p = rows_; p < rows; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(p) * frequencies_[static_cast<size_t>(i)];
      cos_[static_cast<size_t>(p * half + i)] = static_cast<float>(std::cos(angle));
      sin_[static_cast<size_t>(p * half + i)] = static_cast<float>(std::sin(angle));
    }
  }
  rows_ = rows;
}

}  // namespace toolgrad
