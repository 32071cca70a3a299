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

void fence(Warp& w, bool all) {
  Cta& cta = *w.cta;
  Run& run = *cta.run;
  if (run.options.checks && cta.shared_bytes > 0) {
    w.fenced.clear();
    cta.shadow.publish(w.index, cta.shadow.arrive(false), w.fenced);
  }
  if (!all || !run.ordered || !cta.wrote) return;
  entry(run, cta.serial - run.first_serial).fetch_or(kFenced, std::memory_order_release);
  cta.serial = take_serial(run, cta.linear, false);
  cta.wrote = false;
}

namespace {

/// The marks of a block of memory, made at the first write; null when nothing was written and this is none.
uint32_t* marks_of(Run& run, std::atomic<uint32_t*>& shown, std::unique_ptr<uint32_t[]>& owner, size_t count,
                   bool make) {
  uint32_t* marks = shown.load(std::memory_order_acquire);
  if (marks != nullptr || !make) return marks;
  const std::lock_guard lock(run.mutex);
  marks = shown.load(std::memory_order_relaxed);
  if (marks == nullptr) {
    owner = std::make_unique<uint32_t[]>(count);
    marks = owner.get();
    shown.store(marks, std::memory_order_release);
  }
  return marks;
}

uint32_t mark_at(const uint32_t* marks, uint64_t index) {
  return std::atomic_ref(const_cast<uint32_t&>(marks[index])).load(std::memory_order_relaxed);
}
void set_mark(uint32_t* marks, uint64_t index, uint32_t mark) {
  std::atomic_ref(marks[index]).store(mark, std::memory_order_relaxed);
}

/// One lane's bytes [from, from + bytes) of the block under one mark: raises, or notes a suspect.
void judge(Warp& w, const Instr& in, const Access& access, int lane, uint64_t address, uint32_t mark, uint64_t from,
           uint32_t bytes, Use use) {
  Cta& cta = *w.cta;
  Run& run = *cta.run;
  if ((in.flags & kNoncoherent) != 0 && mark - run.first_serial < run.next_serial.load(std::memory_order_relaxed)) {
    raise(w, in, lane, 719,
          "a non-coherent read (ld.global.nc, __restrict__ const or __ldg) of memory that this launch writes, at " +
              hex(address) + ": " + run.memory->describe(address));
  }
  uint64_t other;
  if (!foreign(cta, mark, &other)) return;
  if (use != Use::kWrite) report(w, in, lane, address, other, "a read of what block");
  Suspect suspect{lane, access.data + from, {}, bytes, address, other};
  std::memcpy(suspect.old, suspect.at, bytes);
  cta.worker->suspects.push_back(suspect);
}

}  // namespace

void check_block_order(Warp& w, const Instr& in, const Access& access, const uint64_t* addresses, uint32_t bytes,
                       Use use) {
  Cta& cta = *w.cta;
  Run& run = *cta.run;
  if (!run.ordered) return;
  Block& block = *access.block;
  const bool writes = use != Use::kRead, single = bytes < kGranule;
  uint32_t* marks = marks_of(run, block.writers, block.writers_owner, block.bytes / kGranule + 1, writes);
  uint32_t* byte_marks = marks_of(run, block.byte_writers, block.byte_writers_owner, block.bytes, writes && single);
  if (marks == nullptr) return;
  const uint32_t first = run.first_serial, mine = cta.serial, granules = single ? 1 : bytes / kGranule;
  const uint32_t issued = run.next_serial.load(std::memory_order_relaxed);
  const bool noncoherent = (in.flags & kNoncoherent) != 0;
  const bool alone = run.options.threads <= 1;  // plain accesses then, which the compiler makes wide
  uint32_t hits = 0;                            // lanes that meet a mark of this launch that is not mine
  if (byte_marks != nullptr) {
    hits = access.mask;
  } else if (access.contiguous) {
    const uint64_t from = access.offset[0] / kGranule;
    const uint32_t* here = marks + from;
    for (uint32_t i = 0; i < kLanes * bytes / kGranule; ++i) {
      const uint32_t mark = alone ? here[i] : mark_at(marks, from + i);
      hits |= static_cast<uint32_t>(mark - first < issued && (noncoherent || mark != mine));
    }
    if (hits != 0) hits = kFull;
  } else {
    for (uint32_t rest = access.mask; rest != 0; rest &= rest - 1) {
      const int l = std::countr_zero(rest);
      for (uint32_t i = 0; i < granules; ++i) {
        const uint32_t mark = mark_at(marks, access.offset[l] / kGranule + i);
        if (mark - first < issued && (noncoherent || mark != mine)) hits |= 1u << l;
      }
    }
  }
  for (; hits != 0; hits &= hits - 1) {
    const int l = std::countr_zero(hits);
    const uint64_t at = access.offset[l];
    // A byte's own mark, where it has one of this launch, is later than that of its pair.
    if (byte_marks == nullptr && !single) {
      for (uint32_t i = 0; i < granules; ++i) {
        judge(w, in, access, l, addresses[l], mark_at(marks, at / kGranule + i), at + i * kGranule, kGranule, use);
      }
      continue;
    }
    for (uint64_t byte = at; byte < at + bytes; ++byte) {
      uint32_t mark = byte_marks != nullptr ? mark_at(byte_marks, byte) : 0;
      if (mark - first >= issued) mark = mark_at(marks, byte / kGranule);
      judge(w, in, access, l, addresses[l], mark, byte, 1, use);
    }
  }
  if (!writes) return;
  const bool strong = use == Use::kAtomic || (in.flags & kStrong) != 0;
  const uint32_t mark = strong ? run.strong_serial : mine;
  if (!strong) cta.wrote = true;
  if (alone && access.contiguous && !single && byte_marks == nullptr) {
    std::fill_n(marks + access.offset[0] / kGranule, kLanes * granules, mark);
    return;
  }
  for (uint32_t rest = access.mask; rest != 0; rest &= rest - 1) {
    const uint64_t at = access.offset[std::countr_zero(rest)];
    if (single) {
      set_mark(byte_marks, at, mark);
      continue;
    }
    for (uint32_t i = 0; i < granules; ++i) set_mark(marks, at / kGranule + i, mark);
    for (uint32_t i = 0; byte_marks != nullptr && i < bytes; ++i) set_mark(byte_marks, at + i, 0);
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
  const uint32_t words = (in.flags & kStrong) != 0 ? 0 : bytes / 4;
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
  const bool strong = use == Use::kAtomic || (in.flags & kStrong) != 0;
  const SharedShadow::Strength strength =
      (in.flags & kVolatile) != 0 ? SharedShadow::kVolatileAccess : SharedShadow::kAtomicAccess;
  const SharedShadow::Hazard hazard =
      strong              ? shadow.strong(w.index, lane, sync, at, bytes, in.line, use != Use::kRead, strength)
      : use == Use::kRead ? shadow.read(w.index, lane, sync, at, bytes, in.line)
                          : shadow.write(w.index, lane, sync, at, bytes, in.line);
  if (hazard.kind == nullptr) {
    if (!strong) return;
    Cta& cta = *w.cta;
    if (use != Use::kWrite && !cta.strong_writes.empty()) {
      const auto known = cta.strong_writes.find(at);
      if (known != cta.strong_writes.end()) shadow.learn(w.index, known->second);
    }
    if (use != Use::kRead && !w.fenced.empty()) {
      SharedShadow::Clock& clock = cta.strong_writes[at];
      clock.resize(std::max(clock.size(), w.fenced.size()), 0);
      for (size_t i = 0; i < w.fenced.size(); ++i) clock[i] = std::max(clock[i], w.fenced[i]);
    }
    return;
  }
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
