// oneDNN's version.
#pragma once

#include "library.h"

namespace toolgrad::bench {

struct OneDnnVersion {  // dnnl_version_t, its beginning
  int major, minor, patch;
  std::string text() const { return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch); }
};

inline OneDnnVersion onednn_version(const Library& library) {
  return *library.need<const OneDnnVersion* (*)()>("dnnl_version")();
}

}  // namespace toolgrad::bench
