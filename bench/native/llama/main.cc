// llama_peer MODEL.gguf THREADS BACKENDS: llama.cpp's side of the models' comparison, through its C interface; BACKENDS is the
// folder of its libraries. Compiled by `npm run bench -- --peers llama` against the llama.h that it is given. One line in, one
// JSON object out:
//
//   prepare prefill LENGTH               {}   opens a context and runs the work once
//   prepare decode BATCH PROMPT STEPS    {}
//   run                                  {"seconds":…, "peak":…}   decode: of one step, the prompts are not timed
//   release                              {}
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "llama.h"

namespace {

constexpr int kMicroBatch = 512;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Row {
  llama_token token;
  llama_pos position;
  llama_seq_id sequence;
  bool sample;
};

class Peer {
 public:
  Peer(const std::string& path, int threads) : threads_(threads) {
    llama_model_params params = llama_model_default_params();
    params.n_gpu_layers = 0;
    model_ = llama_model_load_from_file(path.c_str(), params);
    if (model_ == nullptr) throw std::runtime_error("llama.cpp does not load " + path);
    vocabulary_ = llama_vocab_n_tokens(llama_model_get_vocab(model_));
  }
  ~Peer() {
    release();
    llama_model_free(model_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void prepare(int batch, int prompt, int steps) {
    release();
    batch_ = batch, prompt_ = prompt, steps_ = steps;
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<uint32_t>(batch * ((prompt + steps + 255) / 256 * 256));
    params.n_batch = static_cast<uint32_t>(batch * prompt);
    params.n_ubatch = kMicroBatch;
    params.n_seq_max = static_cast<uint32_t>(batch);
    params.n_threads = params.n_threads_batch = threads_;
    context_ = llama_init_from_model(model_, params);
    if (context_ == nullptr) throw std::runtime_error("llama.cpp opens no context");
    run();
  }

  // Seconds of one step; without steps, of the prompts.
  double run() {
    if (context_ == nullptr) throw std::runtime_error("expected prepare before run");
    llama_memory_clear(llama_get_memory(context_), true);
    std::vector<Row> rows;
    for (int s = 0; s < batch_; ++s)
      for (int i = 0; i < prompt_; ++i) rows.push_back({(i * 7919 + 13 + s) % 500, i, s, i == prompt_ - 1});
    double start = now_seconds();
    std::vector<llama_token> next = step(rows);
    if (steps_ == 0) return now_seconds() - start;
    start = now_seconds();
    for (int i = 0; i < steps_; ++i) {
      rows.clear();
      for (int s = 0; s < batch_; ++s) rows.push_back({next[static_cast<size_t>(s)], prompt_ + i, s, true});
      next = step(rows);
    }
    return (now_seconds() - start) / steps_;
  }

  void release() {
    if (context_ != nullptr) llama_free(context_);
    context_ = nullptr;
  }

 private:
  // The likeliest next token of every row that asks for one.
  std::vector<llama_token> step(const std::vector<Row>& rows) {
    llama_batch batch = llama_batch_init(static_cast<int32_t>(rows.size()), 0, 1);
    batch.n_tokens = static_cast<int32_t>(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      batch.token[i] = rows[i].token;
      batch.pos[i] = rows[i].position;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = rows[i].sequence;
      batch.logits[i] = rows[i].sample;
    }
    const int status = llama_decode(context_, batch);
    llama_batch_free(batch);
    if (status != 0) throw std::runtime_error("llama_decode returned " + std::to_string(status));
    std::vector<llama_token> tokens;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].sample) continue;
      const float* logits = llama_get_logits_ith(context_, static_cast<int32_t>(i));
      if (logits == nullptr) throw std::runtime_error("llama.cpp has no logits for a row");
      int best = 0;
      for (int v = 1; v < vocabulary_; ++v)
        if (logits[v] > logits[best]) best = v;
      tokens.push_back(best);
    }
    return tokens;
  }

  int threads_, vocabulary_ = 0, batch_ = 0, prompt_ = 0, steps_ = 0;
  llama_model* model_ = nullptr;
  llama_context* context_ = nullptr;
};

std::string answer(Peer& peer, const std::string& line) {
  std::istringstream words(line);
  std::string verb, kind;
  words >> verb >> kind;
  int a = 0, b = 0, c = 0;
  words >> a >> b >> c;
  if (verb == "prepare" && kind == "prefill" && a > 0) {
    peer.prepare(1, a, 0);
  } else if (verb == "prepare" && kind == "decode" && a > 0 && b > 0 && c > 0) {
    peer.prepare(a, b, c);
  } else if (verb == "run") {
    const double seconds = peer.run();
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    char text[120];
    std::snprintf(text, sizeof text, "{\"seconds\":%.9g,\"peak\":%.17g}", seconds,
                  static_cast<double>(usage.ru_maxrss) * 1024);
    return text;
  } else if (verb == "release") {
    peer.release();
  } else {
    throw std::runtime_error("expected prepare prefill|decode, run or release but received " + line);
  }
  return "{}";
}

void keep_errors(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' || c == '\\' || static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  return out + "\"";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "Expected llama_peer MODEL.gguf THREADS BACKENDS\n");
    return 2;
  }
  llama_log_set(keep_errors, nullptr);
  ggml_backend_load_all_from_path(argv[3]);
  llama_backend_init();
  try {
    Peer peer(argv[1], std::atoi(argv[2]));
    std::cout << "{\"name\":\"llama.cpp\",\"detail\":" << quoted(llama_print_system_info()) << "}" << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
      std::string said;
      try {
        said = answer(peer, line);
      } catch (const std::exception& error) {
        said = "{\"error\":" + quoted(error.what()) + "}";
      }
      std::cout << said << std::endl;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "llama_peer: %s\n", error.what());
    return 1;
  }
  return 0;
}
