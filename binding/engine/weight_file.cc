// Lookup and reading of tensors; see weight_file.h. The two parsers are safetensors.cc and gguf.cc.
#include "engine/weight_file.h"

#include <cstring>
#include <utility>

#include "engine/error.h"
#include "engine/gguf_dequant.h"

namespace toolgrad {

WeightFile::WeightFile(WeightFormat format, std::shared_ptr<const MappedFile> file, std::vector<TensorEntry> tensors,
                       json::Value metadata)
    : format_(format), file_(std::move(file)), tensors_(std::move(tensors)), metadata_(std::move(metadata)) {
  index_.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (!index_.emplace(tensors_[i].name, i).second) {
      throw Error("ERR_WEIGHT_FILE", file_->path() + ": tensor " + json::quote(tensors_[i].name) + " is listed twice");
    }
  }
}

std::shared_ptr<WeightFile> WeightFile::open_safetensors(const std::string& path) {
  return parse_safetensors(MappedFile::open(path));
}

std::shared_ptr<WeightFile> WeightFile::open_gguf(const std::string& path) {
  return parse_gguf(MappedFile::open(path));
}

std::shared_ptr<WeightFile> WeightFile::open(const std::string& path) {
  std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  const bool gguf = file->size() >= 4 && std::memcmp(file->data(), "GGUF", 4) == 0;
  return gguf ? parse_gguf(std::move(file)) : parse_safetensors(std::move(file));
}

const TensorEntry* WeightFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorEntry& WeightFile::at(std::string_view name) const {
  const TensorEntry* entry = find(name);
  if (entry == nullptr) {
    throw Error("ERR_TENSOR_NOT_FOUND", path() + ": no tensor " + json::quote(name) + " among the " +
                                            std::to_string(tensors_.size()) + " in the file");
  }
  return *entry;
}

void WeightFile::read_f32(const TensorEntry& entry, float* out) const {
  read_f32_rows(entry, 0, entry.shape.empty() ? 1 : entry.shape[0], out);
}

void WeightFile::read_f32_rows(const TensorEntry& entry, int64_t row0, int64_t rows, float* out) const {
  const int64_t all_rows = entry.shape.empty() ? 1 : entry.shape[0];
  if (row0 < 0 || rows < 0 || row0 > all_rows || rows > all_rows - row0) {
    throw Error("ERR_OUT_OF_RANGE", std::to_string(rows) + " rows from row " + std::to_string(row0) + " of tensor " +
                                        json::quote(entry.name) + " " + shape_text(entry.shape) + " do not exist");
  }
  if (!is_readable(entry)) {
    throw Error("ERR_WEIGHT_TYPE",
                path() + ": tensor " + json::quote(entry.name) + " is stored as " + entry.dtype +
                    ", which cannot be read as a weight; supported are " +
                    (format_ == WeightFormat::kGguf ? "F32, F16, BF16, Q8_0, Q4_0, Q4_1 and Q6_K: requantise the model"
                                                    : "F32, F16 and BF16: convert the model"));
  }
  const BlockType* type = find_block_type(entry.dtype);
  const int64_t elements = checked_elements(entry.shape, json::quote(entry.name));
  if (elements == 0 || rows == 0) return;
  const int64_t row_blocks = elements / all_rows / type->block_elements;
  const uint8_t* first = entry.data + row0 * row_blocks * type->block_bytes;
  type->decode(first, rows * row_blocks, out);
  file_->done_with(first, static_cast<uint64_t>(rows * row_blocks * type->block_bytes));
}

int64_t checked_elements(const std::vector<int64_t>& shape, const std::string& what) {
  int64_t elements = 1;
  for (const int64_t dimension : shape) {
    if (dimension < 0)
      throw Error("ERR_WEIGHT_FILE", what + ": shape " + shape_text(shape) + " has a negative dimension");
    if (__builtin_mul_overflow(elements, dimension, &elements) || elements > (int64_t{1} << 62)) {
      throw Error("ERR_WEIGHT_FILE", what + ": shape " + shape_text(shape) + " has more elements than 2^62");
    }
  }
  return elements;
}

bool is_readable(const TensorEntry& entry) {
  const BlockType* type = find_block_type(entry.dtype);
  return type != nullptr && type->decode != nullptr;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace toolgrad
