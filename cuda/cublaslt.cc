// Loading cublasLt and asking it for products; see cublaslt.h.
//
// The library's matrices are column-major: a row-major [T, N] is a column-major [N, T] whose leading dimension is N. So
// y = x W^T becomes Y^T = W X^T with W's own rows read as a transposed operand, and dx = dy W becomes dX^T = W^T dY^T.
#include "cublaslt.h"

#include <dlfcn.h>

#include <cstdlib>
#include <vector>

#include "engine/error.h"

namespace toolgrad::cuda {
namespace {

constexpr size_t kWorkspaceBytes = 32u << 20;  // what the library's manual recommends for sm_90
constexpr uint32_t kAlignment = 16;
constexpr size_t kMostPlans = 256;  // token counts differ from batch to batch: old plans go all at once
constexpr int kWorkspaceSlot = 5;

std::vector<std::string> candidates() {
  const char* named = std::getenv("TOOLGRAD_LIBCUBLASLT");
  if (named != nullptr && *named != '\0') return {named};
  return {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11"};
}

const char* status_name(lt::Status status) {
  switch (status) {
    case lt::kNotInitialized:
      return "not initialised";
    case lt::kAllocFailed:
      return "allocation failed";
    case lt::kInvalidValue:
      return "invalid value";
    case lt::kArchMismatch:
      return "architecture mismatch";
    case lt::kMappingError:
      return "mapping error";
    case lt::kExecutionFailed:
      return "execution failed";
    case lt::kInternalError:
      return "internal error";
    case lt::kNotSupported:
      return "not supported";
    case lt::kLicenseError:
      return "licence error";
    default:
      return "unknown status";
  }
}

std::string status_text(const char* call, lt::Status status) {
  return std::string(call) + ": " + status_name(status) + " (" + std::to_string(status) + ")";
}

std::string shape_text(const LtProduct& p) {
  return std::string(p.transposed ? "dX" : "forward") + " of T " + std::to_string(p.T) + ", N " + std::to_string(p.N) +
         ", K " + std::to_string(p.K);
}

}  // namespace

// The library's objects of one shape, and the algorithm it chose, if any.
class CublasLt::Plan {
 public:
  explicit Plan(const Table& table) : table_(table) {}
  ~Plan() {
    if (desc != nullptr) table_.MatmulDescDestroy(desc);
    for (const lt::Layout layout : {a, b, out})
      if (layout != nullptr) table_.MatrixLayoutDestroy(layout);
    if (preference != nullptr) table_.PreferenceDestroy(preference);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  lt::Desc desc = nullptr;
  lt::Layout a = nullptr, b = nullptr, out = nullptr;
  lt::Preference preference = nullptr;
  bool possible = false;
  lt::Heuristic chosen{};

 private:
  const Table& table_;
};

CublasLt::CublasLt(std::shared_ptr<CudaDevice> device) : device_(std::move(device)) {
  load();
  lt::Status status = lt::kSuccess;
  device_->with_stream([&](cu::Stream) { status = table_.Create(&handle_); });
  if (status != lt::kSuccess)
    throw Error("ERR_NO_CUBLASLT", path_ + " did not start: " + status_text("cublasLtCreate", status));
}

CublasLt::~CublasLt() {
  plans_.clear();
  if (handle_ != nullptr) table_.Destroy(handle_);
  // Never closed: it may keep threads and exit handlers of its own.
}

void CublasLt::load() {
  void* library = nullptr;
  std::string answers;
  for (const std::string& name : candidates()) {
    library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) {
      path_ = name;
      break;
    }
    const char* answer = ::dlerror();
    answers += (answers.empty() ? "" : "; ") + std::string(answer == nullptr ? name : answer);
  }
  if (library == nullptr)
    throw Error("ERR_NO_CUBLASLT", "Expected cublasLt but none could be loaded (" + answers + ")");
  std::string missing;
#define TOOLGRAD_LT_LOAD(member, symbol, result, parameters)                           \
  table_.member = reinterpret_cast<decltype(table_.member)>(::dlsym(library, symbol)); \
  if (table_.member == nullptr) missing += std::string(missing.empty() ? "" : ", ") + (symbol);
  TOOLGRAD_LT_FUNCTIONS(TOOLGRAD_LT_LOAD)
#undef TOOLGRAD_LT_LOAD
  if (!missing.empty())
    throw Error("ERR_NO_CUBLASLT", path_ + " lacks " + missing + "; it is no cublasLt of CUDA 11 or later");
  version_ = static_cast<int64_t>(table_.GetVersion());
}

void CublasLt::check(lt::Status status, const char* call, const LtProduct* product) const {
  if (status == lt::kSuccess) return;
  const std::string text = status_text(call, status) + (product == nullptr ? "" : ", " + shape_text(*product));
  throw Error(status == lt::kAllocFailed ? "ERR_OUT_OF_MEMORY" : "ERR_CUBLASLT", text);
}

const CublasLt::Plan& CublasLt::plan_of(const LtProduct& p) {
  const Key key{p.transposed, p.T, p.N, p.K, p.bias != nullptr, p.addend != nullptr};
  const auto found = plans_.find(key);
  if (found != plans_.end()) return *found->second;
  if (plans_.size() >= kMostPlans) plans_.clear();

  auto plan = std::make_unique<Plan>(table_);
  const auto tell = [&](int attribute, const auto& value) {
    check(table_.MatmulDescSetAttribute(plan->desc, attribute, &value, sizeof(value)), "cublasLtMatmulDescSetAttribute",
          &p);
  };
  const auto prefer = [&](int attribute, const auto& value) {
    check(table_.PreferenceSetAttribute(plan->preference, attribute, &value, sizeof(value)),
          "cublasLtMatmulPreferenceSetAttribute", &p);
  };
  const auto layout = [&](lt::Layout* of, int type, int64_t rows, int64_t cols) {
    check(table_.MatrixLayoutCreate(of, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), rows),
          "cublasLtMatrixLayoutCreate", &p);
  };
  const int64_t inner = p.transposed ? p.N : p.K, outer = p.transposed ? p.K : p.N;
  check(table_.MatmulDescCreate(&plan->desc, lt::kCompute32F, lt::kR32F), "cublasLtMatmulDescCreate", &p);
  tell(lt::kDescTransA, p.transposed ? lt::kOpN : lt::kOpT);
  tell(lt::kDescTransB, lt::kOpN);
  tell(lt::kDescEpilogue, p.bias != nullptr ? lt::kEpilogueBias : lt::kEpilogueDefault);
  if (p.bias != nullptr) tell(lt::kDescBiasPointer, p.bias);  // of which the search reads the alignment
  layout(&plan->a, lt::kR16BF, p.K, p.N);
  layout(&plan->b, lt::kR16BF, inner, p.T);
  layout(&plan->out, lt::kR32F, outer, p.T);
  check(table_.PreferenceCreate(&plan->preference), "cublasLtMatmulPreferenceCreate", &p);
  prefer(lt::kPreferenceMaxWorkspaceBytes, kWorkspaceBytes);
  for (const int attribute : {lt::kPreferenceMinAlignmentA, lt::kPreferenceMinAlignmentB, lt::kPreferenceMinAlignmentC,
                              lt::kPreferenceMinAlignmentD})
    prefer(attribute, kAlignment);
  int count = 0;
  const lt::Status status = table_.AlgoGetHeuristic(handle_, plan->desc, plan->a, plan->b, plan->out, plan->out,
                                                    plan->preference, 1, &plan->chosen, &count);
  if (status != lt::kNotSupported) check(status, "cublasLtMatmulAlgoGetHeuristic", &p);
  plan->possible = status == lt::kSuccess && count > 0 && plan->chosen.state == lt::kSuccess;
  return *plans_.emplace(key, std::move(plan)).first->second;
}

bool CublasLt::multiply(const LtProduct& p) {
  void* workspace = device_->scratch<char>(kWorkspaceSlot, kWorkspaceBytes);
  bool possible = false;
  device_->with_stream([&](cu::Stream stream) {
    const Plan& plan = plan_of(p);
    possible = plan.possible;
    if (!possible) return;
    if (p.bias != nullptr)
      check(table_.MatmulDescSetAttribute(plan.desc, lt::kDescBiasPointer, &p.bias, sizeof(p.bias)),
            "cublasLtMatmulDescSetAttribute", &p);
    const float alpha = 1.0f, beta = p.addend != nullptr ? 1.0f : 0.0f;
    const float* addend = p.addend != nullptr ? p.addend : p.out;
    check(table_.Matmul(handle_, plan.desc, &alpha, p.w, plan.a, p.x, plan.b, &beta, addend, plan.out, p.out, plan.out,
                        &plan.chosen.algorithm, workspace, kWorkspaceBytes, stream),
          "cublasLtMatmul", &p);
  });
  return possible;
}

}  // namespace toolgrad::cuda
