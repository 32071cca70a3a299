// The update and the files of weights and optimizer state; see optimizer.h.
#include "engine/optimizer.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "engine/error.h"
#include "engine/safetensors.h"
#include "engine/weight_file.h"

namespace toolgrad {
namespace {

constexpr const char* kFormatKey = "toolgrad.optimizer";
constexpr const char* kFormat = "adamw-1";
constexpr const char* kStepKey = "toolgrad.step";
constexpr const char* kValueStepKey = "toolgrad.value_step";  // with a value head only
constexpr const char* kUpdatesKey = "toolgrad.updates";
constexpr const char* kDtypeKey = "toolgrad.dtype";

struct SavedArena {
  const char* prefix;
  ParameterArena arena;
};
constexpr SavedArena kSaved[] = {{"master.", ParameterArena::kMaster},
                                 {"moment1.", ParameterArena::kMoment1},
                                 {"moment2.", ParameterArena::kMoment2}};

constexpr int64_t kRowsAtOnce = 1024;  // a multiple of kPanelRows

const std::string& metadata_string(const WeightFile& file, const char* key) {
  const json::Value* value = file.metadata().find(key);
  if (value == nullptr || !value->is_string())
    throw Error("ERR_OPTIMIZER_FILE",
                file.path() + ": expected an optimizer file of toolgrad but the metadata lack \"" + key + "\"");
  return value->as_string();
}

void check_format(const WeightFile& file) {
  const std::string& format = metadata_string(file, kFormatKey);
  if (format != kFormat)
    throw Error("ERR_OPTIMIZER_FILE",
                file.path() + ": expected optimizer format \"" + kFormat + "\" but found \"" + format + "\"");
}

int64_t read_count(const WeightFile& file, const char* key) {
  const std::string& text = metadata_string(file, key);
  int64_t count = -1;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (status != std::errc() || end != text.data() + text.size() || count < 0)
    throw Error("ERR_OPTIMIZER_FILE",
                file.path() + ": expected a count for \"" + key + "\" but found \"" + text + "\"");
  return count;
}

}  // namespace

UpdateResult Optimizer::update(Ops& ops, Parameters& parameters, const AdamWOptions& options) {
  const ParameterLayout& layout = parameters.layout();
  const int64_t first = options.value_head_only ? layout.elements() - layout.value_elements() : 0;
  if (!options.value_head_only) parameters.join_tied_gradient(ops);
  const double squares = ops.sum_of_squares(parameters.gradients() + first, layout.elements() - first);
  UpdateResult result{std::sqrt(squares), false, step_};
  if (!std::isfinite(result.grad_norm))
    throw Error("ERR_NOT_FINITE", "Expected a finite gradient norm but found " + std::to_string(result.grad_norm) +
                                      "; weights and gradients are unchanged: zero the gradients and check the losses, "
                                      "advantages and learning rate of this batch");
  float scale = 1;
  if (options.max_grad_norm > 0 && result.grad_norm > static_cast<double>(options.max_grad_norm)) {
    // torch.nn.utils.clip_grad_norm_: max_norm / (norm + 1e-6)
    scale = static_cast<float>(static_cast<double>(options.max_grad_norm) / (result.grad_norm + 1e-6));
    result.clipped = true;
  }
  if (layout.value_elements() > 0) update_value_head(ops, parameters, options, scale);
  if (options.value_head_only) {
    parameters.clear_gradients();
    result.step = value_step_;
    return result;
  }
  result.step = ++step_;
  ++updates_;
  const int64_t matrices = layout.matrix_elements(), vectors = layout.vector_elements();
  ops.adamw({parameters.masters(), parameters.moment1(), parameters.moment2(), parameters.gradients(),
             parameters.matrix_weights(), parameters.dtype(), false, matrices, options.lr, options.beta1, options.beta2,
             options.eps, options.weight_decay, scale, step_});
  ops.adamw({parameters.masters() + matrices, parameters.moment1() + matrices, parameters.moment2() + matrices,
             parameters.gradients() + matrices, parameters.vector_weights(), DType::kF32,
             parameters.dtype() == DType::kBF16, vectors, options.lr, options.beta1, options.beta2, options.eps, 0,
             scale, step_});
  parameters.clear_gradients();
  return result;
}

void Optimizer::update_value_head(Ops& ops, Parameters& parameters, const AdamWOptions& options, float scale) {
  const ParameterLayout& layout = parameters.layout();
  const float lr = options.value_lr < 0 ? options.lr : options.value_lr;
  const int64_t start = layout.elements() - layout.value_elements(),
                bias = layout.all()[static_cast<size_t>(layout.value_bias())].offset;
  ++value_step_;
  const auto adamw = [&](int64_t from, int64_t to, float decay) {
    ops.adamw({parameters.masters() + from, parameters.moment1() + from, parameters.moment2() + from,
               parameters.gradients() + from, parameters.vector_weights() + (from - layout.matrix_elements()),
               DType::kF32, false, to - from, lr, options.beta1, options.beta2, options.eps, decay, scale,
               value_step_});
  };
  adamw(start, bias, options.weight_decay);
  adamw(bias, layout.elements(), 0);
}

void Optimizer::reset(Parameters& parameters) {
  parameters.clear_moments();
  step_ = 0;
  value_step_ = 0;
}

void Optimizer::save(const Parameters& parameters, const std::string& path) const {
  const std::vector<Parameter>& all = parameters.layout().all();
  std::vector<TensorToFill> tensors;
  for (const SavedArena& saved : kSaved) {
    for (const Parameter& p : all) tensors.push_back({saved.prefix + p.name, DType::kF32, p.shape()});
  }
  SafetensorsMetadata metadata = {{kFormatKey, kFormat},
                                  {kStepKey, std::to_string(step_)},
                                  {kUpdatesKey, std::to_string(updates_)},
                                  {kDtypeKey, dtype_name(parameters.dtype())}};
  if (parameters.layout().value_elements() > 0) metadata.push_back({kValueStepKey, std::to_string(value_step_)});
  write_safetensors(path, tensors, metadata, [&](size_t index, int64_t row0, int64_t rows, void* out) {
    const ParameterArena arena = kSaved[index / all.size()].arena;
    parameters.read_rows(arena, static_cast<int>(index % all.size()), row0, rows, static_cast<float*>(out));
  });
}

void Optimizer::load(Ops& ops, Parameters& parameters, const std::string& path) {
  const std::shared_ptr<WeightFile> file = WeightFile::open_safetensors(path);
  check_format(*file);
  const int64_t step = read_count(*file, kStepKey), updates = read_count(*file, kUpdatesKey);
  const bool value_head = parameters.layout().value_elements() > 0;
  if (value_head && file->metadata().find(kValueStepKey) == nullptr)
    throw Error("ERR_OPTIMIZER_FILE", path +
                                          ": expected the state of a model with a value head but found that of one "
                                          "without: open the model without valueHead, or start a fresh optimizer");
  const int64_t value_step = value_head ? read_count(*file, kValueStepKey) : 0;
  const std::string& dtype = metadata_string(*file, kDtypeKey);
  if (dtype != dtype_name(parameters.dtype()))
    throw Error("ERR_OPTIMIZER_FILE", path + ": expected the state of a " + dtype_name(parameters.dtype()) +
                                          " model but found that of a " + dtype + " model");
  const std::vector<Parameter>& all = parameters.layout().all();
  for (const SavedArena& saved : kSaved) {
    for (const Parameter& p : all) {
      const TensorEntry& entry = file->at(saved.prefix + p.name);
      if (entry.shape == p.shape() && entry.dtype == "F32") continue;
      throw Error("ERR_OPTIMIZER_FILE", path + ": expected tensor " + entry.name + " to be F32 " +
                                            shape_text(p.shape()) + " but found " + entry.dtype + " " +
                                            shape_text(entry.shape));
    }
  }
  if (file->tensors().size() != 3 * all.size())
    throw Error("ERR_OPTIMIZER_FILE", path + ": expected " + std::to_string(3 * all.size()) + " tensors but found " +
                                          std::to_string(file->tensors().size()) +
                                          "; the file belongs to another model");
  std::vector<float> values;
  for (const SavedArena& saved : kSaved) {
    for (size_t i = 0; i < all.size(); ++i) {
      const Parameter& p = all[i];
      const TensorEntry& entry = file->at(saved.prefix + p.name);
      for (int64_t row = 0; row < p.rows; row += kRowsAtOnce) {
        const int64_t rows = std::min(kRowsAtOnce, p.rows - row);
        values.resize(static_cast<size_t>(rows * p.cols));
        file->read_f32_rows(entry, row, rows, values.data());
        if (saved.arena == ParameterArena::kMaster) {
          parameters.set_rows(ops, static_cast<int>(i), row, rows, values.data());
        } else {
          parameters.write_rows(ops, saved.arena, static_cast<int>(i), row, rows, values.data());
        }
      }
    }
  }
  parameters.clear_gradients();
  step_ = step;
  value_step_ = value_step;
  updates_ = updates;
}

void save_weights(const Parameters& parameters, const std::string& path) {
  const std::vector<Parameter>& all = parameters.layout().all();
  std::vector<TensorToFill> tensors;
  for (const Parameter& p : all) {  // a value head's come last
    if (!p.value_head) tensors.push_back({p.name, parameters.dtype(), p.shape()});
  }
  std::vector<float> values;
  write_safetensors(path, tensors, {}, [&](size_t index, int64_t row0, int64_t rows, void* out) {
    const int at = static_cast<int>(index);
    if (parameters.dtype() == DType::kF32) {
      parameters.read_rows(ParameterArena::kWeight, at, row0, rows, static_cast<float*>(out));
      return;
    }
    values.resize(static_cast<size_t>(rows * all[index].cols));
    parameters.read_rows(ParameterArena::kWeight, at, row0, rows, values.data());
    auto* halves = static_cast<uint16_t*>(out);
    for (size_t i = 0; i < values.size(); ++i) halves[i] = f32_to_bf16(values[i]);
  });
}

}  // namespace toolgrad
