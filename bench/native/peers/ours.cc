// Our products, on the CPU backend that the package would choose.
#include "cpu/cpu.h"
#include "engine.h"

namespace toolgrad::bench {

namespace {

class Ours final : public Engine {
 public:
  explicit Ours(int threads) : pool_(threads), ops_(make_cpu_ops(isa_from_environment(), pool_)) {}

  std::string name() const override { return "toolgrad"; }
  std::string detail() const override { return ops_->name(); }

  void prepare(const Product& product, const Numbers& numbers) override {
    product_ = product;
    left_ = numbers.left;
    const int64_t N = product.N, K = product.K;
    if (product.form == Form::kWeight) {
      right_ = numbers.right;
      result_.assign(static_cast<size_t>(packed_elements(N, K)), 0.0f);
      return;
    }
    if (product.pack) right_ = numbers.right;
    const size_t bytes = static_cast<size_t>(packed_elements(N, K)) * dtype_size(product.dtype);
    for (int i = 0; i < product.copies; ++i) {
      weights_.emplace_back(bytes);
      ops_->pack(numbers.right.data(), weight(i));
    }
    result_.assign(static_cast<size_t>(product.outputs()), 0.0f);
  }

  void multiply(int copy) override {
    const int64_t T = product_.T;
    if (product_.pack) ops_->pack(right_.data(), weight(copy));
    switch (product_.form) {
      case Form::kForward:
        return ops_->linear_forward({left_.data(), weight(copy), nullptr, nullptr, result_.data(), T});
      case Form::kInput:
        return ops_->linear_backward_input({left_.data(), weight(copy), result_.data(), T, false});
      case Form::kWeight:
        return ops_->linear_backward_weight({right_.data(),
                                             left_.data(),
                                             {result_.data(), DType::kF32, product_.N, product_.K},
                                             nullptr,
                                             T,
                                             product_.dtype});
    }
  }

  float output(int64_t at) const override {
    const int64_t K = product_.K;
    const int64_t where = product_.form == Form::kWeight ? packed_index(K, at / K, at % K) : at;
    return result_[static_cast<size_t>(where)];
  }

  void release() override {
    weights_ = {};
    for (std::vector<float>* part : {&left_, &right_, &result_}) *part = {};
  }

 private:
  PackedMatrix weight(int copy) {
    return {weights_[static_cast<size_t>(copy)].data(), product_.dtype, product_.N, product_.K};
  }

  ThreadPool pool_;
  std::unique_ptr<Ops> ops_;
  Product product_{};
  std::vector<float> left_, right_, result_;
  std::vector<std::vector<uint8_t>> weights_;
};

}  // namespace

std::unique_ptr<Engine> make_ours(int threads) {
  return std::make_unique<Ours>(threads);
}

}  // namespace toolgrad::bench
