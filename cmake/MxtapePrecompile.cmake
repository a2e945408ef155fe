# Precompiled headers, and ccache that gets along with them. They change no object's code; with
# -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON each file is compiled with what it includes itself.

# Every file of the target depends on these headers.
function(mxtape_precompile target)
  target_precompile_headers(${target} PRIVATE ${ARGN})
  # Clang writes the headers' times into the file, and ccache would never find the same file again.
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()

# ccache compiles anew what includes a precompiled header, unless it is told that macros of the
# command line and __TIME__ make no difference there.
function(mxtape_ccache_launcher out)
  set(sloppiness pch_defines,time_macros,include_file_mtime,include_file_ctime)
  set(${out} "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=${sloppiness} "${MXTAPE_CCACHE}" PARENT_SCOPE)
endfunction()
