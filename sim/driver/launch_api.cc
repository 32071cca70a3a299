// Entry points: kernel launches and host functions.
//
// A launch is checked as a whole at the call, and its parameters are copied there; only what the kernel does comes later.
#include <cstring>

#include "driver/driver.h"

namespace sim {
namespace {

struct Shape {
  unsigned grid[3], block[3];
  unsigned shared;
};

[[noreturn]] void refuse(int code, const KernelFacts& kernel, const std::string& text) {
  throw Fault{code, kernel.name + ": " + text};
}

std::string numbers(const unsigned (&n)[3]) {
  return std::to_string(n[0]) + " x " + std::to_string(n[1]) + " x " + std::to_string(n[2]);
}

void check_shape(const Driver& d, const Function& function, const Shape& shape) {
  const KernelFacts& kernel = facts(*function.kernel);
  const auto& grid = shape.grid;
  const auto& block = shape.block;
  for (int i = 0; i < 3; ++i)
    if (grid[i] == 0 || block[i] == 0)
      refuse(cu::kInvalidValue, kernel, "an empty launch: grid " + numbers(grid) + ", block " + numbers(block));
  if (grid[0] > 0x7fffffffu || grid[1] > 65535 || grid[2] > 65535)
    refuse(cu::kInvalidValue, kernel, "grid " + numbers(grid) + " is beyond 2147483647 x 65535 x 65535");
  const uint64_t threads = uint64_t{block[0]} * block[1] * block[2];
  if (block[0] > 1024 || block[1] > 1024 || block[2] > 64 || threads > kThreadsPerBlock)
    refuse(cu::kInvalidValue, kernel, "block " + numbers(block) + " is beyond 1024 x 1024 x 64 or 1024 threads");
  if (threads > static_cast<uint64_t>(kernel.max_threads))
    refuse(cu::kInvalidValue, kernel,
           "block " + numbers(block) + " has more than the " + std::to_string(kernel.max_threads) +
               " threads of its .maxntid");
  const size_t shared = kernel.static_shared_bytes + shape.shared;
  const std::string bytes = std::to_string(shape.shared) + " bytes of dynamic and " +
                            std::to_string(kernel.static_shared_bytes) + " of static shared memory";
  if (shared > static_cast<size_t>(d.sheet().shared_optin))
    refuse(cu::kInvalidValue, kernel,
           bytes + "; the device has " + std::to_string(d.sheet().shared_optin) + " a block");
  if (shape.shared > function.max_dynamic_shared)
    refuse(cu::kInvalidValue, kernel,
           bytes + "; cuFuncSetAttribute(MAX_DYNAMIC_SHARED_SIZE_BYTES) allows " +
               std::to_string(function.max_dynamic_shared) + " dynamic");
}

/// The bytes that `extra` points at: a list of CU_LAUNCH_PARAM_BUFFER_POINTER (1), _SIZE (2) and their values, to _END (0).
std::vector<std::byte> parameters_of_extra(const KernelFacts& kernel, void** extra) {
  const void* buffer = nullptr;
  const size_t* bytes = nullptr;
  for (; *extra != nullptr; extra += 2) {
    const uintptr_t name = reinterpret_cast<uintptr_t>(extra[0]);
    if (name == 1)
      buffer = extra[1];
    else if (name == 2)
      bytes = static_cast<const size_t*>(extra[1]);
    else
      refuse(cu::kInvalidValue, kernel, "unknown launch parameter " + std::to_string(name) + " in extra");
  }
  if (buffer == nullptr || bytes == nullptr || *bytes != kernel.parameter_bytes)
    refuse(cu::kInvalidValue, kernel,
           "extra must hold a buffer of " + std::to_string(kernel.parameter_bytes) + " bytes and its size");
  const auto* begin = static_cast<const std::byte*>(buffer);
  return {begin, begin + *bytes};
}

std::vector<std::byte> copied_parameters(const KernelFacts& kernel, void** parameters, void** extra) {
  if (parameters != nullptr && extra != nullptr)
    refuse(cu::kInvalidValue, kernel, "both parameters and extra are given");
  if (extra != nullptr) return parameters_of_extra(kernel, extra);
  std::vector<std::byte> bytes(kernel.parameter_bytes);
  if (!kernel.parameters.empty() && parameters == nullptr)
    refuse(cu::kInvalidValue, kernel, "takes " + std::to_string(kernel.parameters.size()) + " parameters, none given");
  for (size_t i = 0; i < kernel.parameters.size(); ++i) {
    if (parameters[i] == nullptr)
      refuse(cu::kInvalidValue, kernel, "the pointer to parameter " + std::to_string(i) + " is null");
    std::memcpy(bytes.data() + kernel.parameters[i].first, parameters[i], kernel.parameters[i].second);
  }
  return bytes;
}

}  // namespace

namespace api {

Result LaunchKernel(Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                    unsigned block_y, unsigned block_z, unsigned shared_bytes, Stream stream, void** parameters,
                    void** extra) {
  return call("cuLaunchKernel", Needs::kContext, [&](Driver& d, Lock&) {
    const std::shared_ptr<sim::Function> entry = d.context.functions.get(function);
    const std::shared_ptr<sim::Stream> queue = d.stream(stream);
    check_shape(d, *entry, {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes});
    KernelWork work;
    work.module = entry->module;
    work.launch.kernel = entry->kernel;
    work.launch.grid[0] = grid_x, work.launch.grid[1] = grid_y, work.launch.grid[2] = grid_z;
    work.launch.block[0] = block_x, work.launch.block[1] = block_y, work.launch.block[2] = block_z;
    work.launch.dynamic_shared_bytes = shared_bytes;
    work.launch.parameters = copied_parameters(facts(*entry->kernel), parameters, extra);
    d.submit(*queue, std::move(work));
    return kSuccess;
  });
}

Result LaunchHostFunc(Stream stream, HostFn function, void* data) {
  return call("cuLaunchHostFunc", Needs::kContext, [&](Driver& d, Lock&) {
    if (function == nullptr) throw Fault{kInvalidValue, "the function is null"};
    const std::shared_ptr<sim::Stream> queue = d.stream(stream);
    HostWork work;
    work.function = function;
    work.data = data;
    const uint64_t sequence = d.submit(*queue, std::move(work));
    if (sequence != 0) run_soon(d, queue, sequence);
    return kSuccess;
  });
}

}  // namespace api
}  // namespace sim
