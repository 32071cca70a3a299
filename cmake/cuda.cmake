# Finds nvcc, says in exactly one line what follows from it, and makes the kernels' PTX part of the build. Sets
# TOOLGRAD_HAVE_NVCC, and TOOLGRAD_PTX_SOURCES: what puts the texts into a library (an empty bundle without nvcc).
#
# nvcc makes PTX only (compute_80); the driver assembles it for the GPU at hand. nvcc 13 writes `.version 9.0`, which only
# drivers from R580 read; nothing in our PTX is newer than 7.4 (R470), so cmake/lower-ptx.cmake rewrites that line.
# -fmad=false: no product and sum become one operation unless the source says so, so the bits are those of the source.
if(NOT TOOLGRAD_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "TOOLGRAD_CUDA: expected AUTO, ON or OFF, found \"${TOOLGRAD_CUDA}\"")
endif()

set(TOOLGRAD_HAVE_NVCC OFF)
file(GLOB cuda_sources CONFIGURE_DEPENDS cuda/kernels/*.cu)
if(TOOLGRAD_CUDA STREQUAL "OFF")
  message(STATUS "CUDA: switched off (TOOLGRAD_CUDA=OFF); the build has the CPU backend only")
else()
  include(CheckLanguage)
  # check_language announces itself in two lines of its own; ours is the one that says what follows.
  set(saved_level ${CMAKE_MESSAGE_LOG_LEVEL})
  set(CMAKE_MESSAGE_LOG_LEVEL WARNING)
  check_language(CUDA)
  set(CMAKE_MESSAGE_LOG_LEVEL ${saved_level})
  if(CMAKE_CUDA_COMPILER)
    set(TOOLGRAD_HAVE_NVCC ON)
    message(STATUS "CUDA: found ${CMAKE_CUDA_COMPILER}; its kernels go into the build")
  elseif(TOOLGRAD_CUDA STREQUAL "ON")
    message(FATAL_ERROR "CUDA: TOOLGRAD_CUDA=ON needs nvcc, and none was found on PATH or in CUDACXX. "
                        "Install the CUDA toolkit, set CUDACXX to nvcc, or build with -DTOOLGRAD_CUDA=OFF.")
  else()
    message(STATUS "CUDA: absent (no nvcc found); the build has the CPU backend only")
  endif()
endif()

set(TOOLGRAD_PTX_SOURCES "")
set(ptx_folder ${CMAKE_BINARY_DIR}/ptx)
set(ptx_declarations "")
set(ptx_entries "")
set(ptx_count 0)
if(TOOLGRAD_HAVE_NVCC)
  enable_language(ASM)
  # Scalar formulas are shared with the CPU backend through headers of the engine.
  file(GLOB cuda_headers CONFIGURE_DEPENDS cuda/kernels/*.h cuda/kernels/*.cuh binding/engine/*.h)
  foreach(source ${cuda_sources})
    get_filename_component(name ${source} NAME_WE)
    set(ptx ${ptx_folder}/${name}.ptx)
    add_custom_command(
      OUTPUT ${ptx}
      COMMAND ${CMAKE_CUDA_COMPILER} -std=c++17 -arch=compute_80 -fmad=false -lineinfo -ptx -I${CMAKE_SOURCE_DIR}/cuda
              -I${CMAKE_SOURCE_DIR}/binding -o ${ptx}.new ${source}
      COMMAND ${CMAKE_COMMAND} -DFROM=${ptx}.new -DTO=${ptx} -P ${CMAKE_SOURCE_DIR}/cmake/lower-ptx.cmake
      DEPENDS ${source} ${cuda_headers} ${CMAKE_SOURCE_DIR}/cmake/lower-ptx.cmake
      COMMENT "PTX of ${name}.cu"
      VERBATIM)
    set(holder ${ptx_folder}/${name}.S)
    file(CONFIGURE OUTPUT ${holder} CONTENT
".section .rodata\n.global toolgrad_ptx_${name}\n.hidden toolgrad_ptx_${name}\ntoolgrad_ptx_${name}:\n.incbin \"${ptx}\"\n.byte 0\n.section .note.GNU-stack,\"\",%progbits\n")
    set_source_files_properties(${holder} PROPERTIES OBJECT_DEPENDS ${ptx})
    list(APPEND TOOLGRAD_PTX_SOURCES ${holder})
    string(APPEND ptx_declarations "extern \"C\" const char toolgrad_ptx_${name}[] __attribute__((visibility(\"hidden\")));\n")
    string(APPEND ptx_entries "    {\"${name}\", toolgrad_ptx_${name}},\n")
    math(EXPR ptx_count "${ptx_count} + 1")
  endforeach()
endif()
if(ptx_count EQUAL 0)
  set(ptx_entries "    {nullptr, nullptr},\n")
endif()
file(CONFIGURE OUTPUT ${ptx_folder}/bundle.cc CONTENT
"// Made by cmake/cuda.cmake.
#include \"bundle.h\"

${ptx_declarations}
namespace toolgrad::cuda {
namespace {
constexpr PtxModule kModules[] = {
${ptx_entries}};
}  // namespace

PtxBundle ptx_bundle() {
  return {kModules, ${ptx_count}};
}

}  // namespace toolgrad::cuda
")
list(APPEND TOOLGRAD_PTX_SOURCES ${ptx_folder}/bundle.cc)
