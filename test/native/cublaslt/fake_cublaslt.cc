// A stand-in for NVIDIA's cublasLt: products as its manual describes them, computed on the host in double, with the driver
// copying operands and results. It refuses what the manual forbids. For tests of what toolgrad asks the library for; of the
// library's own results, speed and choices it says nothing.
//
// fake_cublaslt_products() counts products; fake_cublaslt_fail(what) makes the next calls fail: 0 nothing, 1 no algorithm,
// 2 execution, 3 creation.
#include <dlfcn.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cublaslt_api.h"

namespace toolgrad::lt {

struct HandleTag {};
struct DescTag {
  int32_t trans_a = kOpN, trans_b = kOpN;
  uint32_t epilogue = kEpilogueDefault;
  const float* bias = nullptr;
};
struct LayoutTag {
  int type;
  uint64_t rows, cols;
  int64_t ld;
};
struct PreferenceTag {
  size_t workspace = 0;
  uint32_t alignment[4] = {256, 256, 256, 256};  // what the library assumes unless it is told
};

namespace {

int fail = 0;
int64_t products = 0;
constexpr uint64_t kMagic = 0x6661'6b65'6c74'0001;

template <class F>
F driver(const char* name) {
  const char* library = std::getenv("TOOLGRAD_LIBCUDA");
  static void* handle = dlopen(library != nullptr ? library : "libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  return handle == nullptr ? nullptr : reinterpret_cast<F>(dlsym(handle, name));
}
bool from_device(void* to, const void* from, size_t bytes) {
  const auto copy = driver<int (*)(void*, cu::DevicePtr, size_t)>("cuMemcpyDtoH_v2");
  return copy != nullptr && copy(to, reinterpret_cast<cu::DevicePtr>(from), bytes) == 0;
}
bool to_device(void* to, const void* from, size_t bytes) {
  const auto copy = driver<int (*)(cu::DevicePtr, const void*, size_t)>("cuMemcpyHtoD_v2");
  return copy != nullptr && copy(reinterpret_cast<cu::DevicePtr>(to), from, bytes) == 0;
}
bool finish(cu::Stream stream) {
  const auto wait = driver<int (*)(cu::Stream)>("cuStreamSynchronize");
  return wait != nullptr && wait(stream) == 0;
}

// A column-major matrix on the host.
struct Matrix {
  std::vector<float> values;
  int64_t ld;
  double at(uint64_t row, uint64_t col) const {
    return static_cast<double>(values[col * static_cast<uint64_t>(ld) + row]);
  }
};
size_t elements(const LayoutTag& layout) {
  return layout.cols == 0 ? 0 : (layout.cols - 1) * static_cast<uint64_t>(layout.ld) + layout.rows;
}
bool read(Matrix* to, const void* from, const LayoutTag& layout) {
  const size_t count = elements(layout);
  to->ld = layout.ld;
  to->values.resize(count);
  if (layout.type == kR32F) return from_device(to->values.data(), from, 4 * count);
  std::vector<uint16_t> halves(count);
  if (!from_device(halves.data(), from, 2 * count)) return false;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = static_cast<uint32_t>(halves[i]) << 16;
    std::memcpy(&to->values[i], &bits, 4);
  }
  return true;
}

struct Sizes {
  uint64_t m = 0, n = 0, k = 0;
};
// The sizes of a product whose operands fit together; m is 0 when they do not.
Sizes sizes_of(const DescTag& desc, const LayoutTag& a, const LayoutTag& b, const LayoutTag& c, const LayoutTag& d) {
  const uint64_t m = desc.trans_a == kOpT ? a.cols : a.rows, ka = desc.trans_a == kOpT ? a.rows : a.cols;
  const uint64_t n = desc.trans_b == kOpT ? b.rows : b.cols, kb = desc.trans_b == kOpT ? b.cols : b.rows;
  const bool fits = ka == kb && d.rows == m && d.cols == n && c.rows == m && c.cols == n && a.type == kR16BF &&
                    b.type == kR16BF && c.type == kR32F && d.type == kR32F;
  return fits ? Sizes{m, n, ka} : Sizes{};
}
bool aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

}  // namespace
}  // namespace toolgrad::lt

using namespace toolgrad;
using namespace toolgrad::lt;

extern "C" {

int64_t fake_cublaslt_products() {
  return products;
}
void fake_cublaslt_fail(int what) {
  fail = what;
}

size_t cublasLtGetVersion() {
  return 130000;
}
Status cublasLtCreate(Handle* handle) {
  if (fail == 3) return kNotInitialized;
  *handle = new HandleTag;
  return kSuccess;
}
Status cublasLtDestroy(Handle handle) {
  delete handle;
  return kSuccess;
}
Status cublasLtMatmulDescCreate(Desc* desc, int compute, int scale) {
  if (compute != kCompute32F || scale != kR32F) return kNotSupported;
  *desc = new DescTag;
  return kSuccess;
}
Status cublasLtMatmulDescDestroy(Desc desc) {
  delete desc;
  return kSuccess;
}
Status cublasLtMatmulDescSetAttribute(Desc desc, int attribute, const void* value, size_t bytes) {
  switch (attribute) {
    case kDescTransA:
      if (bytes != sizeof(desc->trans_a)) return kInvalidValue;
      std::memcpy(&desc->trans_a, value, bytes);
      return kSuccess;
    case kDescTransB:
      if (bytes != sizeof(desc->trans_b)) return kInvalidValue;
      std::memcpy(&desc->trans_b, value, bytes);
      return kSuccess;
    case kDescEpilogue:
      if (bytes != sizeof(desc->epilogue)) return kInvalidValue;
      std::memcpy(&desc->epilogue, value, bytes);
      return kSuccess;
    case kDescBiasPointer:
      if (bytes != sizeof(desc->bias)) return kInvalidValue;
      std::memcpy(&desc->bias, value, bytes);
      return kSuccess;
    default:
      return kInvalidValue;
  }
}
Status cublasLtMatrixLayoutCreate(Layout* layout, int type, uint64_t rows, uint64_t cols, int64_t ld) {
  if (ld < static_cast<int64_t>(rows)) return kInvalidValue;
  *layout = new LayoutTag{type, rows, cols, ld};
  return kSuccess;
}
Status cublasLtMatrixLayoutDestroy(Layout layout) {
  delete layout;
  return kSuccess;
}
Status cublasLtMatmulPreferenceCreate(Preference* preference) {
  *preference = new PreferenceTag;
  return kSuccess;
}
Status cublasLtMatmulPreferenceDestroy(Preference preference) {
  delete preference;
  return kSuccess;
}
Status cublasLtMatmulPreferenceSetAttribute(Preference preference, int attribute, const void* value, size_t bytes) {
  if (attribute == kPreferenceMaxWorkspaceBytes && bytes == sizeof(size_t)) {
    std::memcpy(&preference->workspace, value, bytes);
    return kSuccess;
  }
  if (attribute < kPreferenceMinAlignmentA || attribute > kPreferenceMinAlignmentD || bytes != sizeof(uint32_t))
    return kInvalidValue;
  std::memcpy(&preference->alignment[attribute - kPreferenceMinAlignmentA], value, bytes);
  return kSuccess;
}
Status cublasLtMatmulAlgoGetHeuristic(Handle, Desc desc, Layout a, Layout b, Layout c, Layout d, Preference preference,
                                      int wanted, Heuristic* found, int* count) {
  *count = 0;
  if (fail == 1) return kNotSupported;
  if (desc->epilogue == kEpilogueBias && (desc->bias == nullptr || !aligned(desc->bias))) return kInvalidValue;
  if (wanted < 1 || sizes_of(*desc, *a, *b, *c, *d).m == 0) return kInvalidValue;
  for (const uint32_t alignment : preference->alignment)
    if (alignment > 16) return kInvalidValue;  // toolgrad promises 16 bytes
  *found = Heuristic{};
  found->algorithm.data[0] = kMagic;
  found->workspace_bytes = preference->workspace;
  *count = 1;
  return kSuccess;
}
Status cublasLtMatmul(Handle, Desc desc, const void* alpha, const void* a, Layout a_layout, const void* b,
                      Layout b_layout, const void* beta, const void* c, Layout c_layout, void* d, Layout d_layout,
                      const Algorithm* algorithm, void* workspace, size_t workspace_bytes, cu::Stream stream) {
  const Sizes s = sizes_of(*desc, *a_layout, *b_layout, *c_layout, *d_layout);
  if (s.m == 0 || algorithm == nullptr || algorithm->data[0] != kMagic) return kInvalidValue;
  if (!aligned(a) || !aligned(b) || !aligned(c) || !aligned(d) || (workspace == nullptr && workspace_bytes > 0))
    return kInvalidValue;
  const bool biased = desc->epilogue == kEpilogueBias;
  if (!biased && desc->epilogue != kEpilogueDefault) return kNotSupported;
  if (biased && !aligned(desc->bias)) return kInvalidValue;
  if (fail == 2) return kExecutionFailed;
  float by_product = 0, by_addend = 0;
  std::memcpy(&by_product, alpha, 4);
  std::memcpy(&by_addend, beta, 4);
  Matrix x, y, addend, out;
  std::vector<float> bias(s.m);
  if (!finish(stream) || !read(&x, a, *a_layout) || !read(&y, b, *b_layout)) return kExecutionFailed;
  if (by_addend != 0.0f && !read(&addend, c, *c_layout)) return kExecutionFailed;
  if (biased && !from_device(bias.data(), desc->bias, 4 * s.m)) return kExecutionFailed;
  out.ld = d_layout->ld;
  out.values.resize(elements(*d_layout));
  for (uint64_t column = 0; column < s.n; ++column) {
    for (uint64_t row = 0; row < s.m; ++row) {
      double sum = 0;
      for (uint64_t k = 0; k < s.k; ++k)
        sum += (desc->trans_a == kOpT ? x.at(k, row) : x.at(row, k)) *
               (desc->trans_b == kOpT ? y.at(column, k) : y.at(k, column));
      sum *= static_cast<double>(by_product);
      if (by_addend != 0.0f) sum += static_cast<double>(by_addend) * addend.at(row, column);
      if (biased) sum += static_cast<double>(bias[row]);
      out.values[column * static_cast<uint64_t>(out.ld) + row] = static_cast<float>(sum);
    }
  }
  if (!to_device(d, out.values.data(), 4 * out.values.size())) return kExecutionFailed;
  ++products;
  return kSuccess;
}

}  // extern "C"
