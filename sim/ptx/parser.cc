// Function bodies: scopes, registers, labels, instructions and their operands.
#include "ptx/parser.h"

#include <algorithm>

namespace sim::ptx {
namespace {

std::vector<std::string> split(const std::string& word) {
  std::vector<std::string> parts;
  size_t from = 0;
  for (size_t dot; (dot = word.find('.', from)) != std::string::npos; from = dot + 1) {
    parts.push_back(word.substr(from, dot - from));
  }
  parts.push_back(word.substr(from));
  return parts;
}

}  // namespace

void Parser::body() {
  expect("{");
  while (!accept("}")) statement();
  close_scope();
}

void Parser::close_scope() {
  Scope scope = std::move(scopes_.back());
  scopes_.pop_back();
  const bool outermost = scopes_.size() == 1;
  for (const auto& use : scope.label_uses) {
    Instruction& user = function_->code[static_cast<size_t>(use.first)];
    Operand& operand = user.operands[static_cast<size_t>(use.second)];
    const auto label = scope.labels.find(operand.text);
    const auto table = scope.tables.find(operand.text);
    if (label != scope.labels.end()) {
      operand.kind = Operand::kLabel, operand.index = label->second;
    } else if (table != scope.tables.end()) {
      operand.kind = Operand::kTable, operand.index = table->second;
    } else if (!outermost) {
      scopes_.back().label_uses.push_back(use);
    }
  }
  for (const auto& [table, entry, text] : scope.table_uses) {
    const auto label = scope.labels.find(text);
    if (label != scope.labels.end()) {
      function_->tables[static_cast<size_t>(table)][static_cast<size_t>(entry)] = label->second;
    } else if (outermost) {
      reject(function_->line, "branch table of " + function_->name + " names the unknown label " + text);
    } else {
      scopes_.back().table_uses.emplace_back(table, entry, text);
    }
  }
}

void Parser::statement() {
  if (peek().kind == TokenKind::kEnd) unexpected("'}' at the end of " + function_->name);
  if (is("{")) {
    open_scope();
    body();
    return;
  }
  if (accept(";")) return;
  if (is("@")) return instruction();
  if (peek().kind != TokenKind::kName) unexpected("a statement");
  if (is(":", 1)) {
    const std::string label = name("a label");
    next();
    if (accept(".branchtargets")) return branch_targets(label);
    if (is(".callprototype") || is(".calltargets")) {
      scopes_.back().tables[label] = -1;
      while (!accept(";")) next();
      return;
    }
    if (!scopes_.back().labels.emplace(label, static_cast<int>(function_->code.size())).second) {
      reject(peek().line, "label " + label + " is defined twice");
    }
    return;
  }
  if (peek().text[0] != '.') return instruction();
  const std::string word = name("a directive");
  if (word == ".reg") {
    registers();
  } else if (word == ".loc") {
    location();
  } else if (word == ".file") {
    file_entry();
  } else if (word == ".pragma") {
    while (!accept(";")) next();
  } else if (word == ".param" || word == ".local") {
    variables(word == ".param" ? Space::kParam : Space::kLocal, false);
  } else if (word == ".shared" || word == ".global" || word == ".const") {
    variables(word == ".shared" ? Space::kShared : word == ".global" ? Space::kGlobal : Space::kConst, false);
  } else {
    --at_;
    unexpected("a directive that is known inside a function");
  }
}

void Parser::registers() {
  const int line = peek().line;
  std::string word = name("a register type");
  if (word == ".v2" || word == ".v4") reject(line, "vector registers (.reg " + word + ") are not supported");
  const Type type = type_named(word.substr(1));
  if (type == Type::kNone || type == Type::kB128) reject(line, "registers of type '" + word + "' are not supported");
  do {
    const std::string text = name("a register name");
    const int first = static_cast<int>(function_->registers.size());
    int count = 1;
    if (accept("<")) {
      count = static_cast<int>(integer("a register count"));
      expect(">");
      if (count < 1 || count > 1 << 20) reject(line, "register count out of range");
      scopes_.back().ranges.emplace_back(text, first, count);
    } else {
      scopes_.back().registers[text] = first;
    }
    function_->registers.insert(function_->registers.end(), static_cast<size_t>(count), type);
  } while (accept(","));
  expect(";");
}

int Parser::find_register(const std::string& text) const {
  size_t digits = text.size();
  while (digits > 0 && text[digits - 1] >= '0' && text[digits - 1] <= '9') --digits;
  const std::string prefix = text.substr(0, digits), number = text.substr(digits);
  for (size_t i = scopes_.size(); i-- > 1;) {
    const auto found = scopes_[i].registers.find(text);
    if (found != scopes_[i].registers.end()) return found->second;
    if (number.empty() || number.size() > 7 || (number.size() > 1 && number[0] == '0')) continue;
    for (const auto& [range, first, count] : scopes_[i].ranges) {
      if (range == prefix && std::stoi(number) < count) return first + std::stoi(number);
    }
  }
  return -1;
}

const Variable* Parser::find_variable(const std::string& text) const {
  for (size_t i = scopes_.size(); i-- > 0;) {
    const auto found = scopes_[i].variables.find(text);
    if (found != scopes_[i].variables.end()) return found->second;
  }
  return nullptr;
}

void Parser::branch_targets(const std::string& label) {
  const int table = static_cast<int>(function_->tables.size());
  scopes_.back().tables[label] = table;
  function_->tables.emplace_back();
  do {
    const std::string target = name("a label");
    scopes_.back().table_uses.emplace_back(table, static_cast<int>(function_->tables.back().size()), target);
    function_->tables.back().push_back(-1);
  } while (accept(","));
  expect(";");
}

void Parser::instruction() {
  Instruction added;
  added.line = peek().line;
  added.place = place_;
  added.outer = outer_;
  if (accept("@")) {
    added.guard_negated = accept("!");
    const std::string guard = name("a predicate");
    added.guard = find_register(guard);
    if (added.guard < 0) reject(added.line, "unknown predicate " + guard);
  }
  added.line = peek().line;
  std::vector<std::string> words = split(name("an instruction"));
  added.opcode = words.front();
  added.modifiers.assign(words.begin() + 1, words.end());
  if (added.opcode == "call") {
    call(added);
  } else {
    while (!accept(";")) {
      added.operands.push_back(operand());
      if (!is(";")) expect(",");
    }
  }
  const int index = static_cast<int>(function_->code.size());
  for (size_t i = 0; i < added.operands.size(); ++i) {
    if (added.operands[i].kind == Operand::kName) scopes_.back().label_uses.emplace_back(index, static_cast<int>(i));
  }
  function_->code.push_back(std::move(added));
}

void Parser::call(Instruction& instruction) {
  if (is("(")) {
    instruction.results = list("(", ")");
    expect(",");
  }
  instruction.operands.push_back(operand());
  if (accept(",")) {
    for (Operand& argument : list("(", ")")) instruction.operands.push_back(std::move(argument));
    if (accept(",")) name("a prototype");
  }
  expect(";");
}

std::vector<Operand> Parser::list(const char* open, const char* close) {
  std::vector<Operand> result;
  expect(open);
  while (!accept(close)) {
    result.push_back(operand());
    if (!is(close)) expect(",");
  }
  return result;
}

Operand Parser::operand() {
  if (is("[")) return address();
  if (is("{")) {
    Operand vector;
    vector.kind = Operand::kVector;
    vector.parts = list("{", "}");
    return vector;
  }
  const bool negated = accept("!");
  Operand result = plain_operand();
  result.negated = negated;
  if (accept("|")) {
    result.paired = true;
    result.parts.push_back(plain_operand());
  }
  return result;
}

Operand Parser::plain_operand() {
  Operand result;
  const Token& token = peek();
  if (accept("-")) {
    if (peek().kind != TokenKind::kNumber) unexpected("a number after '-'");
    result.bits = number(next(), &result.kind);
    if (result.kind == Operand::kInteger) {
      result.bits = ~result.bits + 1;
    } else {
      result.bits ^= uint64_t{1} << (result.kind == Operand::kFloat32 ? 31 : 63);
    }
    return result;
  }
  if (accept("~")) {
    result.bits = ~static_cast<uint64_t>(integer("a number after '~'"));
    return result;
  }
  if (token.kind == TokenKind::kNumber) {
    result.bits = number(next(), &result.kind);
    return result;
  }
  result.text = name("an operand");
  if (result.text == "_") {
    result.kind = Operand::kSink;
    return result;
  }
  if (result.text == "WARP_SZ") {
    result.bits = 32;
    return result;
  }
  result.index = find_register(result.text);
  if (result.index >= 0) {
    result.kind = Operand::kRegister;
    return result;
  }
  const size_t dot = result.text.find('.');
  if (dot != std::string::npos) {
    const int whole = find_register(result.text.substr(0, dot));
    if (whole >= 0) {
      result.kind = Operand::kRegister;
      result.index = whole;
      result.selector = result.text.substr(dot + 1);
      return result;
    }
  }
  result.variable = find_variable(result.text);
  if (result.variable != nullptr) {
    result.kind = Operand::kVariable;
    if (accept("+")) result.offset = integer("an offset");
    return result;
  }
  result.kind = result.text[0] == '%' ? Operand::kSpecial : Operand::kName;
  return result;
}

Operand Parser::address() {
  Operand result;
  result.kind = Operand::kAddress;
  expect("[");
  result.parts.push_back(plain_operand());
  result.offset = result.parts[0].offset;
  result.parts[0].offset = 0;
  if (result.parts[0].kind == Operand::kName) reject(peek().line, "unknown symbol " + result.parts[0].text);
  if (accept("+")) {
    result.offset += integer("an offset");
  } else if (accept("-")) {
    result.offset -= integer("an offset");
  }
  expect("]");
  return result;
}

}  // namespace sim::ptx
