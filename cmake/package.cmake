# What other projects find with find_package(sundog): one archive of all that a program needs,
# the public headers, and a config that says where they and the daemon lie. The same config serves
# this build folder (-Dsundog_DIR=build/release), an installation, and the Python wheel, which carries
# them under sundog/_native.
include(CMakePackageConfigHelpers)

set(folders base model core os loop wire shm net client api)
set(objects)
foreach(folder ${folders})
  get_target_property(type sundog_${folder} TYPE)
  if(type STREQUAL STATIC_LIBRARY)
    list(APPEND objects $<TARGET_OBJECTS:sundog_${folder}>)
  endif()
endforeach()
file(WRITE ${CMAKE_BINARY_DIR}/archive.cc "// An archive wants a source of its own.\n")
add_library(sundog STATIC ${CMAKE_BINARY_DIR}/archive.cc ${objects})
if(NOT CMAKE_BUILD_TYPE STREQUAL Release)
  set_target_properties(sundog PROPERTIES EXCLUDE_FROM_ALL ON)
elseif(CMAKE_STRIP)
  add_custom_command(TARGET sundog POST_BUILD
                     COMMAND ${CMAKE_STRIP} --strip-debug $<TARGET_FILE:sundog>)
endif()

# Paths as seen from the folder of the config.
function(sundog_config to include lib daemon)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/sundogConfig.cmake.in ${to}/sundogConfig.cmake @ONLY)
  write_basic_package_version_file(${to}/sundogConfigVersion.cmake VERSION ${PROJECT_VERSION}
                                   COMPATIBILITY SameMinorVersion)
endfunction()
file(RELATIVE_PATH sources ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR})
sundog_config(${CMAKE_BINARY_DIR} ${sources}include libsundog.a sundogd)

set(installed ${CMAKE_BINARY_DIR}/installed-config)
if(SKBUILD)
  set(prefix sundog/_native/)
  sundog_config(${installed} ../../../include ../../libsundog.a ../../../../_bin/sundogd)
else()
  set(prefix "")
  sundog_config(${installed} ../../../include ../../libsundog.a ../../../bin/sundogd)
  install(TARGETS sundogd RUNTIME DESTINATION bin COMPONENT cpp)
endif()
install(FILES $<TARGET_FILE:sundog> DESTINATION ${prefix}lib COMPONENT cpp)
install(DIRECTORY include/sundog DESTINATION ${prefix}include COMPONENT cpp)
install(FILES ${installed}/sundogConfig.cmake ${installed}/sundogConfigVersion.cmake
        DESTINATION ${prefix}lib/cmake/sundog COMPONENT cpp)
