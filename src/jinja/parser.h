// The recursive descent over tokens; expressions and statements are two files.
//
// Ownership and threads: one parser a template, on one thread.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "jinja/lex.h"
#include "jinja/tree.h"

namespace exa::jinja {

class Parser {
 public:
  Parser(std::string_view source, std::size_t depth)
      : lexer_(source), current_(lexer_.next()), depth_(depth) {}
  Tree parse();

 private:
  // Counts nesting while it lives.
  class Nested {
   public:
    explicit Nested(Parser& parser) : parser_(parser) {
      if (++parser_.nesting_ > parser_.depth_) {
        --parser_.nesting_;
        parser_.fail_nesting();
      }
    }
    ~Nested() { --parser_.nesting_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Parser& parser_;
  };

  [[noreturn]] void fail_nesting() const;
  // One node more. Errors: template_limit.
  void count_node();
  const Token& token() const { return current_; }
  const Token& following();
  Token next();
  bool at_name(std::string_view name) const {
    return token().type == TokenType::kName && token().text == name;
  }
  bool at_operator(std::string_view op) const {
    return token().type == TokenType::kOperator && token().text == op;
  }
  bool skip_name(std::string_view name);
  bool skip_operator(std::string_view op);
  void expect_operator(std::string_view op);
  Token expect(TokenType type, std::string_view described);
  static std::string described(const Token& token);
  [[noreturn]] void fail_expected(std::string_view described) const;
  [[noreturn]] void fail_here(std::string message) const { fail_syntax(std::move(message), token().line); }
  NameId intern(const std::string& name);

  // jinja_parse_expr.cpp
  ExprPtr make(Expr expr);  // checks the height
  Expr start(ExprKind kind) const;
  ExprPtr expression(bool conditional = true);
  ExprPtr tuple(bool conditional = true, std::string_view end_name = {}, bool parenthesised = false);
  bool at_tuple_end(std::string_view end_name) const;
  ExprPtr or_expression();
  ExprPtr and_expression();
  ExprPtr not_expression();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filters = true);
  ExprPtr primary();
  ExprPtr literal(Value value);
  ExprPtr list();
  ExprPtr dictionary();
  ExprPtr postfix(ExprPtr base);
  ExprPtr filters_and_tests(ExprPtr base);
  ExprPtr filter(ExprPtr base);
  ExprPtr test(ExprPtr base);
  ExprPtr subscript(ExprPtr base);
  ExprPtr call(ExprPtr base);
  CallArgs call_args();
  std::string dotted_name();
  void check_later(bool filter, const Expr& expr) {
    if (!soft_) checked_.push_back({filter, expr.text, expr.line});
  }

  // jinja_parse.cpp
  Block statements(
      std::initializer_list<std::string_view> ends);  // after the opening tag, up to the end tag's name
  Block block(std::initializer_list<std::string_view> ends);
  void statement(Block& out);
  [[noreturn]] void fail_unknown_tag(const std::string* name) const;
  void parse_if(Stmt& stmt);
  void parse_for(Stmt& stmt);
  void parse_set(Stmt& stmt);
  void parse_with(Stmt& stmt);
  void parse_macro(Stmt& stmt);
  void parse_call_block(Stmt& stmt);
  void parse_filter_block(Stmt& stmt);
  void signature(MacroDef& macro);
  void macro_body(MacroDef& macro, std::string_view end);
  Target assign_target(bool with_namespace, std::string_view end_name = {});
  Target single_target(bool with_namespace);
  Target name_target();

  Lexer lexer_;
  Token current_;
  std::optional<Token> ahead_;
  std::size_t depth_;
  std::size_t nesting_ = 0;
  std::size_t n_nodes_ = 0;
  bool soft_ = false;      // straight inside an if or an inline if: unknown filters fail when reached
  std::size_t loops_ = 0;  // for loops around the statement, within the macro
  struct NameUse {
    bool filter;
    std::string name;
    std::uint32_t line;
  };
  std::vector<NameUse> checked_;  // filters and tests that must exist
  Tree tree_;
  std::unordered_map<std::string, NameId> ids_;
  std::vector<std::vector<std::string_view>> end_stack_;
  std::vector<std::string> tag_stack_;
  // The special names the macro being parsed reads: caller, kwargs, varargs.
  struct MacroUse {
    bool caller = false, kwargs = false, varargs = false;
  };
  MacroUse use_;
};

}  // namespace exa::jinja
