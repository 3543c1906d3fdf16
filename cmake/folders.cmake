# sundog_folder(name deps...): the static library of src/<name>, and the test program of its
# *_test.cc files. A folder without sources yet is an interface library. scripts/check_arrows.py
# reads these calls: the arrows between folders are declared nowhere else.
enable_testing()
add_custom_target(tests)  # all test programs, nothing else

function(sundog_folder name)
  set(dir ${CMAKE_SOURCE_DIR}/src/${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${dir}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(TRANSFORM ARGN PREPEND sundog_ OUTPUT_VARIABLE deps)
  if(sources)
    add_library(sundog_${name} STATIC ${sources})
    target_include_directories(sundog_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
    target_link_libraries(sundog_${name} PUBLIC ${deps} Threads::Threads)
    if(name STREQUAL sim)
      set_target_properties(sundog_sim PROPERTIES UNITY_BUILD OFF)  # small constants share names
    endif()
  else()
    add_library(sundog_${name} INTERFACE)
    target_include_directories(sundog_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
    target_link_libraries(sundog_${name} INTERFACE ${deps})
  endif()
  if(SUNDOG_TESTS AND tests)
    find_package(GTest REQUIRED)
    add_executable(${name}_test ${tests})
    set_target_properties(${name}_test PROPERTIES UNITY_BUILD OFF)  # fixtures share names
    target_link_libraries(${name}_test PRIVATE sundog_${name} GTest::gtest GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${name}_test)
    add_dependencies(tests ${name}_test)
  endif()
endfunction()

# sundog_program(name source folders...): nothing while there is no such source.
function(sundog_program name source)
  file(GLOB present CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${source})
  if(present)
    add_executable(${name} ${source})
    list(TRANSFORM ARGN PREPEND sundog_ OUTPUT_VARIABLE deps)
    target_link_libraries(${name} PRIVATE ${deps})
  endif()
endfunction()

# One program for each *.cc of a folder, named after the file.
function(sundog_programs_in dir)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${dir}/*.cc)
  foreach(source ${sources})
    get_filename_component(name ${source} NAME_WE)
    file(RELATIVE_PATH path ${CMAKE_SOURCE_DIR} ${source})
    sundog_program(${name} ${path} ${ARGN})
  endforeach()
endfunction()
