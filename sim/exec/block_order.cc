#include "exec/block_order.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sim {
namespace {

constexpr uint64_t kFenced = uint64_t{1} << 63;
constexpr uint32_t kGranule = 2;

std::atomic<uint64_t>& entry(Run& run, uint32_t index) {
  return run.serials[index / Run::kChunk][index % Run::kChunk];
}

std::string block_name(const Run& run, uint64_t linear) {
  const uint32_t* grid = run.launch->grid;
  return "(" + std::to_string(linear % grid[0]) + "," + std::to_string(linear / grid[0] % grid[1]) + "," +
         std::to_string(linear / grid[0] / grid[1]) + ")";
}

/// The block whose unfenced write this mark stands for; none for mine, an earlier launch's or a fenced one.
bool foreign(const Cta& cta, uint32_t mark, uint64_t* block) {
  Run& run = *cta.run;
  const uint32_t index = mark - run.first_serial;
  if (mark == cta.serial || index >= run.next_serial.load(std::memory_order_relaxed)) return false;
  const uint64_t value = entry(run, index).load(std::memory_order_relaxed);
  if ((value & kFenced) != 0 || value == cta.linear) return false;
  *block = value;
  return true;
}

[[noreturn]] void report(Warp& w, const Instr& in, int lane, uint64_t address, uint64_t other, const char* how) {
  raise(w, in, lane, 719,
        std::string(how) + " " + block_name(*w.cta->run, other) +
            " wrote in this launch without a fence (__threadfence) behind it, at " + hex(address) + ": " +
            w.cta->run->memory->describe(address));
}

}  // namespace

uint32_t take_serial(Run& run, uint64_t block, bool fenced) {
  const std::lock_guard lock(run.mutex);
  const uint32_t index = run.next_serial.load(std::memory_order_relaxed);
  if (index / Run::kChunk >= Run::kChunks) throw Fault{719, "too many blocks and fences in one launch"};
  auto& chunk = run.serials[index / Run::kChunk];
  if (chunk == nullptr) chunk = std::make_unique<std::atomic<uint64_t>[]>(Run::kChunk);
  chunk[index % Run::kChunk].store(block | (fenced ? kFenced : 0), std::memory_order_relaxed);
  run.next_serial.store(index + 1, std::memory_order_release);
  return run.first_serial + index;
}

void fence_writes(Warp& w) {
  Cta& cta = *w.cta;
  Run& run = *cta.run;
  if (!run.ordered || !cta.wrote) return;
  entry(run, cta.serial - run.first_serial).fetch_or(kFenced, std::memory_order_release);
  cta.serial = take_serial(run, cta.linear, false);
  cta.wrote = false;
}

void check_block_order(Warp& w, const Instr& in, const Access& access, const uint64_t* addresses, uint32_t bytes,
                       Use use) {
  Cta& cta = *w.cta;
  Run& run = *cta.run;
  if (!run.ordered) return;
  Block& block = *access.block;
  uint32_t* marks = block.writers.load(std::memory_order_acquire);
  if (marks == nullptr) {
    if (use == Use::kRead) return;
    const std::lock_guard lock(run.mutex);
    marks = block.writers.load(std::memory_order_relaxed);
    if (marks == nullptr) {
      block.writers_owner = std::make_unique<uint32_t[]>(block.bytes / kGranule + 1);
      marks = block.writers_owner.get();
      block.writers.store(marks, std::memory_order_release);
    }
  }
  const uint32_t granules = bytes / kGranule;
  const uint32_t first = run.first_serial, mine = cta.serial;
  // One byte has no mark of its own: neighbours may belong to other blocks.
  if (bytes < kGranule) {
    if (use != Use::kRead) {
      for (uint32_t rest = access.mask; rest != 0; rest &= rest - 1) {
        marks[access.offset[std::countr_zero(rest)] / kGranule] = 0;
      }
    }
    return;
  }
  const uint32_t issued = run.next_serial.load(std::memory_order_relaxed);
  const bool noncoherent = (in.flags & kNoncoherent) != 0;
  uint32_t hits = 0;  // lanes that meet a mark of this launch that is not mine
  if (access.contiguous) {
    const uint32_t* here = marks + access.offset[0] / kGranule;
    for (uint32_t i = 0; i < kLanes * granules; ++i) {
      hits |= static_cast<uint32_t>(here[i] - first < issued && (noncoherent || here[i] != mine));
    }
    if (hits != 0) hits = kFull;
  } else {
    for (uint32_t rest = access.mask; rest != 0; rest &= rest - 1) {
      const int l = std::countr_zero(rest);
      const uint32_t* here = marks + access.offset[l] / kGranule;
      for (uint32_t i = 0; i < granules; ++i) {
        if (here[i] - first < issued && (noncoherent || here[i] != mine)) hits |= 1u << l;
      }
    }
  }
  for (; hits != 0; hits &= hits - 1) {
    const int l = std::countr_zero(hits);
    const uint64_t at = access.offset[l];
    for (uint32_t i = 0; i < granules; ++i) {
      const uint32_t mark = marks[at / kGranule + i];
      if (noncoherent && mark - first < issued) {
        raise(w, in, l, 719,
              "a non-coherent read (ld.global.nc, __restrict__ const or __ldg) of memory that this launch writes, at " +
                  hex(addresses[l]) + ": " + run.memory->describe(addresses[l]));
      }
      uint64_t other;
      if (!foreign(cta, mark, &other)) continue;
      if (use != Use::kWrite) report(w, in, l, addresses[l], other, "a read of what block");
      Suspect suspect{l, access.data + at, {}, bytes, addresses[l], other};
      std::memcpy(suspect.old, suspect.at, bytes);
      cta.worker->suspects.push_back(suspect);
      break;
    }
  }
  if (use == Use::kRead) return;
  const bool strong = use == Use::kAtomic || (in.flags & kStrong) != 0;
  const uint32_t mark = strong ? run.strong_serial : mine;
  if (!strong) cta.wrote = true;
  if (access.contiguous) {
    std::fill_n(marks + access.offset[0] / kGranule, kLanes * granules, mark);
    return;
  }
  for (uint32_t rest = access.mask; rest != 0; rest &= rest - 1) {
    std::fill_n(marks + access.offset[std::countr_zero(rest)] / kGranule, granules, mark);
  }
}

void settle_suspects(Warp& w, const Instr& in) {
  const std::vector<Suspect> suspects = std::move(w.cta->worker->suspects);
  w.cta->worker->suspects.clear();
  for (const Suspect& suspect : suspects) {
    if (std::memcmp(suspect.at, suspect.old, suspect.bytes) == 0) continue;
    report(w, in, suspect.lane, suspect.address, suspect.block, "a write of another value over what block");
  }
}

void check_shared(Warp& w, const Instr& in, uint32_t mask, const uint64_t* at, uint32_t bytes, Use use) {
  SharedShadow& shadow = w.cta->shadow;
  const uint32_t words = bytes / 4;
  const bool read = use == Use::kRead && words > 0, write = use == Use::kWrite && words > 0;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    const uint32_t offset = static_cast<uint32_t>(at[l]);
    if (read && shadow.plain_read(w.index, offset, words, in.line)) continue;
    if (write && shadow.plain_write(w.index, l, w.sync, offset, words, in.line)) continue;
    check_shared(w, in, l, offset, bytes, use);
  }
}

void check_shared(Warp& w, const Instr& in, int lane, uint32_t at, uint32_t bytes, Use use) {
  const uint32_t sync = w.sync;
  SharedShadow& shadow = w.cta->shadow;
  const SharedShadow::Hazard hazard = use == Use::kRead    ? shadow.read(w.index, lane, sync, at, bytes, in.line)
                                      : use == Use::kWrite ? shadow.write(w.index, lane, sync, at, bytes, in.line)
                                                           : shadow.atomic(w.index, lane, sync, at, bytes, in.line);
  if (hazard.kind == nullptr) return;
  std::string other = "warp " + std::to_string(hazard.warp);
  if (hazard.lane >= 0) other += " lane " + std::to_string(hazard.lane);
  raise(w, in, lane, 719,
        std::string("shared memory race: ") +
            (use == Use::kRead    ? "read"
             : use == Use::kWrite ? "write"
                                  : "atomic") +
            " of " + std::to_string(bytes) + " bytes at shared address " + std::to_string(at) + ", " + hazard.kind +
            " by " + other + " at PTX line " + std::to_string(hazard.line) + " with no " +
            (hazard.warp == w.index ? "bar.warp.sync" : "barrier") + " between");
}

}  // namespace sim
