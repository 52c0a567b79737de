# Fails the build when an object compiled for one instruction set holds a weak symbol that does not
# carry the set's name: the linker keeps one copy of a weak symbol, and an older machine that got the
# copy of a newer set would crash.
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols
                  RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${NM} could not read ${object}")
  endif()
  string(REPLACE "\n" ";" symbols "${symbols}")
  foreach(line IN LISTS symbols)
    if(line MATCHES " [WVu] " AND NOT line MATCHES "${SET}")
      message(FATAL_ERROR "weak symbol without '${SET}' in its name, in ${object}: ${line}")
    endif()
  endforeach()
endforeach()
