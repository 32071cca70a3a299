// The bench beside other libraries: our products pass its check in every form, a wrong result does not, and a library that is
// not there is told from one that lacks what is needed.
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

void products_are_checked(Engine& ours, const char* form, DType dtype, bool pack) {
  const Product product{form_from_name(form), 13, 35, 50, dtype, pack, 2};
  const std::string what = std::string(form) + ", " + dtype_name(dtype) + (pack ? ", packed each time" : "");
  const Numbers numbers = numbers_of(product);
  ours.prepare(product, numbers);
  ours.multiply(1);
  check_result(product, numbers, read_output, &ours);
  check(true, what + ": our result passes");
  const auto wrong = [&](ReadOutput read) {
    return [&product, &numbers, &ours, read] { check_result(product, numbers, read, &ours); };
  };
  check_throws(wrong(read_shifted), "ERR_WRONG_RESULT", "element 0", what + ": elements out of place do not");
  ours.multiply(0);
  if (product.form == Form::kWeight)
    check_throws(wrong(read_output), "ERR_WRONG_RESULT", "expected", what + ": a second product is added");
  else
    check_result(product, numbers, read_output, &ours);
  ours.release();
}

}  // namespace

int main() {
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
  return finish();
}
