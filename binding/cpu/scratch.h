// Scratch memory of the CPU backend: a few slots, each grown once to the largest request and reused by every op.
//
// A slot's contents are undefined at the start of an op and lost at its end. Pointers are aligned to 64 bytes and stay
// valid until the same slot is asked for more. Ask before parallel_for (not from tasks); for per-worker memory ask for
// threads * n and offset by the worker's number. Defined in backend.cc, so no ISA build emits any of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace toolgrad {

class Scratch {
 public:
  static constexpr int kSlots = 8;
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void* bytes(int slot, size_t count);     // slot in [0, kSlots)
  float* floats(int slot, int64_t count);  // the same memory as bytes(slot, 4 * count)
  size_t allocated() const;                // bytes held by all slots

 private:
  struct Block;
  std::unique_ptr<Block[]> blocks_;
};

}  // namespace toolgrad
