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

  # What of the supervisor can be tested by itself.
  add_library(sandbox_frames STATIC sandbox/descriptors.c sandbox/frames.c sandbox/kept.c sandbox/settings.c
                                    sandbox/workdir.c)
  target_include_directories(sandbox_frames PUBLIC sandbox)
  target_compile_definitions(sandbox_frames PRIVATE _GNU_SOURCE)
  target_link_libraries(sandbox_frames PUBLIC toolgrad_flags)

  # What the trainer sends, as a target for fuzzers (scripts/fuzz-sandbox.mjs), which a native test runs too. It has the settings
  # in itself, so it is not linked beside the library above.
  add_library(sandbox_fuzz STATIC EXCLUDE_FROM_ALL sandbox/fuzz/frames_fuzz.c sandbox/frames.c sandbox/kept.c)
  target_include_directories(sandbox_fuzz PUBLIC sandbox)
  target_compile_definitions(sandbox_fuzz PRIVATE _GNU_SOURCE)
  target_link_libraries(sandbox_fuzz PUBLIC toolgrad_flags)

  # The supervisor.
  add_executable(toolgrad-sandbox sandbox/supervisor.c sandbox/box.c sandbox/result.c sandbox/cgroup.c sandbox/clock.c sandbox/namespaces.c
                                  sandbox/process.c)
  target_compile_definitions(toolgrad-sandbox PRIVATE _GNU_SOURCE)
  target_link_libraries(toolgrad-sandbox PRIVATE sandbox_policy sandbox_frames)
  if(TOOLGRAD_SANITIZE STREQUAL "address,undefined")
    target_sources(toolgrad-sandbox PRIVATE sandbox/sanitized.c)
  endif()

  # What its Python templates load. Never sanitized: the interpreter is not. It compiles the policy again, without what is.
  get_target_property(policy_sources sandbox_policy SOURCES)
  add_library(toolgrad-sandbox-library MODULE sandbox/template.c sandbox/session.c sandbox/init.c sandbox/process.c
                                              sandbox/descriptors.c ${policy_sources})
  target_compile_definitions(toolgrad-sandbox-library PRIVATE _GNU_SOURCE)
  target_compile_options(toolgrad-sandbox-library PRIVATE -Wall -Wextra -Werror)
  set_target_properties(toolgrad-sandbox-library PROPERTIES PREFIX "" OUTPUT_NAME toolgrad-sandbox SUFFIX ".so")
  if(DEFINED CMAKE_JS_VERSION)
    set_target_properties(toolgrad-sandbox PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
  endif()
endif()
