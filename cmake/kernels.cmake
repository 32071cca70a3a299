# Compiles every file of binding/cpu/kernels/ once per instruction set. TOOLGRAD_ISA names the build and is meant as the
# innermost namespace (`namespace toolgrad::TOOLGRAD_ISA { … }`); the code tests __AVX2__, __AVX512F__ and
# __AVX512BF16__.
#
# Rule: a kernel file defines nothing outside that namespace or an anonymous one. An inline function or template of a shared
# header that is not inlined would be emitted once per ISA under one name, the linker would keep any of them, and an old
# processor might get AVX-512 code. scripts/check-isa-symbols.mjs fails on such a symbol.
set(TOOLGRAD_ISAS portable)
set(TOOLGRAD_KERNEL_DEFINITIONS "")
set(flags_portable "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  list(APPEND TOOLGRAD_ISAS avx2 avx512 avx512bf16)
  list(APPEND TOOLGRAD_KERNEL_DEFINITIONS TOOLGRAD_X86=1)
  set(flags_avx2 -mavx2 -mfma -mf16c -mbmi2)
  set(flags_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl ${flags_avx2})
  set(flags_avx512bf16 -mavx512bf16 ${flags_avx512})
endif()

# GCC 12 reports its own AVX-512 headers (_mm512_undefined_*) as uses of uninitialised values.
set(warnings_avx512 $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized> $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
set(warnings_avx512bf16 ${warnings_avx512})

file(GLOB kernel_sources CONFIGURE_DEPENDS binding/cpu/kernels/*.cc)
set(TOOLGRAD_KERNEL_OBJECTS "")
if(kernel_sources)
  foreach(isa ${TOOLGRAD_ISAS})
    add_library(kernels_${isa} OBJECT ${kernel_sources})
    target_include_directories(kernels_${isa} PRIVATE binding)
    target_link_libraries(kernels_${isa} PRIVATE toolgrad_flags)
    target_compile_definitions(kernels_${isa} PRIVATE TOOLGRAD_ISA=${isa} ${TOOLGRAD_KERNEL_DEFINITIONS})
    target_compile_options(kernels_${isa} PRIVATE ${flags_${isa}} ${warnings_${isa}})
    if(NOT TOOLGRAD_SANITIZE)
      target_compile_options(kernels_${isa} PRIVATE -O3)
    endif()
    # GCC PR 110027 (mended in 12.4, 13.3): frames of AddressSanitizer's use-after-return are aligned to 32 bytes at most, while
    # structs are moved by aligned 64-byte vectors. These kernels hand out no pointer to a frame; the rest keeps the check.
    if(TOOLGRAD_SANITIZE MATCHES "address" AND isa MATCHES "^avx512" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(kernels_${isa} PRIVATE --param=asan-use-after-return=0)
    endif()
    list(APPEND TOOLGRAD_KERNEL_OBJECTS $<TARGET_OBJECTS:kernels_${isa}>)
  endforeach()
endif()
