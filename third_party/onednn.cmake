# oneDNN 3, for the heavy float32 layers: dnnl_DIR or CMAKE_PREFIX_PATH where given, then the PyPI
# package onednn-devel-cpu-gomp in the Python environment, then conda, then the system. Without it
# MXTAPE_ONEDNN is OFF and the core's own kernels do the work.
#
# Sets MXTAPE_ONEDNN_VERSION (empty without it), MXTAPE_ONEDNN_FILE (what an installation carries),
# MXTAPE_ONEDNN_SONAME and MXTAPE_ONEDNN_LICENSES.
set(MXTAPE_ONEDNN_VERSION "")

# Says why oneDNN is left out, and leaves it out.
macro(mxtape_no_onednn)
  string(JOIN "" onednn_reason ${ARGN})
  message(STATUS "oneDNN: ${onednn_reason}; building without it (MXTAPE_ONEDNN=OFF)")
  set(MXTAPE_ONEDNN OFF)
endmacro()

if(MXTAPE_ONEDNN)
  set(onednn_hints "")
  if(Python_EXECUTABLE)
    # The package puts its files into the environment's prefix, not below site-packages. sys.path
    # names that prefix also in pip's isolated build, where sys.prefix is another environment's.
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -c
        "import sys; from pathlib import Path; print(';'.join(str(q) for p in sys.path for q in list(Path(p).parents)[1:3] if p.endswith('-packages') and (q / 'lib/cmake/dnnl').is_dir()))"
      OUTPUT_VARIABLE onednn_hints OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  if(DEFINED ENV{CONDA_PREFIX})
    list(APPEND onednn_hints "$ENV{CONDA_PREFIX}")
  endif()
  find_package(dnnl 3 CONFIG QUIET HINTS ${onednn_hints})
  if(NOT dnnl_FOUND)
    mxtape_no_onednn("no version 3 was found: 'pip install onednn-devel-cpu-gomp' for "
      "${Python_EXECUTABLE}, conda's onednn or the Debian package libdnnl-dev provide it, or set dnnl_DIR")
  elseif(NOT DNNL_CPU_RUNTIME STREQUAL "OMP")
    mxtape_no_onednn("${dnnl_DIR} is built for ${DNNL_CPU_RUNTIME} threads, not for OpenMP")
  endif()
endif()

if(MXTAPE_ONEDNN)
  get_target_property(onednn_library DNNL::dnnl LOCATION)
  get_filename_component(MXTAPE_ONEDNN_FILE "${onednn_library}" REALPATH)
  # Two OpenMP libraries in one process would each start threads of their own.
  file(STRINGS "${MXTAPE_ONEDNN_FILE}" onednn_openmp LIMIT_COUNT 1 REGEX "^lib(gomp|iomp5|omp)\\.so")
  string(REGEX REPLACE "^lib([a-z0-9]+).*" "\\1" onednn_openmp "${onednn_openmp}")
  if(NOT "${onednn_openmp}" IN_LIST OpenMP_CXX_LIB_NAMES)
    mxtape_no_onednn("${MXTAPE_ONEDNN_FILE} needs lib${onednn_openmp}, but ${CMAKE_CXX_COMPILER} uses ${OpenMP_CXX_LIB_NAMES}")
  endif()
endif()

if(MXTAPE_ONEDNN)
  set(MXTAPE_ONEDNN_VERSION "${dnnl_VERSION}")
  string(REGEX MATCH "^[0-9]+" onednn_major "${dnnl_VERSION}")
  set(MXTAPE_ONEDNN_SONAME "libdnnl.so.${onednn_major}")
  get_filename_component(onednn_prefix "${dnnl_DIR}/../../.." ABSOLUTE)
  file(GLOB MXTAPE_ONEDNN_LICENSES
    "${onednn_prefix}/share/doc/onednn/LICENSE" "${onednn_prefix}/share/doc/onednn/THIRD-PARTY-PROGRAMS"
    "${onednn_prefix}/share/doc/dnnl/LICENSE" "${onednn_prefix}/share/doc/dnnl/THIRD-PARTY-PROGRAMS")
  message(STATUS "oneDNN ${dnnl_VERSION}: ${MXTAPE_ONEDNN_FILE}")
endif()
