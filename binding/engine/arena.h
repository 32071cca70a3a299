// Memory of the engine: Buffer, one zeroed block; Arena, a bump allocator over a Buffer that is planned before it is
// used.
//
// A plan is a function that takes arrays from an Arena. It runs twice: once measuring (no memory, null pointers), once
// for real. The block grows only between calls, never while arrays are in use; its old contents are lost when it grows.
// A block that cannot be had is Error{"ERR_OUT_OF_MEMORY"} with the numbers; the arena is then empty and usable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "engine/memory.h"

namespace toolgrad {

constexpr size_t kAlignment = 64;  // of every block and every array taken from one

/// A block of zeroed memory, 64-byte aligned. Move-only. On the host, pages are touched lazily by the operating system.
class Buffer {
 public:
  Buffer() = default;
  /// `what` names the purpose in the error ("weights", "activations of 512 tokens").
  Buffer(size_t bytes, const std::string& what, std::shared_ptr<Memory> memory = host_memory());
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t size() const { return bytes_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  void release() noexcept;
  std::shared_ptr<Memory> memory_;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Memory this process may still take: the least of the machine's available memory and the room of its control group.
/// Bytes; the largest int64 where the system does not say.
int64_t available_memory();

class Arena {
 public:
  explicit Arena(std::shared_ptr<Memory> memory = host_memory()) : memory_(std::move(memory)) {}
  /// Runs plan(arena) measuring, grows the block if needed, runs it again for real.
  template <class Plan>
  void plan(const std::string& what, Plan&& run) {
    measuring_ = true;
    used_ = 0;
    run(*this);
    reserve(used_, what);
    measuring_ = false;
    used_ = 0;
    run(*this);
  }
  /// Bytes that plan() would take.
  template <class Plan>
  static size_t measure(Plan&& run) {
    Arena arena;
    arena.measuring_ = true;
    run(arena);
    return arena.used_;
  }

  /// `count` elements, not initialised; null while measuring.
  template <class T>
  T* take(int64_t count) {
    return static_cast<T*>(take_bytes(static_cast<size_t>(count) * sizeof(T)));
  }
  void* take_bytes(size_t bytes) {
    const size_t offset = used_;
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return measuring_ ? nullptr : block_.data() + offset;
  }

  size_t capacity() const { return block_.size(); }

 private:
  void reserve(size_t bytes, const std::string& what);

  std::shared_ptr<Memory> memory_;
  Buffer block_;
  size_t used_ = 0;
  bool measuring_ = true;
};

}  // namespace toolgrad
