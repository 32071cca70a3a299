// A weight file, safetensors or GGUF, mapped read-only: its tensors, its metadata and reading any tensor as fp32.
//
// Invariants once opened: every entry's bytes lie inside the file and agree with its shape and type; no two entries
// share a byte or a name. Opening reads the header only. Entries point into the mapping, which lives as long as the
// WeightFile. Thread-safe: everything after opening is const. Malformed files are Error{"ERR_WEIGHT_FILE"}, see
// mapped_file.h for what is out of scope.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/json.h"
#include "engine/mapped_file.h"

namespace toolgrad {

/// One tensor of a file. `dtype` is the file's own name of the type ("F32", "BF16", "Q4_0", "type 99"); `shape` is
/// row-major, outermost first, in both formats; `data` is not aligned; `bytes` of a GGUF type of unknown size is the
/// room up to the next tensor.
struct TensorEntry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  const uint8_t* data;
  uint64_t bytes;
};

enum class WeightFormat { kSafetensors, kGguf };

class WeightFile {
 public:
  static std::shared_ptr<WeightFile> open_safetensors(const std::string& path);
  static std::shared_ptr<WeightFile> open_gguf(const std::string& path);
  /// Either format, told apart by the first four bytes.
  static std::shared_ptr<WeightFile> open(const std::string& path);

  /// The same over bytes that are already here.
  static std::shared_ptr<WeightFile> parse_safetensors(std::shared_ptr<const MappedFile> file);
  static std::shared_ptr<WeightFile> parse_gguf(std::shared_ptr<const MappedFile> file);

  WeightFormat format() const { return format_; }
  const std::string& path() const { return file_->path(); }
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  const TensorEntry* find(std::string_view name) const;
  /// The entry called `name`; Error{"ERR_TENSOR_NOT_FOUND"} names it and the file.
  const TensorEntry& at(std::string_view name) const;
  /// GGUF: all key-value pairs, arrays included. safetensors: the strings of __metadata__ (an empty object without).
  const json::Value& metadata() const { return metadata_; }

  /// Widen or dequantise a whole tensor to fp32, row-major. F32, F16, BF16, and in GGUF Q8_0, Q4_0, Q4_1, Q6_K;
  /// Error{"ERR_WEIGHT_TYPE"} names any other type and the tensor.
  void read_f32(const TensorEntry& entry, float* out) const;
  /// The same for rows [row0, row0 + rows) of the first dimension.
  void read_f32_rows(const TensorEntry& entry, int64_t row0, int64_t rows, float* out) const;

 private:
  WeightFile(WeightFormat format, std::shared_ptr<const MappedFile> file, std::vector<TensorEntry> tensors,
             json::Value metadata);

  WeightFormat format_;
  std::shared_ptr<const MappedFile> file_;
  std::vector<TensorEntry> tensors_;
  json::Value metadata_;
  std::unordered_map<std::string_view, size_t> index_;
};

/// Product of the dimensions; Error{"ERR_WEIGHT_FILE"} starting with `what` when it is negative or beyond 2^62.
int64_t checked_elements(const std::vector<int64_t>& shape, const std::string& what);

/// Whether read_f32 supports the type of `entry`.
bool is_readable(const TensorEntry& entry);

/// "[2, 3]".
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace toolgrad
