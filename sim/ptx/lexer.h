// PTX text to tokens. Names keep their dots: `ld.global.v4.u32`, `%tid.x`, `.L1::no_allocate` are one token each.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sim::ptx {

enum class TokenKind : unsigned char { kName, kNumber, kString, kPunctuation, kEnd };

struct Token {
  TokenKind kind;
  std::string_view text;  // into the source; of a string without its quotes
  int line;               // from 1
};

/// The last token is kEnd. Throws Fault (218) for a character that belongs to no token.
std::vector<Token> tokenize(std::string_view source);

/// Fault 218 with the line in front.
[[noreturn]] void reject(int line, const std::string& message);

}  // namespace sim::ptx
