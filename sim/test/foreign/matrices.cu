// nvcuda::wmma: one warp, d = a b + c with the shapes and types of sm_80. Expected by foreign_test.cc.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

namespace wmma = nvcuda::wmma;

template <class T, int M, int N, int K, class A, class B, class Sum, class Element = T>
__device__ void multiply(const Element* a, int lda, const Element* b, int ldb, const Sum* c, Sum* d, int ldd,
                         wmma::layout_t layout) {
  wmma::fragment<wmma::matrix_a, M, N, K, T, A> left;
  wmma::fragment<wmma::matrix_b, M, N, K, T, B> right;
  wmma::fragment<wmma::accumulator, M, N, K, Sum> sum;
  wmma::load_matrix_sync(left, a, lda);
  wmma::load_matrix_sync(right, b, ldb);
  wmma::load_matrix_sync(sum, c, ldd, layout);
  wmma::mma_sync(sum, left, right, sum);
  for (int i = 0; i < sum.num_elements; ++i) sum.x[i] = sum.x[i] + sum.x[i];
  wmma::store_matrix_sync(d, sum, ldd, layout);
}

using Row = wmma::row_major;
using Column = wmma::col_major;

extern "C" __global__ void half_16(const __half* a, const __half* b, const float* c, float* d) {
  multiply<__half, 16, 16, 16, Row, Column>(a, 16, b, 24, c, d, 16, wmma::mem_row_major);
}
extern "C" __global__ void half_8_32(const __half* a, const __half* b, const float* c, float* d) {
  multiply<__half, 8, 32, 16, Column, Row>(a, 16, b, 40, c, d, 8, wmma::mem_col_major);
}
extern "C" __global__ void half_32_8(const __half* a, const __half* b, const float* c, float* d) {
  multiply<__half, 32, 8, 16, Row, Row>(a, 16, b, 8, c, d, 8, wmma::mem_row_major);
}
extern "C" __global__ void half_sum(const __half* a, const __half* b, const __half* c, __half* d) {
  multiply<__half, 16, 16, 16, Column, Column>(a, 16, b, 16, c, d, 16, wmma::mem_row_major);
}
extern "C" __global__ void brain_16(const __nv_bfloat16* a, const __nv_bfloat16* b, const float* c, float* d) {
  multiply<__nv_bfloat16, 16, 16, 16, Row, Row>(a, 16, b, 16, c, d, 16, wmma::mem_row_major);
}
extern "C" __global__ void brain_32_8(const __nv_bfloat16* a, const __nv_bfloat16* b, const float* c, float* d) {
  multiply<__nv_bfloat16, 32, 8, 16, Column, Column>(a, 32, b, 16, c, d, 32, wmma::mem_col_major);
}
extern "C" __global__ void tf32_16(const float* a, const float* b, const float* c, float* d) {
  multiply<wmma::precision::tf32, 16, 16, 8, Row, Column, float, float>(a, 8, b, 8, c, d, 16, wmma::mem_row_major);
}
extern "C" __global__ void double_8(const double* a, const double* b, const double* c, double* d) {
  multiply<double, 8, 8, 4, Row, Column>(a, 4, b, 4, c, d, 8, wmma::mem_row_major);
}
extern "C" __global__ void byte_16(const signed char* a, const signed char* b, const int* c, int* d) {
  multiply<signed char, 16, 16, 16, Row, Column>(a, 16, b, 16, c, d, 16, wmma::mem_row_major);
}
extern "C" __global__ void byte_32_8(const unsigned char* a, const unsigned char* b, const int* c, int* d) {
  multiply<unsigned char, 32, 8, 16, Column, Row>(a, 32, b, 16, c, d, 8, wmma::mem_row_major);
}
