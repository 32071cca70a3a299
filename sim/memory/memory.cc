// The address space is handed out upwards and a freed range is not used again before the cursor comes round to it, so
// quarantine costs no bytes: only the record of the freed block stays. Records are kept in a vector sorted by address.
#include "memory/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "memory/bits.h"

namespace sim {
namespace {

constexpr size_t kAlignment = 512;
constexpr size_t kRedZone = 256;          // at least, on both sides of a block
constexpr size_t kQuarantine = 1u << 16;  // records of freed blocks
constexpr int kInvalidValue = 1;          // CUDA_ERROR_INVALID_VALUE
constexpr unsigned char kFresh = 0xff;    // a NaN as f32, f16 and bf16
constexpr size_t kHostAlignment = 64;     // of a block's bytes
constexpr size_t kHostPadding = 64;       // behind them, for vector code of the simulator itself
constexpr size_t kReserve[] = {size_t{1} << 40, size_t{1} << 38, size_t{1} << 36, size_t{1} << 34};

size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

std::string hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string count_bytes(uint64_t n) {
  return std::to_string(n) + (n == 1 ? " byte" : " bytes");
}

std::string title(const Block& block) {
  return std::string(block.live ? "block " : "freed block ") + std::to_string(block.number) + " (" + block.note + ", " +
         count_bytes(block.bytes) + " at " + hex(block.base) + ")";
}

}  // namespace

struct DeviceMemory::State {
  size_t total = 0, used = 0, quarantined = 0;
  uint64_t reserve = 0, reserve_end = 0, cursor = 0;
  uint64_t next_number = 1;
  std::vector<std::unique_ptr<Block>> blocks;  // sorted by base

  /// Index of the first block whose base is greater.
  size_t after(uint64_t address) const {
    return static_cast<size_t>(
        std::upper_bound(blocks.begin(), blocks.end(), address,
                         [](uint64_t at, const std::unique_ptr<Block>& block) { return at < block->base; }) -
        blocks.begin());
  }

  /// Makes [cursor, cursor + span) free of blocks, moving the cursor up past live ones and forgetting freed ones.
  bool make_room(size_t span) {
    for (int wraps = 0;;) {
      if (cursor + span > reserve_end) {
        if (++wraps > 1) return false;
        cursor = reserve;
      }
      size_t index = after(cursor);
      if (index > 0) {
        const Block& before = *blocks[index - 1];
        const uint64_t end = before.base + before.bytes + kRedZone;
        if (end > cursor) {
          if (before.live) {
            cursor = round_up(end, kAlignment);
            continue;
          }
          forget(index - 1);
          continue;
        }
      }
      if (index < blocks.size() && blocks[index]->base < cursor + span + kRedZone) {
        const Block& next = *blocks[index];
        if (next.live) {
          cursor = round_up(next.base + next.bytes + kRedZone, kAlignment);
        } else {
          forget(index);
        }
        continue;
      }
      return true;
    }
  }

  void forget(size_t index) {
    blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(index));
    --quarantined;
  }

  /// Drops the older half of the freed blocks when there are too many.
  void trim() {
    if (quarantined <= kQuarantine) return;
    std::vector<uint64_t> numbers;
    for (const auto& block : blocks) {
      if (!block->live) numbers.push_back(block->number);
    }
    const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
    std::nth_element(numbers.begin(), middle, numbers.end());
    const uint64_t cut = *middle;
    std::erase_if(blocks, [cut](const std::unique_ptr<Block>& block) { return !block->live && block->number < cut; });
    quarantined = 0;
    for (const auto& block : blocks) quarantined += block->live ? 0 : 1;
  }
};

DeviceMemory::DeviceMemory(size_t total_bytes) : state_(std::make_unique<State>()) {
  void* range = MAP_FAILED;
  size_t bytes = 0;
  for (size_t candidate : kReserve) {
    range = mmap(nullptr, candidate, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bytes = candidate;
    if (range != MAP_FAILED) break;
  }
  if (range == MAP_FAILED) throw Fault{2, "the simulated device cannot reserve address space for its memory"};
  state_->total = total_bytes;
  state_->reserve = reinterpret_cast<uint64_t>(range);
  state_->reserve_end = state_->reserve + bytes;
  state_->reserve = round_up(state_->reserve, kAlignment) + kAlignment;  // a red zone before the first block
  state_->cursor = state_->reserve;
  // The mapping starts at a page; the first block lies kAlignment behind its start.
}

DeviceMemory::~DeviceMemory() {
  for (const auto& block : state_->blocks) std::free(block->data);
  const uint64_t start = state_->reserve - kAlignment;
  munmap(reinterpret_cast<void*>(start), state_->reserve_end - start);
}

uint64_t DeviceMemory::allocate(size_t bytes, const std::string& note) {
  State& s = *state_;
  if (bytes == 0) throw Fault{kInvalidValue, "allocation of 0 bytes (" + note + ")"};
  const size_t charged = round_up(bytes, kAlignment);
  if (charged < bytes || charged > s.total - std::min(s.used, s.total)) return 0;
  if (!s.make_room(round_up(bytes + kRedZone, kAlignment))) return 0;
  auto block = std::make_unique<Block>();
  block->base = s.cursor;
  block->bytes = bytes;
  block->data =
      static_cast<std::byte*>(std::aligned_alloc(kHostAlignment, round_up(bytes + kHostPadding, kHostAlignment)));
  if (block->data == nullptr) return 0;
  std::memset(block->data, kFresh, round_up(bytes + kHostPadding, kHostAlignment));
  block->initialised.assign(bits::words(bytes) + 1, 0);
  block->number = s.next_number++;
  block->note = note;
  s.cursor = round_up(block->base + bytes + kRedZone, kAlignment);
  s.used += charged;
  const uint64_t base = block->base;
  s.blocks.insert(s.blocks.begin() + static_cast<std::ptrdiff_t>(s.after(base)), std::move(block));
  return base;
}

void DeviceMemory::release(uint64_t base) {
  Block* block = find(base);
  if (block == nullptr || block->base != base || !block->live) {
    throw Fault{kInvalidValue, "free of " + hex(base) + ", which is no base of a live block: " + describe(base)};
  }
  State& s = *state_;
  std::free(block->data);
  block->data = nullptr;
  std::vector<uint64_t>().swap(block->initialised);
  block->writers.store(nullptr);
  block->writers_owner.reset();
  block->byte_writers.store(nullptr);
  block->byte_writers_owner.reset();
  block->live = false;
  s.used -= round_up(block->bytes, kAlignment);
  ++s.quarantined;
  s.trim();
}

namespace {

/// The block that holds all of [address, address + bytes).
Block* whole(const DeviceMemory& memory, uint64_t address, size_t bytes, const char* what) {
  Block* block = memory.find(address);
  if (block != nullptr && block->live && bytes <= block->bytes - (address - block->base)) return block;
  const uint64_t bad = block != nullptr && block->live ? block->base + block->bytes : address;
  throw Fault{kInvalidValue, std::string(what) + " of " + count_bytes(bytes) + " at " + hex(address) +
                                 " is not inside one live block: " + hex(bad) + " is " + memory.describe(bad)};
}

}  // namespace

void DeviceMemory::write(uint64_t to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  Block* block = whole(*this, to, bytes, "write");
  std::memcpy(block->data + (to - block->base), from, bytes);
  bits::set(block->initialised.data(), to - block->base, bytes);
}

void DeviceMemory::read(void* to, uint64_t from, size_t bytes) const {
  if (bytes == 0) return;
  const Block* block = whole(*this, from, bytes, "read");
  std::memcpy(to, block->data + (from - block->base), bytes);
}

void DeviceMemory::copy(uint64_t to, uint64_t from, size_t bytes) {
  if (bytes == 0) return;
  Block* source = whole(*this, from, bytes, "read");
  Block* target = whole(*this, to, bytes, "write");
  const size_t at = from - source->base, into = to - target->base;
  std::memmove(target->data + into, source->data + at, bytes);
  const std::vector<uint64_t> state = source->initialised;  // a copy: the ranges may overlap
  bits::copy(target->initialised.data(), into, state.data(), at, bytes);
}

void DeviceMemory::fill(uint64_t to, const void* pattern, size_t pattern_bytes, size_t count) {
  const size_t bytes = pattern_bytes * count;
  if (bytes == 0) return;
  if (bytes / count != pattern_bytes) throw Fault{kInvalidValue, "fill of more bytes than an address can count"};
  Block* block = whole(*this, to, bytes, "fill");
  std::byte* at = block->data + (to - block->base);
  if (pattern_bytes == 1) {
    std::memset(at, *static_cast<const unsigned char*>(pattern), count);
  } else {
    for (size_t i = 0; i < count; ++i) std::memcpy(at + i * pattern_bytes, pattern, pattern_bytes);
  }
  bits::set(block->initialised.data(), to - block->base, bytes);
}

Block* DeviceMemory::find(uint64_t address) const {
  const size_t index = state_->after(address);
  if (index == 0) return nullptr;
  Block* block = state_->blocks[index - 1].get();
  return address - block->base < block->bytes ? block : nullptr;
}

std::string DeviceMemory::describe(uint64_t address) const {
  const State& s = *state_;
  if (address < s.reserve - kAlignment || address >= s.reserve_end) {
    return address < 4096 ? "not a device address (null pointer?)" : "not a device address";
  }
  const size_t index = s.after(address);
  const Block* before = index > 0 ? s.blocks[index - 1].get() : nullptr;
  const Block* next = index < s.blocks.size() ? s.blocks[index].get() : nullptr;
  if (before != nullptr && address - before->base < before->bytes) {
    return "byte " + std::to_string(address - before->base) + " of " + title(*before);
  }
  const uint64_t behind = before != nullptr ? address - (before->base + before->bytes) : ~uint64_t{0};
  const uint64_t ahead = next != nullptr ? next->base - address : ~uint64_t{0};
  if (before == nullptr && next == nullptr) return "in device memory that was never allocated";
  if (behind <= ahead) return count_bytes(behind) + " after the end of " + title(*before);
  return count_bytes(ahead) + " before " + title(*next);
}

size_t DeviceMemory::used() const {
  return state_->used;
}

size_t DeviceMemory::total() const {
  return state_->total;
}

std::vector<const Block*> DeviceMemory::live_blocks() const {
  std::vector<const Block*> live;
  for (const auto& block : state_->blocks) {
    if (block->live) live.push_back(block.get());
  }
  return live;
}

}  // namespace sim
