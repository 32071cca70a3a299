# Rewrites the version line of a PTX text: -DFROM=file -DTO=file. Fails when there is not exactly one such line. Whether the text
# then holds nothing newer than PTX 7.4 is for the assembler to say: .ci/run passes it through.
file(READ ${FROM} text)
string(REGEX MATCHALL "\n\\.version [0-9]+\\.[0-9]+" versions "${text}")
list(LENGTH versions count)
if(NOT count EQUAL 1)
  message(FATAL_ERROR "${FROM}: expected one .version line, found ${count}")
endif()
# A hint of PTX 8.3 about which bytes of a load are used; without it nothing changes.
string(REGEX REPLACE "\n[ \t]*\\.pragma \"used_bytes_mask[^\n]*" "" text "${text}")
string(REGEX REPLACE "\n\\.version [0-9]+\\.[0-9]+" "\n.version 7.4" text "${text}")
file(WRITE ${TO} "${text}")
