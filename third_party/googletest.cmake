# GoogleTest: the system's or conda's, else its sources from the network. `make test` tries to
# install the first before it comes to the second (tools/dev_setup.sh).
set(gtest_hints "")
if(DEFINED ENV{CONDA_PREFIX})
  list(APPEND gtest_hints "$ENV{CONDA_PREFIX}")
endif()
find_package(GTest CONFIG QUIET HINTS ${gtest_hints})
if(NOT GTest_FOUND)
  include(FetchContent)
  set(INSTALL_GTEST OFF CACHE BOOL "" FORCE)
  set(BUILD_GMOCK OFF CACHE BOOL "" FORCE)
  FetchContent_Declare(googletest
    GIT_REPOSITORY https://github.com/google/googletest.git GIT_TAG v1.14.0 GIT_SHALLOW ON)
  FetchContent_MakeAvailable(googletest)
  # FetchContent gives plain target names in older releases.
  if(NOT TARGET GTest::gtest)
    add_library(GTest::gtest ALIAS gtest)
  endif()
endif()
