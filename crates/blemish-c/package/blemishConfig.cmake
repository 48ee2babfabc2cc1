# Targets: blemish::blemish (shared library), blemish::static.
get_filename_component(_blemish_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)

if(NOT TARGET blemish::blemish)
  add_library(blemish::blemish SHARED IMPORTED)
  set_target_properties(blemish::blemish PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_blemish_prefix}/include")
  if(WIN32)
    set_target_properties(blemish::blemish PROPERTIES
      IMPORTED_LOCATION "${_blemish_prefix}/bin/blemish_c.dll"
      IMPORTED_IMPLIB "${_blemish_prefix}/lib/blemish_c.dll.lib")
  elseif(APPLE)
    set_target_properties(blemish::blemish PROPERTIES IMPORTED_LOCATION "${_blemish_prefix}/lib/libblemish_c.dylib")
  else()
    set_target_properties(blemish::blemish PROPERTIES
      IMPORTED_LOCATION "${_blemish_prefix}/lib/libblemish_c.so.0"
      IMPORTED_SONAME "libblemish_c.so.0")
  endif()

  add_library(blemish::static STATIC IMPORTED)
  set_target_properties(blemish::static PROPERTIES
    IMPORTED_LOCATION "${_blemish_prefix}/lib/${CMAKE_STATIC_LIBRARY_PREFIX}blemish_c${CMAKE_STATIC_LIBRARY_SUFFIX}"
    INTERFACE_INCLUDE_DIRECTORIES "${_blemish_prefix}/include")
  if(WIN32)
    set_target_properties(blemish::static PROPERTIES INTERFACE_LINK_LIBRARIES "Threads::Threads;ws2_32;userenv;ntdll;bcrypt")
  else()
    set_target_properties(blemish::static PROPERTIES INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
  endif()
endif()
unset(_blemish_prefix)
