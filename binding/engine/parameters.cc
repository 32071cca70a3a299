// Places of the parameters and the conversions between packed arenas and row-major arrays; see parameters.h.
#include "engine/parameters.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/error.h"

namespace toolgrad {
namespace {

// Every parameter starts on a multiple of this many elements: 64 bytes even in bf16.
constexpr int64_t kElementAlignment = 32;

}  // namespace

std::vector<int64_t> Parameter::shape() const {
  return matrix ? std::vector<int64_t>{rows, cols} : std::vector<int64_t>{rows};
}

ParameterLayout::ParameterLayout(const ModelShape& s) {
  check_shape(s);
  embedding_ = add_matrix("model.embed_tokens.weight", s.V, s.C);
  head_ = s.tied ? embedding_ : add_matrix("lm_head.weight", s.V, s.C);
  for (int64_t l = 0; l < s.L; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    const std::string attention = layer + "self_attn.", mlp = layer + "mlp.";
    LayerParameters p{};
    p.q = add_matrix(attention + "q_proj.weight", s.q_width(), s.C);
    p.k = add_matrix(attention + "k_proj.weight", s.kv_width(), s.C);
    p.v = add_matrix(attention + "v_proj.weight", s.kv_width(), s.C);
    p.o = add_matrix(attention + "o_proj.weight", s.C, s.q_width());
    p.gate = add_matrix(mlp + "gate_proj.weight", s.F, s.C);
    p.up = add_matrix(mlp + "up_proj.weight", s.F, s.C);
    p.down = add_matrix(mlp + "down_proj.weight", s.C, s.F);
    layers_.push_back(p);
  }
  for (int64_t l = 0; l < s.L; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    const std::string attention = layer + "self_attn.", mlp = layer + "mlp.";
    LayerParameters& p = layers_[static_cast<size_t>(l)];
    p.input_norm = add_vector(layer + "input_layernorm.weight", s.C);
    p.q_bias = s.qkv_bias ? add_vector(attention + "q_proj.bias", s.q_width()) : -1;
    p.k_bias = s.qkv_bias ? add_vector(attention + "k_proj.bias", s.kv_width()) : -1;
    p.v_bias = s.qkv_bias ? add_vector(attention + "v_proj.bias", s.kv_width()) : -1;
    p.o_bias = s.o_bias ? add_vector(attention + "o_proj.bias", s.C) : -1;
    p.q_norm = s.qk_norm ? add_vector(attention + "q_norm.weight", s.D) : -1;
    p.k_norm = s.qk_norm ? add_vector(attention + "k_norm.weight", s.D) : -1;
    p.post_norm = add_vector(layer + "post_attention_layernorm.weight", s.C);
    p.gate_bias = s.mlp_bias ? add_vector(mlp + "gate_proj.bias", s.F) : -1;
    p.up_bias = s.mlp_bias ? add_vector(mlp + "up_proj.bias", s.F) : -1;
    p.down_bias = s.mlp_bias ? add_vector(mlp + "down_proj.bias", s.C) : -1;
  }
  final_norm_ = add_vector("model.norm.weight", s.C);
  for (Parameter& p : all_) {
    if (!p.matrix) p.offset += matrix_elements_;
  }
  if (!s.value_head) return;
  value_weight_ = add_value("value_head.weight", true, 1, s.C);
  value_bias_ = add_value("value_head.bias", false, 1, 1);
}

ParameterLayout::ParameterLayout(const std::vector<Matrix>& matrices) {
  for (const Matrix& m : matrices) add_matrix(m.name, m.rows, m.cols);
}

int ParameterLayout::add_matrix(const std::string& name, int64_t rows, int64_t cols) {
  const int index = static_cast<int>(all_.size());
  all_.push_back({name, true, rows, cols, matrix_elements_});
  matrix_elements_ += round_up(packed_elements(rows, cols), kElementAlignment);
  parameter_count_ += rows * cols;
  index_.emplace(name, index);
  return index;
}

int ParameterLayout::add_vector(const std::string& name, int64_t length) {
  const int index = static_cast<int>(all_.size());
  all_.push_back({name, false, length, 1, vector_elements_});
  vector_elements_ += round_up(length, kElementAlignment);
  parameter_count_ += length;
  index_.emplace(name, index);
  return index;
}

int ParameterLayout::add_value(const std::string& name, bool matrix, int64_t rows, int64_t cols) {
  const int index = static_cast<int>(all_.size());
  all_.push_back({name, matrix, rows, cols, elements(), true});
  value_elements_ += round_up(matrix ? packed_elements(rows, cols) : rows, kElementAlignment);
  parameter_count_ += rows * cols;
  index_.emplace(name, index);
  return index;
}

int ParameterLayout::find(const std::string& name) const {
  const auto found = index_.find(name);
  if (found != index_.end()) return found->second;
  throw Error("ERR_NO_PARAMETER",
              "Expected the name of a parameter, such as \"" + all_.front().name + "\" or \"" + all_.back().name +
                  "\", but found \"" + name + "\"" +
                  (tied() && name == "lm_head.weight" ? " (the head is tied to the embedding)" : ""));
}

ParameterBytes ParameterLayout::bytes(DType dtype, bool trainable) const {
  ParameterBytes bytes;
  bytes.weights = matrix_elements_ * static_cast<int64_t>(dtype_size(dtype)) + (vector_elements_ + value_elements_) * 4;
  if (!trainable) return bytes;
  bytes.masters = dtype == DType::kF32 ? 0 : elements() * 4;
  bytes.moments = elements() * 8;
  bytes.gradients = elements() * 4;
  if (!tied()) return bytes;
  const Parameter& head = all_[static_cast<size_t>(head_)];
  bytes.gradients += packed_elements(head.rows, head.cols) * 4;
  return bytes;
}

Parameters::Parameters(const ModelShape& shape, DType dtype, bool trainable, std::shared_ptr<Memory> memory)
    : Parameters(ParameterLayout(shape), dtype, trainable, "weights", std::move(memory)) {}

Parameters::Parameters(ParameterLayout layout, DType dtype, bool trainable, const std::string& what,
                       std::shared_ptr<Memory> memory)
    : layout_(std::move(layout)), dtype_(dtype), trainable_(trainable), memory_(std::move(memory)) {
  if (dtype != DType::kF32 && dtype != DType::kBF16)
    throw Error("ERR_DTYPE", std::string("Expected float32 or bfloat16 weights but found ") + dtype_name(dtype));
  const ParameterBytes bytes = layout_.bytes(dtype, trainable);
  weights_ = Buffer(static_cast<size_t>(bytes.weights), what, memory_);
  masters_ = Buffer(static_cast<size_t>(bytes.masters), "fp32 master weights", memory_);
  moments_ = Buffer(static_cast<size_t>(bytes.moments), "optimizer moments", memory_);
  gradient_ = Buffer(static_cast<size_t>(bytes.gradients), "gradients", memory_);
}

float* Parameters::vector_weights() const {
  const int64_t matrix_bytes = layout_.matrix_elements() * static_cast<int64_t>(dtype_size(dtype_));
  return reinterpret_cast<float*>(weights_.data() + matrix_bytes);
}

float* Parameters::masters() const {
  if (!trainable_) return nullptr;
  return dtype_ == DType::kF32 ? weights_.as<float>() : masters_.as<float>();
}

PackedMatrix Parameters::weight(int index) const {
  const Parameter& p = layout_.all()[static_cast<size_t>(index)];
  if (p.value_head) return {arena_at(ParameterArena::kWeight, p), DType::kF32, p.rows, p.cols};
  return {weights_.data() + p.offset * static_cast<int64_t>(dtype_size(dtype_)), dtype_, p.rows, p.cols};
}

const float* Parameters::vector(int index) const {
  if (index < 0) return nullptr;
  return vector_weights() + layout_.all()[static_cast<size_t>(index)].offset - layout_.matrix_elements();
}

PackedMatrix Parameters::gradient(int index) const {
  const Parameter& p = layout_.all()[static_cast<size_t>(index)];
  return {trainable_ ? gradients() + p.offset : nullptr, DType::kF32, p.rows, p.cols};
}

float* Parameters::vector_gradient(int index) const {
  return index < 0 || !trainable_ ? nullptr : gradients() + layout_.all()[static_cast<size_t>(index)].offset;
}

PackedMatrix Parameters::head_gradient() const {
  PackedMatrix head = gradient(layout_.head());
  if (layout_.tied() && trainable_) head.data = gradients() + layout_.elements();
  return head;
}

void Parameters::set_rows(Ops& ops, int index, int64_t row0, int64_t rows, const float* values) {
  write_rows(ops, ParameterArena::kWeight, index, row0, rows, values);
  if (trainable_ && dtype_ != DType::kF32) write_rows(ops, ParameterArena::kMaster, index, row0, rows, values);
}

void Parameters::set(Ops& ops, int index, const float* values) {
  set_rows(ops, index, 0, layout_.all()[static_cast<size_t>(index)].rows, values);
}

// Where a parameter's fp32 values begin: any arena of vectors and of the value head, every arena but kWeight of matrices.
float* Parameters::arena_at(ParameterArena arena, const Parameter& p) const {
  switch (arena) {
    case ParameterArena::kWeight:
      return vector_weights() + p.offset - layout_.matrix_elements();
    case ParameterArena::kMaster:
      return masters() + p.offset;
    case ParameterArena::kMoment1:
      return moment1() + p.offset;
    case ParameterArena::kMoment2:
      return moment2() + p.offset;
    case ParameterArena::kGradient:
      break;
  }
  return gradients() + p.offset;
}

void Parameters::write_rows(Ops& ops, ParameterArena arena, int index, int64_t row0, int64_t rows,
                            const float* values) {
  const Parameter& p = layout_.all()[static_cast<size_t>(index)];
  const bool weight_arena = arena == ParameterArena::kWeight;
  if (!p.matrix) {
    float* out = arena_at(arena, p) + row0;
    const bool round = weight_arena && dtype_ == DType::kBF16 && !p.value_head;
    std::vector<float> rounded(values, values + rows);
    for (float& value : rounded) value = round ? bf16_to_f32(f32_to_bf16(value)) : value;
    memory_->upload(out, rounded);
    return;
  }
  PackedMatrix target = weight_arena ? weight(index) : PackedMatrix{arena_at(arena, p), DType::kF32, p.rows, p.cols};
  target.data = static_cast<std::byte*>(target.data) + row0 * p.cols * static_cast<int64_t>(dtype_size(target.dtype));
  target.rows = rows;
  if (memory_->on_host()) {
    ops.pack(values, target);
    return;
  }
  const size_t bytes = static_cast<size_t>(rows * p.cols) * sizeof(float);
  const Buffer staged(bytes, "rows of " + p.name, memory_);
  memory_->upload(staged.as<void>(), values, bytes);
  ops.pack(staged.as<float>(), target);
}

void Parameters::read_rows(ParameterArena arena, int index, int64_t row0, int64_t rows, float* values) const {
  const Parameter& p = layout_.all()[static_cast<size_t>(index)];
  if (!p.matrix) {
    memory_->download(values, arena_at(arena, p) + row0, static_cast<size_t>(rows) * sizeof(float));
    return;
  }
  // Whole panels, of which the wanted rows are a part.
  const int64_t panel0 = row0 / kPanelRows, skipped = panel0 * kPanelRows * p.cols;
  const int64_t count = packed_elements(row0 + rows, p.cols) - skipped;
  const auto panels = [&](const void* data, size_t size) {
    const auto* from = static_cast<const std::byte*>(data) + static_cast<size_t>(skipped) * size;
    return OnHost<std::byte>(*memory_, from, count * static_cast<int64_t>(size));
  };
  const PackedMatrix source =
      arena == ParameterArena::kWeight ? weight(index) : PackedMatrix{arena_at(arena, p), DType::kF32, p.rows, p.cols};
  const bool bf16 = source.dtype == DType::kBF16;
  const OnHost<std::byte> bytes = panels(source.data, dtype_size(source.dtype));
  const auto* halves = reinterpret_cast<const uint16_t*>(bytes.data());
  const auto* floats = reinterpret_cast<const float*>(bytes.data());
  const bool joined = arena == ParameterArena::kGradient && layout_.tied() && index == layout_.head();
  std::optional<OnHost<std::byte>> head_bytes;
  if (joined) head_bytes.emplace(panels(head_gradient().data, sizeof(float)));
  const float* head = joined ? reinterpret_cast<const float*>(head_bytes->data()) : nullptr;
  for (int64_t row = 0; row < rows; ++row) {
    float* out = values + row * p.cols;
    const int64_t first = packed_index(p.cols, row0 + row - panel0 * kPanelRows, 0);
    for (int64_t k = 0; k < p.cols; ++k) {
      const int64_t at = first + k * kPanelRows;
      out[k] = bf16 ? bf16_to_f32(halves[at]) : floats[at];
      if (head != nullptr) out[k] += head[at];
    }
  }
}

void Parameters::get(int index, float* values) const {
  const int64_t rows = layout_.all()[static_cast<size_t>(index)].rows;
  read_rows(trainable_ ? ParameterArena::kMaster : ParameterArena::kWeight, index, 0, rows, values);
}

// Matrices, vectors and value head lie in this order, so what both have is one piece.
void Parameters::copy_weights(const Parameters& from) {
  const size_t bytes = std::min(weights_.size(), from.weights_.size());
  if (memory_ == from.memory_) {
    memory_->copy(weights_.data(), from.weights_.data(), bytes);
    return;
  }
  const OnHost<std::byte> host(*from.memory_, from.weights_.data(), static_cast<int64_t>(bytes));
  memory_->upload(weights_.as<void>(), host.data(), bytes);
}

void Parameters::join_tied_gradient(Ops& ops) {
  if (!layout_.tied()) return;
  const PackedMatrix head = head_gradient();
  const int64_t n = packed_elements(head.rows, head.cols);
  float* from = static_cast<float*>(head.data);
  ops.add(static_cast<float*>(gradient(layout_.embedding()).data), from, n);
  memory_->zero(from, static_cast<size_t>(n) * sizeof(float));
}

void Parameters::clear_gradients() {
  memory_->zero(gradient_.data(), gradient_.size());
}

void Parameters::clear_moments() {
  memory_->zero(moments_.data(), moments_.size());
}

}  // namespace toolgrad
