#include "ptx/lexer.h"

#include <cctype>

#include "memory/memory.h"

namespace sim::ptx {
namespace {

bool starts_name(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}
bool in_name(char c) {
  return starts_name(c) || std::isdigit(static_cast<unsigned char>(c));
}

}  // namespace

void reject(int line, const std::string& message) {
  throw Fault{218, "PTX line " + std::to_string(line) + ": " + message};
}

std::vector<Token> tokenize(std::string_view s) {
  std::vector<Token> tokens;
  tokens.reserve(s.size() / 5);
  int line = 1;
  size_t i = 0;
  const size_t n = s.size();
  while (i < n) {
    const char c = s[i];
    if (c == '\n') {
      ++line, ++i;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\0') {
      ++i;
    } else if (c == '/' && i + 1 < n && s[i + 1] == '/') {
      while (i < n && s[i] != '\n') ++i;
    } else if (c == '/' && i + 1 < n && s[i + 1] == '*') {
      const int from = line;
      for (i += 2;; ++i) {
        if (i + 1 >= n) reject(from, "a comment that does not end");
        if (s[i] == '\n') ++line;
        if (s[i] == '*' && s[i + 1] == '/') break;
      }
      i += 2;
    } else if (c == '"') {
      const size_t from = ++i;
      while (i < n && s[i] != '"' && s[i] != '\n') i += s[i] == '\\' && i + 1 < n ? 2 : 1;
      if (i >= n || s[i] != '"') reject(line, "a string that does not end");
      tokens.push_back({TokenKind::kString, s.substr(from, i - from), line});
      ++i;
    } else if (std::isdigit(static_cast<unsigned char>(c))) {
      const size_t from = i;
      const bool plain = !(c == '0' && i + 1 < n && std::isalpha(static_cast<unsigned char>(s[i + 1])));
      while (i < n && (std::isalnum(static_cast<unsigned char>(s[i])) || s[i] == '.' ||
                       (plain && (s[i] == '+' || s[i] == '-') && (s[i - 1] == 'e' || s[i - 1] == 'E')))) {
        ++i;
      }
      tokens.push_back({TokenKind::kNumber, s.substr(from, i - from), line});
    } else if (starts_name(c)) {
      const size_t from = i;
      if (c == '.') ++i;  // `.reg.b32` is two directives
      while (i < n && !(c == '.' && s[i] == '.') &&
             (in_name(s[i]) || (s[i] == ':' && i + 2 < n && s[i + 1] == ':' && in_name(s[i + 2])))) {
        i += s[i] == ':' ? 2 : 1;
      }
      tokens.push_back({TokenKind::kName, s.substr(from, i - from), line});
    } else if (std::string_view("{}[]()<>,;:|!+-*=@&~").find(c) != std::string_view::npos) {
      tokens.push_back({TokenKind::kPunctuation, s.substr(i, 1), line});
      ++i;
    } else {
      reject(line, std::string("unexpected character '") + c + "'");
    }
  }
  tokens.push_back({TokenKind::kEnd, std::string_view(), line});
  return tokens;
}

}  // namespace sim::ptx
