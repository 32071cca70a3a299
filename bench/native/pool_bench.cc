// The thread pool at both ends: how fast a job starts, and what is left of the processors for other programs.
//
//   cmake -S . -B build-bench -DTOOLGRAD_TESTS=OFF -DTOOLGRAD_BENCH=ON && cmake --build build-bench -j2 --target pool_bench
//   build-bench/pool_bench [threads: 2] [form: table | json] [rounds: 400]
//
// start    One job of `threads` tasks, after a pause. "returns": empty tasks, until parallel_for returns (one thread may
//          run them all). "all run": every task waits until all have started, so it tells when the last worker was awake.
//          The caller spends a pause at work (its core stays awake) or asleep.
// idle     Processor time and context switches of the process in one second in which nothing is to do, after work.
// sandbox  Counting processes beside the engine: the share of a core that each gets, against none beside it (p10 - p90
//          over turns that alternate), and the engine's decoding steps per second.
#include <sys/mman.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "clock.h"
#include "cpu/cpu.h"
#include "engine/arena.h"
#include "engine/error.h"
#include "engine/thread_pool.h"
#include "quoted.h"

using namespace toolgrad;
using bench::now_seconds;

namespace {

struct Spread {
  double p10, median, p90, p99;
};

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) {
    return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {at(0.1), at(0.5), at(0.9), at(0.99)};
}

void busy(double seconds) {
  const double until = now_seconds() + seconds;
  while (now_seconds() < until) {
  }
}

void asleep(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

// The table and the objects: one line for each row.
struct Report {
  bool json;

  void heading(const char* text) const {
    if (!json) std::printf("\n%s\n", text);
  }
  void row(const char* part, const std::string& what, const char* unit, const Spread& s) const {
    if (json) {
      std::printf("{\"part\":%s,\"what\":%s,\"unit\":%s,\"p10\":%.6g,\"median\":%.6g,\"p90\":%.6g,\"p99\":%.6g}\n",
                  bench::quoted(part).c_str(), bench::quoted(what).c_str(), bench::quoted(unit).c_str(), s.p10,
                  s.median, s.p90, s.p99);
    } else {
      std::printf("| %-42s | %9.4g | %9.4g | %9.4g | %9.4g | %-8s |\n", what.c_str(), s.p10, s.median, s.p90, s.p99,
                  unit);
    }
    std::fflush(stdout);
  }
};

// --- start

struct Pause {
  const char* name;
  double seconds;
  void (*spend)(double);
};

constexpr Pause kPauses[] = {
    {"back to back", 0, busy},        {"20 us at work", 20e-6, busy},  {"50 us at work", 50e-6, busy},
    {"200 us at work", 200e-6, busy}, {"50 us asleep", 50e-6, asleep}, {"200 us asleep", 200e-6, asleep},
    {"1 ms asleep", 1e-3, asleep},    {"20 ms asleep", 20e-3, asleep},
};

double returns(ThreadPool& pool) {
  const double start = now_seconds();
  pool.parallel_for(pool.threads(), [](int64_t, int) {});
  return now_seconds() - start;
}

double all_run(ThreadPool& pool) {
  std::atomic<int> started{0};
  double last = 0;
  const double start = now_seconds();
  pool.parallel_for(pool.threads(), [&](int64_t, int) {
    if (started.fetch_add(1) + 1 == pool.threads()) last = now_seconds();
    while (started.load() < pool.threads()) {
    }
  });
  return last - start;
}

void measure_start(ThreadPool& pool, int rounds, const Report& report) {
  report.heading("start: time of one job, by the pause before it (us)");
  for (const auto& [what, once] : {std::pair{"returns", &returns}, std::pair{"all run", &all_run}}) {
    for (const Pause& pause : kPauses) {
      const int runs = pause.seconds >= 10e-3 ? std::max(1, rounds / 4) : rounds;
      std::vector<double> micros;
      for (int run = -runs / 10; run < runs; ++run) {
        pause.spend(pause.seconds);
        const double seconds = once(pool);
        if (run >= 0) micros.push_back(seconds * 1e6);
      }
      report.row("start", std::string(what) + ", " + pause.name, "us", spread_of(micros));
    }
  }
}

// --- idle

double process_seconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

void measure_idle(ThreadPool& pool, const Report& report) {
  report.heading("idle: the process in one second without work, after work");
  std::vector<double> millis, switches;
  for (int round = 0; round < 5; ++round) {
    for (int job = 0; job < 1000; ++job) returns(pool);
    rusage before{}, after{};
    getrusage(RUSAGE_SELF, &before);
    const double spent = process_seconds();
    asleep(1);
    millis.push_back((process_seconds() - spent) * 1e3);
    getrusage(RUSAGE_SELF, &after);
    switches.push_back(static_cast<double>(after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw));
  }
  report.row("idle", "processor time", "ms/s", spread_of(millis));
  report.row("idle", "context switches", "1/s", spread_of(switches));
}

// --- sandbox

// Processes that count as fast as they can, as a program of a model's does that computes; stopped until they are wanted.
class Counters {
 public:
  explicit Counters(int count) {
    shared_ = mmap(nullptr, sizeof(Slot) * static_cast<size_t>(count), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared_ == MAP_FAILED) throw Error("ERR_OUT_OF_MEMORY", "pool_bench: no page to share with the counters");
    for (int i = 0; i < count; ++i) {
      Slot* const slot = new (static_cast<Slot*>(shared_) + i) Slot;
      const pid_t child = fork();
      if (child == 0) count_for_ever(*slot);
      if (child < 0) throw Error("ERR_THREADS", "pool_bench: the system refused a process");
      kill(child, SIGSTOP);
      children_.push_back(child);
    }
  }
  ~Counters() {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    munmap(shared_, sizeof(Slot) * children_.size());
  }
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  void let_run(int count) const {
    for (size_t i = 0; i < children_.size(); ++i)
      kill(children_[i], i < static_cast<size_t>(count) ? SIGCONT : SIGSTOP);
  }
  double total() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < children_.size(); ++i)
      sum += (static_cast<const Slot*>(shared_) + i)->value.load(std::memory_order_relaxed);
    return static_cast<double>(sum);
  }

 private:
  struct Slot {
    alignas(64) std::atomic<uint64_t> value{0};
  };
  [[noreturn]] static void count_for_ever(Slot& slot) {
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    volatile uint64_t work = 1;
    for (;;) {
      for (int i = 0; i < 1000; ++i) work = work * 6364136223846793005u + 1442695040888963407u;
      slot.value.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void* shared_;
  std::vector<pid_t> children_;
};

// The products of one token through four layers of the demo's width: the jobs of decoding, back to back.
class Decoder {
 public:
  Decoder(Isa isa, int threads) : pool_(threads), ops_(make_cpu_ops(isa, pool_)) {
    for (int layer = 0; layer < 4; ++layer)
      for (const auto& [rows, cols] :
           {std::pair{512, 256}, std::pair{256, 256}, std::pair{1536, 256}, std::pair{256, 768}})
        add(rows, cols);
    add(512, 256);
  }
  void step() {
    for (const Product& p : products_) ops_->linear_forward({x_.data(), p.matrix, nullptr, nullptr, y_.data(), 1});
  }

 private:
  struct Product {
    Buffer bytes;
    PackedMatrix matrix;
  };
  void add(int64_t rows, int64_t cols) {
    Buffer bytes(static_cast<size_t>(packed_elements(rows, cols)) * 2, "weights");
    const PackedMatrix matrix{bytes.as<void>(), DType::kBF16, rows, cols};
    ops_->pack(std::vector<float>(static_cast<size_t>(rows * cols), 0.01f).data(), matrix);
    products_.push_back({std::move(bytes), matrix});
  }

  ThreadPool pool_;
  std::unique_ptr<Ops> ops_;
  std::vector<Product> products_;
  std::vector<float> x_ = std::vector<float>(1536, 1.0f), y_ = x_;
};

enum class Engine { kAbsent, kWaits, kDecodes };

struct Rates {
  double counts, steps;  // per second
};

// What the counters and the engine do side by side for a fifth of a second.
Rates side_by_side(const Counters& counters, int programs, Engine engine, Isa isa, int threads) {
  constexpr double kTurn = 0.2;
  std::unique_ptr<Decoder> decoder;
  if (engine != Engine::kAbsent) decoder = std::make_unique<Decoder>(isa, threads);
  for (int i = 0; decoder != nullptr && i < 20; ++i) decoder->step();
  counters.let_run(programs);
  asleep(5e-3);  // until the system has spread them over the cores
  const double start = now_seconds(), before = counters.total();
  double steps = 0;
  if (engine == Engine::kDecodes)
    for (; now_seconds() < start + kTurn; ++steps) decoder->step();
  else
    asleep(kTurn);
  const double seconds = now_seconds() - start, counted = counters.total() - before;
  counters.let_run(0);
  return {counted / seconds, steps / seconds};
}

void measure_sandbox(int threads, Isa isa, const Report& report) {
  report.heading("sandbox: counting programs beside the engine, against those with no engine; and the engine's speed");
  constexpr int kTurns = 9;
  const Counters counters(threads);
  std::vector<double> alone;
  std::vector<int> beside{1};
  if (threads > 1) beside.push_back(threads);
  struct Shares {
    std::vector<double> waits, decodes, steps;
  };
  std::vector<Shares> shares(beside.size());
  for (int turn = 0; turn < kTurns; ++turn) {
    const double undisturbed = side_by_side(counters, 0, Engine::kDecodes, isa, threads).steps;
    alone.push_back(undisturbed);
    for (size_t i = 0; i < beside.size(); ++i) {
      const double counts = side_by_side(counters, beside[i], Engine::kAbsent, isa, threads).counts;
      shares[i].waits.push_back(100 * side_by_side(counters, beside[i], Engine::kWaits, isa, threads).counts / counts);
      const Rates both = side_by_side(counters, beside[i], Engine::kDecodes, isa, threads);
      shares[i].decodes.push_back(100 * both.counts / counts);
      shares[i].steps.push_back(100 * both.steps / undisturbed);
    }
  }
  report.row("sandbox", "engine decodes, no program", "steps/s", spread_of(alone));
  for (size_t i = 0; i < beside.size(); ++i) {
    const std::string programs = std::to_string(beside[i]) + (beside[i] == 1 ? " program" : " programs");
    report.row("sandbox", programs + ", engine waits: the programs", "%", spread_of(shares[i].waits));
    report.row("sandbox", programs + ", engine decodes: the programs", "%", spread_of(shares[i].decodes));
    report.row("sandbox", programs + ", engine decodes: the engine", "%", spread_of(shares[i].steps));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
    const Report report{argc > 2 && std::string(argv[2]) == "json"};
    const int rounds = argc > 3 ? std::atoi(argv[3]) : 400;
    if (threads < 1 || rounds < 1)
      throw Error("ERR_INVALID_ARG", "Expected pool_bench [threads] [table | json] [rounds]");
    const Isa isa = best_isa();
#if defined(__linux__)
    prctl(PR_SET_TIMERSLACK, 1);  // or short sleeps are 50 us longer
#endif
    {
      ThreadPool pool(threads);
      measure_start(pool, rounds, report);
      measure_idle(pool, report);
    }
    measure_sandbox(threads, isa, report);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", error.code().c_str(), error.what());
    return 1;
  }
  return 0;
}
