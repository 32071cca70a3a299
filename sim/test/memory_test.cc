// DeviceMemory: addresses, red zones, initialisation, quarantine, and what it says of an address.
#include "memory/memory.h"

#include <cstring>

#include "check.h"
#include "memory/bits.h"

using namespace sim;
using sim::test::check;
using sim::test::faults;

int main() {
  DeviceMemory memory(1 << 20);
  const uint64_t a = memory.allocate(1000, "first"), b = memory.allocate(1, "second");
  check(a % 512 == 0 && b % 512 == 0, "bases are aligned to 512 bytes");
  check(b >= a + 1000 + 256, "a red zone lies between blocks");
  check(memory.find(a + 999) != nullptr && memory.find(a + 1000) == nullptr, "a block ends to the byte");
  check(memory.find(a - 1) == nullptr && memory.find(0) == nullptr, "nothing lies before the first block");
  check(memory.used() == 1536, "use is counted in units of 512 bytes");
  check(memory.describe(a + 1002).find("2 bytes after the end of block 1 (first, 1000 bytes") == 0,
        "after: " + memory.describe(a + 1002));
  check(memory.describe(b - 1).find("1 byte before block 2") == 0, "before: " + memory.describe(b - 1));
  check(memory.describe(16).find("null") != std::string::npos, "null: " + memory.describe(16));

  unsigned char bytes[1000];
  memory.read(bytes, a, 1000);
  bool fresh = true;
  for (unsigned char byte : bytes) fresh &= byte == 0xff;
  check(fresh, "fresh memory is NaN");
  const Block* block = memory.find(a);
  std::memset(bytes, 7, sizeof bytes);
  memory.write(a + 3, bytes, 130);
  check(bits::all(block->initialised.data(), 3, 130) && !bits::test(block->initialised.data(), 2) &&
            !bits::test(block->initialised.data(), 133),
        "a write initialises what it wrote and no more");
  memory.copy(a + 500, a, 200);
  check(!bits::test(block->initialised.data(), 502) && bits::all(block->initialised.data(), 503, 130) &&
            !bits::test(block->initialised.data(), 633),
        "initialisation travels with a copy");
  const uint32_t pattern = 0x01020304;
  memory.fill(a + 800, &pattern, 4, 50);
  memory.read(bytes, a + 996, 4);
  check(std::memcmp(bytes, &pattern, 4) == 0 && bits::all(block->initialised.data(), 800, 200), "fill reaches the end");

  faults(1, "0 bytes after the end of block 1", "a write over the end", [&] { memory.write(a + 990, bytes, 11); });
  faults(1, "null", "a read of null", [&] { memory.read(bytes, 0, 4); });
  faults(1, "no base of a live block", "a free inside a block", [&] { memory.release(a + 512); });
  memory.release(a);
  faults(1, "freed block 1", "a second free", [&] { memory.release(a); });
  faults(1, "byte 4 of freed block 1", "a late write", [&] { memory.write(a + 4, bytes, 4); });
  check(memory.live_blocks().size() == 1 && memory.live_blocks()[0]->number == 2, "the leak report names block 2");
  check(memory.used() == 512, "freed bytes are no longer used");
  check(memory.allocate(1 << 20, "too much") == 0, "a full device gives 0");
  check(memory.allocate((1 << 20) - 512, "all") != 0 && memory.allocate(1, "none left") == 0,
        "the last byte can be had");

  // Quarantine is bounded: records of freed blocks do not pile up without end.
  DeviceMemory large(size_t{1} << 40);
  uint64_t last = 0;
  bool unique = true;
  const uint64_t kept = large.allocate(100, "kept");
  for (int i = 0; i < 200000; ++i) {
    const uint64_t at = large.allocate(64, "small");
    unique &= at != 0 && at != last;
    last = at;
    large.release(at);
  }
  check(unique, "addresses are not used again at once");
  check(large.find(kept) != nullptr && large.find(kept)->live && large.find(last) != nullptr,
        "quarantine keeps the latest");
  return sim::test::finish("memory");
}
