// Writing safetensors files (reading: weight_file.h).
//
// The file appears complete under its name or not at all: data goes to a temporary file in the same folder, is synced,
// renamed over the target, and the folder is synced. Tensors are ordered by element size, largest first, so that every
// one is aligned. Memory: the streaming form needs one buffer of at most kWriteChunkBytes (or one row, if longer).
// Format: https://github.com/huggingface/safetensors, "Format".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/dtype.h"

namespace toolgrad {

constexpr int64_t kWriteChunkBytes = int64_t{8} << 20;

/// A tensor to be written; `data` holds its elements in row-major order (may be null when there are none).
struct TensorToWrite {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  const void* data;
};

/// A tensor whose rows are produced on demand.
struct TensorToFill {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
};

/// Put rows [row0, row0 + rows) of tensors[index] into `out`, in the tensor's dtype. Called in file order, rows
/// ascending.
using FillRows = std::function<void(size_t index, int64_t row0, int64_t rows, void* out)>;

using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

/// Write `tensors` to `path`. `metadata` becomes __metadata__; "format": "pt" is added when it is not there, because
/// transformers refuses files without it. Error{"ERR_FILE_IO"} or {"ERR_INVALID_ARGUMENT"}; the target is then as it
/// was.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const SafetensorsMetadata& metadata = {});
void write_safetensors(const std::string& path, const std::vector<TensorToFill>& tensors,
                       const SafetensorsMetadata& metadata, const FillRows& fill);

/// "F32", "BF16", "F16", "I32", "U8".
const char* safetensors_dtype(DType dtype);

}  // namespace toolgrad
