// The driver's state, the frame of every entry point, and what happens to the context when something fails.
#include "driver/driver.h"

#include <cstdio>
#include <cstdlib>
#include <new>

namespace sim {
namespace {

// How many texts a report keeps of a kind.
constexpr size_t kTexts = 100;

void say(const char* kind, const std::string& text) {
  std::fprintf(stderr, "cudasim: %s: %s\n", kind, text.c_str());
}

/// What stands between a thread and a call, or 0.
int obstacle(const Driver& driver, Needs needs) {
  if (driver.exiting) return cu::kDeinitialized;
  if (thread_state().in_host_function && needs != Needs::kNothing) return cu::kNotPermitted;
  if (needs == Needs::kNothing) return 0;
  if (!driver.initialised) return cu::kNotInitialized;
  if (needs == Needs::kInit) return 0;
  const ThreadState& thread = thread_state();
  if (thread.depth == 0 || thread.contexts[thread.depth - 1] == 0) return cu::kInvalidContext;
  if (driver.lost) return cu::kLaunchFailed;
  if (!driver.context.alive()) return cu::kContextIsDestroyed;
  return driver.context.sticky;
}

void remember_error(Driver& driver, const char* name, int code, const std::string& text) {
  const char* code_name = error_name(code);
  const std::string whole = std::string(name) + ": " + std::to_string(code) + " " +
                            (code_name == nullptr ? "" : code_name) + (text.empty() ? "" : ": " + text);
  if (driver.settings.verbose) say("call failed", whole);
  if (driver.statistics.errors.size() < kTexts)
    driver.statistics.errors.push_back(whole);
  else
    ++driver.statistics.errors_left_out;
}

}  // namespace

ThreadState& thread_state() {
  static thread_local ThreadState state;
  return state;
}

Driver& Driver::get() {
  static Driver* const driver = [] {
    auto* made = new Driver;  // never deleted: see driver.h
    made->settings_error = made->settings.read_environment();
    made->reseed();
    coverage();  // its own state must outlive the handler below, so it must exist before
    std::atexit(write_report_at_exit);
    return made;
  }();
  return *driver;
}

Result call(const char* name, Needs needs, const std::function<Result(Driver&, Lock&)>& body) {
  Driver& driver = Driver::get();
  Lock lock(driver.mutex);
  ++driver.statistics.calls[name];
  if (const int code = obstacle(driver, needs); code != 0) {
    remember_error(driver, name, code, code == driver.context.sticky ? driver.context.sticky_text : "");
    return code;
  }
  try {
    return body(driver, lock);
  } catch (const Fault& fault) {
    remember_error(driver, name, fault.code, fault.message);
    return fault.code;
  } catch (const std::bad_alloc&) {
    remember_error(driver, name, cu::kOutOfMemory, "the host has no memory");
    return cu::kOutOfMemory;
  }
}

void Driver::activate() {
  context.memory = std::make_unique<DeviceMemory>(settings.memory);
  context.pinned = std::make_unique<PinnedMemory>();
  context.legacy = std::make_shared<Stream>();
  context.active = {context.legacy};
  context.pool = PoolState{};
  context.sticky = 0;
  context.sticky_text.clear();
  context.references = 1;
  ++context.generation;
}

void Driver::deactivate() {
  statistics.leaks = leaks();
  for (const auto& stream : context.active) {
    statistics.discarded += stream->queue.size();
    stream->queue.clear();
    stream->capture = nullptr;
  }
  context.references = 0;
  context.captures.clear();
  context.active.clear();
  context.legacy = nullptr;
  context.streams.clear();
  context.events.clear();
  context.execs.clear();
  context.graphs.clear();
  context.functions.clear();
  context.function_handles.clear();
  context.modules.clear();  // their variables leave device memory here
  context.pool_blocks.clear();
  context.memory = nullptr;
  context.pinned = nullptr;
  changed.notify_all();
}

std::vector<Leak> Driver::leaks() const {
  std::vector<Leak> all = statistics.leaks;
  if (!context.alive()) return all;
  for (const Block* block : context.memory->live_blocks())
    if (block->note.rfind("cuMem", 0) == 0) all.push_back({block->number, block->bytes, block->note});
  for (const auto& [address, range] : context.pinned->ranges())
    all.push_back({range.number, range.bytes, range.registered() ? "cuMemHostRegister" : "cuMemHostAlloc"});
  return all;
}

void Driver::fail(int code, const std::string& text) {
  const int sticky = is_sticky(code) ? code : cu::kIllegalAddress;
  context.sticky = sticky;
  context.sticky_text = text;
  say("fault", text);
  if (statistics.faults.size() < kTexts) statistics.faults.push_back(text);
  for (const auto& stream : context.active) {
    statistics.discarded += stream->queue.size();
    stream->queue.clear();
    stream->passed = stream->last;
  }
  changed.notify_all();
  throw Fault{sticky, text};
}

void Driver::defect(const std::string& text) {
  say("defect", text);
  if (statistics.defects.size() < kTexts) statistics.defects.push_back(text);
}

uint64_t Driver::random(uint64_t below) {
  random_state += 0x9e3779b97f4a7c15ull;
  uint64_t z = random_state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return (z ^ (z >> 31)) % below;
}

void require_pointer(const void* pointer, const char* name) {
  if (pointer == nullptr) throw Fault{cu::kInvalidValue, std::string(name) + " is null"};
}

void require_device(cu::Device device) {
  if (device != 0) throw Fault{cu::kInvalidDevice, "the simulator has one device, number 0"};
}

void check_device_range(const DeviceMemory& memory, uint64_t address, size_t bytes, const char* what) {
  const Block* block = memory.find(address);
  const std::string range =
      std::string(what) + " of " + std::to_string(bytes) + " bytes at " + memory.describe(address);
  if (block == nullptr) throw Fault{cu::kInvalidValue, range + ": not device memory"};
  if (!block->live) throw Fault{cu::kInvalidValue, range + ": freed memory"};
  if (bytes > block->bytes - (address - block->base)) throw Fault{cu::kInvalidValue, range + ": runs past its end"};
}

}  // namespace sim
