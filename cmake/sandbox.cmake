# The sandbox's C code (sandbox/), for Linux on x86-64 and arm64; TOOLGRAD_SANDBOX says whether it is part of this build.
set(TOOLGRAD_SANDBOX OFF)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64|aarch64|arm64)$")
  set(TOOLGRAD_SANDBOX ON)
  enable_language(C)
  set(CMAKE_C_STANDARD 17)
  set(CMAKE_C_STANDARD_REQUIRED ON)
  set(CMAKE_C_EXTENSIONS OFF)
  set(CMAKE_C_VISIBILITY_PRESET hidden)
  if(TOOLGRAD_SANITIZE)
    set(CMAKE_C_FLAGS_RELEASE "-O1 -g")
  endif()

  # What a program may do to the machine (sandbox/policy.h).
  add_library(sandbox_policy STATIC sandbox/assembler.c sandbox/capabilities.c sandbox/container.c sandbox/landlock.c
                                    sandbox/limits.c sandbox/seccomp.c sandbox/syscalls.c)
  target_include_directories(sandbox_policy PUBLIC sandbox)
  target_compile_definitions(sandbox_policy PRIVATE _GNU_SOURCE)
  target_link_libraries(sandbox_policy PUBLIC toolgrad_flags)
endif()
