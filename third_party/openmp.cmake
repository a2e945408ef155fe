# OpenMP comes with the compiler.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(OpenMP REQUIRED COMPONENTS CXX)
