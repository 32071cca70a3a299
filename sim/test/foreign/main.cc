// foreign <file>: code of others (headers of the CUDA toolkit), compiled to PTX by nvcc, runs on the simulated device and
// gives what the CPU computes. The file is kernels.cu in one dialect.
#include <fstream>
#include <sstream>

#include "bench.h"

namespace foreign {
namespace {

std::string path;
cu::Module loaded = nullptr;

}  // namespace

void load() {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  check(file.good(), path + " can be read");
  std::vector<char> log(2000, '\0');
  cu::JitOption options[] = {cu::kJitErrorLogBuffer, cu::kJitErrorLogBufferSizeBytes};
  void* values[] = {log.data(), reinterpret_cast<void*>(log.size())};
  const int result = sim::test::calls().ModuleLoadDataEx(&loaded, text.str().c_str(), 2, options, values);
  if (!check(result == 0, path + " loads: " + std::to_string(result) + " " + log.data())) loaded = nullptr;
}

Bench::~Bench() {
  const auto& c = sim::test::calls();
  for (cu::DevicePtr buffer : buffers_) sim::test::succeeds(c.MemFree(buffer), "free");
}

cu::DevicePtr Bench::room(size_t bytes, int fill) {
  cu::DevicePtr pointer = 0;
  sim::test::succeeds(sim::test::calls().MemAlloc(&pointer, bytes), "allocate");
  buffers_.push_back(pointer);
  if (fill >= 0) {
    const std::vector<unsigned char> same_bytes(bytes, static_cast<unsigned char>(fill));
    sim::test::succeeds(sim::test::calls().MemcpyHtoD(pointer, same_bytes.data(), bytes), "fill");
  }
  return pointer;
}
cu::DevicePtr Bench::upload(const void* from, size_t bytes) {
  const cu::DevicePtr pointer = room(bytes);
  sim::test::succeeds(sim::test::calls().MemcpyHtoD(pointer, from, bytes), "upload");
  return pointer;
}
void Bench::download(void* to, cu::DevicePtr from, size_t bytes) {
  sim::test::succeeds(sim::test::calls().MemcpyDtoH(to, from, bytes), "download");
}

int Bench::result_of(const std::string& kernel, Shape shape, void** arguments) {
  if (loaded == nullptr) return -1;
  const auto& c = sim::test::calls();
  cu::Function function = nullptr;
  int result = c.ModuleGetFunction(&function, loaded, kernel.c_str());
  if (result == 0) {
    result = c.LaunchKernel(function, shape.grid, 1, 1, shape.block, 1, 1, shape.shared, nullptr, arguments, nullptr);
  }
  return result == 0 ? c.CtxSynchronize() : result;
}
bool Bench::launch(const std::string& kernel, Shape shape, void** arguments) {
  return sim::test::succeeds(result_of(kernel, shape, arguments), "run of " + kernel);
}

bool set(const char* key, const char* value) {
  return sim::test::succeeds(sim::test::calls().set(key, value), std::string(key) + "=" + value);
}

}  // namespace foreign

int main(int argc, char** argv) {
  if (argc != 2) {
    std::printf("usage: foreign <PTX of kernels.cu>\n");
    return 2;
  }
  foreign::path = argv[1];
  {
    const sim::test::Session session;
    foreign::load();
    for (const char* seed : {"0", "1", "2"}) {
      foreign::set("seed", seed);
      foreign::blocks();
      foreign::cooperative();
      foreign::matrices();
      foreign::pipelines();
      foreign::arithmetic();
      foreign::device_wide();
    }
    foreign::set("seed", "0");
    foreign::calls();  // ends with a kernel that has to fail
  }
  return sim::test::finish("foreign");
}
