// Host blocks come straight from the operating system: zeroed, in huge pages where it offers them, and given back at once.
#include "engine/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <utility>

#include "engine/error.h"

namespace toolgrad {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();
constexpr size_t kCheckedFrom = 64u << 20;  // blocks below this are not compared with the memory available
constexpr size_t kHugePage = 2u << 20;
constexpr size_t kPage = 4096;

// The first integer of a file, or kUnknown ("max", no such file).
int64_t read_number(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : kUnknown;
}

int64_t machine_available() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  int64_t kib = 0;
  while (file >> key) {
    if (key == "MemAvailable:" && file >> kib) return kib * 1024;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return kUnknown;
}

int64_t group_available() {
  const int64_t limit = read_number("/sys/fs/cgroup/memory.max");
  const int64_t used = read_number("/sys/fs/cgroup/memory.current");
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  // The page cache counts as used but is given back under pressure.
  int64_t cache = 0, value = 0;
  std::ifstream stat("/sys/fs/cgroup/memory.stat");
  std::string key;
  while (stat >> key >> value) {
    if (key == "inactive_file" || key == "active_file") cache += value;
  }
  return std::max<int64_t>(0, limit - used + cache);
}

std::string mebibytes(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

[[noreturn]] void out_of_memory(size_t bytes, const std::string& what) {
  const int64_t available = available_memory();
  throw Error("ERR_OUT_OF_MEMORY", "Expected " + mebibytes(static_cast<int64_t>(bytes)) + " of memory for " + what +
                                       " but " + (available == kUnknown ? "the system" : mebibytes(available)) +
                                       (available == kUnknown ? " refused it" : " are available") +
                                       "; use fewer tokens per micro-batch, fewer KV pages or a smaller model");
}

class HostMemory final : public Memory {
 public:
  void* allocate(size_t bytes, const std::string& what) override;
  void release(void* block, size_t bytes) noexcept override { ::munmap(block, rounded(bytes)); }
  bool on_host() const override { return true; }
  int64_t available() override { return available_memory(); }
  void zero(void* to, size_t bytes) override { std::memset(to, 0, bytes); }
  void copy(void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void upload(void* to, const void* from_host, size_t bytes) override { std::memcpy(to, from_host, bytes); }
  void download(void* to_host, const void* from, size_t bytes) override { std::memcpy(to_host, from, bytes); }

 private:
  static size_t rounded(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }
};

void* HostMemory::allocate(size_t bytes, const std::string& what) {
  // Without this check Linux hands out what it does not have and kills the process when the pages are touched.
  if (bytes >= kCheckedFrom && static_cast<int64_t>(bytes) > available_memory()) out_of_memory(bytes, what);
  const size_t length = rounded(bytes);
  void* block = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) out_of_memory(bytes, what);
#ifdef MADV_HUGEPAGE
  // Advice only: without huge pages the block works the same, more slowly.
  if (length >= 2 * kHugePage) static_cast<void>(::madvise(block, length, MADV_HUGEPAGE));
#endif
  return block;
}

}  // namespace

bool host_all_finite(const float* values, size_t count) {
  uint32_t bad = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bad |= static_cast<uint32_t>((bits & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

std::shared_ptr<Memory> host_memory() {
  static const std::shared_ptr<Memory> memory = std::make_shared<HostMemory>();
  return memory;
}

int64_t available_memory() {
  return std::min(machine_available(), group_available());
}

Buffer::Buffer(size_t bytes, const std::string& what, std::shared_ptr<Memory> memory) : memory_(std::move(memory)) {
  if (bytes == 0) return;
  data_ = static_cast<std::byte*>(memory_->allocate(bytes, what));
  bytes_ = bytes;
}

Buffer::~Buffer() {
  release();
}

Buffer::Buffer(Buffer&& other) noexcept
    : memory_(std::move(other.memory_)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    release();
    memory_ = std::move(other.memory_);
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void Buffer::release() noexcept {
  if (data_ != nullptr) memory_->release(data_, bytes_);
  data_ = nullptr;
  bytes_ = 0;
}

void Arena::reserve(size_t bytes, const std::string& what) {
  if (bytes <= block_.size()) return;
  block_ = Buffer();  // first, so that old and new never exist together
  block_ = Buffer(bytes, what, memory_);
}

}  // namespace toolgrad
