# Rewrites the version line of a PTX text: -DFROM=file -DTO=file. Fails when there is not exactly one such line to rewrite, or
# when the text uses what PTX 7.4 lacks as far as a name tells (the assembler's verdict is CI's).
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
