// Entry points: modules, functions, occupancy.
#include <algorithm>
#include <cstring>

#include "driver/driver.h"
#include "driver/image.h"

namespace sim {
namespace {

constexpr int kLastJitOption = 34;  // of CUDA 13.0

/// The log buffers that a program hands in with the options, and their sizes, which the driver writes back.
class JitLogs {
 public:
  JitLogs(unsigned options, const cu::JitOption* names, void** values) {
    if (options > 0 && (names == nullptr || values == nullptr))
      throw Fault{cu::kInvalidValue, "options without values"};
    for (unsigned i = 0; i < options; ++i) {
      const int name = names[i];
      if (name < 0 || name > kLastJitOption)
        throw Fault{cu::kInvalidValue, "unknown JIT option " + std::to_string(name)};
      if (name == cu::kJitInfoLogBuffer) info_.buffer = static_cast<char*>(values[i]);
      if (name == cu::kJitErrorLogBuffer) error_.buffer = static_cast<char*>(values[i]);
      if (name == cu::kJitInfoLogBufferSizeBytes) info_.size = &values[i];
      if (name == cu::kJitErrorLogBufferSizeBytes) error_.size = &values[i];
    }
  }
  void write_info(const std::string& text) { info_.write(text); }
  void write_error(const std::string& text) { error_.write(text); }

 private:
  struct Log {
    char* buffer = nullptr;
    void** size = nullptr;  // the value itself is the number, in a pointer's place
    void write(const std::string& text) {
      if (buffer == nullptr || size == nullptr) return;
      const size_t room = static_cast<unsigned>(reinterpret_cast<uintptr_t>(*size));
      if (room == 0) return;
      const size_t bytes = std::min(text.size(), room - 1);
      std::memcpy(buffer, text.data(), bytes);
      buffer[bytes] = '\0';
      *size = reinterpret_cast<void*>(bytes + 1);
    }
  };
  Log info_, error_;
};

std::shared_ptr<LoadedModule> load_module(Driver& d, const void* image, JitLogs& logs) {
  std::string log;
  try {
    const std::string ptx = ptx_text(image);
    auto loaded = std::make_shared<LoadedModule>();
    loaded->target = check_ptx_header(ptx, d.settings.driver_version, d.settings.sm);
    loaded->module = Module::load(ptx, *d.context.memory, &log);
    logs.write_info(log);
    logs.write_error("");
    return loaded;
  } catch (const Fault& fault) {
    logs.write_info("");
    logs.write_error(log.empty() ? fault.message : log);
    throw;
  }
}

Result load(const char* name, cu::Module* module, const void* image, unsigned options, cu::JitOption* names,
            void** values) {
  return call(name, Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(module, "module");
    require_pointer(image, "image");
    d.refuse_during_capture(name);
    JitLogs logs(options, names, values);
    *module = to_handle<cu::Module>(d.context.modules.add(load_module(d, image, logs)));
    return cu::kSuccess;
  });
}

int blocks_of(const Driver& d, const Function& function, int block_size, size_t dynamic_shared) {
  const DeviceSheet& sheet = d.sheet();
  const KernelFacts& kernel = facts(*function.kernel);
  const int warps = (block_size + 31) / 32;
  const int by_threads = sheet.threads_per_sm / (warps * 32);
  const size_t shared = kernel.static_shared_bytes + dynamic_shared;
  const int by_shared = static_cast<int>(static_cast<size_t>(sheet.shared_per_sm) / (shared + kSharedReserved));
  const int registers = (std::clamp(kernel.registers, 16, 255) + 7) / 8 * 8;  // allotted in units of 8 a thread
  const int by_registers = kRegistersPerSm / (registers * 32) / warps;
  return std::max(0, std::min({by_threads, by_shared, by_registers, sheet.blocks_per_sm}));
}

}  // namespace

namespace api {

Result ModuleLoadDataEx(Module* module, const void* image, unsigned options, JitOption* names, void** values) {
  return load("cuModuleLoadDataEx", module, image, options, names, values);
}

Result ModuleLoadData(Module* module, const void* image) {
  return load("cuModuleLoadData", module, image, 0, nullptr, nullptr);
}

Result ModuleUnload(Module module) {
  return call("cuModuleUnload", Needs::kContext, [&](Driver& d, Lock&) {
    const std::shared_ptr<LoadedModule> loaded = d.context.modules.get(module);
    d.refuse_during_capture("cuModuleUnload");
    loaded->unloaded = true;
    if (d.queued([&](const Work& work) {
          const auto* kernel = std::get_if<KernelWork>(&work);
          return kernel != nullptr && kernel->module == loaded;
        }))
      d.defect("cuModuleUnload: launches of the module's kernels are still queued");
    const uint64_t handle = from_handle(module);
    auto& names = d.context.function_handles;
    for (auto it = names.lower_bound({handle, ""}); it != names.end() && it->first.first == handle;) {
      d.context.functions.remove(to_handle<Function>(it->second));
      it = names.erase(it);
    }
    d.context.modules.remove(module);
    return kSuccess;
  });
}

Result ModuleGetFunction(Function* function, Module module, const char* name) {
  return call("cuModuleGetFunction", Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(function, "function");
    require_pointer(name, "name");
    const std::shared_ptr<LoadedModule> loaded = d.context.modules.get(module);
    const auto key = std::make_pair(from_handle(module), std::string(name));
    auto found = d.context.function_handles.find(key);
    if (found == d.context.function_handles.end()) {
      const Kernel* kernel = loaded->module->find(name);
      if (kernel == nullptr) throw Fault{kNotFound, "the module has no entry \"" + std::string(name) + "\""};
      auto made = std::make_shared<sim::Function>();
      made->module = loaded;
      made->kernel = kernel;
      const size_t fixed = facts(*kernel).static_shared_bytes;
      made->max_dynamic_shared = fixed < size_t{kSharedBytes} ? kSharedBytes - fixed : 0;
      found = d.context.function_handles.emplace(key, d.context.functions.add(std::move(made))).first;
    }
    *function = to_handle<Function>(found->second);
    return kSuccess;
  });
}

Result FuncGetAttribute(int* value, FunctionAttribute attribute, Function function) {
  return call("cuFuncGetAttribute", Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(value, "value");
    const std::shared_ptr<sim::Function> entry = d.context.functions.get(function);
    const KernelFacts& kernel = facts(*entry->kernel);
    switch (attribute) {
      case kFuncMaxThreadsPerBlock:
        *value = std::min(kernel.max_threads, kThreadsPerBlock);
        break;
      case kFuncSharedSizeBytes:
        *value = static_cast<int>(kernel.static_shared_bytes);
        break;
      case kFuncConstSizeBytes:
        *value = static_cast<int>(kernel.const_bytes);
        break;
      case kFuncLocalSizeBytes:
        *value = static_cast<int>(kernel.local_bytes);
        break;
      case kFuncNumRegs:
        *value = std::min(kernel.registers, 255);
        break;
      case kFuncPtxVersion:
        *value = entry->module->target;
        break;
      case kFuncBinaryVersion:
        *value = d.settings.sm;
        break;
      case kFuncMaxDynamicSharedSizeBytes:
        *value = static_cast<int>(entry->max_dynamic_shared);
        break;
      default:
        throw Fault{kInvalidValue, "attribute " + std::to_string(attribute) + " is not simulated"};
    }
    return kSuccess;
  });
}

Result FuncSetAttribute(Function function, FunctionAttribute attribute, int value) {
  return call("cuFuncSetAttribute", Needs::kContext, [&](Driver& d, Lock&) {
    const std::shared_ptr<sim::Function> entry = d.context.functions.get(function);
    if (attribute != kFuncMaxDynamicSharedSizeBytes)
      throw Fault{kInvalidValue, "attribute " + std::to_string(attribute) + " cannot be set here"};
    const int64_t room = d.sheet().shared_optin - static_cast<int64_t>(facts(*entry->kernel).static_shared_bytes);
    if (value < 0 || value > room)
      throw Fault{kInvalidValue, facts(*entry->kernel).name + ": " + std::to_string(value) +
                                     " bytes of dynamic shared memory, the device allows " + std::to_string(room)};
    entry->max_dynamic_shared = static_cast<size_t>(value);
    return kSuccess;
  });
}

Result OccupancyMaxActiveBlocks(int* blocks, Function function, int block_size, size_t dynamic_shared) {
  return call("cuOccupancyMaxActiveBlocksPerMultiprocessor", Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(blocks, "blocks");
    const std::shared_ptr<sim::Function> entry = d.context.functions.get(function);
    if (block_size <= 0) throw Fault{kInvalidValue, "the block size must be positive"};
    const int largest = std::min(facts(*entry->kernel).max_threads, kThreadsPerBlock);
    const bool fits = block_size <= largest && dynamic_shared <= entry->max_dynamic_shared;
    *blocks = fits ? blocks_of(d, *entry, block_size, dynamic_shared) : 0;
    return kSuccess;
  });
}

}  // namespace api
}  // namespace sim
