// Everything outside of function bodies: versions, variables with initialisers, signatures, .file and .loc.
#include <cstdlib>
#include <cstring>

#include "ptx/parser.h"

namespace sim::ptx {
namespace {

bool among(const std::string& word, std::initializer_list<const char*> words) {
  for (const char* candidate : words) {
    if (word == candidate) return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<File> parse(const std::string& source) {
  return Parser(source).run();
}

std::unique_ptr<File> Parser::run() {
  while (peek().kind != TokenKind::kEnd) top_level();
  if (file_->version == 0) reject(1, "no .version directive: this is not PTX");
  if (file_->target.empty()) reject(1, "no .target directive");
  return std::move(file_);
}

bool Parser::accept(const char* text) {
  if (!is(text)) return false;
  next();
  return true;
}

void Parser::expect(const char* text) {
  if (!accept(text)) unexpected(std::string("'") + text + "'");
}

void Parser::unexpected(const std::string& wanted) const {
  const Token& token = peek();
  const std::string found = token.kind == TokenKind::kEnd ? "the end of the text" : "'" + std::string(token.text) + "'";
  reject(token.line, "expected " + wanted + ", found " + found);
}

std::string Parser::name(const char* what) {
  if (peek().kind != TokenKind::kName) unexpected(what);
  return std::string(next().text);
}

int64_t Parser::integer(const char* what) {
  const bool minus = accept("-");
  if (peek().kind != TokenKind::kNumber) unexpected(what);
  Operand::Kind kind;
  const int64_t value = static_cast<int64_t>(number(next(), &kind));
  if (kind != Operand::kInteger) reject(peek().line, std::string("expected an integer for ") + what);
  return minus ? -value : value;
}

uint64_t Parser::number(const Token& token, Operand::Kind* kind) const {
  std::string text(token.text);
  char* end = nullptr;
  *kind = Operand::kInteger;
  uint64_t bits = 0;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'f' || text[1] == 'F' || text[1] == 'd' || text[1] == 'D')) {
    *kind = text[1] == 'f' || text[1] == 'F' ? Operand::kFloat32 : Operand::kFloat64;
    bits = std::strtoull(text.c_str() + 2, &end, 16);
    if (text.size() != (*kind == Operand::kFloat32 ? 10u : 18u)) end = nullptr;
  } else if (text.find('.') != std::string::npos ||
             (text.find_first_of("eE") != std::string::npos && text.find_first_of("xX") == std::string::npos)) {
    *kind = Operand::kFloat64;
    const double value = std::strtod(text.c_str(), &end);
    std::memcpy(&bits, &value, sizeof bits);
  } else {
    if (text.back() == 'U') text.pop_back();
    const bool binary = text.size() > 2 && text[0] == '0' && (text[1] == 'b' || text[1] == 'B');
    bits = binary ? std::strtoull(text.c_str() + 2, &end, 2) : std::strtoull(text.c_str(), &end, 0);
  }
  if (end == nullptr || *end != '\0') reject(token.line, "'" + std::string(token.text) + "' is no number");
  return bits;
}

void Parser::top_level() {
  const std::string word = name("a directive");
  if (word == ".version") {
    const std::string text(next().text);
    const int major = std::atoi(text.c_str());
    const size_t dot = text.find('.');
    file_->version = 10 * major + (dot == std::string::npos ? 0 : std::atoi(text.c_str() + dot + 1));
    if (file_->version < 10) reject(peek().line, "version '" + text + "' is none");
  } else if (word == ".target") {
    file_->target = name("a target");
    while (accept(",")) name("a target option");
  } else if (word == ".address_size") {
    if (integer(".address_size") != 64) reject(peek().line, "only 64-bit addresses are supported");
  } else if (word == ".file") {
    file_entry();
  } else if (word == ".loc") {
    location();
  } else if (word == ".section") {
    skip_section();
  } else if (word == ".pragma") {
    while (!accept(";")) next();
  } else {
    std::string directive = word;
    bool external = false;
    while (among(directive, {".visible", ".extern", ".weak", ".common"})) {
      external |= directive == ".extern";
      directive = name("a declaration");
    }
    if (directive == ".entry" || directive == ".func") {
      function(directive == ".entry");
    } else if (directive == ".global") {
      variables(Space::kGlobal, external);
    } else if (directive == ".const") {
      variables(Space::kConst, external);
    } else if (directive == ".shared") {
      variables(Space::kShared, external);
    } else {
      --at_;
      unexpected("a directive that is known at file level");
    }
  }
}

void Parser::skip_section() {
  name("a section name");
  expect("{");
  while (!accept("}")) {
    if (peek().kind == TokenKind::kEnd) unexpected("'}' of a section");
    next();
  }
}

void Parser::file_entry() {
  const int index = static_cast<int>(integer("a file number"));
  if (peek().kind != TokenKind::kString) unexpected("a file name");
  file_->files[index] = std::string(next().text);
  while (accept(",")) integer("a time stamp or size");
}

void Parser::location() {
  place_.file = static_cast<int>(integer("a file number"));
  place_.line = static_cast<int>(integer("a line"));
  integer("a column");
  outer_ = {};
  if (!accept(",")) return;
  if (name("function_name") != "function_name") reject(peek().line, "expected function_name in .loc");
  name("a label");
  if (accept("+")) integer("an offset");
  expect(",");
  if (name("inlined_at") != "inlined_at") reject(peek().line, "expected inlined_at in .loc");
  outer_.file = static_cast<int>(integer("a file number"));
  outer_.line = static_cast<int>(integer("a line"));
  integer("a column");
}

std::unique_ptr<Variable> Parser::variable(Space space) {
  auto result = std::make_unique<Variable>();
  result->space = space;
  result->line = peek().line;
  size_t alignment = 0, lanes = 1;
  for (;;) {
    const std::string word = name("a type");
    if (word == ".align") {
      alignment = static_cast<size_t>(integer("an alignment"));
      if (alignment == 0 || (alignment & (alignment - 1)) != 0) reject(result->line, "alignment is no power of two");
    } else if (word == ".v2" || word == ".v4") {
      lanes = word == ".v2" ? 2 : 4;
    } else if (word == ".ptr") {  // of a kernel parameter: what it points to is a hint only
      while (among(std::string(peek().text), {".global", ".const", ".shared", ".local", ".align"})) {
        if (next().text == ".align") integer("an alignment");
      }
      result->name = name("a parameter name");
      break;
    } else if (word == ".attribute") {
      expect("(");
      while (!accept(")")) next();
    } else if (word[0] == '.') {
      result->type = type_named(word.substr(1));
      if (bits_of(result->type) < 8) reject(result->line, "'" + word + "' is no type of a variable");
    } else {
      result->name = word;
      break;
    }
  }
  const size_t element = static_cast<size_t>(bits_of(result->type)) / 8 * lanes;
  result->alignment = alignment != 0 ? alignment : element;
  result->bytes = element;
  while (accept("[")) {
    if (accept("]")) {
      result->bytes = 0;
      continue;
    }
    result->bytes *= static_cast<size_t>(integer("an array size"));
    expect("]");
  }
  return result;
}

void Parser::adopt(std::unique_ptr<Variable> added) {
  scopes_.back().variables[added->name] = added.get();
  (function_ != nullptr ? function_->variables : file_->variables).push_back(std::move(added));
}

void Parser::variables(Space space, bool external) {
  const size_t first = at_;
  for (;;) {
    auto added = variable(space);
    added->external = external;
    if (accept("=")) initialiser(*added);
    if (added->bytes == 0 && !(external && space == Space::kShared)) {
      reject(added->line, "variable " + added->name + " has no size");
    }
    if (external && space != Space::kShared) {
      reject(added->line, "extern variable " + added->name + ": linking of modules is not supported");
    }
    // A name that was declared before (extern, then the definition) keeps its first variable.
    if (scopes_.back().variables.find(added->name) == scopes_.back().variables.end()) adopt(std::move(added));
    if (accept(";")) return;
    // `.global .u32 a, b;`: the same type again.
    expect(",");
    const size_t here = at_;
    std::vector<Token> repeated;
    for (size_t i = first; tokens_[i].text[0] == '.' || tokens_[i].kind == TokenKind::kNumber; ++i)
      repeated.push_back(tokens_[i]);
    tokens_.insert(tokens_.begin() + static_cast<std::ptrdiff_t>(here), repeated.begin(), repeated.end());
  }
}

void Parser::initialiser(Variable& variable) {
  const size_t element = static_cast<size_t>(bits_of(variable.type)) / 8;
  if (peek().kind == TokenKind::kString) {
    const std::string_view text = next().text;
    if (variable.bytes == 0) variable.bytes = text.size() + 1;
    variable.initial.assign(variable.bytes, std::byte{0});
    if (text.size() > variable.bytes) reject(variable.line, "initial text is longer than " + variable.name);
    std::memcpy(variable.initial.data(), text.data(), text.size());
    return;
  }
  if (!is("{")) {
    variable.initial.assign(variable.bytes, std::byte{0});
    initial_value(variable, 0);
    return;
  }
  // Nested braces of multi-dimensional arrays follow each other in memory.
  std::vector<std::byte> all(std::max(variable.bytes, element));
  variable.initial.assign(all.size(), std::byte{0});
  int depth = 0;
  size_t index = 0;
  do {
    if (accept("{")) {
      ++depth;
    } else if (accept("}")) {
      --depth;
    } else if (!accept(",")) {
      if (variable.bytes == 0) variable.initial.resize((index + 1) * element);
      if ((index + 1) * element > variable.initial.size())
        reject(variable.line, "too many values for " + variable.name);
      initial_value(variable, index++);
    }
  } while (depth > 0);
  if (variable.bytes == 0) variable.bytes = index * element;
}

void Parser::initial_value(Variable& variable, size_t index) {
  const size_t element = static_cast<size_t>(bits_of(variable.type)) / 8;
  std::byte* to = variable.initial.data() + index * element;
  const int line = peek().line;
  if (peek().kind == TokenKind::kName) {
    std::string symbol = name("a symbol");
    if (symbol == "generic") {
      expect("(");
      symbol = name("a symbol");
      expect(")");
    }
    int64_t addend = 0;
    if (accept("+")) addend = integer("an offset");
    variable.relocations.push_back({index * element, element, symbol, addend});
    return;
  }
  const bool minus = accept("-");
  if (peek().kind != TokenKind::kNumber) unexpected("an initial value");
  Operand::Kind kind;
  uint64_t bits = number(next(), &kind);
  if (variable.type == Type::kF32 && kind == Operand::kFloat64) {
    double value;
    std::memcpy(&value, &bits, 8);
    const float narrow = static_cast<float>(minus ? -value : value);
    std::memcpy(to, &narrow, 4);
    return;
  }
  if (kind != Operand::kInteger) {
    if (minus) bits ^= uint64_t{1} << (kind == Operand::kFloat32 ? 31 : 63);
  } else if (is_float(variable.type) && element >= 4) {
    const double value = minus ? -static_cast<double>(bits) : static_cast<double>(bits);
    const float narrow = static_cast<float>(value);
    std::memcpy(to, element == 4 ? static_cast<const void*>(&narrow) : &value, element);
    return;
  } else if (minus) {
    bits = ~bits + 1;
  }
  if (element > 8) reject(line, "initial value of this type is not supported");
  std::memcpy(to, &bits, element);
}

std::vector<const Variable*> Parser::parameters(Function& function) {
  std::vector<const Variable*> result;
  expect("(");
  while (!accept(")")) {
    const std::string space = name(".param");
    if (space != ".param") reject(peek().line, "only .param parameters are supported, found '" + space + "'");
    auto added = variable(Space::kParam);
    scopes_.back().variables[added->name] = added.get();
    result.push_back(added.get());
    function.variables.push_back(std::move(added));
    if (!is(")")) expect(",");
  }
  return result;
}

void Parser::function(bool entry) {
  auto owned = std::make_unique<Function>();
  Function& added = *owned;
  added.entry = entry;
  added.line = peek().line;
  open_scope();
  if (!entry && is("(")) added.returns = parameters(added);
  added.name = name("a function name");
  if (is("(")) added.parameters = parameters(added);
  for (;;) {
    if (accept(".noreturn")) {
      added.noreturn = true;
    } else if (is(".maxntid") || is(".reqntid")) {
      const bool required = next().text == ".reqntid";
      int product = 1;
      for (int i = 0; i < 3; ++i) {
        const int n = static_cast<int>(integer("a block size"));
        product *= n;
        if (required) added.required[i] = n;
        if (i == 2 || !accept(",")) {
          for (int rest = i + 1; required && rest < 3; ++rest) added.required[rest] = 1;
          break;
        }
      }
      added.max_threads = product;
    } else if (is(".minnctapersm") || is(".maxnreg") || is(".maxnctapersm")) {
      next();
      integer("a bound");
    } else if (accept(".pragma")) {
      while (!accept(";")) next();
    } else {
      break;
    }
  }
  place_ = outer_ = {};
  if (accept(";")) {
    added.declared_only = true;
    scopes_.pop_back();
  } else if (is("{")) {
    function_ = &added;
    body();
    function_ = nullptr;
  } else {
    unexpected("a function body or ';'");
  }
  for (auto& known : file_->functions) {
    if (known->name != added.name) continue;
    if (!known->declared_only && !added.declared_only)
      reject(added.line, "function " + added.name + " is defined twice");
    if (known->declared_only) known = std::move(owned);
    return;
  }
  file_->functions.push_back(std::move(owned));
}

}  // namespace sim::ptx
