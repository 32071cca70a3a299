// The simulated driver's strictness: start, contexts, handles, modules, launches, memory, injected failures.
#include <cstdint>
#include <cstring>
#include <thread>

#include "driver_calls.h"

namespace {

using namespace sim::test;

void before_start() {
  const Calls& c = calls();
  int count = 0;
  cu::Context context = nullptr;
  cu::DevicePtr pointer = 0;
  expect(c.DeviceGetCount(&count), cu::kNotInitialized, "cuDeviceGetCount before cuInit");
  expect(c.DevicePrimaryCtxRetain(&context, 0), cu::kNotInitialized, "retain before cuInit");
  expect(c.MemAlloc(&pointer, 4), cu::kNotInitialized, "cuMemAlloc before cuInit");
  const char* name = nullptr;
  succeeds(c.GetErrorName(cu::kIllegalAddress, &name), "error name before cuInit");
  check(name != nullptr && std::strcmp(name, "CUDA_ERROR_ILLEGAL_ADDRESS") == 0, "the name of 700");
  expect(c.GetErrorName(12345, &name), cu::kInvalidValue, "no name for an unknown code");
  check(name == nullptr, "an unknown code has a null name");
  expect(c.Init(1), cu::kInvalidValue, "cuInit with flags");
  succeeds(c.Init(0), "cuInit");
}

void devices() {
  const Calls& c = calls();
  int value = 0;
  cu::Device device = -1;
  succeeds(c.DeviceGet(&device, 0), "device 0");
  expect(c.DeviceGet(&device, 1), cu::kInvalidDevice, "device 1");
  succeeds(c.DeviceGetAttribute(&value, cu::kComputeCapabilityMajor, 0), "attribute");
  check(value == 8, "the default device has compute capability 8.0");
  expect(c.DeviceGetAttribute(&value, static_cast<cu::DeviceAttribute>(9999), 0), cu::kInvalidValue,
         "no attribute 9999");
  char name[64];
  succeeds(c.DeviceGetName(name, sizeof name, 0), "name");
  check(std::string(name) == "Simulated A100 (cudasim)", std::string("the name: ") + name);
  char few[4];
  succeeds(c.DeviceGetName(few, sizeof few, 0), "name, cut");
  check(std::string(few) == "Sim", "a short buffer gets what fits, with its end");
  succeeds(c.DriverGetVersion(&value), "version");
  check(value == 13000, "the default driver version");
  expect(c.set("sm", "87"), 1, "there is no sheet of sm_87");
  expect(c.set("speed", "1"), 1, "an unknown setting");
  struct Card {
    const char* sm;
    int major, minor, optin;
  };
  for (const Card& card : {Card{"86", 8, 6, 101376}, Card{"89", 8, 9, 101376}, Card{"90", 9, 0, 232448},
                           Card{"120", 12, 0, 101376}, Card{"80", 8, 0, 166912}}) {
    succeeds(c.set("sm", card.sm), "choose a device");
    int major = 0, minor = 0, optin = 0;
    c.DeviceGetAttribute(&major, cu::kComputeCapabilityMajor, 0);
    c.DeviceGetAttribute(&minor, cu::kComputeCapabilityMinor, 0);
    c.DeviceGetAttribute(&optin, cu::kMaxSharedMemoryPerBlockOptin, 0);
    check(major == card.major && minor == card.minor && optin == card.optin, std::string("the sheet of sm_") + card.sm);
  }
}

void contexts() {
  const Calls& c = calls();
  cu::DevicePtr pointer = 0;
  cu::Context first = nullptr, second = nullptr;
  expect(c.MemAlloc(&pointer, 4), cu::kInvalidContext, "no current context");
  expect(c.DevicePrimaryCtxRelease(0), cu::kInvalidContext, "release without retain");
  succeeds(c.DevicePrimaryCtxRetain(&first, 0), "retain");
  succeeds(c.DevicePrimaryCtxRetain(&second, 0), "retain again");
  check(first == second, "the primary context is one");
  expect(c.MemAlloc(&pointer, 4), cu::kInvalidContext, "retained, but not current");
  expect(c.CtxSetCurrent(reinterpret_cast<cu::Context>(0x1234)), cu::kInvalidContext, "not a context");
  succeeds(c.CtxSetCurrent(first), "set current");
  succeeds(c.MemAlloc(&pointer, 4), "current");
  std::thread([&] {
    cu::DevicePtr other = 0;
    expect(c.MemAlloc(&other, 4), cu::kInvalidContext, "current is a thread's own");
    succeeds(c.CtxPushCurrent(first), "push");
    succeeds(c.MemAlloc(&other, 4), "pushed");
    succeeds(c.CtxPopCurrent(nullptr), "pop");
    expect(c.MemAlloc(&other, 4), cu::kInvalidContext, "popped");
  }).join();
  expect(c.set("sm", "90"), cu::kIllegalState, "the device cannot change under a context");
  succeeds(c.DevicePrimaryCtxRelease(0), "release one of two");
  succeeds(c.MemFree(pointer), "the context lives until the last release");
  succeeds(c.DevicePrimaryCtxRelease(0), "release the last");
  expect(c.MemAlloc(&pointer, 4), cu::kContextIsDestroyed, "the current context is gone");
  succeeds(c.CtxSetCurrent(nullptr), "no current context");
  unsigned flags = 0;
  int active = 1;
  succeeds(c.DevicePrimaryCtxGetState(0, &flags, &active), "state");
  check(active == 0, "the primary context is inactive after its last release");
  succeeds(c.DevicePrimaryCtxRetain(&first, 0), "retain");
  succeeds(c.CtxSetCurrent(first), "set current");
  const cu::DevicePtr before = pointer;
  succeeds(c.MemAlloc(&pointer, 4), "allocate");
  succeeds(c.DevicePrimaryCtxReset(0), "reset");
  expect(c.MemFree(before), cu::kContextIsDestroyed, "a reset destroys the context");
  succeeds(c.DevicePrimaryCtxRetain(&first, 0), "retain");
  expect(c.MemFree(pointer), cu::kInvalidValue, "memory of the context before is gone");
  succeeds(c.DevicePrimaryCtxRelease(0), "release");
  succeeds(c.CtxSetCurrent(nullptr), "no current context");
}

void handles() {
  const Calls& c = calls();
  Session session;
  const auto junk = reinterpret_cast<void*>(0x7fff12345678);
  expect(c.StreamSynchronize(reinterpret_cast<cu::Stream>(junk)), cu::kInvalidHandle, "not a stream");
  expect(c.EventQuery(reinterpret_cast<cu::Event>(junk)), cu::kInvalidHandle, "not an event");
  expect(c.ModuleUnload(reinterpret_cast<cu::Module>(junk)), cu::kInvalidHandle, "not a module");
  expect(c.GraphLaunch(reinterpret_cast<cu::GraphExec>(junk), nullptr), cu::kInvalidHandle, "not a graph");
  expect(launch(reinterpret_cast<cu::Function>(junk), 0, 0, nullptr), cu::kInvalidHandle, "not a function");
  const cu::Stream stream = session.stream();
  expect(c.EventQuery(reinterpret_cast<cu::Event>(stream)), cu::kInvalidHandle, "a stream is not an event");
  succeeds(c.StreamDestroy(stream), "destroy");
  expect(c.StreamDestroy(stream), cu::kInvalidHandle, "destroy twice");
  expect(c.StreamSynchronize(stream), cu::kInvalidHandle, "a destroyed stream");
  expect(c.StreamDestroy(nullptr), cu::kInvalidHandle, "the legacy stream cannot be destroyed");
  const cu::Event event = session.event();
  succeeds(c.EventDestroy(event), "destroy");
  expect(c.EventRecord(event, nullptr), cu::kInvalidHandle, "a destroyed event");
  const cu::Function add = session.function("add");
  succeeds(c.ModuleUnload(session.module), "unload");
  expect(launch(add, 0, 0, nullptr), cu::kInvalidHandle, "a function of an unloaded module");
  expect(c.StreamCreate(nullptr, 0), cu::kInvalidValue, "no place for the stream");
}

int load(const std::string& image, std::string* log = nullptr) {
  char buffer[256] = "untouched";
  cu::JitOption names[] = {cu::kJitErrorLogBuffer, cu::kJitErrorLogBufferSizeBytes};
  void* values[] = {buffer, reinterpret_cast<void*>(sizeof buffer)};
  cu::Module module = nullptr;
  const int result = calls().ModuleLoadDataEx(&module, image.c_str(), 2, names, values);
  if (log != nullptr) *log = buffer;
  check(reinterpret_cast<uintptr_t>(values[1]) == std::strlen(buffer) + 1, "the log's size is written back");
  if (result == 0) succeeds(calls().ModuleUnload(module), "unload");
  return result;
}

void modules() {
  const Calls& c = calls();
  Session session;
  std::string log;
  cu::Module module = nullptr;
  cu::Function function = nullptr;
  expect(c.ModuleGetFunction(&function, session.module, "missing"), cu::kNotFound, "no such kernel");
  expect(c.ModuleLoadDataEx(&module, nullptr, 0, nullptr, nullptr), cu::kInvalidValue, "no image");
  expect(load("\x7f"
              "ELF, a cubin"),
         cu::kNoBinaryForGpu, "a cubin has no binary for this device");
  const uint32_t fatbin[] = {0xba55ed50, 1, 2, 3};
  expect(c.ModuleLoadDataEx(&module, fatbin, 0, nullptr, nullptr), cu::kNoBinaryForGpu, "nor has a fat binary");
  expect(load("garbage, not PTX"), cu::kInvalidImage, "garbage");
  expect(load(""), cu::kInvalidImage, "an empty image");
  expect(load(".version 7.4\n.target sm_80\n.address_size 64\n.visible .entry k()\n{\n  bogus.s32 %r1;\n  ret;\n}\n",
              &log),
         cu::kInvalidPtx, "PTX that does not compile");
  check(log.find("bogus") != std::string::npos, "the error log says why: " + log);
  expect(load(".version 7.4\n.target sm_90\n.address_size 64\n", &log), cu::kInvalidPtx, "PTX of a later device");
  check(log.find("sm_90") != std::string::npos, "the error log names the target: " + log);
  const std::string newer = ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry k()\n{\n  ret;\n}\n";
  succeeds(load(newer), "PTX 9.0 with driver 13.0");
  succeeds(c.set("driver_version", "12080"), "an older driver");
  expect(load(newer, &log), cu::kUnsupportedPtxVersion, "PTX 9.0 with driver 12.8");
  check(log.find("9.0") != std::string::npos, "the error log names the version: " + log);
  succeeds(c.set("driver_version", "11040"), "R470");
  succeeds(load(kPtx), "PTX 7.4 with driver 11.4");
  succeeds(c.set("driver_version", "11030"), "before R470");
  expect(load(kPtx), cu::kUnsupportedPtxVersion, "PTX 7.4 with driver 11.3");
  succeeds(c.set("driver_version", "13000"), "back to 13.0");
  size_t before = 0, loaded = 0, after = 0, total = 0;
  succeeds(c.MemGetInfo(&before, &total), "free memory");
  succeeds(
      c.ModuleLoadDataEx(&module, ".version 7.4\n.target sm_80\n.address_size 64\n.global .align 4 .b8 room[65536];\n",
                         0, nullptr, nullptr),
      "a module with a variable");
  succeeds(c.MemGetInfo(&loaded, &total), "free memory");
  succeeds(c.ModuleUnload(module), "unload");
  succeeds(c.MemGetInfo(&after, &total), "free memory");
  check(before >= loaded + 65536 && after == before, "a module's variables are device memory until it is unloaded");
  cu::JitOption option = static_cast<cu::JitOption>(99);
  void* value = nullptr;
  expect(c.ModuleLoadDataEx(&module, kPtx, 1, &option, &value), cu::kInvalidValue, "an unknown JIT option");
}

void launches() {
  const Calls& c = calls();
  Session session;
  const cu::Function nothing = session.function("nothing"), add = session.function("add");
  const auto shaped = [&](unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned shared) {
    return c.LaunchKernel(nothing, gx, gy, gz, bx, by, bz, shared, nullptr, nullptr, nullptr);
  };
  succeeds(shaped(2, 1, 1, 32, 1, 1, 0), "an ordinary launch");
  succeeds(shaped(1, 1, 1, 1024, 1, 1, 0), "1024 threads");
  succeeds(shaped(1, 1, 1, 1, 1, 1, 48 * 1024), "48 KB of shared memory");
  expect(shaped(0, 1, 1, 1, 1, 1, 0), cu::kInvalidValue, "an empty grid");
  expect(shaped(1, 1, 1, 1, 0, 1, 0), cu::kInvalidValue, "an empty block");
  expect(shaped(0x80000000u, 1, 1, 1, 1, 1, 0), cu::kInvalidValue, "grid x beyond 2^31 - 1");
  expect(shaped(1, 65536, 1, 1, 1, 1, 0), cu::kInvalidValue, "grid y beyond 65535");
  expect(shaped(1, 1, 65536, 1, 1, 1, 0), cu::kInvalidValue, "grid z beyond 65535");
  expect(shaped(1, 1, 1, 1025, 1, 1, 0), cu::kInvalidValue, "1025 threads");
  expect(shaped(1, 1, 1, 64, 32, 1, 0), cu::kInvalidValue, "64 x 32 threads");
  expect(shaped(1, 1, 1, 1, 1, 65, 0), cu::kInvalidValue, "block z beyond 64");
  expect(shaped(1, 1, 1, 1, 1, 1, 48 * 1024 + 1), cu::kInvalidValue, "more shared memory without opting in");
  expect(c.FuncSetAttribute(nothing, cu::kFuncMaxDynamicSharedSizeBytes, 166913), cu::kInvalidValue,
         "more than the device can opt in to");
  succeeds(c.FuncSetAttribute(nothing, cu::kFuncMaxDynamicSharedSizeBytes, 100000), "opt in");
  succeeds(shaped(1, 1, 1, 1, 1, 1, 100000), "as much as opted in to");
  expect(shaped(1, 1, 1, 1, 1, 1, 100001), cu::kInvalidValue, "more than opted in to");
  const cu::Function bounded = session.function("at_most_64_threads");
  succeeds(c.LaunchKernel(bounded, 1, 1, 1, 64, 1, 1, 0, nullptr, nullptr, nullptr), "64 of 64 threads");
  expect(c.LaunchKernel(bounded, 1, 1, 1, 65, 1, 1, 0, nullptr, nullptr, nullptr), cu::kInvalidValue,
         "65 of 64 threads");
  int value = 0;
  succeeds(c.FuncGetAttribute(&value, cu::kFuncMaxThreadsPerBlock, bounded), "attribute");
  check(value == 64, "the bound is an attribute");
  int blocks = -1;
  succeeds(c.OccupancyMaxActiveBlocks(&blocks, nothing, 256, 80000), "occupancy");
  check(blocks == 2, "two blocks of 80000 bytes on an A100, found " + std::to_string(blocks));
  expect(c.LaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr), cu::kInvalidValue, "no parameters");

  cu::DevicePtr number = session.integer(5);
  int three = 3;
  struct {
    cu::DevicePtr pointer;
    int value;
  } packed = {number, 4};
  size_t bytes = 12;
  void* extra[] = {reinterpret_cast<void*>(1), &packed, reinterpret_cast<void*>(2), &bytes, nullptr};
  void* parameters[] = {&number, &three};
  succeeds(c.LaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, nullptr), "launch");
  three = 1000;  // copied at the launch
  succeeds(c.LaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra), "parameters in one buffer");
  expect(c.LaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, nullptr, parameters, extra), cu::kInvalidValue, "both ways at once");
  check(read_integer(number) == 12, "parameters are copied at the launch");
}

void memory() {
  const Calls& c = calls();
  Session session;
  cu::DevicePtr pointer = 0;
  expect(c.MemAlloc(&pointer, 0), cu::kInvalidValue, "0 bytes");
  size_t before = 0, after = 0, total = 0;
  succeeds(c.MemGetInfo(&before, &total), "free and total");
  pointer = session.memory(1000);
  succeeds(c.MemGetInfo(&after, &total), "free and total");
  check(before - after >= 1000 && total == 4ull << 30, "an allocation counts");
  char host[1001] = {};
  succeeds(c.MemcpyHtoD(pointer, host, 1000), "all of it");
  expect(c.MemcpyHtoD(pointer, host, 1001), cu::kInvalidValue, "a byte too much");
  expect(c.MemcpyDtoH(host, pointer + 999, 2), cu::kInvalidValue, "past its end");
  expect(c.MemcpyDtoH(host, 0x1000, 2), cu::kInvalidValue, "not device memory");
  expect(c.MemsetD32Async(pointer + 2, 0, 1, nullptr), cu::kInvalidValue, "a misaligned fill");
  expect(c.MemsetD32Async(pointer, 0, 251, nullptr), cu::kInvalidValue, "a fill past the end");
  expect(c.MemFree(pointer + 512), cu::kInvalidValue, "not the start of a block");
  succeeds(c.MemFree(pointer), "free");
  expect(c.MemFree(pointer), cu::kInvalidValue, "free twice");
  succeeds(c.MemFree(0), "free nothing");
  expect(c.MemcpyHtoD(pointer, host, 4), cu::kInvalidValue, "freed memory");
  expect(c.MemAlloc(&pointer, 5ull << 30), cu::kOutOfMemory, "more than there is");
  unsigned kind = 0;
  const cu::DevicePtr live = session.memory(16);
  succeeds(c.PointerGetAttribute(&kind, cu::kPointerMemoryType, live), "kind");
  check(kind == 2, "device memory");
  void* pinned = nullptr;
  succeeds(c.MemHostAlloc(&pinned, 64, 0), "page-locked");
  succeeds(c.PointerGetAttribute(&kind, cu::kPointerMemoryType, reinterpret_cast<cu::DevicePtr>(pinned)), "kind");
  check(kind == 1, "page-locked memory");
  expect(c.PointerGetAttribute(&kind, cu::kPointerMemoryType, reinterpret_cast<cu::DevicePtr>(host)), cu::kInvalidValue,
         "pageable memory is unknown");
  expect(c.MemHostRegister(pinned, 64, 0), cu::kHostMemoryAlreadyRegistered, "page-locked twice");
  expect(c.MemHostUnregister(pinned), cu::kHostMemoryNotRegistered, "was not registered");
  expect(c.MemcpyHtoD(live, static_cast<char*>(pinned) + 60, 8), cu::kInvalidValue, "page-locked in part");
  succeeds(c.MemFreeHost(pinned), "free");
  expect(c.MemFreeHost(pinned), cu::kInvalidValue, "free twice");
  check(reported("\"bytes\": 16, \"by\": \"cuMemAlloc\""), "the report lists what is not freed: " + report());
}

void pools() {
  const Calls& c = calls();
  Session session;
  cu::MemPool pool = nullptr;
  uint64_t value = 0;
  succeeds(c.DeviceGetDefaultMemPool(&pool, 0), "the pool");
  succeeds(c.MemPoolGetAttribute(pool, cu::kMemPoolReleaseThreshold, &value), "threshold");
  check(value == 0, "the threshold is 0 at first");
  value = 1 << 20;
  succeeds(c.MemPoolSetAttribute(pool, cu::kMemPoolReleaseThreshold, &value), "threshold");
  const cu::Stream stream = session.stream();
  cu::DevicePtr pointer = 0;
  succeeds(c.MemAllocAsync(&pointer, 4096, stream), "allocate");
  succeeds(c.MemPoolGetAttribute(pool, cu::kMemPoolUsedCurrent, &value), "used");
  check(value == 4096, "4096 bytes are used");
  succeeds(c.MemFreeAsync(pointer, stream), "free");
  expect(c.MemFreeAsync(pointer, stream), cu::kInvalidValue, "free twice");
  succeeds(c.StreamSynchronize(stream), "synchronise");
  succeeds(c.MemPoolGetAttribute(pool, cu::kMemPoolUsedCurrent, &value), "used");
  check(value == 0, "nothing is used");
  succeeds(c.MemPoolGetAttribute(pool, cu::kMemPoolReservedCurrent, &value), "reserved");
  check(value == 4096, "below the threshold memory is kept");
  succeeds(c.MemPoolTrimTo(pool, 0), "trim");
  succeeds(c.MemPoolGetAttribute(pool, cu::kMemPoolReservedCurrent, &value), "reserved");
  check(value == 0, "trimmed");
  expect(c.MemFreeAsync(session.memory(4), stream), cu::kInvalidValue, "memory of cuMemAlloc");
  succeeds(c.MemAllocAsync(&pointer, 64, stream), "allocate");
  succeeds(c.MemFreeAsync(pointer, stream), "free");
  succeeds(launch(session.function("add"), pointer, 1, stream), "a launch after the free in stream order");
  expect(c.StreamSynchronize(stream), cu::kIllegalAddress, "use after a stream-ordered free");
}

void sticky_errors() {
  const Calls& c = calls();
  {
    Session session;
    const cu::DevicePtr number = session.integer(1);
    succeeds(launch(session.function("wild"), number, 0, nullptr), "the launch itself is fine");
    expect(c.CtxSynchronize(), cu::kIllegalAddress, "an illegal address shows at the next wait");
    cu::DevicePtr pointer = 0;
    expect(c.MemAlloc(&pointer, 4), cu::kIllegalAddress, "and at every later call");
    expect(c.CtxSynchronize(), cu::kIllegalAddress, "and again");
    int count = 0;
    succeeds(c.DeviceGetCount(&count), "calls without a context work");
    check(reported("wild"), "the report names the kernel");
  }
  {
    Session session;
    check(read_integer(session.integer(3)) == 3, "a new context works");
    succeeds(launch(session.function("misaligned"), session.integer(1), 0, nullptr), "launch");
    expect(c.CtxSynchronize(), cu::kMisalignedAddress, "a misaligned address");
  }
}

void without_pools() {
  const Calls& c = calls();
  Session session;
  int supported = -1;
  cu::MemPool pool = nullptr;
  cu::DevicePtr pointer = 0;
  succeeds(c.DeviceGetAttribute(&supported, cu::kMemoryPoolsSupported, 0), "attribute");
  check(supported == 1, "a device has memory pools");
  succeeds(c.set("pools", "0"), "a device without pools");
  succeeds(c.DeviceGetAttribute(&supported, cu::kMemoryPoolsSupported, 0), "attribute");
  check(supported == 0, "says so");
  expect(c.DeviceGetDefaultMemPool(&pool, 0), cu::kNotSupported, "the pool");
  expect(c.MemAllocAsync(&pointer, 4, session.stream()), cu::kNotSupported, "stream-ordered memory");
  succeeds(c.MemAlloc(&pointer, 4), "plain memory");
  succeeds(c.MemFree(pointer), "plain memory");
  succeeds(c.set("pools", "1"), "with pools again");
}

void injected_failures() {
  const Calls& c = calls();
  cu::DevicePtr pointer = 0;
  expect(c.set("fail", "alloc"), 1, "no number");
  expect(c.set("fail", "alloc:0"), 1, "numbers count from 1");
  {
    Session session;
    succeeds(c.set("fail", "alloc:2,launch-error:2,launch:3"), "inject");
    succeeds(c.MemAlloc(&pointer, 4), "allocation 1");
    expect(c.MemAlloc(&pointer, 4), cu::kOutOfMemory, "allocation 2");
    succeeds(c.MemAlloc(&pointer, 4), "allocation 3");
    succeeds(c.MemsetD32Async(pointer, 0, 1, nullptr), "fill");
    const cu::Function add = session.function("add");
    succeeds(launch(add, pointer, 1, nullptr), "launch 1");
    expect(launch(add, pointer, 1, nullptr), cu::kLaunchOutOfResources, "launch 2 is refused");
    check(read_integer(pointer) == 1, "which is not sticky");
    succeeds(launch(add, pointer, 1, nullptr), "launch 3");
    expect(c.CtxSynchronize(), cu::kLaunchFailed, "launch 3 fails");
    expect(c.CtxSynchronize(), cu::kLaunchFailed, "which is sticky");
  }
  {
    Session session;
    succeeds(c.set("fail", "lost:1"), "inject");
    succeeds(c.LaunchKernel(session.function("nothing"), 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr), "launch 1");
    expect(c.CtxSynchronize(), cu::kLaunchFailed, "the device is lost");
  }
  cu::Context context = nullptr;
  expect(c.DevicePrimaryCtxRetain(&context, 0), cu::kUnknown, "a new context does not bring it back");
  succeeds(c.set("fail", ""), "no failures");
  Session session;
}

void proc_addresses() {
  const Calls& c = calls();
  void* found = nullptr;
  int status = -1;
  succeeds(c.GetProcAddress("cuMemAlloc", &found, 13000, 0, &status), "cuMemAlloc");
  check(found == reinterpret_cast<void*>(c.MemAlloc) && status == 0, "is cuMemAlloc_v2");
  succeeds(c.GetProcAddress("cuGraphInstantiate", &found, 12000, 0, &status), "cuGraphInstantiate");
  check(found == reinterpret_cast<void*>(c.GraphInstantiate), "is cuGraphInstantiateWithFlags");
  succeeds(c.GetProcAddress("cuEventElapsedTime", &found, 12000, 0, &status), "cuEventElapsedTime of 12.0");
  check(found == reinterpret_cast<void*>(c.EventElapsedTime), "is the first version");
  succeeds(c.GetProcAddress("cuEventElapsedTime", &found, 13000, 0, &status), "cuEventElapsedTime of 13.0");
  check(found == reinterpret_cast<void*>(c.EventElapsedTimeV2), "is the second version");
  expect(c.GetProcAddress("cuGraphExecUpdate", &found, 11000, 0, &status), cu::kNotFound, "of 11.0");
  check(found == nullptr && status == 2, "the version is too old");
  expect(c.GetProcAddress("cuTexRefCreate", &found, 13000, 0, &status), cu::kNotFound, "not simulated");
  check(found == nullptr && status == 1, "no such symbol");
}

}  // namespace

int main() {
  before_start();
  devices();
  contexts();
  handles();
  modules();
  launches();
  memory();
  pools();
  sticky_errors();
  without_pools();
  injected_failures();
  proc_addresses();
  return finish("driver");
}
