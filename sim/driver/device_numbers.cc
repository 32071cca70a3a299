// Data sheets of devices: the public figures of one card of each generation.
#include "driver/device_numbers.h"

#include <stdexcept>

namespace sim {
namespace {

constexpr int kKb = 1024, kMb = 1024 * 1024;

constexpr DeviceSheet kSheets[] = {
    {80, "Simulated A100 (cudasim)", 108, 163 * kKb, 164 * kKb, 40 * kMb, 1410000, 1593000, 5120, 2048, 32},
    {86, "Simulated RTX 3090 (cudasim)", 82, 99 * kKb, 100 * kKb, 6 * kMb, 1695000, 9751000, 384, 1536, 16},
    {89, "Simulated RTX 4090 (cudasim)", 128, 99 * kKb, 100 * kKb, 72 * kMb, 2520000, 10501000, 384, 1536, 24},
    {90, "Simulated H100 (cudasim)", 132, 227 * kKb, 228 * kKb, 50 * kMb, 1980000, 2619000, 5120, 2048, 32},
    {120, "Simulated RTX 5090 (cudasim)", 170, 99 * kKb, 100 * kKb, 96 * kMb, 2407000, 14001000, 512, 1536, 24},
};

}  // namespace

const DeviceSheet& device_sheet(int sm) {
  for (const DeviceSheet& sheet : kSheets)
    if (sheet.sm == sm) return sheet;
  throw std::logic_error("no such device sheet");
}

std::optional<int> device_attribute(const DeviceSheet& sheet, int attribute) {
  switch (attribute) {
    case 1:
      return kThreadsPerBlock;
    case 2:
      return 1024;  // block x, y, z
    case 3:
      return 1024;
    case 4:
      return 64;
    case 5:
      return 0x7fffffff;  // grid x, y, z
    case 6:
      return 65535;
    case 7:
      return 65535;
    case 8:
      return kSharedBytes;
    case 9:
      return 65536;  // constant memory
    case 10:
      return 32;  // warp
    case 11:
      return 0x7fffffff;  // pitch
    case 12:
      return kRegistersPerSm;
    case 13:
      return sheet.clock_khz;
    case 15:
      return 1;  // copies overlap
    case 16:
      return sheet.multiprocessors;
    case 17:
      return 0;  // kernel time limit
    case 18:
      return 0;  // integrated
    case 19:
      return 0;  // can map host memory: not simulated
    case 20:
      return 0;  // compute mode: default
    case 31:
      return 1;  // concurrent kernels
    case 32:
      return 1;  // ECC
    case 33:
      return 1;  // PCI bus, device, domain
    case 34:
      return 0;
    case 50:
      return 0;
    case 35:
      return 0;  // TCC
    case 36:
      return sheet.memory_clock_khz;
    case 37:
      return sheet.bus_bits;
    case 38:
      return sheet.l2_bytes;
    case 39:
      return sheet.threads_per_sm;
    case 40:
      return 2;  // copy engines
    case 41:
      return 1;  // unified addressing
    case 75:
      return sheet.sm / 10;
    case 76:
      return sheet.sm % 10;
    case 78:
      return 1;  // stream priorities
    case 81:
      return sheet.shared_per_sm;
    case 82:
      return kRegistersPerSm;
    case 83:
      return 0;  // managed memory
    case 84:
      return 0;  // multi-GPU board
    case 88:
      return 0;  // pageable memory access
    case 89:
      return 0;  // concurrent managed access
    case 95:
      return 0;  // cooperative launch
    case 97:
      return sheet.shared_optin;
    case 106:
      return sheet.blocks_per_sm;
    case 111:
      return kSharedReserved;
    case 115:
      return 1;  // memory pools
    default:
      return std::nullopt;
  }
}

}  // namespace sim
