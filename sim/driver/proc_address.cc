// cuGetProcAddress: entry points by the name that programs write, without the suffix of the version.
#include <cstring>

#include "driver/driver.h"

namespace sim {
namespace {

struct Entry {
  const char* symbol;
  void* function;
};

const Entry kEntries[] = {
#define SIM_ENTRY(member, symbol, parameters, required) {symbol, reinterpret_cast<void*>(&api::member)},
    TOOLGRAD_CU_FUNCTIONS(SIM_ENTRY) SIM_EXTRA_FUNCTIONS(SIM_ENTRY)
#undef SIM_ENTRY
};

/// Versions in which today's signature of a versioned entry point came, where an older program would mean another one.
struct Since {
  const char* symbol;
  int version;
};
constexpr Since kSince[] = {{"cuGraphExecUpdate_v2", 12000},
                            {"cuStreamBeginCapture_v2", 10010},
                            {"cuGraphInstantiateWithFlags", 11040},
                            {"cuGetProcAddress_v2", 12000},
                            {"cuEventElapsedTime_v2", 12080}};

std::string without_version(const std::string& symbol) {
  const size_t at = symbol.rfind("_v");
  return at != std::string::npos && at + 3 == symbol.size() ? symbol.substr(0, at) : symbol;
}

int since(const char* symbol) {
  for (const Since& entry : kSince)
    if (std::strcmp(entry.symbol, symbol) == 0) return entry.version;
  return 4000;  // all "_v2" of the first 64-bit interface
}

}  // namespace

namespace api {

Result GetProcAddress(const char* symbol, void** function, int version, unsigned long long flags, int* status) {
  return call("cuGetProcAddress_v2", Needs::kNothing, [&](Driver&, Lock&) {
    require_pointer(symbol, "symbol");
    require_pointer(function, "function");
    if (flags > 2) throw Fault{kInvalidValue, "unknown flags"};
    constexpr int kFound = 0, kNoSymbol = 1, kTooOld = 2;
    // Since CUDA 12 this name means the function with flags.
    const std::string name = std::strcmp(symbol, "cuGraphInstantiate") == 0 && version >= 12000
                                 ? "cuGraphInstantiateWithFlags"
                                 : std::string(symbol);
    int answer = kNoSymbol;
    *function = nullptr;
    constexpr unsigned long long kPerThreadStream = 2;
    if (flags != kPerThreadStream)  // entry points of per-thread default streams are not there
      for (const Entry& entry : kEntries)
        if (name == without_version(entry.symbol)) {
          const bool old = version < since(entry.symbol);
          if (old && answer == kNoSymbol) answer = kTooOld;
          if (!old) *function = entry.function, answer = kFound;  // of several versions the newest that fits
        }
    if (status != nullptr) *status = answer;
    if (answer != kFound)
      throw Fault{kNotFound, name + (answer == kTooOld ? " in so old a version" : " is not simulated")};
    return kSuccess;
  });
}

}  // namespace api
}  // namespace sim
