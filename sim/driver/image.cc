// Module images.
#include "driver/image.h"

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "driver/api.h"
#include "memory/memory.h"

namespace sim {
namespace {

namespace cu = toolgrad::cu;

// What fat binaries start with: the wrapper that nvcc puts into programs, and the container itself.
constexpr uint32_t kFatbinWrapper = 0x466243b1, kFatbin = 0xba55ed50;

/// First position of `text` that is neither space nor comment.
const char* skip_blank(const char* text) {
  while (true) {
    if (*text == ' ' || *text == '\t' || *text == '\n' || *text == '\r') {
      ++text;
    } else if (text[0] == '/' && text[1] == '/') {
      while (*text != '\0' && *text != '\n') ++text;
    } else if (text[0] == '/' && text[1] == '*') {
      const char* end = std::strstr(text + 2, "*/");
      if (end == nullptr) return text;
      text = end + 2;
    } else {
      return text;
    }
  }
}

struct Release {
  int driver, ptx;
};
// The newest PTX of each CUDA release, from the release notes of the PTX ISA.
constexpr Release kReleases[] = {{11000, 70}, {11010, 71}, {11020, 72}, {11030, 73}, {11040, 74}, {11050, 75},
                                 {11060, 76}, {11070, 77}, {11080, 78}, {12000, 80}, {12010, 81}, {12020, 82},
                                 {12030, 83}, {12040, 84}, {12050, 85}, {12060, 85}, {12070, 86}, {12080, 87},
                                 {12090, 88}, {13000, 90}, {13010, 91}};

int newest_ptx(int driver_version) {
  int newest = 0;
  for (const Release& release : kReleases)
    if (release.driver <= driver_version) newest = release.ptx;
  return newest;
}

}  // namespace

std::string ptx_text(const void* image) {
  unsigned char first[4];
  const auto* bytes = static_cast<const unsigned char*>(image);
  for (int i = 0; i < 4; ++i) {
    first[i] = bytes[i];
    if (first[i] == 0) throw Fault{cu::kInvalidImage, "the image is neither PTX nor a binary of a known kind"};
  }
  uint32_t magic = 0;
  std::memcpy(&magic, first, sizeof magic);
  if (std::memcmp(first,
                  "\x7f"
                  "ELF",
                  4) == 0)
    throw Fault{cu::kNoBinaryForGpu, "a cubin: the simulator runs PTX only, as a device that no cubin fits"};
  if (magic == kFatbinWrapper || magic == kFatbin)
    throw Fault{cu::kNoBinaryForGpu, "a fat binary: the simulator runs PTX text only"};
  const char* text = static_cast<const char*>(image);
  if (std::strncmp(skip_blank(text), ".version", 8) != 0)
    throw Fault{cu::kInvalidImage, "the image is neither a binary of a known kind nor PTX, which begins with .version"};
  return text;
}

int check_ptx_header(const std::string& ptx, int driver_version, int sm) {
  const char* at = skip_blank(ptx.c_str());
  int major = 0, minor = 0;
  if (std::sscanf(at, ".version %d.%d", &major, &minor) != 2)
    throw Fault{cu::kInvalidPtx, "\".version\" is not followed by major.minor"};
  const int version = 10 * major + minor;
  if (const int newest = newest_ptx(driver_version); version > newest)
    throw Fault{cu::kUnsupportedPtxVersion, "PTX " + std::to_string(major) + "." + std::to_string(minor) +
                                                " is newer than driver " + std::to_string(driver_version) + " reads (" +
                                                std::to_string(newest / 10) + "." + std::to_string(newest % 10) + ")"};
  int target = 0;
  char feature = 0;
  if (const char* found = std::strstr(at, ".target"); found != nullptr) {
    const int read = std::sscanf(found, ".target sm_%d%c", &target, &feature);
    const bool exact = read == 2 && (feature == 'a' || feature == 'f');
    if (read >= 1 && (target > sm || (exact && target != sm)))
      throw Fault{cu::kInvalidPtx, "the PTX is for sm_" + std::to_string(target) +
                                       (exact ? std::string(1, feature) : "") + ", the device is sm_" +
                                       std::to_string(sm)};
  }
  return target;
}

}  // namespace sim
