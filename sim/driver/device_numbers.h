// The devices that the simulator can pretend to be, by compute capability.
#pragma once

#include <cstddef>
#include <optional>

namespace sim {

struct DeviceSheet {
  int sm;  // 10 * major + minor
  const char* name;
  int multiprocessors;
  int shared_optin, shared_per_sm;  // bytes
  int l2_bytes, clock_khz, memory_clock_khz, bus_bits;
  int threads_per_sm, blocks_per_sm;
};

/// The sheet of 80, 86, 89, 90 or 120.
const DeviceSheet& device_sheet(int sm);

/// The value of a CUdevice_attribute; nothing for a number that the simulator does not know.
std::optional<int> device_attribute(const DeviceSheet& sheet, int attribute);

constexpr int kSharedBytes = 48 * 1024;  // of a block, without opting in
constexpr int kSharedReserved = 1024;    // the system's own, of every block
constexpr int kThreadsPerBlock = 1024;
constexpr int kRegistersPerSm = 65536;

}  // namespace sim
