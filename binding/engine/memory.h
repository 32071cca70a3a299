// Where a backend's tensors lie: the host's memory, or that of another device.
//
// The engine moves bytes between the two only through this interface. Work is in order: an upload, a copy or a zeroing
// happens before every op issued after it, and upload() has taken the host's bytes when it returns. download() waits for
// everything issued before. Blocks are zeroed and aligned to 64 bytes at least.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace toolgrad {

class Memory {
 public:
  virtual ~Memory() = default;
  /// `what` names the purpose in the error ("weights"). Error{"ERR_OUT_OF_MEMORY"} with the numbers.
  virtual void* allocate(size_t bytes, const std::string& what) = 0;
  virtual void release(void* block, size_t bytes) noexcept = 0;
  /// Whether a pointer into it may be followed by the host.
  virtual bool on_host() const = 0;
  /// Bytes that may still be taken; the largest int64 where nobody knows.
  virtual int64_t available() = 0;
  virtual void zero(void* to, size_t bytes) = 0;
  virtual void copy(void* to, const void* from, size_t bytes) = 0;
  virtual void upload(void* to, const void* from_host, size_t bytes) = 0;
  virtual void download(void* to_host, const void* from, size_t bytes) = 0;

  template <class T>
  void upload(T* to, const std::vector<T>& from) {
    if (!from.empty()) upload(static_cast<void*>(to), from.data(), from.size() * sizeof(T));
  }
  template <class T>
  std::vector<T> download(const T* from, int64_t count) {
    std::vector<T> values(static_cast<size_t>(count));
    if (count > 0) download(values.data(), static_cast<const void*>(from), values.size() * sizeof(T));
    return values;
  }
};

/// The host's memory; lives as long as the process.
std::shared_ptr<Memory> host_memory();

/// Whether `count` values of the host hold no NaN and no infinity.
bool host_all_finite(const float* values, size_t count);

/// `count` values of a device for the host to read: the values themselves on the host, else a copy.
template <class T>
class OnHost {
 public:
  OnHost(Memory& memory, const T* values, int64_t count) : values_(values) {
    if (memory.on_host()) return;
    copy_ = memory.download(values, count);
    values_ = copy_.data();
  }
  const T* data() const { return values_; }
  const T& operator[](int64_t i) const { return values_[i]; }

 private:
  const T* values_;
  std::vector<T> copy_;
};

}  // namespace toolgrad
