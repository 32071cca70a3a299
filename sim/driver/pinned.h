// Page-locked host memory: what cuMemHostAlloc gave out and what cuMemHostRegister was told.
//
// Fresh memory is filled with 0xff (NaN in every float format). After cuMemFreeHost its pages lose all access and stay
// reserved for a while, so that a late use by the host faults at once; a queued copy names the range by its number, so a
// late use by the device is noticed too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>

#include "memory/memory.h"

namespace sim {

struct PinnedRange {
  uint64_t number = 0;  // never used twice
  std::byte* base = nullptr;
  size_t bytes = 0;
  size_t mapped = 0;  // of an allocation: all its pages with the guard; 0 for registered memory
  bool registered() const { return mapped == 0; }
};

class PinnedMemory {
 public:
  PinnedMemory() = default;
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  /// Null when the host has no memory.
  void* allocate(size_t bytes);
  /// Both throw Fault: 712 for an overlap, 1 for an empty range.
  void register_range(void* base, size_t bytes);
  /// The range that starts at `base`, or null.
  const PinnedRange* at(const void* base) const;
  /// Takes a range out; it must be there.
  void remove(const void* base);

  /// The range that holds all of [pointer, pointer + bytes), null when none of it is page-locked. Throws Fault (1) for a
  /// range that is page-locked in part.
  const PinnedRange* find(const void* pointer, size_t bytes) const;
  bool alive(uint64_t number) const;
  const std::map<uintptr_t, PinnedRange>& ranges() const { return ranges_; }

 private:
  struct Grave {
    void* base;
    size_t mapped;
  };
  std::map<uintptr_t, PinnedRange> ranges_;  // by address
  std::deque<Grave> graves_;                 // freed pages, without access
  uint64_t next_ = 1;
};

}  // namespace sim
