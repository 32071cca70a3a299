// RoPE frequencies: Su et al. 2021 (theta^(-2i/D)); llama3 scaling as in Llama 3.1's reference code and transformers'
// _compute_llama3_parameters.
#include "engine/rope_table.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

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

RopeTable::RopeTable(const ModelShape& shape, std::shared_ptr<Memory> memory)
    : max_positions_(shape.max_positions), memory_(std::move(memory)) {
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
  const auto added = static_cast<size_t>((rows - rows_) * half);
  std::vector<float> cosines(added), sines(added);
  for (int64_t p = rows_; p < rows; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(p) * frequencies_[static_cast<size_t>(i)];
      const auto at = static_cast<size_t>((p - rows_) * half + i);
      cosines[at] = static_cast<float>(std::cos(angle));
      sines[at] = static_cast<float>(std::sin(angle));
    }
  }
  const auto append = [&](Buffer& table, const std::vector<float>& values) {
    Buffer grown(static_cast<size_t>(rows * half) * sizeof(float), "rotary angles", memory_);
    if (rows_ > 0) memory_->copy(grown.data(), table.data(), static_cast<size_t>(rows_ * half) * sizeof(float));
    memory_->upload(grown.as<float>() + rows_ * half, values);
    table = std::move(grown);
  };
  append(cos_, cosines);
  append(sin_, sines);
  rows_ = rows;
}

}  // namespace toolgrad
