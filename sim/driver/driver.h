// The simulated driver: one per process, one lock, never destroyed (other threads may be in it while the process exits).
//
// An entry point is `return call("cuX", Needs::kContext, [&](Driver& d, Lock& lock) {…})`. The body runs under the lock
// and returns a result or throws Fault. Queued work runs inside run_until() only, on the thread that forces it and under
// the lock; while host functions run, the lock is free, so whatever a body looked up before run_until() may be gone after.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "driver/context.h"
#include "driver/device_numbers.h"
#include "driver/settings.h"

namespace sim {

using cu::Result;
using Lock = std::unique_lock<std::mutex>;

struct Leak {
  uint64_t number = 0;
  size_t bytes = 0;
  std::string note;
};

/// What the report tells.
struct Statistics {
  std::map<std::string, uint64_t> calls;
  std::map<std::string, Counters> kernels;
  std::vector<std::string> faults, defects, errors;
  uint64_t errors_left_out = 0;  // `errors` holds the first hundred
  uint64_t launches = 0, allocations = 0, discarded = 0;
  size_t peak_bytes = 0;
  std::vector<Leak> leaks;  // of contexts that are gone
};

enum class Needs { kNothing, kInit, kContext };

struct Driver {
  std::mutex mutex;
  std::condition_variable changed;  // a host function ended
  std::string settings_error;       // of the environment
  Settings settings;
  Context context;
  Statistics statistics;
  bool initialised = false;
  bool lost = false;           // the device, by injection
  bool exiting = false;        // the report is written; every call answers "deinitialised"
  uint64_t sequence = 0;       // of operations
  uint64_t launch_number = 0;  // since failures were set
  uint64_t allocation_number = 0;
  uint64_t captured_number = 0, graph_number = 0;
  uint64_t random_state = 0;
  int running_host_functions = 0;

  static Driver& get();

  // driver.cc
  void activate();                                            // the context: memory and tables
  void deactivate();                                          // discards its work and everything in it
  [[noreturn]] void fail(int code, const std::string& text);  // sticky; discards all queued work
  void defect(const std::string& text);                       // of the program: stderr and report
  /// What the program has not freed, of contexts that are gone and of the one that is alive; not the modules' variables.
  std::vector<Leak> leaks() const;
  void reseed() { random_state = settings.seed; }
  uint64_t random(uint64_t below);
  const DeviceSheet& sheet() const { return device_sheet(settings.sm); }

  // submit.cc
  std::shared_ptr<Stream> stream(cu::Stream handle);
  uint64_t submit(Stream& stream, Work work, std::vector<Dependency> after = {});  // the sequence; 0 when captured
  void check_launch_error(uint64_t launches);  // the injected error of the next launches
  /// Throws 900 and invalidates captures when a call that a capture forbids is made.
  void refuse_during_capture(const char* what);
  /// Throws 906 and invalidates the capture when a blocking stream is captured: the legacy stream would wait for it.
  void refuse_legacy_during_capture();
  /// Throws 900 and invalidates the capture of this stream, if any.
  void refuse_if_capturing(Stream& stream, const char* what);
  /// Takes it off its streams.
  void end_capture(const std::shared_ptr<Capture>& capture);
  bool queued(const std::function<bool(const Work&)>& matches) const;  // any work, of graphs too

  // schedule.cc
  /// Runs queued work until `done`. `wanted` is the stream that the caller waits for, null for all.
  void run_until(Lock& lock, const std::function<bool()>& done, const Stream* wanted);
  void run_all(Lock& lock);
  /// For polls: a few steps. Whether it was done before them.
  bool poll(Lock& lock, const std::function<bool()>& done, const Stream* wanted);

  // perform.cc
  /// Runs (part of) an operation. Whether it is over. Throws Fault.
  bool perform(Operation& operation);

 private:
  enum class Policy { kDemand, kRandom, kOthersFirst };
  Policy choose_policy();
  Stream* pick(const Stream* wanted, Policy policy);
  bool step(const Stream* wanted, Policy policy);
  bool perform_node(Work& work, uint64_t number);
  bool perform_graph(GraphWork& work);
  void launch_kernel(const KernelWork& work, uint64_t number);
};

/// What a thread remembers between calls.
struct ThreadState {
  bool in_host_function = false;
  uint64_t contexts[16] = {};
  int depth = 0;
  int capture_mode = 0;                        // cuThreadExchangeStreamCaptureMode
  uint64_t stream = 0, stream_generation = 0;  // CU_STREAM_PER_THREAD
};
ThreadState& thread_state();

Result call(const char* name, Needs needs, const std::function<Result(Driver&, Lock&)>& body);

bool is_sticky(int code);
const char* error_name(int code);  // null for a code that CUDA does not have
const char* error_text(int code);

/// Both throw Fault: 1 for a null pointer, 101 for a device that is not there.
void require_pointer(const void* pointer, const char* name);
void require_device(cu::Device device);

/// Throws Fault (1) unless [address, address + bytes) lies in one live block.
void check_device_range(const DeviceMemory& memory, uint64_t address, size_t bytes, const char* what);

// host_thread.cc
/// Runs a host function on its own thread; sets finished and notifies under the lock.
void start_host_function(Driver& driver, const HostWork& work);
/// Makes another thread run the stream up to `sequence` soon, since nobody may wait for what follows a host function.
void run_soon(Driver& driver, const std::shared_ptr<Stream>& stream, uint64_t sequence);

// report.cc
std::string report_json(Driver& driver);
void write_report_at_exit();

}  // namespace sim
