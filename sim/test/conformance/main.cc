// conformance [library [folder]]: what each instruction form does, on the device of this driver, against plain references.
//
// The folder gets the PTX of every module (for an assembler). The library is the argument, TOOLGRAD_LIBCUDA, or libcuda.so.1: the simulated device or a real GPU. Prints the device, a
// line per value that differs (three a form) and the counts. 0: all agree; 77: there is no driver or device.
#include <cstdio>
#include <exception>
#include <memory>

#include "device.h"

int main(int argc, char** argv) {
  using namespace conformance;
  std::unique_ptr<Device> device;
  try {
    device = std::make_unique<Device>(argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "");
  } catch (const std::exception& error) {
    std::printf("skipped: %s\n", error.what());
    return 77;
  }
  Tally tally;
  try {
    scalar_forms(*device, tally);
    warp_forms(*device, tally);
    matrix_forms(*device, tally);
    more_matrix_forms(*device, tally);
    memory_forms(*device, tally);
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  std::printf("conformance on %s (sm_%d, %s): %d forms, %llu values, %llu differ in %d forms\n", device->name().c_str(),
              device->sm(), device->library().c_str(), tally.forms(), static_cast<unsigned long long>(tally.values()),
              static_cast<unsigned long long>(tally.failed()), tally.failed_forms());
  return tally.failed() == 0 ? 0 : 1;
}
