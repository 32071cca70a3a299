// Operands of one kernel call: reading tensors, checking that they agree, and running the call as a job.
//
// A call has one argument, an object {name: {data, shape, panels}, option: value}. Everything that does not depend on
// the contents of a tensor is checked here, on the JavaScript thread, before the job is queued: data type, rank,
// agreement of dimensions, overlap of outputs. Contents (token ids, sequence starts) may still be written by a job in
// front, so the job checks them when it runs, on copies. The typed arrays are kept alive until the job has ended.
#pragma once

#include <napi.h>

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "engine/dtype.h"
#include "engine/ops.h"
#include "napi/job.h"

namespace toolgrad {

class KernelBackend;

/// A tensor of the caller; borrowed memory. Absent optional operands have no data and 0 elements.
struct Operand {
  const char* name = "";
  void* data = nullptr;
  DType dtype = DType::kF32;
  bool panels = false;  // panels of 16 rows (ops.h, PackedMatrix); shape is that of the matrix
  bool present = false;
  std::vector<int64_t> shape;
  int64_t elements = 0;  // stored ones, padding included

  float* floats() const { return static_cast<float*>(data); }
  const int32_t* ints() const { return static_cast<const int32_t*>(data); }
};

/// Data types an operand may have, as bits.
enum DTypes : int { kFloat = 1, kWeight = 3, kInt = 4 };  // float32; float32 or bfloat16; int32
enum class Layout { kRows, kRowsOrPanels };

class Operands {
 public:
  using Work = std::function<void(KernelBackend&)>;
  using Resolve = std::function<Napi::Value(Napi::Env)>;

  /// `keys`: every property the argument may have.
  Operands(const Napi::CallbackInfo& info, const char* op, std::initializer_list<const char*> keys);

  /// `dims` has one letter per dimension; the same letter means the same size in every operand. A leading '*' lets the
  /// first letter stand for all leading dimensions together. TypeError ERR_DTYPE_MISMATCH, RangeError
  /// ERR_SHAPE_MISMATCH: "linear: x [2,3] and weight [4,5] do not agree: K is 3 in x and 5 in weight".
  Operand in(const char* name, DTypes dtypes, const char* dims, Layout layout = Layout::kRows);
  Operand in_optional(const char* name, DTypes dtypes, const char* dims, Layout layout = Layout::kRows);
  Operand out(const char* name, DTypes dtypes, const char* dims, Layout layout = Layout::kRows);
  Operand out_optional(const char* name, DTypes dtypes, const char* dims, Layout layout = Layout::kRows);
  /// An output may be exactly the memory of another operand.
  void may_share(const char* output, const char* other) { shared_.push_back({output, other}); }

  /// The size a letter stands for.
  int64_t size(char letter) const { return sizes_[static_cast<size_t>(letter)].value; }
  /// RangeError ERR_SHAPE_MISMATCH unless every letter of `letters` has a size of 1 or more.
  void require_sizes(const char* letters) const;
  const Napi::Object& object() const { return object_; }
  double number(const char* key) const;
  bool flag(const char* key) const;  // absent: false
  [[noreturn]] void fail_shape(const std::string& what) const;

  /// Queues the call after checking for overlap. `work` must not throw JavaScript errors.
  Napi::Promise run(Work work, Resolve resolve = nullptr);

 private:
  struct Size {
    int64_t value = -1;
    size_t operand = 0;  // the first that used the letter
  };
  Operand read(const char* name, DTypes dtypes, const char* dims, Layout layout, bool optional, bool writes);
  void bind(const Operand& operand, const char* dims);
  void check_overlap() const;

  Napi::Env env_;
  const char* op_;
  Napi::Object object_;
  std::array<Size, 128> sizes_{};
  std::vector<Operand> operands_;
  std::vector<bool> writes_;
  std::vector<std::pair<const char*, const char*>> shared_;
  Keep keep_;
};

/// "[2,3]".
std::string shape_text_of(const std::vector<int64_t>& shape);

/// A copy of an index tensor with every entry in [low, high); Error{"ERR_OUT_OF_RANGE"} names the entry. For jobs.
std::vector<int32_t> checked_indices(const Operand& operand, int64_t low, int64_t high);
/// A copy of starts [S + 1]: 0, ascending without empty sequences, ending at `end`.
std::vector<int32_t> checked_starts(const Operand& operand, int64_t end);

}  // namespace toolgrad
