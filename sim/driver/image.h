// What a module image is, told from its first bytes, and whether this driver and device take it.
#pragma once

#include <string>

namespace sim {

/// Throws Fault unless the image is PTX text: 209 for machine code (ELF or fat binary), 200 for anything else.
std::string ptx_text(const void* image);

/// The virtual architecture of a PTX text (its .target), 80 for sm_80. Throws Fault: 222 when it is newer than the driver, 218 when its target
/// is beyond the device's compute capability.
int check_ptx_header(const std::string& ptx, int driver_version, int sm);

}  // namespace sim
