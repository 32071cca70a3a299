// Cosines and sines of the RoPE angles, one row of D/2 per position, computed in double and rounded to fp32 once.
//
// Rows are made on demand, up to the model's max_positions, and never change: row p depends on p and the shape only.
#pragma once

#include <memory>
#include <vector>

#include "engine/arena.h"
#include "engine/model_shape.h"

namespace toolgrad {

class RopeTable {
 public:
  explicit RopeTable(const ModelShape& shape, std::shared_ptr<Memory> memory = host_memory());

  /// Makes rows 0 .. positions - 1. Error{"ERR_TOO_LONG"} names both lengths when the model has fewer positions.
  void grow(int64_t positions);
  const float* cos() const { return cos_.as<float>(); }  // [rows, D / 2], in the memory of the ops
  const float* sin() const { return sin_.as<float>(); }

 private:
  int64_t max_positions_;
  std::vector<double> frequencies_;  // [D / 2] radians per position, scaling applied
  std::shared_ptr<Memory> memory_;
  Buffer cos_, sin_;
  int64_t rows_ = 0;
};

}  // namespace toolgrad
