// The simulated driver over a process's life: environment, files written at exit, threads still inside, dlclose.
//
// The program runs itself with an argument and an environment for every case and reads what the child left behind.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "driver_calls.h"

namespace {

using namespace sim::test;
using Environment = std::vector<std::pair<std::string, std::string>>;

std::string program, folder;

std::string contents(const std::string& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Child {
  int status = -1;
  std::string errors;  // its stderr
};

Child run(const char* name, const Environment& environment) {
  const std::string errors = folder + "/stderr";
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    for (const auto& [key, value] : environment) setenv(key.c_str(), value.c_str(), 1);
    if (std::freopen(errors.c_str(), "w", stderr) == nullptr) _exit(99);
    execl(program.c_str(), program.c_str(), name, nullptr);
    _exit(98);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), contents(errors)};
}

// ---- what the children do; each returns its exit status

int child_work() {
  static auto* const session = new Session;  // not released: the process exits with a live context
  const cu::DevicePtr number = session->integer(1);
  succeeds(launch(session->function("add"), number, 1, nullptr), "launch");
  check(read_integer(number) == 2, "the result");
  void* pinned = nullptr;
  succeeds(calls().MemAllocHost(&pinned, 100), "page-locked memory");
  return failures;
}

int child_device() {
  const Calls& c = calls();
  char name[64] = {};
  int version = 0;
  size_t total = 0;
  if (c.Init(0) != 0) return 50;
  c.DeviceGetName(name, sizeof name, 0);
  c.DriverGetVersion(&version);
  c.DeviceTotalMem(&total, 0);
  return std::string(name) == "Simulated H100 (cudasim)" && version == 12040 && total == 1ull << 30 ? 0 : 51;
}

int child_allocations() {
  Session session;
  cu::DevicePtr pointer = 0;
  const Calls& c = calls();
  const int first = c.MemAlloc(&pointer, 4), second = c.MemAlloc(&pointer, 4), third = c.MemAlloc(&pointer, 4);
  return first == 0 && second == cu::kOutOfMemory && third == 0 ? 0 : 52;
}

/// Opened, used, closed and opened again: the library stays, and so does its state.
int child_reopen() {
  for (int i = 0; i < 3; ++i) {
    void* library = open_library();
    const Calls c = load_calls(library);
    cu::Context context = nullptr;
    if (c.Init(0) != 0 || c.DevicePrimaryCtxRetain(&context, 0) != 0 || c.CtxSetCurrent(context) != 0) return 53;
    cu::Stream stream = nullptr;
    int ran = 0;
    if (c.StreamCreate(&stream, 0) != 0) return 54;
    if (c.LaunchHostFunc(
            stream, [](void* data) { *static_cast<int*>(data) = 1; }, &ran) != 0)
      return 55;
    if (c.StreamSynchronize(stream) != 0 || ran != 1) return 56;
    if (c.DevicePrimaryCtxRelease(0) != 0) return 57;
    dlclose(library);
  }
  return 0;
}

/// Exits while another thread polls the driver without end.
int child_busy_exit() {
  static auto* const session = new Session;
  std::thread([] {
    calls().CtxSetCurrent(session->context);
    const cu::Stream stream = session->stream();
    const cu::DevicePtr number = session->integer(0);
    const cu::Function add = session->function("add");
    while (true) {
      launch(add, number, 1, stream);
      if (calls().StreamSynchronize(stream) == cu::kDeinitialized) break;
    }
    while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
  }).detach();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  return 0;
}

/// A destructor of the program that runs after the driver's own handler.
struct CallsAtExit {
  ~CallsAtExit() {
    cu::DevicePtr pointer = 0;
    const int result = calls().MemAlloc(&pointer, 4);
    std::fprintf(stderr, "at exit: %d\n", result);
  }
};

int child_late_calls() {
  static const CallsAtExit late;  // made before the driver's handler is registered, so it runs after that
  calls().Init(0);
  return 0;
}

// ---- the cases

void files_at_exit() {
  const std::string report = folder + "/report.json", coverage = folder + "/coverage.json";
  const Child child =
      run("work",
          {{"CUDASIM_REPORT", report}, {"CUDASIM_COVERAGE", coverage}, {"CUDASIM_LEAKS", "1"}, {"CUDASIM_SEED", "7"}});
  expect(child.status, 0, "a process that does not release its context exits well");
  const std::string text = contents(report);
  check(holds(text, "\"kernels\": {\"add\": {\"launches\": 1, "), "the report counts launches: " + text);
  check(holds(text, "\"global_requests\": 2, \"global_sectors\": 2, \"global_bytes\": 8"), "and what they do");
  check(holds(text, "\"cuLaunchKernel\": 1"), "and calls");
  check(holds(text, "\"seed\": 7"), "and tells the seed");
  check(holds(text, "\"bytes\": 4, \"by\": \"cuMemAlloc\""), "and what leaked");
  check(holds(child.errors, "cudasim: leak: allocation "), "leaks go to stderr when asked for: " + child.errors);
  check(holds(child.errors, "100 bytes, cuMemHostAlloc"), "page-locked memory too");
  const std::string lines = contents(coverage);
  check(holds(lines, "{\"add\": {\"lines\": 7, \"executed\": 7, \"unreached\": []"),
        "all lines were executed: " + lines);
  const Child each = run("work", {{"CUDASIM_REPORT", folder + "/report-%p.json"}});
  expect(each.status, 0, "a report for each process");
  int reports = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    reports += entry.path().filename().string().rfind("report-", 0) == 0;
  check(reports == 1, "%p is the process");
  const Child silent = run("work", {});
  check(silent.errors.empty(), "without settings a good program prints nothing: " + silent.errors);
  const Child nowhere = run("work", {{"CUDASIM_REPORT", folder + "/no/such/folder"}});
  check(holds(nowhere.errors, "cannot write"), "a report that cannot be written is told");
}

void environment() {
  expect(run("device", {{"CUDASIM_SM", "90"}, {"CUDASIM_DRIVER_VERSION", "12040"}, {"CUDASIM_MEMORY", "1073741824"}})
             .status,
         0, "the environment chooses the device");
  const Child wrong = run("device", {{"CUDASIM_SM", "ninety"}});
  expect(wrong.status, 50, "a setting that makes no sense fails cuInit");
  check(holds(wrong.errors, "expected 80, 86, 89, 90 or 120, found \"ninety\""), "with a sentence: " + wrong.errors);
  expect(run("allocations", {{"CUDASIM_FAIL", "alloc:2"}}).status, 0, "the environment injects failures");
  const Child verbose = run("allocations", {{"CUDASIM_FAIL", "alloc:2"}, {"CUDASIM_VERBOSE", "1"}});
  check(holds(verbose.errors, "cuMemAlloc_v2: 2 CUDA_ERROR_OUT_OF_MEMORY: allocation 2 was refused (injected)"),
        "a verbose driver says why a call fails: " + verbose.errors);
}

void loading_and_exit() {
  expect(run("reopen", {}).status, 0, "dlclose and dlopen");
  const std::string report = folder + "/busy.json";
  const Child busy = run("busy_exit", {{"CUDASIM_REPORT", report}});
  expect(busy.status, 0, "exit while another thread is in the driver");
  check(holds(contents(report), "\"kernels\": {\"add\""), "the report is written all the same");
  const Child late = run("late_calls", {});
  check(late.status == 0 && holds(late.errors, "at exit: 4"), "a call after the driver's end: " + late.errors);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "work") return child_work();
  if (name == "device") return child_device();
  if (name == "allocations") return child_allocations();
  if (name == "reopen") return child_reopen();
  if (name == "busy_exit") return child_busy_exit();
  if (name == "late_calls") return child_late_calls();
  program = std::filesystem::canonical("/proc/self/exe").string();
  char pattern[] = "/tmp/cudasim-test-XXXXXX";
  folder = mkdtemp(pattern);
  files_at_exit();
  environment();
  loading_and_exit();
  std::filesystem::remove_all(folder);
  return finish("driver_process");
}
