# Eigen >= 3.4: Eigen3_DIR or CMAKE_PREFIX_PATH where given, then the PyPI package cmeel-eigen in
# the Python environment, then conda, then the system.

set(eigen_hints "")
if(NOT Python_EXECUTABLE)
  find_package(Python QUIET COMPONENTS Interpreter)
endif()
if(Python_EXECUTABLE)
  # Asks for sys.path, not for sysconfig's paths: in pip's isolated build they differ.
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c
      "import os, sys; print(';'.join(d for p in sys.path for d in [os.path.join(p, 'cmeel.prefix')] if os.path.isdir(d)))"
    OUTPUT_VARIABLE cmeel_prefixes OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  list(APPEND eigen_hints ${cmeel_prefixes})
endif()
if(DEFINED ENV{CONDA_PREFIX})
  list(APPEND eigen_hints "$ENV{CONDA_PREFIX}")
endif()

# The version is checked here because Eigen 5 declares itself incompatible with a request for 3.4.
find_package(Eigen3 CONFIG QUIET HINTS ${eigen_hints} PATH_SUFFIXES share/eigen3/cmake)
if(NOT Eigen3_FOUND)
  message(FATAL_ERROR "Eigen >= 3.4 was not found. Install one of: the Debian package "
    "libeigen3-dev, conda's eigen, or 'pip install cmeel-eigen' for ${Python_EXECUTABLE}; "
    "or set Eigen3_DIR.")
endif()
if(Eigen3_VERSION VERSION_LESS 3.4)
  message(FATAL_ERROR "Eigen ${Eigen3_VERSION} in ${Eigen3_DIR} is too old: 3.4 or newer is needed.")
endif()
set(MXTAPE_EIGEN_VERSION "${Eigen3_VERSION}")
message(STATUS "Eigen ${Eigen3_VERSION}: ${Eigen3_DIR}")
