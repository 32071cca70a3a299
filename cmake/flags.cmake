# Flags of every C++ file of ours, as the interface target toolgrad_flags.
#
# -ffp-contract=off: the bits of a result must not depend on which multiplications and additions the compiler fuses; fused
# operations are written out in the kernels. Never -ffast-math: it reorders sums.
add_library(toolgrad_flags INTERFACE)
target_compile_options(toolgrad_flags INTERFACE -Wall -Wextra -Werror -ffp-contract=off -fno-math-errno)
# GCC 12 reports std::string operator+ itself as an overlapping memcpy (its bug 105651).
target_compile_options(toolgrad_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)

if(TOOLGRAD_SANITIZE)
  if(NOT TOOLGRAD_SANITIZE MATCHES "^(address|undefined|address,undefined|thread)$")
    message(FATAL_ERROR "TOOLGRAD_SANITIZE: expected address, undefined, \"address,undefined\" or thread, "
                        "found \"${TOOLGRAD_SANITIZE}\"")
  endif()
  # -O1 keeps stack traces readable; kernels are slow but complete.
  set(CMAKE_CXX_FLAGS_RELEASE "-O1 -g1")
  target_compile_options(toolgrad_flags INTERFACE -fsanitize=${TOOLGRAD_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(toolgrad_flags INTERFACE -fsanitize=${TOOLGRAD_SANITIZE})
  if(TOOLGRAD_SANITIZE MATCHES "undefined")
    target_compile_options(toolgrad_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
