// The bench beside other libraries: our products, and oneDNN's in bf16 where that is here, pass its check in every form, a wrong
// result does not, and a library that is not there is told from one that lacks what is needed.
#include <cstdio>
#include <cstdlib>

#include "../../bench/native/peers/engine.h"
#include "check.h"

using namespace toolgrad;
using namespace toolgrad::bench;
using namespace toolgrad::test;

namespace {

float read_output(const void* engine, int64_t at) {
  return static_cast<const Engine*>(engine)->output(at);
}
float read_shifted(const void* engine, int64_t at) {
  return read_output(engine, at == 0 ? 1 : at - 1);
}

void products_are_checked(Engine& engine, const char* form, DType dtype, bool pack) {
  const Product product{form_from_name(form), 13, 35, 50, dtype, pack, 2};
  const std::string what =
      engine.name() + ": " + std::string(form) + ", " + dtype_name(dtype) + (pack ? ", packed each time" : "");
  const Numbers numbers = numbers_of(product);
  engine.prepare(product, numbers);
  engine.multiply(1);
  check_result(product, numbers, read_output, &engine);
  check(true, what + ": the result passes");
  const auto wrong = [&](ReadOutput read) {
    return [&product, &numbers, &engine, read] { check_result(product, numbers, read, &engine); };
  };
  check_throws(wrong(read_shifted), "ERR_WRONG_RESULT", "element 0", what + ": elements out of place do not");
  engine.multiply(0);
  if (product.form == Form::kWeight)
    check_throws(wrong(read_output), "ERR_WRONG_RESULT", "expected", what + ": a second product is added");
  else
    check_result(product, numbers, read_output, &engine);
  engine.release();
}

void onednn_is_checked(Engine& onednn) {
  check(onednn.detail().find("bf16") != std::string::npos, "the kernel is one of bf16: " + onednn.detail());
  for (const char* form : {"forward", "dX"})
    for (const bool pack : {false, true}) products_are_checked(onednn, form, DType::kBF16, pack);
  products_are_checked(onednn, "dW", DType::kBF16, false);
  const Product row{Form::kForward, 1, 35, 50, DType::kBF16, false, 3};
  onednn.prepare(row, numbers_of(row));
  onednn.multiply(2);
  check_result(row, numbers_of(row), read_output, &onednn);
  const Product exact{Form::kForward, 13, 35, 50, DType::kF32, false, 1};
  onednn.prepare(exact, numbers_of(exact));
  onednn.multiply(0);
  check_throws([&] { check_result(exact, numbers_of(exact), read_output, &onednn); }, "ERR_WRONG_RESULT", "expected",
               "rounded operands are no fp32 product");
  onednn.release();
}

}  // namespace

int main() {
  // One thread of OpenMP, which ThreadSanitizer does not see through.
  setenv("OMP_NUM_THREADS", "1", 1);
  const std::unique_ptr<Engine> ours = make_ours(2);
  for (const char* form : {"forward", "dX"})
    for (const DType dtype : {DType::kF32, DType::kBF16})
      for (const bool pack : {false, true}) products_are_checked(*ours, form, dtype, pack);
  for (const DType dtype : {DType::kF32, DType::kBF16}) products_are_checked(*ours, "dW", dtype, false);
  check_throws([] { form_from_name("dY"); }, "ERR_INVALID_ARG", "dY", "an unknown form is refused");

  std::string reason;
  check(make_openblas("/no/such/library.so", 1, &reason) == nullptr, "a file that is not there is no library");
  check(reason.find("/no/such/library.so") == 0, "the reason names it: " + reason);
  check_throws([&] { make_blis("libm.so.6", 1, &reason); }, "ERR_PEER", "cblas_sgemm", "another library is refused");

  reason.clear();
  check(make_onednn_bf16("/no/such/library.so", 1, &reason) == nullptr, "nor is it oneDNN");
  check(reason.find("/no/such/library.so") == 0, "the reason names it: " + reason);
  check_throws([&] { make_onednn_bf16("libm.so.6", 1, &reason); }, "ERR_PEER", "dnnl_version", "libm is not oneDNN");
  reason.clear();
  const std::unique_ptr<Engine> onednn = make_onednn_bf16("", 1, &reason);
  check((onednn == nullptr) == !reason.empty(), "oneDNN is here, or there is a reason");
  if (onednn != nullptr)
    onednn_is_checked(*onednn);
  else
    std::printf("oneDNN in bf16 is not checked: %s\n", reason.c_str());
  return finish();
}
