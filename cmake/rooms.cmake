# A room is one folder of src/ and one static library. It may link only the rooms below it;
# tests/house/include_direction_test.py holds the includes to the same table.

# The optimiser is for what computes, and for what fuzzing runs a million times. Sanitizers check every line at -O0 too and
# compile twice as fast there.
function(exaone_compile_quickly target room)
  if(EXAONE_SANITIZE AND NOT EXAONE_FUZZ AND NOT room MATCHES "^(base|json|formats|images|kernels|model|text)$")
    target_compile_options(${target} PRIVATE -O0 -g0)
  elseif(room MATCHES "^(jinja|chat|cli|tests)$")
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
endfunction()

# Headers of libraries that most files of a target include and that take seconds to read. Only where little is optimised:
# from -O2 on g++ 12 warns inside system headers that it took from a precompiled one.
function(exaone_precompile target room)
  if(ARGN AND (EXAONE_SANITIZE OR room MATCHES "^(jinja|chat|cli|tests)$"))
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()

# The tests' binaries are compiled alike, so the first that wants some headers precompiles them for all.
function(exaone_precompile_for_tests target)
  string(MAKE_C_IDENTIFIER "exaone_precompiled_${ARGN}" owner_property)
  get_property(owner GLOBAL PROPERTY ${owner_property})
  if(owner)
    target_precompile_headers(${target} REUSE_FROM ${owner})
  else()
    set_property(GLOBAL PROPERTY ${owner_property} ${target})
    exaone_precompile(${target} tests ${ARGN})
  endif()
endfunction()

# exaone_room(NAME [DEPENDS room...] [LIBRARIES target...] [PRECOMPILE header...]): every .cpp under src/NAME.
function(exaone_room name)
  cmake_parse_arguments(ROOM "" "" "DEPENDS;LIBRARIES;PRECOMPILE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(NOT sources)
    return()
  endif()
  add_library(exaone_${name} STATIC ${sources})
  target_include_directories(exaone_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(exaone_${name} PRIVATE exaone_flags PUBLIC Threads::Threads ${ROOM_LIBRARIES})
  exaone_compile_quickly(exaone_${name} ${name})
  # Files compiled together read the libraries' large headers once.
  if(name MATCHES "^(formats|images|text|grammar|jinja|chat|engine|convert|cli)$")
    set_target_properties(exaone_${name} PROPERTIES UNITY_BUILD ON)
  endif()
  if(name MATCHES "^(grammar|jinja|cli)$")
    set_target_properties(exaone_${name} PROPERTIES UNITY_BUILD_BATCH_SIZE 16)
  endif()
  exaone_precompile(exaone_${name} ${name} ${ROOM_PRECOMPILE})
  foreach(room ${ROOM_DEPENDS})
    if(TARGET exaone_${room})
      target_link_libraries(exaone_${name} PUBLIC exaone_${room})
    endif()
  endforeach()
endfunction()

# exaone_test(ROOM [DEPENDS room...] [PRECOMPILE header...]): every *_test.cpp under tests/ROOM as one GoogleTest binary, where
# EXAONE_TEST_ROOMS names the room or nothing.
function(exaone_test room)
  cmake_parse_arguments(TEST "" "" "DEPENDS;PRECOMPILE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${room}/*.cpp)
  if(NOT sources OR NOT TARGET exaone_${room} OR (EXAONE_TEST_ROOMS AND NOT room IN_LIST EXAONE_TEST_ROOMS))
    return()
  endif()
  add_executable(${room}_tests ${sources})
  target_include_directories(${room}_tests PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${room}_tests PRIVATE exaone_flags exaone_${room} GTest::gtest_main)
  exaone_compile_quickly(${room}_tests tests)
  exaone_precompile_for_tests(${room}_tests <gtest/gtest.h> ${TEST_PRECOMPILE})
  foreach(dependency ${TEST_DEPENDS})
    target_link_libraries(${room}_tests PRIVATE exaone_${dependency})
  endforeach()
  target_compile_definitions(${room}_tests PRIVATE
    EXAONE_SOURCE_DIR="${CMAKE_SOURCE_DIR}" EXAONE_SHARED_DIR="${CMAKE_SOURCE_DIR}/../shared")
  if(EXAONE_SANITIZE)
    # A sanitizer's start-up, and each model that a suite loads, is paid once a shard instead of once a test.
    foreach(shard RANGE 1)
      add_test(NAME ${room}.shard_${shard} COMMAND ${room}_tests)
      set_tests_properties(${room}.shard_${shard} PROPERTIES TIMEOUT 1500 COST 100
        ENVIRONMENT "GTEST_TOTAL_SHARDS=2;GTEST_SHARD_INDEX=${shard}")
    endforeach()
  else()
    gtest_discover_tests(${room}_tests TEST_PREFIX "${room}." DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
  endif()
endfunction()
