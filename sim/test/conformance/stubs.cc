#include "device.h"
namespace conformance {
void warp_forms(Device&, Tally&) {}
void matrix_forms(Device&, Tally&) {}
void memory_forms(Device&, Tally&) {}
}  // namespace conformance
