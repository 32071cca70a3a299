// A warp's access to memory, resolved: which lanes reach into one piece of host memory, and where each of them does.
// Bounds, alignment, initialisation, races and counters are dealt with here, so that a handler only moves bytes.
#pragma once

#include "exec/machine.h"

namespace sim {

enum MemoryFlags : uint32_t {
  kSpaceMask = 7,
  kGlobalSpace = 0,
  kConstSpace = 1,
  kSharedSpace = 2,
  kLocalSpace = 3,
  kGenericSpace = 4,
  kParameterSpace = 5,
  kNarrowAddress = 1 << 3,  // a 32-bit register
  kStrong = 1 << 4,         // volatile, relaxed or an atomic: orders itself
  kNoncoherent = 1 << 5,    // .nc
  kRelease = 1 << 6,        // to other blocks, too
  kReleaseBlock = 1 << 8,   // of any scope (bits 8 … of a cp.async are its source's)
  kVolatile = 1 << 9,
};

enum class Use : uint8_t { kRead, kWrite, kAtomic };

struct Access {
  std::byte* data = nullptr;
  alignas(64) uint64_t offset[kLanes];
  uint32_t mask = 0;
  bool contiguous = false;  // all lanes, one behind the other
  bool shared = false;
  uint64_t* initialised = nullptr;  // bits of `data`; null where nobody keeps them
  Block* block = nullptr;           // of global and constant memory
};

/// Addresses of all lanes; those of lanes outside of the mask are the first lane's.
void addresses_of(Warp& warp, const Instr& instr, uint32_t mask, uint64_t* addresses);

/// Resolves the accesses of `bytes` bytes at `addresses` for as many lanes of the mask as reach into one piece of memory
/// with the first of them; access.mask says which. Raises what is out of bounds or misaligned; with checks also reads
/// of uninitialised bytes and races. Writes are marked as made.
void resolve(Warp& warp, const Instr& instr, uint32_t mask, const uint64_t* addresses, uint32_t bytes, Use use,
             Access& access);

/// With checks, after a store or an atomic: its bytes are initialised now, and what it overwrote was its to overwrite.
void mark_written(Warp& warp, const Instr& instr, const Access& access, uint32_t bytes);

/// Wavefronts that one access of a warp to shared memory takes.
uint32_t wavefronts(const uint64_t* offsets, uint32_t mask, uint32_t bytes);

}  // namespace sim
