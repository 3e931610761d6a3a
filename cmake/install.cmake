# The library for C++ programs: cmake --install BUILD --component core --prefix WHERE, then
#     find_package(striate)  target_link_libraries(app striate::core)
# The wheel takes only the component `python`.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS striate_core EXPORT striate
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT core)
set_target_properties(striate_core PROPERTIES EXPORT_NAME core)

# Headers that only drivers share (*_tables.h, *_tile*.h, *_window.h, *_winograd*.h,
# *_weight_*.h, *_polyphase.h, *_reach.h, *_depthwise*.h, *_passes.h, *_lines.h) include kernels and stay here.
install(DIRECTORY csrc/base csrc/ops DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/striate COMPONENT core
  FILES_MATCHING PATTERN "*.h"
  PATTERN "*_tables.h" EXCLUDE PATTERN "*_tile*.h" EXCLUDE PATTERN "*_window.h" EXCLUDE
  PATTERN "*_winograd*.h" EXCLUDE PATTERN "*_weight_*.h" EXCLUDE PATTERN "*_passes.h" EXCLUDE
  PATTERN "*_polyphase.h" EXCLUDE PATTERN "*_reach.h" EXCLUDE PATTERN "*_depthwise*.h" EXCLUDE
  PATTERN "*_lines.h" EXCLUDE)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/striate)
install(EXPORT striate NAMESPACE striate:: FILE striateTargets.cmake
  DESTINATION ${package_dir} COMPONENT core)
configure_package_config_file(cmake/striateConfig.cmake.in
  ${PROJECT_BINARY_DIR}/striateConfig.cmake INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/striateConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/striateConfig.cmake ${PROJECT_BINARY_DIR}/striateConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT core)
