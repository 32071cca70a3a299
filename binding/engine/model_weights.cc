// Uniform access to a model's weights; see model_weights.h.
#include "engine/model_weights.h"

#include <optional>
#include <utility>

#include "engine/error.h"
#include "engine/gguf.h"

namespace toolgrad {

namespace {

struct Heads {
  int64_t query = 0, key = 0;
};

int64_t positive(const WeightFile& file, const std::string& key, int64_t missing) {
  const json::Value* value = file.metadata().find(key);
  if (value == nullptr) return missing;
  if (!value->is_int64() || value->as_int64() < 1) {
    throw Error("ERR_WEIGHT_FILE", file.path() + ": metadata \"" + key + "\" must be one positive integer");
  }
  return value->as_int64();
}

int64_t interleaved_head_dim(const WeightFile& file, const TensorEntry& entry, const std::string& hf_name) {
  const json::Value* arch = file.metadata().find("general.architecture");
  if (arch == nullptr || !arch->is_string() || !gguf_rows_interleaved(arch->as_string(), hf_name)) return 0;
  Heads heads;
  heads.query = positive(file, arch->as_string() + ".attention.head_count", 0);
  heads.key = positive(file, arch->as_string() + ".attention.head_count_kv", heads.query);
  const int64_t count = hf_name.find(".q_proj.") != std::string::npos ? heads.query : heads.key;
  const int64_t rows = entry.shape[0];
  if (count == 0 || rows % count != 0 || rows / count % 2 != 0) {
    throw Error("ERR_WEIGHT_FILE", file.path() + ": tensor " + json::quote(entry.name) + " " + shape_text(entry.shape) +
                                       " has no even number of rows for each of " + std::to_string(count) + " heads");
  }
  return rows / count;
}

}  // namespace

std::shared_ptr<ModelWeights> ModelWeights::open(const std::vector<std::string>& paths) {
  if (paths.empty()) throw Error("ERR_INVALID_ARGUMENT", "ModelWeights: expected at least one weight file");
  std::shared_ptr<ModelWeights> weights(new ModelWeights());
  for (const std::string& path : paths) weights->add(WeightFile::open(path));
  return weights;
}

void ModelWeights::add(const std::shared_ptr<WeightFile>& file) {
  files_.push_back(file);
  for (const TensorEntry& entry : file->tensors()) {
    std::string name = entry.name;
    int64_t head_dim = 0;
    if (file->format() == WeightFormat::kGguf) {
      std::optional<std::string> mapped = gguf_hf_name(entry.name);
      if (!mapped) continue;
      name = std::move(*mapped);
      head_dim = interleaved_head_dim(*file, entry, name);
    }
    const auto [slot, fresh] = tensors_.emplace(name, Tensor{&entry, file.get(), head_dim});
    if (!fresh) {
      throw Error("ERR_WEIGHT_FILE", "tensor " + json::quote(name) + " is in both " + slot->second.file->path() +
                                         " and " + file->path() + ": remove one of them");
    }
    names_.push_back(std::move(name));
  }
}

const ModelWeights::Tensor* ModelWeights::find(std::string_view name) const {
  const auto found = tensors_.find(std::string(name));
  return found == tensors_.end() ? nullptr : &found->second;
}

void ModelWeights::read_f32(std::string_view name, const std::vector<int64_t>& expected_shape, float* out) const {
  read_f32_rows(name, expected_shape, 0, expected_shape.empty() ? 1 : expected_shape[0], out);
}

void ModelWeights::read_f32_rows(std::string_view name, const std::vector<int64_t>& expected_shape, int64_t row0,
                                 int64_t rows, float* out) const {
  const Tensor* tensor = find(name);
  if (tensor == nullptr) {
    throw Error("ERR_TENSOR_NOT_FOUND", files_[0]->path() + (files_.size() > 1 ? " and its other shards" : "") +
                                            ": tensor " + json::quote(name) + " is missing; expected shape " +
                                            shape_text(expected_shape));
  }
  const TensorEntry& entry = *tensor->entry;
  if (entry.shape != expected_shape) {
    throw Error("ERR_SHAPE_MISMATCH", tensor->file->path() + ": tensor " + json::quote(entry.name) +
                                          ": expected shape " + shape_text(expected_shape) +
                                          " from the config, found " + shape_text(entry.shape));
  }
  if (tensor->head_dim == 0) {
    tensor->file->read_f32_rows(entry, row0, rows, out);
    return;
  }
  const int64_t all_rows = entry.shape[0];
  const int64_t row_elements = checked_elements(entry.shape, json::quote(entry.name)) / all_rows;
  if (row0 < 0 || rows < 0 || row0 > all_rows || rows > all_rows - row0) {
    throw Error("ERR_OUT_OF_RANGE", std::to_string(rows) + " rows from row " + std::to_string(row0) + " of tensor " +
                                        json::quote(entry.name) + " do not exist");
  }
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t source = gguf_interleaved_row(row0 + row, tensor->head_dim);
    tensor->file->read_f32_rows(entry, source, 1, out + row * row_elements);
  }
}

}  // namespace toolgrad
