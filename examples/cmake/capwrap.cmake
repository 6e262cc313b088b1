# capwrap_confine(TARGET READ PATH...) compiles the C sources of TARGET in capability mode: each compilation reads the
# system's programs and headers and these files and directories of the source tree, writes in the build directory, and
# finds nothing else. The policy of TARGET is the file TARGET.capwrap.toml in the build directory.

find_program(CAPWRAP capwrap REQUIRED)
find_program(CAPWRAP_EXEC capwrap-exec REQUIRED)
option(CAPWRAP_EXPLAIN "Launch by `capwrap run`: slower to start, and says which option would allow a refused file" OFF)

function(capwrap_confine target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "READ")
  list(TRANSFORM arg_READ PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  list(JOIN arg_READ "', '" read)
  set(policy "${CMAKE_CURRENT_BINARY_DIR}/${target}.capwrap.toml")
  set(image "${CMAKE_CURRENT_BINARY_DIR}/${target}.cap")
  file(CONFIGURE OUTPUT "${policy}" @ONLY CONTENT [[
extends = ["base"]
ro = ['@read@']
rw = ['@CMAKE_BINARY_DIR@']
private = [{ path = "/tmp", mode = "1777" }]
]])

  # The policy counts as a source: where it changes, what was compiled under it is compiled again.
  if(CAPWRAP_EXPLAIN)
    set(launcher "${CAPWRAP}" run --fail-on-violation --policy "${policy}" --)
    set(rests_on "${policy}")
  else()
    add_custom_command(
      OUTPUT "${image}"
      COMMAND "${CAPWRAP}" compile --policy "${policy}" -o "${image}"
      DEPENDS "${policy}"
      VERBATIM)
    set(launcher "${CAPWRAP_EXEC}" --fail-on-violation "${image}" --)
    set(rests_on "${image}")
  endif()
  get_target_property(sources ${target} SOURCES)
  set_property(SOURCE ${sources} APPEND PROPERTY OBJECT_DEPENDS "${rests_on}")
  set_target_properties(${target} PROPERTIES C_COMPILER_LAUNCHER "${launcher}")
endfunction()
