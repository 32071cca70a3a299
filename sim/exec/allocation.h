// Which registers can share a place in the arena: liveness over the flow graph, then a linear scan. PTX comes with one
// register per value; without sharing, the arena of a large kernel would not fit into the processor's caches.
//
// Lanes only ever write their own part of a slot, so the liveness of the scalar program is that of every lane. A result
// never shares the place of a source of the same instruction: handlers may write early.
#pragma once

#include <cstdint>
#include <vector>

#include "exec/machine.h"

namespace sim {

struct SlotUses {
  std::vector<uint32_t> reads, writes;  // of one instruction
};

struct Allocation {
  std::vector<uint32_t> color;     // per slot; slots of one class and color share a place
  uint32_t colors[3] = {0, 0, 0};  // per class
  std::vector<uint32_t> at_entry;  // slots that may be read before they are written
  int live_words = 0;              // the most 32-bit registers that live at once
};

/// `class_of[slot]`: 0 predicate, 1 word, 2 double; 255: not to be placed here.
Allocation allocate(const Kernel& kernel, const std::vector<SlotUses>& uses, const std::vector<uint8_t>& class_of);

}  // namespace sim
