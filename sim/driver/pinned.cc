// Page-locked host memory.
#include "driver/pinned.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace sim {
namespace {

constexpr size_t kGraves = 512;  // freed ranges that stay reserved; each costs one entry of the process's map

size_t page_bytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

uintptr_t address_of(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer);
}

}  // namespace

PinnedMemory::~PinnedMemory() {
  for (const auto& [address, range] : ranges_)
    if (!range.registered()) munmap(range.base, range.mapped);
  for (const Grave& grave : graves_) munmap(grave.base, grave.mapped);
}

void* PinnedMemory::allocate(size_t bytes) {
  const size_t page = page_bytes();
  if (bytes > SIZE_MAX / 2) return nullptr;
  const size_t usable = (bytes + page - 1) / page * page;
  const size_t mapped = usable + page;  // a guard page behind
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  if (mprotect(static_cast<std::byte*>(base) + usable, page, PROT_NONE) != 0) {
    munmap(base, mapped);
    return nullptr;
  }
  std::memset(base, 0xff, bytes);
  ranges_[address_of(base)] = PinnedRange{next_++, static_cast<std::byte*>(base), bytes, mapped};
  return base;
}

void PinnedMemory::register_range(void* base, size_t bytes) {
  if (base == nullptr || bytes == 0) throw Fault{1, "an empty range cannot be registered"};
  const uintptr_t begin = address_of(base);
  auto next = ranges_.lower_bound(begin);
  const bool overlaps_next = next != ranges_.end() && next->first < begin + bytes;
  const bool overlaps_previous =
      next != ranges_.begin() && std::prev(next)->first + std::prev(next)->second.bytes > begin;
  if (overlaps_next || overlaps_previous) throw Fault{712, "the range overlaps page-locked memory"};
  ranges_[begin] = PinnedRange{next_++, static_cast<std::byte*>(base), bytes, 0};
}

const PinnedRange* PinnedMemory::at(const void* base) const {
  const auto found = ranges_.find(address_of(base));
  return found == ranges_.end() ? nullptr : &found->second;
}

void PinnedMemory::remove(const void* base) {
  const auto found = ranges_.find(address_of(base));
  const PinnedRange range = found->second;
  ranges_.erase(found);
  if (range.registered()) return;
  madvise(range.base, range.mapped, MADV_DONTNEED);
  if (mprotect(range.base, range.mapped, PROT_NONE) != 0) {
    munmap(range.base, range.mapped);
    return;
  }
  graves_.push_back({range.base, range.mapped});
  if (graves_.size() > kGraves) {
    munmap(graves_.front().base, graves_.front().mapped);
    graves_.pop_front();
  }
}

const PinnedRange* PinnedMemory::find(const void* pointer, size_t bytes) const {
  const uintptr_t begin = address_of(pointer), end = begin + bytes;
  auto next = ranges_.upper_bound(begin);
  if (next != ranges_.begin()) {
    const PinnedRange& range = std::prev(next)->second;
    const uintptr_t range_end = address_of(range.base) + range.bytes;
    if (end <= range_end) return &range;
    if (begin < range_end) throw Fault{1, "the host range is page-locked only in its first part"};
  }
  if (next != ranges_.end() && next->first < end) throw Fault{1, "the host range is page-locked only in part"};
  return nullptr;
}

bool PinnedMemory::alive(uint64_t number) const {
  for (const auto& [address, range] : ranges_)
    if (range.number == number) return true;
  return false;
}

}  // namespace sim
