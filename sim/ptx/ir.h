// What a PTX file says, before any of it is given a meaning: variables, functions, instructions with resolved registers
// and labels. Registers are numbered within their function; a name in an inner scope gets a number of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sim::ptx {

enum class Type : uint8_t {
  kNone,
  kPred,
  kB8,
  kB16,
  kB32,
  kB64,
  kB128,
  kU8,
  kU16,
  kU32,
  kU64,
  kS8,
  kS16,
  kS32,
  kS64,
  kF16,
  kF16x2,
  kBF16,
  kBF16x2,
  kTF32,
  kF32,
  kF64,
};
/// 0 for kNone, 1 for kPred.
int bits_of(Type type);
/// kNone when the word (without its dot) is no type.
Type type_named(const std::string& word);
const char* name_of(Type type);
bool is_signed(Type type);  // kS8 .. kS64
bool is_float(Type type);   // any floating-point type

enum class Space : uint8_t { kParam, kGlobal, kConst, kShared, kLocal };

/// An address inside an initialiser: the address of `symbol` plus `addend`, `bytes` wide, at `offset`.
struct Relocation {
  size_t offset, bytes;
  std::string symbol;
  int64_t addend;
};

struct Variable {
  std::string name;
  Space space = Space::kGlobal;
  Type type = Type::kB8;
  size_t alignment = 1;
  size_t bytes = 0;
  bool external = false;  // dynamic shared memory when it has no size
  int line = 0;
  std::vector<std::byte> initial;  // empty: zeros
  std::vector<Relocation> relocations;
};

struct Operand {
  enum Kind : uint8_t {
    kRegister,  // index
    kInteger,   // bits
    kFloat32,   // bits of 0f…
    kFloat64,   // bits of 0d… or of a decimal number
    kSpecial,   // text: %tid.x
    kVariable,  // variable, offset
    kVector,    // parts
    kAddress,   // [base + offset]: parts[0] is a register, a variable or an integer
    kLabel,     // index of an instruction
    kTable,     // index of a branch table
    kName,      // text: a function, or a name that nothing declares
    kSink,      // _
  };
  Kind kind = kInteger;
  bool negated = false;  // !p
  bool paired = false;   // a|b: parts[0] is b
  int index = 0;
  uint64_t bits = 0;
  int64_t offset = 0;
  const Variable* variable = nullptr;
  std::string text;
  std::string selector;  // of a register: %r1.b2, for video instructions
  std::vector<Operand> parts;
};

struct SourcePlace {
  int file = 0, line = 0;
};

struct Instruction {
  int line = 0;              // of the PTX text
  SourcePlace place, outer;  // .loc, and where that was inlined (file 0: nowhere)
  int guard = -1;            // register number of @p
  bool guard_negated = false;
  std::string opcode;                  // "ld"
  std::vector<std::string> modifiers;  // "global", "v4", "u32"
  std::vector<Operand> operands;
  std::vector<Operand> results;  // of a call
};

struct Function {
  std::string name;
  bool entry = false, declared_only = false, noreturn = false;
  int line = 0;
  std::vector<const Variable*> parameters, returns;
  std::vector<Type> registers;
  std::vector<Instruction> code;
  std::vector<std::vector<int>> tables;  // of branch targets
  int max_threads = 0;                   // product of .maxntid or .reqntid; 0: not said
  int required[3] = {0, 0, 0};           // .reqntid
  std::vector<std::unique_ptr<Variable>> variables;
};

struct File {
  int version = 0;  // 10 * major + minor
  std::string target;
  std::map<int, std::string> files;
  std::vector<std::unique_ptr<Variable>> variables;
  std::vector<std::unique_ptr<Function>> functions;  // a definition replaces its declaration
  const Function* find(const std::string& name) const;
};

/// Throws Fault (218) with the line and what was expected.
std::unique_ptr<File> parse(const std::string& source);

}  // namespace sim::ptx
