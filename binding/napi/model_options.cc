// Reading the shape and the options of a model; see model_options.h.
#include "napi/model_options.h"

#include <cstdint>
#include <string>

#include "napi/args.h"
#include "napi/choice.h"
#include "napi/lora.h"
#include "napi/values.h"

namespace toolgrad {
namespace {

constexpr Named<CublasLtProducts> kCublasLtProducts[] = {
    {"none", CublasLtProducts::kNone}, {"gradients", CublasLtProducts::kGradients}, {"all", CublasLtProducts::kAll}};

constexpr Named<Recompute> kRecompute[] = {
    {"none", Recompute::kNone}, {"selective", Recompute::kSelective}, {"full", Recompute::kFull}};

}  // namespace

Recompute read_recompute(Napi::Value value) {
  return is_absent(value) ? Recompute::kNone : read_named(value, "recompute", kRecompute);
}

ModelShape read_shape(Napi::Value value) {
  const Napi::Object object = read_object(
      value, "shape",
      {"vocabSize", "hiddenSize", "layers", "heads", "kvHeads", "headDim", "intermediateSize", "maxPositionEmbeddings",
       "rmsNormEps", "ropeTheta", "ropeScaling", "tieWordEmbeddings", "qkvBias", "qkNorm", "valueHead"});
  const auto integer = [&](const char* key) { return read_positive_integer(property(object, key), key); };
  const auto flag = [&](const char* key) { return read_boolean(property(object, key), key); };
  ModelShape s;
  s.V = integer("vocabSize");
  s.C = integer("hiddenSize");
  s.L = integer("layers");
  s.H = integer("heads");
  s.G = integer("kvHeads");
  s.D = integer("headDim");
  s.F = integer("intermediateSize");
  s.max_positions = integer("maxPositionEmbeddings");
  s.norm_eps = static_cast<float>(read_number(property(object, "rmsNormEps"), "rmsNormEps"));
  s.rope_theta = read_number(property(object, "ropeTheta"), "ropeTheta");
  const Napi::Value scaling_value = property(object, "ropeScaling");
  if (!is_absent(scaling_value)) {
    const Napi::Object scaling =
        read_object(scaling_value, "ropeScaling",
                    {"type", "factor", "lowFreqFactor", "highFreqFactor", "originalMaxPositionEmbeddings"});
    const auto number = [&](const char* key) { return read_number(property(scaling, key), key); };
    s.rope = {RopeScaling::Kind::kLlama3, number("factor"), number("lowFreqFactor"), number("highFreqFactor"),
              number("originalMaxPositionEmbeddings")};
  }
  s.tied = flag("tieWordEmbeddings");
  s.qkv_bias = flag("qkvBias");
  s.qk_norm = flag("qkNorm");
  s.value_head = boolean_or(object, "valueHead", false);
  check_shape(s);
  return s;
}

DType read_dtype(Napi::Value value) {
  DType dtype = DType::kF32;
  if (!dtype_from_name(read_string(value, "dtype").c_str(), &dtype) || (dtype != DType::kF32 && dtype != DType::kBF16))
    throw_out_of_range(value, "\"bfloat16\" or \"float32\"", "dtype");
  return dtype;
}

ModelOptions read_options(Napi::Value value) {
  constexpr int64_t kMostThreads = 1024;
  const Napi::Object object = read_object(
      value, "options", {"dtype", "trainable", "threads", "isa", "cuda", "cublaslt", "cublasltRows", "lora"});
  ModelOptions options;
  options.dtype = read_dtype(property(object, "dtype"));
  options.trainable = boolean_or(object, "trainable", false);
  options.threads = static_cast<int>(read_integer(property(object, "threads"), "threads", 1, kMostThreads));
  const std::string isa = string_or(object, "isa", "");
  options.isa = isa.empty() ? isa_from_environment() : isa_from_name(isa);
  options.cuda = static_cast<int>(integer_or(object, "cuda", -1, 0, INT32_MAX));
  if (!is_absent(property(object, "cublaslt")))
    options.cublaslt.products = read_choice(object, "cublaslt", kCublasLtProducts);
  options.cublaslt.rows = integer_or(object, "cublasltRows", options.cublaslt.rows, 1, INT32_MAX);
  options.lora = read_lora(property(object, "lora"));
  return options;
}

}  // namespace toolgrad
