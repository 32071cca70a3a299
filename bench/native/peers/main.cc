// gemm_peers ENGINE THREADS [LIBRARY]: the products of one engine, timed on request. One line in, one JSON object out:
//
//   (at the start)                            {"name":…, "detail":…}
//   prepare FORM T N K DTYPE PACK COPIES      {}   makes the numbers, multiplies once and checks the result
//   run SECONDS                               {"seconds":…, "peak":…}   of one product, the mean over so long; of one that takes
//                                             shorter the first is not counted. peak: most bytes resident so far
//   release                                   {}
//
// ENGINE: ours, openblas, onednn, onednn-bf16, blis. A failed request answers {"error":…}. 77: the library is not here, why is on standard
// error; 2: misuse.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "../quoted.h"
#include "engine.h"
#include "engine/error.h"

namespace toolgrad::bench {

namespace {

constexpr int kAbsent = 77;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Bytes; Linux counts ru_maxrss in KiB.
double peak_resident() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

class Requests {
 public:
  explicit Requests(Engine& engine) : engine_(engine) {}

  std::string answer(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "prepare") return prepare(words);
    if (verb == "run") return run(words);
    if (verb == "release") {
      engine_.release();
      product_.copies = 0;
      return "{}";
    }
    throw Error("ERR_INVALID_ARG", "Expected prepare, run or release but received " + line);
  }

 private:
  std::string prepare(std::istringstream& words) {
    std::string form, dtype;
    Product p{};
    if (!(words >> form >> p.T >> p.N >> p.K >> dtype >> p.pack >> p.copies) || p.T < 1 || p.N < 1 || p.K < 1 ||
        p.copies < 1 || !dtype_from_name(dtype.c_str(), &p.dtype))
      throw Error("ERR_INVALID_ARG", "Expected prepare FORM T N K DTYPE PACK COPIES");
    p.form = form_from_name(form);
    {
      const Numbers numbers = numbers_of(p);
      engine_.prepare(p, numbers);
      engine_.multiply(0);
      check_result(
          p, numbers, [](const void* of, int64_t at) { return static_cast<const Engine*>(of)->output(at); }, &engine_);
    }
    product_ = p, next_ = 0;
    return "{}";
  }

  std::string run(std::istringstream& words) {
    double least = 0;
    if (!(words >> least) || product_.copies == 0) throw Error("ERR_INVALID_ARG", "Expected run SECONDS after prepare");
    double start = now_seconds(), spent = 0;
    multiply();
    spent = now_seconds() - start;
    int calls = 1;
    if (spent < least) {  // short: the first found sleeping threads and cold caches, and is not counted
      start = now_seconds(), spent = 0, calls = 0;
      while (spent < least) {
        multiply();
        ++calls;
        spent = now_seconds() - start;
      }
    }
    char text[120];
    std::snprintf(text, sizeof text, "{\"seconds\":%.9g,\"peak\":%.17g}", spent / calls, peak_resident());
    return text;
  }

  void multiply() {
    engine_.multiply(next_);
    next_ = (next_ + 1) % product_.copies;
  }

  Engine& engine_;
  Product product_{};
  int next_ = 0;
};

int serve(Engine& engine) {
  Requests requests(engine);
  std::cout << "{\"name\":" << quoted(engine.name()) << ",\"detail\":" << quoted(engine.detail()) << "}" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::string answer;
    try {
      answer = requests.answer(line);
    } catch (const std::exception& error) {
      answer = "{\"error\":" + quoted(error.what()) + "}";
    }
    std::cout << answer << std::endl;
  }
  return 0;
}

int main_of(int argc, char** argv) {
  const std::string which = argc > 1 ? argv[1] : "", path = argc > 3 ? argv[3] : "";
  const int threads = argc > 2 ? std::atoi(argv[2]) : 0;
  if (threads < 1) throw Error("ERR_INVALID_ARG", "Expected gemm_peers ENGINE THREADS [LIBRARY]");
  std::string reason;
  std::unique_ptr<Engine> engine;
  if (which == "ours") engine = make_ours(threads);
  if (which == "openblas") engine = make_openblas(path, threads, &reason);
  if (which == "onednn") engine = make_onednn(path, threads, &reason);
  if (which == "onednn-bf16") engine = make_onednn_bf16(path, threads, &reason);
  if (which == "blis") engine = make_blis(path, threads, &reason);
  if (engine != nullptr) return serve(*engine);
  if (reason.empty())
    throw Error("ERR_INVALID_ARG", "Expected ours, openblas, onednn, onednn-bf16 or blis but received " + which);
  std::fprintf(stderr, "%s\n", reason.c_str());
  return kAbsent;
}

}  // namespace

}  // namespace toolgrad::bench

int main(int argc, char** argv) {
  try {
    return toolgrad::bench::main_of(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gemm_peers: %s\n", error.what());
    return 2;
  }
}
