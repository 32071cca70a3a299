// Runs operations over the simulated memory. Whatever goes wrong here went wrong on the device: it is sticky.
#include <chrono>

#include "driver/driver.h"

namespace sim {
namespace {

template <class... F>
struct Cases : F... {
  using F::operator()...;
};
template <class... F>
Cases(F...) -> Cases<F...>;

void check_host_side(const Driver& driver, const HostSide& side, const char* what) {
  if (side.pinned != 0 && !driver.context.pinned->alive(side.pinned))
    throw Fault{cu::kIllegalAddress, std::string(what) +
                                         ": its page-locked host memory was freed or unregistered "
                                         "before the copy ran"};
}

double host_milliseconds() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void Driver::launch_kernel(const KernelWork& work, uint64_t number) {
  const std::string& name = facts(*work.launch.kernel).name;
  if (work.module->unloaded) throw Fault{cu::kLaunchFailed, name + ": its module was unloaded before it ran"};
  if (settings.fail.lost != 0 && number == settings.fail.lost) {
    lost = true;
    throw Fault{cu::kLaunchFailed, name + ": device lost at launch " + std::to_string(number) + " (injected)"};
  }
  if (settings.fail.launch != 0 && number == settings.fail.launch)
    throw Fault{cu::kLaunchFailed, name + ": launch " + std::to_string(number) + " failed (injected)"};
  Options options;
  // Every launch has an order of its own.
  options.seed = settings.seed == 0 ? 0 : 1 + random(UINT64_MAX - 1);
  options.checks = settings.checks;
  options.coverage = !settings.coverage.empty();
  options.threads = settings.threads;
  if (settings.mma) options.tensor = tensor_sums_of(settings.sm);
  ++statistics.launches;
  execute(work.launch, *context.memory, options, &statistics.kernels[name]);
}

bool Driver::perform_node(Work& work, uint64_t number) {
  DeviceMemory& memory = *context.memory;
  return std::visit(Cases{
                        [&](KernelWork& kernel) {
                          launch_kernel(kernel, number);
                          return true;
                        },
                        [&](UploadWork& upload) {
                          if (upload.staged == nullptr) check_host_side(*this, upload.from, "copy to the device");
                          memory.write(upload.to,
                                       upload.staged == nullptr ? upload.from.pointer : upload.staged->data(),
                                       upload.bytes);
                          return true;
                        },
                        [&](DownloadWork& download) {
                          check_host_side(*this, download.to, "copy to the host");
                          memory.read(download.to.pointer, download.from, download.bytes);
                          return true;
                        },
                        [&](CopyWork& copy) {
                          memory.copy(copy.to, copy.from, copy.bytes);
                          return true;
                        },
                        [&](FillWork& fill) {
                          memory.fill(fill.to, &fill.value, fill.width, fill.count);
                          return true;
                        },
                        [&](HostWork& host) {
                          if (host.state->finished) return true;
                          start_host_function(*this, host);
                          return false;
                        },
                        [&](FreeWork& release) {
                          context.pool.used -= context.pool_blocks.at(release.base).bytes;
                          context.pool_blocks.erase(release.base);
                          memory.release(release.base);
                          return true;
                        },
                        [&](MarkWork& mark) {
                          mark.record->milliseconds = host_milliseconds();
                          return true;
                        },
                        [&](WaitWork&) { return true; },
                        [&](GraphWork& graph) { return perform_graph(graph); },
                    },
                    work);
}

bool Driver::perform_graph(GraphWork& work) {
  std::vector<size_t> ready;
  uint64_t number = work.first_number;
  std::vector<uint64_t> numbers(work.done.size());
  for (size_t i = 0; i < work.done.size(); ++i) {
    const GraphNode& node = work.body->nodes[i];
    const auto* host = std::get_if<HostWork>(&node.work);
    if (std::holds_alternative<KernelWork>(node.work)) numbers[i] = number++;
    bool runnable = !work.done[i] && (host == nullptr || !host->state->started || host->state->finished);
    for (size_t before : node.after) runnable = runnable && work.done[before];
    if (runnable) ready.push_back(i);
  }
  if (!ready.empty()) {
    // The newest branch first is as legal as any other order, and unlike the one that the program was written in.
    const size_t at = settings.seed == 0 ? ready.back() : ready[random(ready.size())];
    if (perform_node(work.body->nodes[at].work, numbers[at])) work.done[at] = true;
  }
  for (const bool done : work.done)
    if (!done) return false;
  return true;
}

bool Driver::perform(Operation& operation) {
  try {
    const auto* kernel = std::get_if<KernelWork>(&operation.work);
    return perform_node(operation.work, kernel == nullptr ? 0 : kernel->number);
  } catch (const Fault& fault) {
    fail(fault.code, fault.message);
  } catch (const std::bad_alloc&) {
    fail(cu::kLaunchFailed, "the host ran out of memory while it simulated the device");
  }
}

}  // namespace sim
