# Each instruction set's files get its flags; everything else stays x86-64-v2. Source properties are per directory,
# so src/CMakeLists.txt includes this file.
file(GLOB avx2_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/isa/*avx2*.cpp)
file(GLOB avx512_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/isa/*avx512*.cpp
     ${CMAKE_CURRENT_SOURCE_DIR}/kernels/isa/*amx*.cpp)
set_source_files_properties(${avx2_sources} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
# g++ 12 finds its own _mm512_undefined_*() uninitialized (GCC bug 105593).
set_source_files_properties(${avx512_sources} PROPERTIES COMPILE_OPTIONS
  "-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mavx512vnni;-mprefer-vector-width=512;-Wno-uninitialized;-Wno-maybe-uninitialized")
set_property(SOURCE ${CMAKE_CURRENT_SOURCE_DIR}/kernels/isa/attention_avx512_dot.cpp APPEND PROPERTY
  COMPILE_OPTIONS "-mavx512bf16")
