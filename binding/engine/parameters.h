// The parameters of a model by their Hugging Face names, and the arenas that hold them.
//
// Matrices are packed in panels (ops.h) in the compute dtype; vectors (norms, biases) are fp32 arrays that hold
// bf16-rounded values when the model is bf16. A trainable model also has fp32 masters, moments and gradients in the
// same order and layout: one arena each, all matrices first, then all vectors, so that AdamW and the norm are a few big
// calls. An fp32 model without other copies is its own master. A tied head has a gradient accumulator of its own, added
// to the embedding's once, at the end: then the order of the sums does not depend on the cut into micro-batches. A value
// head lies behind the vectors in every arena: fp32 weights whatever the model's dtype, updated by calls of its own.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/arena.h"
#include "engine/model_shape.h"
#include "engine/ops.h"

namespace toolgrad {

struct Parameter {
  std::string name;
  bool matrix = false;
  int64_t rows = 0, cols = 0;  // a vector has cols = 1
  int64_t offset = 0;          // elements from the start of an arena to this parameter
  bool value_head = false;     // of the value head, not of the language model
  int64_t elements() const { return rows * cols; }
  /// [rows, cols] of a matrix, [rows] of a vector.
  std::vector<int64_t> shape() const;
};

/// The arenas a parameter has a place in; all but kWeight need a trainable model.
enum class ParameterArena { kWeight, kMaster, kMoment1, kMoment2, kGradient };

/// Indices of one layer's parameters; -1 where the model has none.
struct LayerParameters {
  int q, k, v, o, gate, up, down;
  int q_bias = -1, k_bias = -1, v_bias = -1, o_bias = -1, gate_bias = -1, up_bias = -1, down_bias = -1;
  int q_norm = -1, k_norm = -1;
  int input_norm, post_norm;
};

/// Sizes in bytes of what Parameters holds.
struct ParameterBytes {
  int64_t weights = 0, masters = 0, moments = 0, gradients = 0;
};

/// Names, shapes and places of all parameters of a shape; no memory.
class ParameterLayout {
 public:
  struct Matrix {
    std::string name;
    int64_t rows, cols;
  };
  explicit ParameterLayout(const ModelShape& shape);
  /// Matrices that are no whole model, in this order; there are no layers, embedding and head to ask for.
  explicit ParameterLayout(const std::vector<Matrix>& matrices);

  const std::vector<Parameter>& all() const { return all_; }
  /// The index of `name`; Error{"ERR_NO_PARAMETER"} names it and the form of the names there are.
  int find(const std::string& name) const;
  const LayerParameters& layer(int64_t l) const { return layers_[static_cast<size_t>(l)]; }
  int embedding() const { return embedding_; }
  int head() const { return head_; }  // the embedding when tied
  int final_norm() const { return final_norm_; }
  // The value head [1, C] and its bias [1]; -1 without one.
  int value_weight() const { return value_weight_; }
  int value_bias() const { return value_bias_; }
  bool tied() const { return embedding_ >= 0 && embedding_ == head_; }
  int64_t matrix_elements() const { return matrix_elements_; }
  int64_t vector_elements() const { return vector_elements_; }
  int64_t value_elements() const { return value_elements_; }  // of the value head: weight, then bias
  int64_t elements() const { return matrix_elements_ + vector_elements_ + value_elements_; }  // padding included
  int64_t parameter_count() const { return parameter_count_; }                                // padding excluded
  ParameterBytes bytes(DType dtype, bool trainable) const;

 private:
  int add_matrix(const std::string& name, int64_t rows, int64_t cols);
  int add_vector(const std::string& name, int64_t length);
  int add_value(const std::string& name, bool matrix, int64_t rows, int64_t cols);

  std::vector<Parameter> all_;
  std::vector<LayerParameters> layers_;
  std::unordered_map<std::string, int> index_;
  int embedding_ = -1, head_ = -1, final_norm_ = -1, value_weight_ = -1, value_bias_ = -1;
  int64_t matrix_elements_ = 0, vector_elements_ = 0, value_elements_ = 0, parameter_count_ = 0;
};

class Parameters {
 public:
  /// Zeroed arenas. `dtype` is kBF16 or kF32.
  Parameters(const ModelShape& shape, DType dtype, bool trainable, std::shared_ptr<Memory> memory = host_memory());
  /// `what` names the weights in the error when there is no memory for them.
  Parameters(ParameterLayout layout, DType dtype, bool trainable, const std::string& what,
             std::shared_ptr<Memory> memory = host_memory());

  const ParameterLayout& layout() const { return layout_; }
  DType dtype() const { return dtype_; }
  bool trainable() const { return trainable_; }

  PackedMatrix weight(int index) const;
  const float* vector(int index) const;  // null for index -1
  // Gradients are null unless trainable.
  PackedMatrix gradient(int index) const;
  float* vector_gradient(int index) const;  // null for index -1
  /// Where the head's gradient accumulates: the second accumulator when tied.
  PackedMatrix head_gradient() const;

  /// Sets rows [row0, row0 + rows) from row-major fp32: master as given, compute weight rounded. row0 of a matrix is a
  /// multiple of kPanelRows, and so is rows unless they are the last.
  void set_rows(Ops& ops, int index, int64_t row0, int64_t rows, const float* values);
  void set(Ops& ops, int index, const float* values);
  /// Writes rows of one arena alone, same rules (loading an optimizer).
  void write_rows(Ops& ops, ParameterArena arena, int index, int64_t row0, int64_t rows, const float* values);
  /// Reads any rows of one arena into row-major fp32. The gradient of a tied embedding is the sum of both accumulators.
  void read_rows(ParameterArena arena, int index, int64_t row0, int64_t rows, float* values) const;
  /// The whole master if trainable, else the widened compute weight.
  void get(int index, float* values) const;

  /// Takes the compute weights of parameters of the same shape and dtype; a value head only where both have one.
  void copy_weights(const Parameters& from);

  /// Adds the head's accumulator of a tied model to the embedding's and clears it.
  void join_tied_gradient(Ops& ops);
  void clear_gradients();
  void clear_moments();

  // Arenas of layout().elements() fp32 values; masters() is the weights of an fp32 model. Null unless trainable.
  float* masters() const;
  float* gradients() const { return gradient_.as<float>(); }
  float* moment1() const { return moments_.as<float>(); }
  float* moment2() const { return moments_.as<float>() + layout_.elements(); }
  void* matrix_weights() const { return weights_.data(); }
  float* vector_weights() const;

 private:
  float* arena_at(ParameterArena arena, const Parameter& p) const;

  ParameterLayout layout_;
  DType dtype_;
  bool trainable_;
  std::shared_ptr<Memory> memory_;
  Buffer weights_;   // matrices in dtype, then vectors and the value head in fp32
  Buffer masters_;   // bf16 models only
  Buffer moments_;   // m, then v
  Buffer gradient_;  // then the head's accumulator of a tied model
};

}  // namespace toolgrad
