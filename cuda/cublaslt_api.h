// The part of cublasLt's C interface that toolgrad uses, declared by ourselves so that no CUDA toolkit is needed to build.
// Names, layouts and numbers are those of NVIDIA's public cublasLt.h of CUDA 11 to 13; test/native/cublaslt_abi_test.cc compares
// them with the real header where one is installed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "driver_api.h"

namespace toolgrad::lt {

struct HandleTag;
struct DescTag;
struct LayoutTag;
struct PreferenceTag;
using Handle = HandleTag*;
using Desc = DescTag*;              // of a product
using Layout = LayoutTag*;          // of a matrix
using Preference = PreferenceTag*;  // of the search for an algorithm

using Status = int;  // cublasStatus_t
enum : Status {
  kSuccess = 0,
  kNotInitialized = 1,
  kAllocFailed = 3,
  kInvalidValue = 7,
  kArchMismatch = 8,
  kMappingError = 11,
  kExecutionFailed = 13,
  kInternalError = 14,
  kNotSupported = 15,
  kLicenseError = 16,
};

enum : int { kR32F = 0, kR16BF = 14 };  // cudaDataType_t
enum : int { kCompute32F = 68 };        // cublasComputeType_t
enum : int32_t { kOpN = 0, kOpT = 1 };  // cublasOperation_t

enum : int {
  kDescTransA = 3,
  kDescTransB = 4,
  kDescEpilogue = 7,
  kDescBiasPointer = 8
};                                                            // cublasLtMatmulDescAttributes_t
enum : uint32_t { kEpilogueDefault = 1, kEpilogueBias = 4 };  // cublasLtEpilogue_t
enum : int {                                                  // cublasLtMatmulPreferenceAttributes_t
  kPreferenceMaxWorkspaceBytes = 1,
  kPreferenceMinAlignmentA = 5,
  kPreferenceMinAlignmentB = 6,
  kPreferenceMinAlignmentC = 7,
  kPreferenceMinAlignmentD = 8,
};

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

// clang-format off
#define TOOLGRAD_LT_FUNCTIONS(X)                                                                                          \
  X(GetVersion, "cublasLtGetVersion", size_t, ())                                                                         \
  X(Create, "cublasLtCreate", Status, (Handle*))                                                                          \
  X(Destroy, "cublasLtDestroy", Status, (Handle))                                                                         \
  X(MatmulDescCreate, "cublasLtMatmulDescCreate", Status, (Desc*, int compute, int scale))                                \
  X(MatmulDescDestroy, "cublasLtMatmulDescDestroy", Status, (Desc))                                                       \
  X(MatmulDescSetAttribute, "cublasLtMatmulDescSetAttribute", Status, (Desc, int, const void*, size_t))                   \
  X(MatrixLayoutCreate, "cublasLtMatrixLayoutCreate", Status, (Layout*, int type, uint64_t rows, uint64_t cols, int64_t)) \
  X(MatrixLayoutDestroy, "cublasLtMatrixLayoutDestroy", Status, (Layout))                                                 \
  X(PreferenceCreate, "cublasLtMatmulPreferenceCreate", Status, (Preference*))                                            \
  X(PreferenceDestroy, "cublasLtMatmulPreferenceDestroy", Status, (Preference))                                           \
  X(PreferenceSetAttribute, "cublasLtMatmulPreferenceSetAttribute", Status, (Preference, int, const void*, size_t))       \
  X(AlgoGetHeuristic, "cublasLtMatmulAlgoGetHeuristic", Status,                                                           \
    (Handle, Desc, Layout a, Layout b, Layout c, Layout d, Preference, int wanted, Heuristic*, int* found))               \
  X(Matmul, "cublasLtMatmul", Status,                                                                                     \
    (Handle, Desc, const void* alpha, const void* a, Layout, const void* b, Layout, const void* beta, const void* c,      \
     Layout, void* d, Layout, const Algorithm*, void* workspace, size_t, cu::Stream))
// clang-format on

}  // namespace toolgrad::lt
