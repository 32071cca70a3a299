// cuda/cublaslt_api.h against NVIDIA's cublasLt.h: every constant, both structs and every signature, decided by the compiler.
#include "cuda_abi.h"

#if __has_include(<cublasLt.h>) && TOOLGRAD_HAVE_CUDA_H
#include <cublasLt.h>
#define TOOLGRAD_HAVE_CUBLASLT_H 1
#else
#define TOOLGRAD_HAVE_CUBLASLT_H 0
#endif

#include <cstdio>

#include "../../cuda/cublaslt_api.h"

#if !TOOLGRAD_HAVE_CUBLASLT_H

int main() {
  std::printf("skipped: there is no cublasLt.h and cuda.h on the include path (CMake's TOOLGRAD_CUBLASLT_INCLUDE)\n");
  return 77;
}

#else

namespace toolgrad::test {

template <>
struct SameStruct<lt::HandleTag, ::cublasLtContext> : std::true_type {};
template <>
struct SameStruct<lt::DescTag, ::cublasLtMatmulDescOpaque_t> : std::true_type {};
template <>
struct SameStruct<lt::LayoutTag, ::cublasLtMatrixLayoutOpaque_t> : std::true_type {};
template <>
struct SameStruct<lt::PreferenceTag, ::cublasLtMatmulPreferenceOpaque_t> : std::true_type {};
template <>
struct SameStruct<lt::Algorithm, ::cublasLtMatmulAlgo_t> : std::true_type {};
template <>
struct SameStruct<lt::Heuristic, ::cublasLtMatmulHeuristicResult_t> : std::true_type {};

static_assert(sizeof(lt::Algorithm) == sizeof(::cublasLtMatmulAlgo_t));
static_assert(sizeof(lt::Heuristic) == sizeof(::cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(lt::Heuristic, algorithm) == offsetof(::cublasLtMatmulHeuristicResult_t, algo));
static_assert(offsetof(lt::Heuristic, workspace_bytes) == offsetof(::cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(lt::Heuristic, state) == offsetof(::cublasLtMatmulHeuristicResult_t, state));
static_assert(offsetof(lt::Heuristic, waves) == offsetof(::cublasLtMatmulHeuristicResult_t, wavesCount));
static_assert(offsetof(lt::Heuristic, reserved) == offsetof(::cublasLtMatmulHeuristicResult_t, reserved));

#define SAME_NUMBER(ours, theirs) static_assert(static_cast<long long>(ours) == static_cast<long long>(theirs))
SAME_NUMBER(lt::kSuccess, CUBLAS_STATUS_SUCCESS);
SAME_NUMBER(lt::kNotInitialized, CUBLAS_STATUS_NOT_INITIALIZED);
SAME_NUMBER(lt::kAllocFailed, CUBLAS_STATUS_ALLOC_FAILED);
SAME_NUMBER(lt::kInvalidValue, CUBLAS_STATUS_INVALID_VALUE);
SAME_NUMBER(lt::kArchMismatch, CUBLAS_STATUS_ARCH_MISMATCH);
SAME_NUMBER(lt::kMappingError, CUBLAS_STATUS_MAPPING_ERROR);
SAME_NUMBER(lt::kExecutionFailed, CUBLAS_STATUS_EXECUTION_FAILED);
SAME_NUMBER(lt::kInternalError, CUBLAS_STATUS_INTERNAL_ERROR);
SAME_NUMBER(lt::kNotSupported, CUBLAS_STATUS_NOT_SUPPORTED);
SAME_NUMBER(lt::kLicenseError, CUBLAS_STATUS_LICENSE_ERROR);
SAME_NUMBER(lt::kR32F, CUDA_R_32F);
SAME_NUMBER(lt::kR16BF, CUDA_R_16BF);
SAME_NUMBER(lt::kCompute32F, CUBLAS_COMPUTE_32F);
SAME_NUMBER(lt::kOpN, CUBLAS_OP_N);
SAME_NUMBER(lt::kOpT, CUBLAS_OP_T);
SAME_NUMBER(lt::kDescTransA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME_NUMBER(lt::kDescTransB, CUBLASLT_MATMUL_DESC_TRANSB);
SAME_NUMBER(lt::kDescEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME_NUMBER(lt::kDescBiasPointer, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME_NUMBER(lt::kEpilogueDefault, CUBLASLT_EPILOGUE_DEFAULT);
SAME_NUMBER(lt::kEpilogueBias, CUBLASLT_EPILOGUE_BIAS);
SAME_NUMBER(lt::kPreferenceMaxWorkspaceBytes, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME_NUMBER(lt::kPreferenceMinAlignmentA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME_NUMBER(lt::kPreferenceMinAlignmentB, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME_NUMBER(lt::kPreferenceMinAlignmentC, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME_NUMBER(lt::kPreferenceMinAlignmentD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
#undef SAME_NUMBER

namespace listed_lt {
using namespace lt;
struct Signatures {
#define TOOLGRAD_SIGNATURE(member, symbol, result, parameters) result(*member) parameters;
  TOOLGRAD_LT_FUNCTIONS(TOOLGRAD_SIGNATURE)
#undef TOOLGRAD_SIGNATURE
};
}  // namespace listed_lt

// Each by hand once more, so that a function added to the list and not here fails the count below.
// clang-format off
#define TOOLGRAD_LT_PAIRS(X)                                        \
  X(GetVersion, cublasLtGetVersion)                                 \
  X(Create, cublasLtCreate)                                         \
  X(Destroy, cublasLtDestroy)                                       \
  X(MatmulDescCreate, cublasLtMatmulDescCreate)                     \
  X(MatmulDescDestroy, cublasLtMatmulDescDestroy)                   \
  X(MatmulDescSetAttribute, cublasLtMatmulDescSetAttribute)         \
  X(MatrixLayoutCreate, cublasLtMatrixLayoutCreate)                 \
  X(MatrixLayoutDestroy, cublasLtMatrixLayoutDestroy)               \
  X(PreferenceCreate, cublasLtMatmulPreferenceCreate)               \
  X(PreferenceDestroy, cublasLtMatmulPreferenceDestroy)             \
  X(PreferenceSetAttribute, cublasLtMatmulPreferenceSetAttribute)   \
  X(AlgoGetHeuristic, cublasLtMatmulAlgoGetHeuristic)               \
  X(Matmul, cublasLtMatmul)
// clang-format on

#define TOOLGRAD_PAIR(member, theirs) \
  static_assert(SameFunction<decltype(listed_lt::Signatures::member), decltype(&::theirs)>::value, #theirs);
TOOLGRAD_LT_PAIRS(TOOLGRAD_PAIR)
#undef TOOLGRAD_PAIR

#define TOOLGRAD_ONE(...) +1
constexpr int kPairs = 0 TOOLGRAD_LT_PAIRS(TOOLGRAD_ONE), kListed = 0 TOOLGRAD_LT_FUNCTIONS(TOOLGRAD_ONE);
#undef TOOLGRAD_ONE
static_assert(kPairs == kListed);

}  // namespace toolgrad::test

int main() {
  std::printf("ok     %d functions, their constants and structs are those of cublasLt.h %d.%d\n",
              toolgrad::test::kPairs, CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR);
  return 0;
}

#endif
