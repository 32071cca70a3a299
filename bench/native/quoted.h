// A string of JSON, for programs that print one object a line.
#pragma once

#include <string>

namespace toolgrad::bench {

inline std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + "\"";
}

}  // namespace toolgrad::bench
