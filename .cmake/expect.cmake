# Runs a program and fails unless it exits with zero and its output matches a regular expression:
#   cmake -DEXPECT=<regex> -P expect.cmake -- <program> <arguments>...
# (ctest's own PASS_REGULAR_EXPRESSION would ignore the exit code.)
set(command "")
set(seen_separator FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
  if(seen_separator)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif(CMAKE_ARGV${i} STREQUAL "--")
    set(seen_separator TRUE)
  endif()
endforeach()

execute_process(COMMAND ${command} OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE code
                ECHO_OUTPUT_VARIABLE ECHO_ERROR_VARIABLE)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "exit code ${code}")
elseif(NOT output MATCHES "${EXPECT}")
  message(FATAL_ERROR "the output does not match: ${EXPECT}")
endif()
