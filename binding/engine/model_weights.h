// The weights of one model under Hugging Face names, whatever the files: one safetensors file, several shards, or one
// GGUF.
//
// Names, shapes and the order of rows are those of HF: GGUF names are mapped and interleaved q/k rows are put back.
// Reading is const and thread-safe. The files stay mapped as long as the object lives.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/weight_file.h"

namespace toolgrad {

class ModelWeights {
 public:
  /// Open all `paths` (shards in any order, or a single .gguf). Error{"ERR_WEIGHT_FILE"} when two files hold the same
  /// tensor.
  static std::shared_ptr<ModelWeights> open(const std::vector<std::string>& paths);

  struct Tensor {
    const TensorEntry* entry;
    const WeightFile* file;
    int64_t head_dim;  // > 0: rows are interleaved within heads of this many rows
  };

  const std::vector<std::shared_ptr<WeightFile>>& files() const { return files_; }
  /// HF names in file order.
  const std::vector<std::string>& names() const { return names_; }
  const Tensor* find(std::string_view name) const;

  /// Read tensor `name` as fp32 row-major [out, in] after checking its shape.
  /// Error{"ERR_TENSOR_NOT_FOUND"} or {"ERR_SHAPE_MISMATCH"} (message has expected and found) or {"ERR_WEIGHT_TYPE"}.
  void read_f32(std::string_view name, const std::vector<int64_t>& expected_shape, float* out) const;
  /// Rows [row0, row0 + rows) of the first dimension, after the same checks.
  void read_f32_rows(std::string_view name, const std::vector<int64_t>& expected_shape, int64_t row0, int64_t rows,
                     float* out) const;

 private:
  ModelWeights() = default;
  void add(const std::shared_ptr<WeightFile>& file);

  std::vector<std::shared_ptr<WeightFile>> files_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, Tensor> tensors_;
};

}  // namespace toolgrad
