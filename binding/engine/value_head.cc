// Values, their way back, and the head's file; see value_head.h.
#include "engine/value_head.h"

#include <algorithm>
#include <cstring>

#include "engine/error.h"
#include "engine/safetensors.h"
#include "engine/weight_file.h"

namespace toolgrad {

bool ValuePart::any(int64_t T) const {
  return std::any_of(weight, weight + T, [](float w) { return w != 0; });
}

void ValueArrays::plan(Arena& arena, const ModelShape& s, int64_t R, bool backward) {
  rows.plan(arena, s, R, backward);
  value = arena.take<float>(R);
  if (!backward) return;
  d_value = arena.take<float>(R);
  policy_index = arena.take<int32_t>(R);
}

void ValueHead::forward(const float* x, const HeadRows& rows, ValueArrays& arrays) const {
  norm_.gather(x, rows, arrays.rows);
  const ParameterLayout& layout = parameters_.layout();
  ops_.linear_forward({arrays.rows.hidden, parameters_.weight(layout.value_weight()),
                       parameters_.vector(layout.value_bias()), nullptr, arrays.value, rows.R()});
}

void ValueHead::loss(const HeadRows& rows, int64_t T, ValueArrays& arrays, ValuePart& part) const {
  std::memset(part.values, 0, static_cast<size_t>(T) * sizeof(float));
  Memory& memory = *ops_.memory();
  const OnHost<float> value(memory, arrays.value, rows.R());
  for (int64_t r = 0; r < rows.R(); ++r) {
    const int32_t t = rows.tokens[static_cast<size_t>(r)];
    if (part.weight[t] != 0) part.values[t] = value[r];
  }
  std::vector<float> d_value_t(static_cast<size_t>(T)), d_value;
  part.stats = value_loss(part.options, {T, part.values, part.old_values, part.returns, part.weight}, d_value_t.data());
  for (const int32_t t : rows.tokens) d_value.push_back(d_value_t[static_cast<size_t>(t)]);
  memory.upload(arrays.d_value, d_value);
}

void ValueHead::backward(const HeadRows& rows, ValueArrays& arrays) const {
  const ParameterLayout& layout = parameters_.layout();
  ops_.linear_backward_weight({arrays.rows.hidden, arrays.d_value, parameters_.gradient(layout.value_weight()),
                               parameters_.vector_gradient(layout.value_bias()), rows.R(), DType::kF32});
}

void ValueHead::join_hidden(const HeadRows& rows, const HeadRows& policy, const float* dhidden,
                            ValueArrays& arrays) const {
  const int64_t C = shape_.C;
  float* joined = arrays.rows.dhidden;
  std::vector<int32_t> place;  // of each policy row among the rows; both are in token order
  for (int64_t r = 0; place.size() < policy.tokens.size(); ++r) {
    if (rows.tokens[static_cast<size_t>(r)] == policy.tokens[place.size()]) place.push_back(static_cast<int32_t>(r));
  }
  ops_.memory()->upload(arrays.policy_index, place);
  ops_.scatter_rows({dhidden, arrays.policy_index, joined, policy.R(), rows.R(), C});
  ops_.linear_backward_input(
      {arrays.d_value, parameters_.weight(parameters_.layout().value_weight()), joined, rows.R(), true});
}

void save_value_head(const Parameters& parameters, const std::string& path) {
  const ParameterLayout& layout = parameters.layout();
  std::vector<TensorToWrite> tensors;
  std::vector<std::vector<float>> values;
  for (const int index : {layout.value_weight(), layout.value_bias()}) {
    const Parameter& p = layout.all()[static_cast<size_t>(index)];
    values.emplace_back(static_cast<size_t>(p.elements()));
    parameters.get(index, values.back().data());
    tensors.push_back({p.name, DType::kF32, p.shape(), values.back().data()});
  }
  write_safetensors(path, tensors);
}

void load_value_head(Ops& ops, Parameters& parameters, const std::string& path) {
  const std::shared_ptr<WeightFile> file = WeightFile::open_safetensors(path);
  const ParameterLayout& layout = parameters.layout();
  const int indices[] = {layout.value_weight(), layout.value_bias()};
  std::vector<std::vector<float>> values;
  for (const int index : indices) {
    const Parameter& p = layout.all()[static_cast<size_t>(index)];
    const TensorEntry& entry = file->at(p.name);
    if (entry.shape != p.shape())
      throw Error("ERR_SHAPE_MISMATCH", path + ": tensor " + p.name + ": expected shape " + shape_text(p.shape()) +
                                            " from the config, found " + shape_text(entry.shape));
    values.emplace_back(static_cast<size_t>(p.elements()));
    file->read_f32(entry, values.back().data());
    if (!host_all_finite(values.back().data(), values.back().size()))
      throw Error("ERR_NOT_FINITE",
                  path + ": expected finite values for parameter " + p.name + " but found NaN or infinity");
  }
  for (size_t i = 0; i < values.size(); ++i) parameters.set(ops, indices[i], values[i].data());
}

}  // namespace toolgrad
