// The safetensors writer; contract in safetensors.h.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <system_error>
#include <unordered_set>

#include "engine/error.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "engine/weight_file.h"

namespace toolgrad {

namespace {

[[noreturn]] void io_error(const std::string& path, const char* doing, int error) {
  throw Error("ERR_FILE_IO", path + ": cannot " + doing + ": " + std::generic_category().message(error));
}

// A file that disappears again unless commit() moved it to its final name.
class PendingFile {
 public:
  explicit PendingFile(const std::string& path) : path_(path) {
    static std::atomic<unsigned> counter{0};
    temporary_ = path + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0) io_error(temporary_, "create", errno);
  }

  ~PendingFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!committed_) ::unlink(temporary_.c_str());
  }
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  void write(const void* data, uint64_t bytes) {
    const char* at = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t written = ::write(fd_, at, std::min<uint64_t>(bytes, uint64_t{1} << 30));
      if (written < 0) {
        if (errno == EINTR) continue;
        io_error(temporary_, "write", errno);
      }
      at += written;
      bytes -= static_cast<uint64_t>(written);
    }
  }

  void commit() {
    if (::fsync(fd_) != 0) io_error(temporary_, "sync", errno);
    const int closed = ::close(fd_);
    fd_ = -1;
    if (closed != 0) io_error(temporary_, "close", errno);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) io_error(path_, "rename the finished file", errno);
    committed_ = true;
    const size_t slash = path_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) io_error(folder, "open the folder to sync it", errno);
    const int synced = ::fsync(fd);
    const int error = errno;
    ::close(fd);
    if (synced != 0 && error != EINVAL && error != ENOTSUP) io_error(folder, "sync the folder", error);
  }

 private:
  std::string path_, temporary_;
  int fd_ = -1;
  bool committed_ = false;
};

uint64_t tensor_bytes(const TensorToFill& tensor) {
  return static_cast<uint64_t>(checked_elements(tensor.shape, json::quote(tensor.name))) * dtype_size(tensor.dtype);
}

std::string build_header(const std::vector<TensorToFill>& tensors, const std::vector<size_t>& order,
                         const SafetensorsMetadata& metadata) {
  std::string text = "{\"__metadata__\":{";
  std::unordered_set<std::string> keys;
  const auto add = [&](const std::string& key, const std::string& value) {
    if (!json::is_utf8(key) || !json::is_utf8(value) || !keys.insert(key).second) {
      throw Error("ERR_INVALID_ARGUMENT",
                  "write_safetensors: metadata " + json::quote(key) + " is repeated or not UTF-8");
    }
    text += (keys.size() == 1 ? "" : ",") + json::quote(key) + ":" + json::quote(value);
  };
  const bool has_format =
      std::any_of(metadata.begin(), metadata.end(), [](const auto& pair) { return pair.first == "format"; });
  if (!has_format) add("format", "pt");
  for (const auto& [key, value] : metadata) add(key, value);
  text += "}";

  std::unordered_set<std::string> names;
  uint64_t offset = 0;
  for (const size_t index : order) {
    const TensorToFill& tensor = tensors[index];
    if (tensor.name.empty() || tensor.name == "__metadata__" || !json::is_utf8(tensor.name) ||
        !names.insert(tensor.name).second) {
      throw Error("ERR_INVALID_ARGUMENT", "write_safetensors: tensor name " + json::quote(tensor.name) +
                                              " is empty, repeated, reserved or not UTF-8");
    }
    const uint64_t end = offset + tensor_bytes(tensor);
    text += "," + json::quote(tensor.name) + ":{\"dtype\":\"" + safetensors_dtype(tensor.dtype) + "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i) text += (i == 0 ? "" : ",") + std::to_string(tensor.shape[i]);
    text += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}";
    offset = end;
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');  // data starts aligned
  return text;
}

}  // namespace

const char* safetensors_dtype(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kF16:
      return "F16";
    case DType::kI32:
      return "I32";
    case DType::kU8:
      return "U8";
  }
  throw Error("ERR_INVALID_ARGUMENT", "unknown dtype");
}

void write_safetensors(const std::string& path, const std::vector<TensorToFill>& tensors,
                       const SafetensorsMetadata& metadata, const FillRows& fill) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return dtype_size(tensors[a].dtype) > dtype_size(tensors[b].dtype); });
  const std::string header = build_header(tensors, order, metadata);

  PendingFile file(path);
  const uint64_t length = header.size();
  file.write(&length, sizeof length);
  file.write(header.data(), header.size());
  std::vector<unsigned char> buffer;
  for (const size_t index : order) {
    const TensorToFill& tensor = tensors[index];
    const auto bytes = static_cast<int64_t>(tensor_bytes(tensor));
    if (bytes == 0) continue;
    const int64_t rows = tensor.shape.empty() ? 1 : tensor.shape[0];
    const int64_t row_bytes = bytes / rows;
    const int64_t chunk = std::min(rows, std::max<int64_t>(1, kWriteChunkBytes / row_bytes));
    buffer.resize(std::max(buffer.size(), static_cast<size_t>(chunk * row_bytes)));
    for (int64_t row = 0; row < rows; row += chunk) {
      const int64_t count = std::min(chunk, rows - row);
      fill(index, row, count, buffer.data());
      file.write(buffer.data(), static_cast<uint64_t>(count * row_bytes));
    }
  }
  file.commit();
}

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const SafetensorsMetadata& metadata) {
  std::vector<TensorToFill> shapes;
  shapes.reserve(tensors.size());
  for (const TensorToWrite& tensor : tensors) shapes.push_back({tensor.name, tensor.dtype, tensor.shape});
  write_safetensors(path, shapes, metadata, [&](size_t index, int64_t row0, int64_t rows, void* out) {
    const TensorToWrite& tensor = tensors[index];
    const int64_t all_rows = tensor.shape.empty() ? 1 : tensor.shape[0];
    const size_t row_bytes = tensor_bytes(shapes[index]) / static_cast<size_t>(all_rows);
    std::memcpy(out, static_cast<const unsigned char*>(tensor.data) + static_cast<size_t>(row0) * row_bytes,
                static_cast<size_t>(rows) * row_bytes);
  });
}

}  // namespace toolgrad
