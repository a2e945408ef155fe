# Python's headers and pybind11, the latter from the system, from conda or from PyPI (in the
# interpreter's own environment, which an isolated build fills from build-system.requires).
set(PYBIND11_FINDPYTHON ON)
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)

if(NOT pybind11_DIR)
  execute_process(COMMAND "${Python_EXECUTABLE}" -m pybind11 --cmakedir
    OUTPUT_VARIABLE pybind11_from_python OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
find_package(pybind11 2.12 CONFIG QUIET HINTS "${pybind11_from_python}")
if(NOT pybind11_FOUND)
  find_package(pybind11 3.0 CONFIG REQUIRED HINTS "${pybind11_from_python}")
endif()
