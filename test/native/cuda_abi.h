// Whether a declaration of ours has the binary interface of one in NVIDIA's cuda.h, decided at compile time.
//
// Two types agree when they are the same; integers or enumerations of one size (enumerations are ints in the ABI); pointers
// to types that agree, const alike; or structs that are named as a pair below. cuda.h is looked for on the include path,
// then where the toolkit installs itself; TOOLGRAD_HAVE_CUDA_H says whether it was found.
#pragma once

#include <cstddef>
#include <type_traits>

#include "../../cuda/driver_api.h"

#if __has_include(<cuda.h>)
#include <cuda.h>
#define TOOLGRAD_HAVE_CUDA_H 1
#elif __has_include("/usr/local/cuda/include/cuda.h")
#include "/usr/local/cuda/include/cuda.h"
#define TOOLGRAD_HAVE_CUDA_H 1
#else
#define TOOLGRAD_HAVE_CUDA_H 0
#endif

namespace toolgrad::test {

template <class Ours, class Theirs>
struct SameStruct : std::false_type {};

#if TOOLGRAD_HAVE_CUDA_H && CUDA_VERSION >= 12000
template <>
struct SameStruct<cu::ContextTag, ::CUctx_st> : std::true_type {};
template <>
struct SameStruct<cu::ModuleTag, ::CUmod_st> : std::true_type {};
template <>
struct SameStruct<cu::FunctionTag, ::CUfunc_st> : std::true_type {};
template <>
struct SameStruct<cu::StreamTag, ::CUstream_st> : std::true_type {};
template <>
struct SameStruct<cu::EventTag, ::CUevent_st> : std::true_type {};
template <>
struct SameStruct<cu::GraphTag, ::CUgraph_st> : std::true_type {};
template <>
struct SameStruct<cu::GraphExecTag, ::CUgraphExec_st> : std::true_type {};
template <>
struct SameStruct<cu::MemPoolTag, ::CUmemPoolHandle_st> : std::true_type {};
template <>
struct SameStruct<cu::Uuid, ::CUuuid> : std::true_type {};
template <>
struct SameStruct<cu::GraphExecUpdateResultInfo, ::CUgraphExecUpdateResultInfo> : std::true_type {};
#endif

template <class Ours, class Theirs>
constexpr bool same_abi() {
  constexpr bool numbers =
      (std::is_integral_v<Ours> || std::is_enum_v<Ours>)&&(std::is_integral_v<Theirs> || std::is_enum_v<Theirs>);
  if constexpr (std::is_same_v<Ours, Theirs>) {
    return true;
  } else if constexpr (std::is_pointer_v<Ours> && std::is_pointer_v<Theirs>) {
    using A = std::remove_pointer_t<Ours>;
    using B = std::remove_pointer_t<Theirs>;
    return std::is_const_v<A> == std::is_const_v<B> && same_abi<std::remove_const_t<A>, std::remove_const_t<B>>();
  } else if constexpr (numbers) {
    return sizeof(Ours) == sizeof(Theirs);
  } else {
    return SameStruct<Ours, Theirs>::value;
  }
}

template <class Ours, class Theirs>
struct SameFunction : std::false_type {};
template <class R, class... P, class S, class... Q>
struct SameFunction<R (*)(P...), S (*)(Q...)> {
  static constexpr bool all() {
    if constexpr (sizeof...(P) == sizeof...(Q))
      return same_abi<R, S>() && (same_abi<P, Q>() && ...);
    else
      return false;
  }
  static constexpr bool value = all();
};

// The traits must be able to say no.
static_assert(SameFunction<int (*)(int, void**), int (*)(unsigned, void**)>::value);
static_assert(!SameFunction<int (*)(int), int (*)(int, int)>::value);
static_assert(!SameFunction<int (*)(int), int (*)(size_t)>::value);
static_assert(!SameFunction<int (*)(const char*), int (*)(char*)>::value);
static_assert(!SameFunction<int (*)(void*), int (*)(void**)>::value);

}  // namespace toolgrad::test
