// The parser of a PTX file, in two halves: declarations (declarations.cc) and function bodies (parser.cc).
#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ptx/ir.h"
#include "ptx/lexer.h"

namespace sim::ptx {

class Parser {
 public:
  explicit Parser(const std::string& source) : tokens_(tokenize(source)), file_(std::make_unique<File>()) {}
  std::unique_ptr<File> run();

 private:
  /// One `{ }` of a function, or the file (then only variables are used).
  struct Scope {
    std::unordered_map<std::string, int> registers;
    std::vector<std::tuple<std::string, int, int>> ranges;  // prefix, first number, count: %r<38>
    std::unordered_map<std::string, const Variable*> variables;
    std::unordered_map<std::string, int> labels, tables;
    std::vector<std::pair<int, int>> label_uses;                // instruction, operand
    std::vector<std::tuple<int, int, std::string>> table_uses;  // table, entry, name
  };

  const Token& peek(int ahead = 0) const {
    return tokens_[std::min(at_ + static_cast<size_t>(ahead), tokens_.size() - 1)];
  }
  const Token& next() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is(const char* text, int ahead = 0) const {
    return peek(ahead).text == text && peek(ahead).kind != TokenKind::kString;
  }
  bool accept(const char* text);
  void expect(const char* text);
  std::string name(const char* what);
  [[noreturn]] void unexpected(const std::string& wanted) const;

  // declarations.cc
  void top_level();
  void skip_section();
  void location();
  void file_entry();
  int64_t integer(const char* what);
  uint64_t number(const Token& token, Operand::Kind* kind) const;
  std::unique_ptr<Variable> variable(Space space);
  void variables(Space space, bool external);
  void initialiser(Variable& variable);
  void initial_value(Variable& variable, size_t index);
  void function(bool entry);
  std::vector<const Variable*> parameters(Function& function);
  void adopt(std::unique_ptr<Variable> variable);

  // parser.cc
  void body();
  void statement();
  void registers();
  void instruction();
  void call(Instruction& instruction);
  Operand operand();
  Operand plain_operand();
  Operand address();
  std::vector<Operand> list(const char* open, const char* close);
  void branch_targets(const std::string& label);
  void open_scope() { scopes_.emplace_back(); }
  void close_scope();
  int find_register(const std::string& name) const;
  const Variable* find_variable(const std::string& name) const;

  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::unique_ptr<File> file_;
  std::vector<Scope> scopes_{1};
  Function* function_ = nullptr;
  SourcePlace place_, outer_;
};

}  // namespace sim::ptx
