# Fails the build when an object compiled for one instruction set defines a symbol for the linker that
# does not carry the set's name: of inline functions, templates and their variables the linker keeps
# one copy, and an older machine that got the copy of a newer set would crash.
#   cmake -DNM=nm -DOBJECTS=kernels.o -DSET=avx2 -P check_symbols.cmake
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols
                  RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${NM} could not read ${object}")
  endif()
  # What is compiled only at the link, by -flto, shows nothing here.
  if(NOT symbols MATCHES "${SET}")
    message(FATAL_ERROR "no symbol with '${SET}' in its name, in ${object}: nothing to check")
  endif()
  string(REPLACE "\n" ";" symbols "${symbols}")
  foreach(line IN LISTS symbols)
    # Upper case: for the linker; u: unique in the process. Weak ones are W and V (T on macOS).
    if(line MATCHES " [A-Zu] " AND NOT line MATCHES "${SET}")
      message(FATAL_ERROR "symbol without '${SET}' in its name, in ${object}: ${line}")
    endif()
  endforeach()
endforeach()
