add_executable(kernels_bench kernels_bench.cpp)
target_include_directories(kernels_bench PRIVATE ${CMAKE_SOURCE_DIR}/tests)
target_link_libraries(kernels_bench PRIVATE exaone_flags exaone_kernels exaone_base benchmark::benchmark)
