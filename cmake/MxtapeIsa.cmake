# What one entry of MXTAPE_ISA means: the suffix of its targets, its compiler flags, and the
# processor flags that its code needs. python/mxtape/_loader.py reads the latter from _build.py.

include(CheckCXXCompilerFlag)

function(mxtape_isa_suffix isa out)
  string(REGEX REPLACE "[^A-Za-z0-9]" "_" suffix "${isa}")
  set(${out} "${suffix}" PARENT_SCOPE)
endfunction()

# The processor flags, as /proc/cpuinfo spells them, of what -march=native turns on here.
function(mxtape_native_cpu_flags out)
  file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/empty.cpp" "")
  execute_process(
    COMMAND ${CMAKE_CXX_COMPILER} -march=native -dM -E "${CMAKE_CURRENT_BINARY_DIR}/empty.cpp"
    OUTPUT_VARIABLE macros ERROR_QUIET)
  set(pairs
    SSE:sse SSE2:sse2 SSE3:pni SSSE3:ssse3 SSE4_1:sse4_1 SSE4_2:sse4_2 SSE4A:sse4a POPCNT:popcnt
    AVX:avx AVX2:avx2 F16C:f16c FMA:fma BMI:bmi1 BMI2:bmi2 LZCNT:abm MOVBE:movbe
    AVX512F:avx512f AVX512BW:avx512bw AVX512CD:avx512cd AVX512DQ:avx512dq AVX512VL:avx512vl
    AVX512VNNI:avx512_vnni AVX512BF16:avx512_bf16 AVX512FP16:avx512_fp16 AVXVNNI:avx_vnni)
  set(flags "")
  foreach(pair IN LISTS pairs)
    string(REPLACE ":" ";" pair "${pair}")
    list(GET pair 0 macro)
    list(GET pair 1 flag)
    if(macros MATCHES "#define __${macro}__ ")
      list(APPEND flags "${flag}")
    endif()
  endforeach()
  set(${out} "${flags}" PARENT_SCOPE)
endfunction()

function(mxtape_isa_flags isa out_flags out_definitions)
  string(MAKE_C_IDENTIFIER "MXTAPE_HAS_MARCH_${isa}" check)
  check_cxx_compiler_flag("-march=${isa}" ${check})
  if(NOT ${check})
    message(FATAL_ERROR "MXTAPE_ISA: ${CMAKE_CXX_COMPILER} does not know -march=${isa}. "
      "Give 'native' or levels that it knows (x86-64-v2, -v3 and -v4 need GCC 11 or Clang 12).")
  endif()
  set(definitions "")
  set(cpu_flags "")
  set(flags "-march=${isa}")
  if(isa STREQUAL "native")
    # GCC's tuning for AMD's Zen 3 costs Eigen's matrix product a third of its speed (64 against
    # 88 Gflop/s on one core, GCC 12); the generic tuning is also what the other levels have.
    list(APPEND flags -mtune=generic)
    # Names the processor in the command line, so that ccache and a build tree that moved to
    # another machine do not take objects compiled for this one.
    mxtape_native_cpu_flags(cpu_flags)
    list(JOIN cpu_flags "," cpu_flags)
    set(definitions MXTAPE_NATIVE_CPU="${cpu_flags}")
  endif()
  # GCC's own AVX-512 header warns of itself before GCC 13 (GCC bug 105593).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13
     AND (isa STREQUAL "x86-64-v4" OR "${cpu_flags}" MATCHES "avx512"))
    list(APPEND flags -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
  set(${out_flags} "${flags}" PARENT_SCOPE)
  set(${out_definitions} "${definitions}" PARENT_SCOPE)
endfunction()

# Writes mxtape/_build.py, which says how the modules beside it were compiled.
function(mxtape_write_build_info)
  mxtape_native_cpu_flags(cpu_flags)
  set(native_cpu_flags "()")
  if("native" IN_LIST MXTAPE_ISA AND cpu_flags)
    list(JOIN cpu_flags "\", \"" native_cpu_flags)
    set(native_cpu_flags "(\"${native_cpu_flags}\",)")
  endif()
  set(file "${CMAKE_CURRENT_BINARY_DIR}/_build.py")
  configure_file("${CMAKE_CURRENT_SOURCE_DIR}/cmake/_build.py.in" "${file}" @ONLY)
  install(FILES "${file}" DESTINATION mxtape COMPONENT mxtape)
  if(MXTAPE_INPLACE)
    configure_file("${file}" "${CMAKE_CURRENT_SOURCE_DIR}/python/mxtape/_build.py" COPYONLY)
  endif()
endfunction()
