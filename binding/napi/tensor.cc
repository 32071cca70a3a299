// Operands of kernel calls; see tensor.h.
#include "napi/tensor.h"

#include <cstring>
#include <utility>

#include "engine/error.h"
#include "napi/args.h"
#include "napi/kernel_backend.h"

namespace toolgrad {
namespace {

constexpr int64_t kMostElements = int64_t{1} << 40;

template <class E>
[[noreturn]] void throw_coded(Napi::Env env, const char* code, const std::string& message) {
  auto error = E::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  throw error;
}

DType dtype_of(Napi::TypedArray array, const char* name) {
  switch (array.TypedArrayType()) {
    case napi_float32_array:
      return DType::kF32;
    case napi_uint16_array:
      return DType::kBF16;
    case napi_int32_array:
      return DType::kI32;
    case napi_uint8_array:
      return DType::kU8;
    default:
      throw_wrong_type(array, "Float32Array, Uint16Array (bfloat16), Int32Array or Uint8Array", name);
  }
}

bool allows(DTypes dtypes, DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return dtypes == kFloat || dtypes == kWeight;
    case DType::kBF16:
      return dtypes == kWeight;
    case DType::kI32:
      return dtypes == kInt;
    default:
      return false;
  }
}

const char* dtypes_text(DTypes dtypes) {
  return dtypes == kInt ? "int32" : dtypes == kFloat ? "float32" : "float32 or bfloat16";
}

// Elements a tensor stores.
int64_t stored_elements(const std::vector<int64_t>& shape, bool panels) {
  int64_t elements = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t size = panels && i == 0 ? round_up(shape[i], kPanelRows) : shape[i];
    if (size != 0 && elements > kMostElements / size) return -1;
    elements *= size;
  }
  return elements;
}

}  // namespace

std::string shape_text_of(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ",") + std::to_string(shape[i]);
  return text + "]";
}

Operands::Operands(const Napi::CallbackInfo& info, const char* op, std::initializer_list<const char*> keys)
    : env_(info.Env()), op_(op), object_(read_object(argument(info, 0), op, keys)) {
  operands_.reserve(keys.size());
}

Operand Operands::in(const char* name, DTypes dtypes, const char* dims, Layout layout) {
  return read(name, dtypes, dims, layout, false, false);
}
Operand Operands::in_optional(const char* name, DTypes dtypes, const char* dims, Layout layout) {
  return read(name, dtypes, dims, layout, true, false);
}
Operand Operands::out(const char* name, DTypes dtypes, const char* dims, Layout layout) {
  return read(name, dtypes, dims, layout, false, true);
}
Operand Operands::out_optional(const char* name, DTypes dtypes, const char* dims, Layout layout) {
  return read(name, dtypes, dims, layout, true, true);
}

Operand Operands::read(const char* name, DTypes dtypes, const char* dims, Layout layout, bool optional, bool writes) {
  const Napi::Value value = property(object_, name);
  Operand operand;
  operand.name = name;
  if (optional && is_absent(value)) return operand;

  const Napi::Object tensor = read_object(value, name, {"data", "shape", "panels"});
  const Napi::Value data = property(tensor, "data");
  if (!data.IsTypedArray()) throw_wrong_type(data, "typed array", name);
  const auto array = data.As<Napi::TypedArray>();
  operand.present = true;
  operand.dtype = dtype_of(array, name);
  operand.panels = boolean_or(tensor, "panels", false);
  const Napi::Array shape = read_array(property(tensor, "shape"), name);
  for (uint32_t i = 0; i < shape.Length(); ++i)
    operand.shape.push_back(read_integer(shape.Get(i), name, 0, kMostElements));
  operand.elements = stored_elements(operand.shape, operand.panels);
  if (operand.elements != static_cast<int64_t>(array.ElementLength()))
    fail_shape(std::string(name) + " " + shape_text_of(operand.shape) + " needs " + std::to_string(operand.elements) +
               " elements but its array has " + std::to_string(array.ElementLength()) +
               " (was its ArrayBuffer transferred?)");
  // The one call that gives the address for every element type and for shared memory too.
  if (napi_get_typedarray_info(env_, array, nullptr, nullptr, &operand.data, nullptr, nullptr) != napi_ok)
    throw Napi::Error::New(env_);

  if (!allows(dtypes, operand.dtype))
    throw_coded<Napi::TypeError>(env_, "ERR_DTYPE_MISMATCH",
                                 std::string(op_) + ": expected " + dtypes_text(dtypes) + " for " + name +
                                     " but found " + dtype_name(operand.dtype) + " " + shape_text_of(operand.shape));
  if (operand.panels && layout == Layout::kRows)
    throw_coded<Napi::TypeError>(
        env_, "ERR_DTYPE_MISMATCH",
        std::string(op_) + ": expected rows for " + name + " but found packed panels; unpackWeight makes rows of them");
  operands_.push_back(operand);
  writes_.push_back(writes);
  keep_.push_back(data);
  bind(operand, dims);
  return operand;
}

void Operands::bind(const Operand& operand, const char* dims) {
  const bool flattens = dims[0] == '*';
  const char* letters = flattens ? dims + 1 : dims;
  const size_t rank = std::strlen(letters), found = operand.shape.size();
  if (flattens ? found < rank : found != rank) {
    std::string expected;
    for (size_t i = 0; i < rank; ++i) expected += (i == 0 ? "" : ",") + std::string(1, letters[i]);
    fail_shape("expected " + std::string(operand.name) + " [" + (flattens ? "…," : "") + expected + "] but found " +
               shape_text_of(operand.shape));
  }
  const size_t leading = found - rank;
  for (size_t i = 0; i < rank; ++i) {
    int64_t value = operand.shape[leading + i];
    if (i == 0)
      for (size_t j = 0; j < leading; ++j) value *= operand.shape[j];
    Size& size = sizes_[static_cast<size_t>(letters[i])];
    if (size.value < 0) {
      size = {value, operands_.size() - 1};
    } else if (size.value != value) {
      const Operand& other = operands_[size.operand];
      const std::string letter(1, letters[i]);
      fail_shape(std::string(other.name) + " " + shape_text_of(other.shape) + " and " + operand.name + " " +
                 shape_text_of(operand.shape) + " do not agree: " + letter + " is " + std::to_string(size.value) +
                 " in " + other.name + " and " + std::to_string(value) + " in " + operand.name);
    }
  }
}

void Operands::require_sizes(const char* letters) const {
  for (const char* letter = letters; *letter != 0; ++letter) {
    const Size& size = sizes_[static_cast<size_t>(*letter)];
    if (size.value == 0)
      fail_shape("expected " + std::string(1, *letter) + " of 1 or more but found " + operands_[size.operand].name +
                 " " + shape_text_of(operands_[size.operand].shape));
  }
}

double Operands::number(const char* key) const {
  return read_number(property(object_, key), key);
}

bool Operands::flag(const char* key) const {
  return boolean_or(object_, key, false);
}

void Operands::fail_shape(const std::string& what) const {
  throw_coded<Napi::RangeError>(env_, "ERR_SHAPE_MISMATCH", std::string(op_) + ": " + what);
}

void Operands::check_overlap() const {
  const auto begin = [](const Operand& o) { return reinterpret_cast<uintptr_t>(o.data); };
  const auto end = [&](const Operand& o) {
    return begin(o) + static_cast<uintptr_t>(o.elements) * dtype_size(o.dtype);
  };
  const auto allowed = [&](const Operand& a, const Operand& b) {
    for (const auto& [output, other] : shared_) {
      const bool named = (output == std::string(a.name) && other == std::string(b.name)) ||
                         (output == std::string(b.name) && other == std::string(a.name));
      if (named && begin(a) == begin(b) && end(a) == end(b)) return true;
    }
    return false;
  };
  for (size_t i = 0; i < operands_.size(); ++i) {
    for (size_t j = 0; j < operands_.size(); ++j) {
      const Operand &out = operands_[i], &other = operands_[j];
      if (!writes_[i] || i == j || begin(out) >= end(other) || begin(other) >= end(out) || allowed(out, other))
        continue;
      throw_coded<Napi::RangeError>(env_, "ERR_OVERLAP",
                                    std::string(op_) + ": " + out.name + " overlaps the memory of " + other.name +
                                        "; this op needs memory of its own for " + out.name);
    }
  }
}

Napi::Promise Operands::run(Work work, Resolve resolve) {
  check_overlap();
  return run_job(
      env_, [op = op_, backend = KernelBackend::of_process(), work = std::move(work)] { backend->run(op, work); },
      std::move(resolve), keep_);
}

std::vector<int32_t> checked_indices(const Operand& operand, int64_t low, int64_t high) {
  std::vector<int32_t> copy(operand.ints(), operand.ints() + operand.elements);
  for (size_t i = 0; i < copy.size(); ++i) {
    if (copy[i] >= low && copy[i] < high) continue;
    throw Error("ERR_OUT_OF_RANGE", std::string("expected ") + operand.name + " from " + std::to_string(low) + " to " +
                                        std::to_string(high - 1) + " but entry " + std::to_string(i) + " is " +
                                        std::to_string(copy[i]));
  }
  return copy;
}

std::vector<int32_t> checked_starts(const Operand& operand, int64_t end) {
  std::vector<int32_t> starts(operand.ints(), operand.ints() + operand.elements);
  const auto fail = [&](size_t i, const std::string& expected) {
    throw Error("ERR_OUT_OF_RANGE", std::string(operand.name) + "[" + std::to_string(i) + "]: expected " + expected +
                                        " but found " + std::to_string(starts[i]));
  };
  if (starts.empty() || (starts.size() == 1 && end > 0))
    throw Error("ERR_OUT_OF_RANGE", std::string(operand.name) +
                                        ": expected one entry per sequence and the end, found " +
                                        std::to_string(starts.size()) + " entries");
  if (starts[0] != 0) fail(0, "0");
  for (size_t i = 1; i < starts.size(); ++i)
    if (starts[i] <= starts[i - 1]) fail(i, "more than the entry before, " + std::to_string(starts[i - 1]) + ",");
  if (starts.back() != end) fail(starts.size() - 1, "the number of tokens, " + std::to_string(end) + ",");
  return starts;
}

}  // namespace toolgrad
