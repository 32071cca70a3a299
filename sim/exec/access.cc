#include "exec/access.h"

#include <algorithm>
#include <bit>

#include "exec/block_order.h"
#include "exec/lanes.h"
#include "exec/lowering.h"
#include "memory/bits.h"

namespace sim {
namespace {

const char* noun(Use use) {
  return use == Use::kRead ? "read" : use == Use::kWrite ? "write" : "atomic";
}

std::string what(Use use, uint32_t bytes, uint64_t address, const char* space) {
  return std::string(space) + " " + noun(use) + " of " + std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes") +
         " at " + hex(address);
}

[[noreturn]] void misaligned(Warp& w, const Instr& in, uint32_t mask, const uint64_t* addresses, uint32_t bytes,
                             Use use, const char* space) {
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    if ((addresses[l] & (bytes - 1)) != 0) {
      raise(w, in, l, 716, what(use, bytes, addresses[l], space) + " is misaligned");
    }
  }
  raise(w, in, -1, 716, "misaligned access");
}

/// Distinct sectors of 32 bytes; no access is larger than one or crosses its border.
uint32_t sectors(const Access& access, uint32_t bytes) {
  if (access.contiguous) {
    return static_cast<uint32_t>(((access.offset[0] + kLanes * bytes - 1) >> 5) - (access.offset[0] >> 5) + 1);
  }
  uint64_t list[kLanes];
  uint32_t count = 0;
  bool sorted = true;
  for (uint32_t rest = access.mask; rest != 0; rest &= rest - 1) {
    const uint64_t sector = access.offset[std::countr_zero(rest)] >> 5;
    if (count > 0 && sector == list[count - 1]) continue;
    sorted &= count == 0 || sector > list[count - 1];
    list[count++] = sector;
  }
  if (sorted) return count;
  std::sort(list, list + count);
  return static_cast<uint32_t>(std::unique(list, list + count) - list);
}

void check_initialised(Warp& w, const Instr& in, const Access& access, const uint64_t* addresses, uint32_t bytes,
                       Use use, const char* space) {
  if (access.contiguous && bits::all(access.initialised, access.offset[0], size_t{kLanes} * bytes)) return;
  for (uint32_t rest = access.mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    if (bits::all(access.initialised, access.offset[l], bytes)) continue;
    uint64_t first = access.offset[l];
    while (bits::test(access.initialised, first)) ++first;
    std::string text = what(use, bytes, addresses[l], space) + ": byte " + std::to_string(first - access.offset[l]) +
                       " was never written";
    if (access.block != nullptr) text += "; it is " + w.cta->run->memory->describe(addresses[l]);
    raise(w, in, l, 719, text);
  }
}

/// The part of the mask whose lanes reach into the same block as the first one; the block is live and holds them whole.
uint32_t find_block(Warp& w, const Instr& in, uint32_t mask, const uint64_t* addresses, uint32_t bytes, Use use,
                    CachedBlock& cache, const char* space) {
  const int first = std::countr_zero(mask);
  DeviceMemory& memory = *w.cta->run->memory;
  Block* block = memory.find(addresses[first]);
  if (block == nullptr || !block->live || addresses[first] + bytes > block->base + block->bytes) {
    raise(w, in, first, 700,
          what(use, bytes, addresses[first], space) + " is out of bounds: the address is " +
              memory.describe(block != nullptr && block->live ? block->base + block->bytes : addresses[first]));
  }
  cache.block = block;
  cache.base = block->base;
  cache.end = block->base + block->bytes;
  uint32_t part = 0;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    if (addresses[l] >= cache.base && addresses[l] + bytes <= cache.end) part |= 1u << l;
  }
  return part;
}

void resolve_global(Warp& w, const Instr& in, uint32_t mask, const uint64_t* addresses, uint32_t bytes, Use use,
                    Access& access, bool constant) {
  const char* space = constant ? "constant" : "global";
  Worker& worker = *w.cta->worker;
  CachedBlock& cache = worker.caches[in.cache];
  uint64_t least = ~uint64_t{0}, most = 0, all = 0;
  for (int l = 0; l < kLanes; ++l) {
    least = std::min(least, addresses[l]);
    most = std::max(most, addresses[l]);
    all |= addresses[l];
  }
  access.mask = mask;
  if ((all & (bytes - 1)) != 0) misaligned(w, in, mask, addresses, bytes, use, space);
  if (least < cache.base || most + bytes > cache.end) {
    access.mask = find_block(w, in, mask, addresses, bytes, use, cache, space);
  }
  Block* block = cache.block;
  access.block = block;
  access.data = block->data;
  access.initialised = block->initialised.data();
  const uint64_t base = cache.base;
  bool contiguous = access.mask == kFull;
  if (access.mask == mask) {
    uint64_t apart = 0;
    for (int l = 0; l < kLanes; ++l) {
      access.offset[l] = addresses[l] - base;
      apart |= addresses[l] - addresses[0] - static_cast<uint64_t>(l) * bytes;
    }
    contiguous &= apart == 0;
  } else {
    const uint64_t instead = addresses[std::countr_zero(access.mask)];
    for (int l = 0; l < kLanes; ++l) access.offset[l] = ((access.mask >> l) & 1 ? addresses[l] : instead) - base;
  }
  access.contiguous = contiguous;
  Run& run = *w.cta->run;
  if (constant) {
    if (use != Use::kRead) raise(w, in, std::countr_zero(mask), 700, "a write to constant memory");
    return;
  }
  Counters& counters = worker.counters;
  ++counters.global_requests;
  counters.global_sectors += sectors(access, bytes);
  counters.global_bytes += static_cast<uint64_t>(std::popcount(access.mask)) * bytes;
  if (!run.options.checks) return;
  if (use != Use::kWrite) check_initialised(w, in, access, addresses, bytes, use, space);
  check_block_order(w, in, access, addresses, bytes, use);
}

/// What an access without conflicts takes: one for every 32, 16 or 8 lanes (of 4, 8 or 16 bytes) that take part.
uint32_t least_wavefronts(uint32_t mask, uint32_t bytes) {
  if (bytes <= 4) return 1;
  uint32_t count = 0;
  const int together = bytes == 8 ? 16 : 8;
  for (int start = 0; start < kLanes; start += together) {
    count += (mask >> start & (together == 16 ? 0xffffu : 0xffu)) != 0 ? 1 : 0;
  }
  return count;
}

void resolve_shared(Warp& w, const Instr& in, uint32_t mask, const uint64_t* addresses, uint32_t bytes, Use use,
                    Access& access) {
  Cta& cta = *w.cta;
  uint64_t most = 0, all = 0, apart = 0;
  for (int l = 0; l < kLanes; ++l) {
    access.offset[l] = addresses[l];
    most = std::max(most, addresses[l]);
    all |= addresses[l];
    apart |= addresses[l] - addresses[0] - static_cast<uint64_t>(l) * bytes;
  }
  if ((all & (bytes - 1)) != 0) misaligned(w, in, mask, addresses, bytes, use, "shared");
  if (most + bytes > cta.shared_bytes) {
    for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
      const int l = std::countr_zero(rest);
      if (addresses[l] + bytes <= cta.shared_bytes) continue;
      raise(w, in, l, 700,
            what(use, bytes, addresses[l], "shared") + " is out of bounds: the block has " +
                std::to_string(cta.shared_bytes) + " bytes of shared memory");
    }
  }
  access.mask = mask;
  access.shared = true;
  access.contiguous = mask == kFull && apart == 0;
  access.data = cta.shared.data();
  access.initialised = cta.shared_initialised.data();
  Counters& counters = cta.worker->counters;
  const uint32_t least = least_wavefronts(mask, bytes);
  counters.shared_requests += least;
  if (!cta.run->options.checks) {
    counters.shared_wavefronts += least;
    return;
  }
  counters.shared_wavefronts += access.contiguous ? std::max(1u, bytes / 4) : wavefronts(access.offset, mask, bytes);
  if (use != Use::kWrite) check_initialised(w, in, access, addresses, bytes, use, "shared");
  check_shared(w, in, mask, addresses, bytes, use);
}

void resolve_local(Warp& w, const Instr& in, uint32_t mask, const uint64_t* addresses, uint32_t bytes, Use use,
                   Access& access) {
  const uint64_t frame = w.cta->run->kernel->frame_bytes;
  for (int l = 0; l < kLanes; ++l) {
    const uint64_t at = addresses[l];
    if ((mask >> l) & 1) {
      if ((at & (bytes - 1)) != 0) misaligned(w, in, 1u << l, addresses, bytes, use, "local");
      if (at + bytes > frame) {
        raise(w, in, l, 700,
              what(use, bytes, at, "local") + " is out of bounds: a thread has " + std::to_string(frame) +
                  " bytes of local memory");
      }
    }
    access.offset[l] = static_cast<uint64_t>(l) * frame + at;
  }
  if (mask != kFull) {
    const uint64_t instead = access.offset[std::countr_zero(mask)];
    for (int l = 0; l < kLanes; ++l) {
      if (!((mask >> l) & 1)) access.offset[l] = instead;
    }
  }
  access.mask = mask;
  access.data = w.local;
  access.initialised = nullptr;
}

void resolve_parameters(Warp& w, const Instr& in, uint32_t mask, const uint64_t* addresses, uint32_t bytes, Use use,
                        Access& access) {
  const std::vector<std::byte>& parameters = w.cta->run->launch->parameters;
  if (use != Use::kRead) raise(w, in, std::countr_zero(mask), 700, "a write to kernel parameters");
  for (int l = 0; l < kLanes; ++l) {
    if (addresses[l] + bytes > parameters.size() || (addresses[l] & (bytes - 1)) != 0) {
      raise(w, in, l, 700, what(use, bytes, addresses[l], "parameter") + " is out of bounds or misaligned");
    }
    access.offset[l] = addresses[l];
  }
  access.mask = mask;
  access.data = const_cast<std::byte*>(parameters.data());
  access.initialised = nullptr;
}

}  // namespace

void addresses_of(Warp& w, const Instr& in, uint32_t mask, uint64_t* addresses) {
  const std::byte* slot = w.arena + in.op[1];
  if ((in.flags & kNarrowAddress) != 0) {
    for (int l = 0; l < kLanes; ++l) {
      addresses[l] = lane_of<uint32_t>(slot, l) + static_cast<uint32_t>(in.immediate);
      addresses[l] &= 0xffffffffu;
    }
  } else {
    for (int l = 0; l < kLanes; ++l) addresses[l] = lane_of<uint64_t>(slot, l) + static_cast<uint64_t>(in.immediate);
  }
  if (mask != kFull) {
    alignas(64) uint64_t same[kLanes];
    const uint64_t first = addresses[std::countr_zero(mask)];
    for (int l = 0; l < kLanes; ++l) same[l] = first;
    blend(same, addresses, mask);
    std::memcpy(addresses, same, sizeof same);
  }
}

void resolve(Warp& w, const Instr& in, uint32_t mask, const uint64_t* addresses, uint32_t bytes, Use use,
             Access& access) {
  access.contiguous = access.shared = false;
  access.block = nullptr;
  switch (in.flags & kSpaceMask) {
    case kGlobalSpace:
      return resolve_global(w, in, mask, addresses, bytes, use, access, false);
    case kConstSpace:
      return resolve_global(w, in, mask, addresses, bytes, use, access, true);
    case kSharedSpace:
      return resolve_shared(w, in, mask, addresses, bytes, use, access);
    case kLocalSpace:
      return resolve_local(w, in, mask, addresses, bytes, use, access);
    case kParameterSpace:
      if (addresses[std::countr_zero(mask)] >= kFrameParameters) {  // of a called function
        alignas(64) uint64_t inside[kLanes];
        for (int l = 0; l < kLanes; ++l) inside[l] = addresses[l] - kFrameParameters;
        return resolve_local(w, in, mask, inside, bytes, use, access);
      }
      return resolve_parameters(w, in, mask, addresses, bytes, use, access);
    default:
      break;
  }
  // Generic: the lanes that are in the same window as the first.
  const auto window = [](uint64_t address) { return address >> 59; };
  const uint64_t mine = window(addresses[std::countr_zero(mask)]);
  uint32_t part = 0;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    if (window(addresses[l]) == mine) part |= 1u << l;
  }
  alignas(64) uint64_t inside[kLanes];
  const uint64_t first = addresses[std::countr_zero(part)];
  const uint64_t base = mine << 59;
  for (int l = 0; l < kLanes; ++l) inside[l] = ((part >> l) & 1 ? addresses[l] : first) - base;
  if (base == kSharedWindow) return resolve_shared(w, in, part, inside, bytes, use, access);
  if (base == kLocalWindow) return resolve_local(w, in, part, inside, bytes, use, access);
  if (base == kParamWindow) return resolve_parameters(w, in, part, inside, bytes, use, access);
  resolve_global(w, in, part, inside, bytes, use, access, false);
}

void mark_written(Warp& w, const Instr& in, const Access& access, uint32_t bytes) {
  if (access.initialised == nullptr || !w.cta->run->options.checks) return;
  if (!w.cta->worker->suspects.empty()) settle_suspects(w, in);
  if (access.shared || w.cta->run->options.threads <= 1) {
    if (access.contiguous) return bits::set(access.initialised, access.offset[0], size_t{kLanes} * bytes);
    for (uint32_t rest = access.mask; rest != 0; rest &= rest - 1) {
      bits::set(access.initialised, access.offset[std::countr_zero(rest)], bytes);
    }
    return;
  }
  for (uint32_t rest = access.mask; rest != 0; rest &= rest - 1) {  // aligned: never across a word
    const uint64_t at = access.offset[std::countr_zero(rest)];
    std::atomic_ref<uint64_t>(access.initialised[at >> 6])
        .fetch_or(bits::run(at & 63, bytes), std::memory_order_relaxed);
  }
}

namespace {

/// Of the lanes of one phase: the most words that one bank has to give.
uint32_t busiest_bank(const uint64_t* offsets, uint32_t lanes, uint32_t words) {
  uint32_t seen[32][kLanes];
  uint8_t count[32] = {};
  uint32_t worst = 0;
  for (; lanes != 0; lanes &= lanes - 1) {
    const uint64_t offset = offsets[std::countr_zero(lanes)];
    for (uint32_t i = 0; i < words; ++i) {
      const uint32_t word = static_cast<uint32_t>(offset >> 2) + i, bank = word & 31;
      uint32_t known = 0;
      while (known < count[bank] && seen[bank][known] != word) ++known;
      if (known < count[bank]) continue;
      seen[bank][count[bank]++] = word;
      worst = std::max<uint32_t>(worst, count[bank]);
    }
  }
  return worst;
}

}  // namespace

uint32_t wavefronts(const uint64_t* offsets, uint32_t mask, uint32_t bytes) {
  // A wavefront moves one word of each of 32 banks: 32 lanes of up to 4 bytes, 16 lanes of 8, 8 lanes of 16.
  const int together = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8, shift = bytes <= 4 ? 2 : bytes == 8 ? 3 : 4;
  const uint32_t words = std::max(1u, bytes / 4);
  uint32_t total = 0;
  for (int start = 0; start < kLanes; start += together) {
    const uint32_t phase = mask & (together == 32 ? kFull : ((1u << together) - 1) << start);
    // Usually every lane has a bank (or a group of them) of its own.
    uint32_t banks = 0, count = 0;
    for (uint32_t rest = phase; rest != 0; rest &= rest - 1) {
      banks |= 1u << ((offsets[std::countr_zero(rest)] >> shift) & (static_cast<uint32_t>(together) - 1));
      ++count;
    }
    if (static_cast<uint32_t>(std::popcount(banks)) == count) {
      total += count != 0 ? 1 : 0;
    } else {
      total += busiest_bank(offsets, phase, words);
    }
  }
  return total;
}

}  // namespace sim
