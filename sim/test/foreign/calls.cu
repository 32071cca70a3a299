// What the language needs beyond arithmetic: recursion, pointers to functions, virtual functions, arrays in local memory,
// printf and assert, jump tables, dynamic shared memory, hints for caches. Expected by foreign_test.cc.
#include <cassert>
#include <cstdio>
#include <cuda/annotated_ptr>

__device__ __noinline__ unsigned fibonacci(unsigned n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
/// Mutual recursion; the lanes go to different depths.
__device__ unsigned is_odd(unsigned n);
__device__ __noinline__ unsigned is_even(unsigned n) {
  return n == 0 ? 1 : is_odd(n - 1);
}
__device__ __noinline__ unsigned is_odd(unsigned n) {
  return n == 0 ? 0 : is_even(n - 1);
}
extern "C" __global__ void recursion(unsigned* out) {
  const unsigned t = threadIdx.x;
  out[t] = fibonacci(t % 12);
  out[64 + t] = is_even(t);
}

/// Sorts by recursion: pointers into the array of the outermost call travel down, each level has an array of its own.
__device__ __noinline__ void sort(int* values, int n) {
  if (n < 2) return;
  int small[16], large[16], smalls = 0, larges = 0;
  const int pivot = values[0];
  for (int i = 1; i < n; ++i) {
    if (values[i] < pivot) {
      small[smalls++] = values[i];
    } else {
      large[larges++] = values[i];
    }
  }
  sort(small, smalls);
  sort(large, larges);
  for (int i = 0; i < smalls; ++i) values[i] = small[i];
  values[smalls] = pivot;
  for (int i = 0; i < larges; ++i) values[smalls + 1 + i] = large[i];
}
extern "C" __global__ void sort_each(const int* in, int* out) {
  int mine[16];
  for (int i = 0; i < 16; ++i) mine[i] = in[16 * threadIdx.x + i];
  sort(mine, 16 - static_cast<int>(threadIdx.x % 3));
  for (int i = 0; i < 16; ++i) out[16 * threadIdx.x + i] = mine[i];
}

using Function = float (*)(float, int);
__device__ __noinline__ float scaled(float x, int k) {
  return x * static_cast<float>(k);
}
__device__ __noinline__ float shifted(float x, int k) {
  return x + static_cast<float>(k);
}
__device__ __noinline__ float folded(float x, int k) {
  return k > 0 ? shifted(scaled(x, 2), k) : x;
}
__device__ Function table[] = {scaled, shifted, folded};

struct Shape {
  __device__ virtual float area() const = 0;
};
struct Square : Shape {
  float side;
  __device__ explicit Square(float s) : side(s) {}
  __device__ __noinline__ float area() const override { return side * side; }
};
struct Strip : Shape {
  float a, b;
  __device__ Strip(float x, float y) : a(x), b(y) {}
  __device__ __noinline__ float area() const override { return a * b; }
};

extern "C" __global__ void pointers(const float* in, const int* which, float* out) {
  const int t = threadIdx.x;
  const Function f = table[which[t] % 3];
  out[t] = f(in[t], t - 20);
  const Square square(in[t]);
  const Strip strip(in[t], 3.0f);
  const Shape* shape = which[t] & 1 ? static_cast<const Shape*>(&square) : &strip;
  out[128 + t] = shape->area();
}

struct Big {
  int values[9];
  double number;
  char letter;
};
__device__ __noinline__ Big passed(Big big, short by, bool negate) {
  for (int& value : big.values) value = negate ? -value - by : value + by;
  big.number *= by;
  big.letter = static_cast<char>(big.letter + 1);
  return big;
}
extern "C" __global__ void structures(const int* in, int* out) {
  const int t = threadIdx.x;
  Big big;
  for (int i = 0; i < 9; ++i) big.values[i] = in[t] + i;
  big.number = 0.5 * t, big.letter = static_cast<char>('a' + t % 20);
  big = passed(big, static_cast<short>(t), t % 2 == 0);
  int sum = 0;
  for (int i = 0; i < 9; ++i) sum = 3 * sum + big.values[(i + t) % 9];
  switch (in[t] & 15) {  // dense enough for a table
    case 0:
      sum += 11;
      break;
    case 1:
      sum ^= 0x55;
      break;
    case 2:
      sum = -sum;
      break;
    case 3:
      sum *= 7;
      break;
    case 4:
      sum >>= 2;
      break;
    case 5:
      sum |= 0x100;
      break;
    case 6:
      sum &= ~0xf;
      break;
    case 7:
      sum -= in[t];
      break;
    case 8:
      sum = in[t] % 9;
      break;
    default:
      break;
  }
  out[t] = sum + static_cast<int>(big.number) + big.letter;
}

extern "C" __global__ void messages(const int* in) {
  const int t = threadIdx.x;
  if (t < 2) printf("thread %d: %5.2f %s 0x%llx %c%%\n", t, 0.25 * t, t == 0 ? "zero" : "one", 1ull << (40 + t), 'x');
  assert(in[t] >= 0 && "numbers are positive");
}

/// Counts of bytes in dynamic shared memory, with atomics; n bytes.
extern "C" __global__ void dynamic_histogram(const unsigned char* in, unsigned* out, int n) {
  extern __shared__ unsigned bins[];
  for (int i = threadIdx.x; i < 256; i += blockDim.x) bins[i] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&bins[in[i]], 1u);
  __syncthreads();
  for (int i = threadIdx.x; i < 256; i += blockDim.x) atomicAdd(&out[i], bins[i]);
}

/// Loads and stores with every hint that has an intrinsic, prefetches and policies: they change no result.
extern "C" __global__ void hints(const int4* in, int4* out, const int* more, int* sums) {
  const int t = threadIdx.x;
  int4 v = t % 4 == 0 ? __ldcg(in + t) : t % 4 == 1 ? __ldcs(in + t) : t % 4 == 2 ? __ldlu(in + t) : __ldcv(in + t);
  v.x ^= __ldg(more + t) + __ldca(more + t);
  if (t % 2 == 0) {
    __stcs(out + t, v);
  } else {
    __stwt(out + t, v);
  }
  asm volatile("prefetch.global.L2 [%0];" ::"l"(more + t));
  asm volatile("prefetch.global.L2::evict_last [%0];" ::"l"(more + t));
  const cuda::annotated_ptr<const int, cuda::access_property::persisting> kept(more);
  const cuda::annotated_ptr<const int, cuda::access_property::streaming> once(more);
  unsigned long long policy;
  asm("createpolicy.fractional.L2::evict_last.b64 %0, 0.5;" : "=l"(policy));
  int cached;
  asm volatile("ld.global.L1::no_allocate.L2::cache_hint.s32 %0, [%1], %2;"
               : "=r"(cached)
               : "l"(more + t), "l"(policy));
  __nanosleep(20);
  const long long start = clock64();
  sums[t] = kept[t] + 3 * once[t] + 5 * cached + (clock64() < start ? 1 : 0);
}
