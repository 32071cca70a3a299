// The bytes of a file, read-only, for as long as the object lives.
//
// open() maps a regular file; from_bytes() owns a buffer instead (tests and fuzzing). Data never moves.
// Out of scope: a file that another process shortens while it is mapped raises SIGBUS on access. Replace model files by
// rename, as write_safetensors does, never in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace toolgrad {

class MappedFile {
 public:
  /// Map the regular file at `path`. Error{"ERR_FILE_NOT_FOUND"} or {"ERR_FILE_IO"} with the path and the system's
  /// reason.
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  /// Own `bytes`; `label` stands for the path in messages.
  static std::shared_ptr<const MappedFile> from_bytes(std::vector<uint8_t> bytes, std::string label);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }  // may be null when size() is 0
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }
  /// These bytes have been read and will hardly be read again: a mapping's pages leave this process (the page cache may keep
  /// them). Reading them later is slower and gives the same.
  void done_with(const uint8_t* first, uint64_t bytes) const;

 private:
  MappedFile() = default;

  std::string path_;
  std::vector<uint8_t> owned_;
  void* mapping_ = nullptr;
  const uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace toolgrad
