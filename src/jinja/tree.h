// A parsed template: expressions and statements, nothing evaluated yet.
//
// Ownership and threads: a tree owns its nodes and its literals; immutable after parsing, shared by renders.
// The height of every expression and the nesting of statements is bounded by the parser, so walking may
// recurse. Source: the grammar of Jinja2 3.1.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jinja/value.h"

namespace exa::jinja {

using NameId = std::uint32_t;  // index into Tree::names

struct Expr;
using ExprPtr = std::unique_ptr<const Expr>;

struct CallArgs {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star, double_star;  // *args and **kwargs
};

enum class ExprKind : std::uint8_t {
  kLiteral,      // value
  kName,         // name
  kTuple,        // items
  kList,         // items
  kDict,         // items: key, value, key, value, …
  kConditional,  // items: condition, then, else (may be null)
  kAnd,          // items
  kOr,           // items
  kNot,          // items[0]
  kNegative,     // items[0]
  kPositive,     // items[0]
  kCompare,      // items[0] op[0] items[1] op[1] items[2] …, as Python chains them
  kArithmetic,   // items[0] op[0] items[1] op[1] …, from the left
  kConcat,       // items joined with ~
  kAttribute,    // items[0].text
  kItem,         // items[0][items[1]]
  kSlice,        // items[0][items[1]:items[2]:items[3]], each of the three may be null
  kCall,         // items[0](args)
  kFilter,       // items[0] | text(args); items[0] null inside a filter block
  kTest,         // items[0] is text(args)
};

enum class Operator : std::uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct Expr {
  ExprKind kind;
  std::uint32_t line = 0;
  std::uint32_t height = 1;
  NameId name = 0;
  Value value;
  std::string text;
  std::vector<ExprPtr> items;
  std::vector<Operator> operators;
  CallArgs args;
};

// What `set` and `for` write to.
struct Target {
  NameId name = 0;
  std::string attribute;      // not empty: name.attribute of a namespace
  std::vector<Target> parts;  // not empty or is_tuple: unpacking
  bool is_tuple = false;
};

struct Stmt;
using Block = std::vector<std::unique_ptr<const Stmt>>;

struct MacroDef {
  std::string name;
  NameId name_id = 0;
  std::vector<NameId> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters
  bool takes_caller = false, takes_kwargs = false, takes_varargs = false;
  Block body;
};

enum class StmtKind : std::uint8_t {
  kText,      // literal
  kOutput,    // exprs printed one after the other
  kIf,        // exprs[i] guards blocks[i]; one block more is the else
  kFor,       // target, exprs: iterable, filter (may be null); blocks: body, else
  kSet,       // targets[0] = exprs[0]
  kSetBlock,  // targets[0] = blocks[0] captured, through exprs[0] (may be null)
  kMacro,     // macro
  kCall,      // exprs[0] is the call, macro the caller
  kFilter,    // exprs[0] over blocks[0]
  kWith,      // targets[i] = exprs[i], then blocks[0]
  kScope,     // blocks[0] in a scope of its own ({% generation %})
  kBreak,
  kContinue,
};

struct Stmt {
  StmtKind kind;
  std::uint32_t line = 0;
  bool recursive = false;  // kFor
  TextPtr literal;
  std::vector<ExprPtr> exprs;
  std::vector<Target> targets;
  std::vector<Block> blocks;
  std::unique_ptr<MacroDef> macro;
};

struct Tree {
  std::vector<std::string> names;
  Block body;
};

}  // namespace exa::jinja
