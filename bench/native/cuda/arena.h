// Device arrays of one bench case, filled with small numbers, released together.
//
// The contents matter little, but they must be no zeros (a GPU computes those with less power) and nothing that overflows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/memory.h"

namespace toolgrad::bench {

class Arena {
 public:
  explicit Arena(Memory& memory) : memory_(memory) {}
  ~Arena() {
    for (const Block& block : blocks_) memory_.release(block.at, block.bytes);
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Numbers of both signs below 0.125.
  float* floats(int64_t count) { return static_cast<float*>(filled(count * 4, false)); }
  uint16_t* halves(int64_t count) { return static_cast<uint16_t*>(filled(count * 2, true)); }
  /// Zeros: sums that are added to, pages.
  template <class T>
  T* zeros(int64_t count) {
    return static_cast<T*>(block(count * static_cast<int64_t>(sizeof(T))));
  }
  template <class T>
  T* values(const std::vector<T>& values) {
    T* at = zeros<T>(static_cast<int64_t>(values.size()));
    memory_.upload(at, values);
    return at;
  }

 private:
  struct Block {
    void* at;
    size_t bytes;
  };
  void* block(int64_t bytes) {
    const auto size = static_cast<size_t>(bytes > 0 ? bytes : 1);
    blocks_.push_back({memory_.allocate(size, "a bench case"), size});
    return blocks_.back().at;
  }
  // A pattern from the host at the start, which then doubles on the device.
  void* filled(int64_t bytes, bool bf16) {
    char* at = static_cast<char*>(block(bytes));
    std::vector<uint32_t> pattern(size_t{1} << 14);
    uint32_t state = 12345;
    for (uint32_t& word : pattern) {
      state = state * 1664525u + 1013904223u;
      // Exponents of 2^-4 to 2^-11 in fp32, or in each of two bf16.
      const uint32_t value = (state & 0x83ffffffu) + 0x3a000000u;
      word = bf16 ? (value & 0xffff0000u) | (((state >> 3) & 0x83ffu) + 0x3a00u) : value;
    }
    const auto most = static_cast<int64_t>(pattern.size() * 4);
    int64_t done = bytes < most ? bytes : most;
    memory_.upload(static_cast<void*>(at), pattern.data(), static_cast<size_t>(done));
    for (; done < bytes; done *= 2) {
      const int64_t more = bytes - done < done ? bytes - done : done;
      memory_.copy(at + done, at, static_cast<size_t>(more));
    }
    return at;
  }

  Memory& memory_;
  std::vector<Block> blocks_;
};

}  // namespace toolgrad::bench
