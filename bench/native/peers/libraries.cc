// OpenBLAS, BLIS and oneDNN in fp32 by their C interfaces, loaded at run time: neither headers nor libraries are needed to build. Each
// gets the call that suits it best: a row goes through OpenBLAS's gemv, not its gemm; weight gradients are added in place.
#include "engine.h"
#include "engine/error.h"
#include "library.h"
#include "onednn.h"

namespace toolgrad::bench {

namespace {

constexpr int kRowMajor = 101, kNoTranspose = 111, kTranspose = 112;  // cblas.h

using CblasGemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                           const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
using CblasGemv = void (*)(int order, int transpose, int m, int n, float alpha, const float* a, int lda, const float* x,
                           int step_x, float beta, float* y, int step_y);
// Row-major, as oneDNN has it.
using DnnlGemm = int (*)(char transpose_a, char transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                         const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

// C [m, n] = op(A) op(B), or += .
struct Gemm {
  bool transpose_a, transpose_b;
  int64_t m, n, k;
  const float *a, *b;
  int64_t lda, ldb;
  bool add;
  float* c;
};

class Peer : public Engine {
 public:
  Peer(std::string name, std::string detail) : name_(std::move(name)), detail_(std::move(detail)) {}

  std::string name() const override { return name_; }
  std::string detail() const override { return detail_; }

  void prepare(const Product& product, const Numbers& numbers) override {
    product_ = product;
    left_ = numbers.left;
    const int copies = product.form == Form::kWeight ? 1 : product.copies;
    for (int i = 0; i < copies; ++i) right_.push_back(numbers.right);
    result_.assign(static_cast<size_t>(product.outputs()), 0.0f);
  }

  void multiply(int copy) override {
    const auto [form, T, N, K, dtype, pack, copies] = product_;
    const float *left = left_.data(), *right = right_[form == Form::kWeight ? 0 : static_cast<size_t>(copy)].data();
    switch (form) {
      case Form::kForward:
        if (T == 1 && row(right, left)) return;
        return gemm({false, true, T, N, K, left, right, K, K, false, result_.data()});
      case Form::kInput:
        return gemm({false, false, T, K, N, left, right, N, K, false, result_.data()});
      case Form::kWeight:
        return gemm({true, false, N, K, T, left, right, N, K, true, result_.data()});
    }
  }

  float output(int64_t at) const override { return result_[static_cast<size_t>(at)]; }
  void release() override { left_ = {}, right_ = {}, result_ = {}; }

 protected:
  virtual void gemm(const Gemm&) = 0;
  /// y [N] = W x, where the library has something better than gemm for it.
  virtual bool row(const float* /*weights*/, const float* /*x*/) { return false; }

  Product product_{};
  std::vector<float> left_, result_;

 private:
  std::string name_, detail_;
  std::vector<std::vector<float>> right_;
};

class Cblas final : public Peer {
 public:
  Cblas(std::string name, std::string detail, CblasGemm gemm, CblasGemv gemv)
      : Peer(std::move(name), std::move(detail)), gemm_(gemm), gemv_(gemv) {}

 protected:
  void gemm(const Gemm& g) override {
    gemm_(kRowMajor, g.transpose_a ? kTranspose : kNoTranspose, g.transpose_b ? kTranspose : kNoTranspose,
          static_cast<int>(g.m), static_cast<int>(g.n), static_cast<int>(g.k), 1.0f, g.a, static_cast<int>(g.lda), g.b,
          static_cast<int>(g.ldb), g.add ? 1.0f : 0.0f, g.c, static_cast<int>(g.n));
  }
  bool row(const float* weights, const float* x) override {
    if (gemv_ == nullptr) return false;
    const int N = static_cast<int>(product_.N), K = static_cast<int>(product_.K);
    gemv_(kRowMajor, kNoTranspose, N, K, 1.0f, weights, K, x, 1, 0.0f, result_.data(), 1);
    return true;
  }

 private:
  CblasGemm gemm_;
  CblasGemv gemv_;
};

class OneDnn final : public Peer {
 public:
  OneDnn(std::string detail, DnnlGemm gemm) : Peer("oneDNN", std::move(detail)), gemm_(gemm) {}

 protected:
  void gemm(const Gemm& g) override {
    const int status = gemm_(g.transpose_a ? 'T' : 'N', g.transpose_b ? 'T' : 'N', g.m, g.n, g.k, 1.0f, g.a, g.lda, g.b,
                             g.ldb, g.add ? 1.0f : 0.0f, g.c, g.n);
    if (status != 0) throw Error("ERR_PEER", "dnnl_sgemm returned " + std::to_string(status));
  }

 private:
  DnnlGemm gemm_;
};

std::string text_of(const char* text) {
  return text == nullptr ? "?" : text;
}

}  // namespace

std::unique_ptr<Engine> make_openblas(const std::string& path, int threads, std::string* reason) {
  const auto library = Library::open(path, {"libopenblas.so.0", "libopenblas.so"}, reason);
  if (library == nullptr) return nullptr;
  const auto gemm = library->need<CblasGemm>("cblas_sgemm");
  library->need<void (*)(int)>("openblas_set_num_threads")(threads);
  const std::string config = text_of(library->need<const char* (*)()>("openblas_get_config")());
  const std::string core = text_of(library->need<const char* (*)()>("openblas_get_corename")());
  const std::string detail = config + "; kernels " + core + "; " + Library::file(reinterpret_cast<const void*>(gemm));
  return std::make_unique<Cblas>("OpenBLAS", detail, gemm, library->need<CblasGemv>("cblas_sgemv"));
}

std::unique_ptr<Engine> make_onednn(const std::string& path, int /*threads: OMP_NUM_THREADS*/, std::string* reason) {
  const auto library = Library::open(path, {"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so"}, reason);
  if (library == nullptr) return nullptr;
  const auto gemm = library->need<DnnlGemm>("dnnl_sgemm");
  const std::string detail =
      onednn_version(*library).text() + "; " + Library::file(reinterpret_cast<const void*>(gemm));
  return std::make_unique<OneDnn>(detail, gemm);
}

std::unique_ptr<Engine> make_blis(const std::string& path, int threads, std::string* reason) {
  const auto library = Library::open(path, {"libblis.so.4", "libblis.so"}, reason);
  if (library == nullptr) return nullptr;
  const auto gemm = library->need<CblasGemm>("cblas_sgemm");
  library->need<void (*)(int64_t)>("bli_thread_set_num_threads")(threads);
  const std::string version = text_of(library->need<const char* (*)()>("bli_info_get_version_str")());
  return std::make_unique<Cblas>("BLIS", version + "; " + Library::file(reinterpret_cast<const void*>(gemm)), gemm,
                                 nullptr);
}

}  // namespace toolgrad::bench
