// The memory of the simulated device: addresses that fault on the host, red zones, initialisation, quarantine.
//
// A device address lies in a range that the process reserves without access (PROT_NONE), so that host code that
// dereferences one dies at once. The bytes lie elsewhere, one Block per allocation, with one state bit per byte:
// initialised or not. Fresh memory is filled with NaN patterns. Between blocks lie red zones that belong to nobody; a
// freed block keeps its addresses in quarantine, so that a late use is named as such. Not thread-safe: the driver holds
// its lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sim {

/// What goes wrong on the device or in a call: `code` is the CUresult that the caller of the driver gets.
struct Fault {
  int code;
  std::string message;
};

struct Block {
  uint64_t base = 0;
  size_t bytes = 0;
  std::byte* data = nullptr;
  std::vector<uint64_t> initialised;  // one bit a byte, from bit 0
  bool live = true;
  uint64_t number = 0;  // allocation number, from 1; appears in messages
  std::string note;     // what it is: "cuMemAlloc", "module variable x"
  // Per two bytes, which block of a launch wrote last; made by the executor at the first write, null before.
  std::atomic<uint32_t*> writers{nullptr};
  std::unique_ptr<uint32_t[]> writers_owner;
  // Per byte, where single bytes were written; null until one is.
  std::atomic<uint32_t*> byte_writers{nullptr};
  std::unique_ptr<uint32_t[]> byte_writers_owner;
};

class DeviceMemory {
 public:
  explicit DeviceMemory(size_t total_bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /// A 512-byte-aligned address; 0 when the device is full. The END of the block lies against a red zone to the byte.
  uint64_t allocate(size_t bytes, const std::string& note);
  /// Throws Fault (CUDA_ERROR_INVALID_VALUE) for anything but the base of a live block.
  void release(uint64_t base);

  /// Copies of whole ranges inside one live block; throws Fault naming the block, the range and what is wrong.
  void write(uint64_t to, const void* from, size_t bytes);  // initialises
  void read(void* to, uint64_t from, size_t bytes) const;   // of uninitialised bytes too: their NaN patterns
  void copy(uint64_t to, uint64_t from, size_t bytes);      // initialisation bits travel along
  void fill(uint64_t to, const void* pattern, size_t pattern_bytes, size_t count);

  /// The live or quarantined block that holds the address, or null.
  Block* find(uint64_t address) const;
  /// "3 bytes after block 17 (cuMemAlloc, 4096 bytes at 0x…)": for messages.
  std::string describe(uint64_t address) const;

  size_t used() const;
  size_t total() const;
  std::vector<const Block*> live_blocks() const;  // for the leak report

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sim
