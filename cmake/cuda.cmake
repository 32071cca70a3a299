# Finds nvcc, says in exactly one line what follows from it, and makes the kernels' PTX part of the build. Sets
# TOOLGRAD_HAVE_NVCC, and TOOLGRAD_PTX_SOURCES: what puts the texts into a library (an empty bundle without nvcc).
#
# nvcc makes PTX (compute_80), which the driver assembles for the GPU at hand; TOOLGRAD_CUBINS names GPUs ("80;86;89;90;120")
# whose machine code is made from that PTX now and goes into the binary beside it. nvcc 13 writes `.version 9.0`, which only
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

foreach(sm ${TOOLGRAD_CUBINS})
  if(NOT sm MATCHES "^[0-9]+$" OR sm LESS 80)
    message(FATAL_ERROR "TOOLGRAD_CUBINS: expected compute capabilities from 80 without a dot, such as \"80;89\", "
                        "found \"${TOOLGRAD_CUBINS}\"")
  endif()
endforeach()

# An assembler file that holds the bytes of `file` as `symbol`, ended by a zero byte.
function(toolgrad_hold file symbol holder)
  file(CONFIGURE OUTPUT ${holder} CONTENT
".section .rodata\n.balign 16\n.global ${symbol}\n.hidden ${symbol}\n${symbol}:\n.incbin \"${file}\"\n.byte 0\n.section .note.GNU-stack,\"\",%progbits\n")
  set_source_files_properties(${holder} PROPERTIES OBJECT_DEPENDS ${file})
endfunction()

set(TOOLGRAD_PTX_SOURCES "")
set(ptx_folder ${CMAKE_BINARY_DIR}/ptx)
set(ptx_declarations "")
set(ptx_entries "")
set(cubin_arrays "")
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
    toolgrad_hold(${ptx} toolgrad_ptx_${name} ${holder})
    list(APPEND TOOLGRAD_PTX_SOURCES ${holder})
    string(APPEND ptx_declarations "extern \"C\" const char toolgrad_ptx_${name}[] __attribute__((visibility(\"hidden\")));\n")
    set(cubins "")
    set(cubin_count 0)
    foreach(sm ${TOOLGRAD_CUBINS})
      set(cubin ${ptx_folder}/${name}.sm_${sm}.cubin)
      set(symbol toolgrad_cubin_${name}_${sm})
      add_custom_command(
        OUTPUT ${cubin}
        COMMAND ${CMAKE_CUDA_COMPILER} -cubin -arch=sm_${sm} -o ${cubin} ${ptx}
        DEPENDS ${ptx}
        COMMENT "Machine code of ${name}.cu for sm_${sm}"
        VERBATIM)
      toolgrad_hold(${cubin} ${symbol} ${ptx_folder}/${name}.sm_${sm}.S)
      list(APPEND TOOLGRAD_PTX_SOURCES ${ptx_folder}/${name}.sm_${sm}.S)
      string(APPEND ptx_declarations "extern \"C\" const char ${symbol}[] __attribute__((visibility(\"hidden\")));\n")
      string(APPEND cubins "{${sm}, ${symbol}}, ")
      math(EXPR cubin_count "${cubin_count} + 1")
    endforeach()
    if(cubin_count GREATER 0)
      string(APPEND cubin_arrays "constexpr Cubin kCubins_${name}[] = {${cubins}};\n")
      string(APPEND ptx_entries "    {\"${name}\", toolgrad_ptx_${name}, kCubins_${name}, ${cubin_count}},\n")
    else()
      string(APPEND ptx_entries "    {\"${name}\", toolgrad_ptx_${name}},\n")
    endif()
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
${cubin_arrays}constexpr PtxModule kModules[] = {
${ptx_entries}};
}  // namespace

PtxBundle ptx_bundle() {
  return {kModules, ${ptx_count}};
}

}  // namespace toolgrad::cuda
")
list(APPEND TOOLGRAD_PTX_SOURCES ${ptx_folder}/bundle.cc)
