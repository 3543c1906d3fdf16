# Compiler flags that every target shares; ccache and mold where they are present.
find_program(CCACHE ccache)
if(CCACHE)
  # What one checkout compiled, another one finds: paths are relative to the tree's root.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${CCACHE})
endif()
# Not for releases: mold 1.10 keeps the imports of code that it dropped. libstdc++.a holds
# std::random_device, which nobody here uses, and whose arc4random would tie us to glibc 2.36.
find_program(MOLD mold)
if(MOLD AND NOT SUNDOG_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL Release)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Wshadow -Wnon-virtual-dtor -fno-omit-frame-pointer)
# CHECK prints a path from the tree's root, not of the machine that compiled it.
add_compile_options(-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  add_compile_options(-Wthread-safety -Werror=thread-safety)
endif()
if(SUNDOG_SANITIZE)
  add_compile_options(-fsanitize=${SUNDOG_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SUNDOG_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL Release)
  # The daemon and the extension bring their own C++ library and show none of it to the extensions
  # of others; they need nothing but glibc (docs/HACKING.md, "The wheel").
  add_compile_options(-ffunction-sections -fdata-sections)
  add_link_options(-static-libstdc++ -static-libgcc -Wl,--gc-sections -Wl,--exclude-libs,ALL)
endif()
