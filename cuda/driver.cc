// Loading libcuda and turning its answers into errors; see driver.h.
#include "driver.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

#include "engine/error.h"

namespace toolgrad::cuda {
namespace {

constexpr int kOldestDriver = 11040;  // R470: the first that accepts PTX 7.4

std::vector<std::string> candidates() {
  const char* named = std::getenv("TOOLGRAD_LIBCUDA");
  if (named != nullptr && *named != '\0') return {named};
  return {"libcuda.so.1", "libcuda.so"};
}

[[noreturn]] void no_cuda(const std::string& reason) {
  throw Error("ERR_NO_CUDA", "Expected a CUDA driver but " + reason);
}

}  // namespace

std::shared_ptr<const Driver> Driver::open() {
  static std::mutex mutex;
  static std::weak_ptr<const Driver> current;
  const std::lock_guard lock(mutex);
  if (auto driver = current.lock()) return driver;
  std::shared_ptr<Driver> driver(new Driver());
  driver->load();
  current = driver;
  return driver;
}

void Driver::load() {
  std::string answers;
  for (const std::string& name : candidates()) {
    library_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ != nullptr) {
      path_ = name;
      break;
    }
    const char* answer = ::dlerror();
    answers += (answers.empty() ? "" : "; ") + std::string(answer == nullptr ? name : answer);
  }
  if (library_ == nullptr) no_cuda("none could be loaded (" + answers + ")");
  std::string missing;
#define TOOLGRAD_CU_LOAD(member, symbol, parameters, required)                          \
  table_.member = reinterpret_cast<decltype(table_.member)>(::dlsym(library_, symbol)); \
  if (table_.member == nullptr && (required)) missing += std::string(missing.empty() ? "" : ", ") + (symbol);
  TOOLGRAD_CU_FUNCTIONS(TOOLGRAD_CU_LOAD)
#undef TOOLGRAD_CU_LOAD
  if (!missing.empty()) no_cuda(path_ + " lacks " + missing + "; it is older than CUDA 11.4 or no CUDA driver");
  const cu::Result started = table_.Init(0);
  if (started == cu::kNoDevice) no_cuda(path_ + " finds no GPU");
  if (started != cu::kSuccess) no_cuda(path_ + " did not start: " + text(started));
  check(table_.DriverGetVersion(&version_), "cuDriverGetVersion");
  if (version_ < kOldestDriver)
    no_cuda(path_ + " is of CUDA " + version_text() + "; the kernels need 11.4 or later (driver R470)");
}

Driver::~Driver() {
  // Never closed: drivers keep threads and exit handlers of their own.
}

std::string Driver::version_text() const {
  return std::to_string(version_ / 1000) + "." + std::to_string(version_ % 1000 / 10);
}

std::string Driver::text(cu::Result result) const {
  const char *name = nullptr, *sentence = nullptr;
  if (table_.GetErrorName(result, &name) != cu::kSuccess || name == nullptr) name = "unknown error";
  if (table_.GetErrorString(result, &sentence) != cu::kSuccess || sentence == nullptr) sentence = "no description";
  return std::string(name) + " (" + std::to_string(result) + "): " + sentence;
}

bool Driver::sticky(cu::Result result) {
  switch (result) {
    case cu::kIllegalAddress:
    case cu::kLaunchTimeout:
    case cu::kContextIsDestroyed:
    case cu::kAssert:
    case cu::kHardwareStackError:
    case cu::kIllegalInstruction:
    case cu::kMisalignedAddress:
    case cu::kInvalidAddressSpace:
    case cu::kInvalidPc:
    case cu::kLaunchFailed:
    case cu::kDeinitialized:
    case cu::kUnknown:
      return true;
    default:
      return result == 214;  // CUDA_ERROR_ECC_UNCORRECTABLE
  }
}

void Driver::check(cu::Result result, const std::string& what) const {
  if (result == cu::kSuccess) return;
  const std::string message = what + ": " + text(result);
  if (result == cu::kOutOfMemory) throw Error("ERR_OUT_OF_MEMORY", message);
  if (sticky(result))
    throw Error("ERR_DEVICE_LOST", message + "; nothing on the device can be used any more: restart the process");
  if (result == cu::kLaunchOutOfResources) throw Error("ERR_CUDA_LAUNCH", message);
  throw Error("ERR_CUDA", message);
}

}  // namespace toolgrad::cuda
