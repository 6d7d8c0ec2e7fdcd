#include "jinja/parse.h"

#include <algorithm>

#include "base/error.h"
#include "jinja/builtins.h"
#include "jinja/parser.h"

namespace exa::jinja {

Tree parse_template(std::string_view source, std::size_t depth) {
  return Parser(source, depth).parse();
}

void Parser::fail_nesting() const {
  throw Error(ErrorKind::kBadInput,
              "template_limit: the template nests deeper than " + std::to_string(depth_),
              "template: line " + std::to_string(token().line));
}

void Parser::count_node() {
  constexpr std::size_t kMostNodes = 65'536;
  if (++n_nodes_ <= kMostNodes) return;
  throw Error(ErrorKind::kBadInput,
              "template_limit: the template has more than " + std::to_string(kMostNodes) + " nodes",
              "template: line " + std::to_string(token().line));
}

const Token& Parser::following() {
  if (!ahead_) ahead_ = lexer_.next();
  return *ahead_;
}

Token Parser::next() {
  Token taken = std::move(current_);
  current_ = ahead_ ? std::move(*ahead_) : lexer_.next();
  ahead_.reset();
  return taken;
}

bool Parser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  next();
  return true;
}

bool Parser::skip_operator(std::string_view op) {
  if (!at_operator(op)) return false;
  next();
  return true;
}

std::string Parser::described(const Token& token) {
  switch (token.type) {
    case TokenType::kEnd:
      return "end of template";
    case TokenType::kData:
      return "template data / text";
    case TokenType::kBlockBegin:
      return "begin of statement block";
    case TokenType::kBlockEnd:
      return "end of statement block";
    case TokenType::kPrintBegin:
      return "begin of print statement";
    case TokenType::kPrintEnd:
      return "end of print statement";
    case TokenType::kString:
      return "string";
    case TokenType::kInteger:
      return "integer";
    case TokenType::kFloat:
      return "float";
    default:
      return token.text;
  }
}

void Parser::fail_expected(std::string_view wanted) const {
  if (token().type == TokenType::kEnd) {
    fail_here("unexpected end of template, expected " + repr_string(wanted) + ".");
  }
  fail_here("expected token " + repr_string(wanted) + ", got " + repr_string(described(token())));
}

void Parser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) fail_expected(op);
}

Token Parser::expect(TokenType type, std::string_view wanted) {
  if (token().type != type) fail_expected(wanted);
  return next();
}

NameId Parser::intern(const std::string& name) {
  const auto [place, fresh] = ids_.try_emplace(name, static_cast<NameId>(tree_.names.size()));
  if (fresh) {
    count_node();
    tree_.names.push_back(name);
  }
  return place->second;
}

Tree Parser::parse() {
  tree_.body = block({});
  for (const NameUse& use : checked_) check_builtin(use.filter, use.name, use.line);
  return std::move(tree_);
}

Block Parser::statements(std::initializer_list<std::string_view> ends) {
  skip_operator(":");
  expect(TokenType::kBlockEnd, "end of statement block");
  Block body = block(ends);
  if (token().type == TokenType::kEnd) {
    end_stack_.emplace_back(ends);
    fail_unknown_tag(nullptr);
  }
  return body;
}

Block Parser::block(std::initializer_list<std::string_view> ends) {
  const Nested nested(*this);
  if (ends.size()) end_stack_.emplace_back(ends);
  Block out;
  while (token().type != TokenType::kEnd) {
    const std::uint32_t line = token().line;
    count_node();
    if (token().type == TokenType::kData) {
      auto stmt = std::make_unique<Stmt>();
      stmt->kind = StmtKind::kText;
      stmt->line = line;
      stmt->literal = make_text(nullptr, next().text, TextOrigin::kTemplate);
      out.push_back(std::move(stmt));
    } else if (token().type == TokenType::kPrintBegin) {
      next();
      auto stmt = std::make_unique<Stmt>();
      stmt->kind = StmtKind::kOutput;
      stmt->line = line;
      stmt->exprs.push_back(tuple());
      expect(TokenType::kPrintEnd, "end of print statement");
      out.push_back(std::move(stmt));
    } else {
      next();
      if (std::any_of(ends.begin(), ends.end(), [this](std::string_view end) { return at_name(end); })) break;
      statement(out);
      expect(TokenType::kBlockEnd, "end of statement block");
    }
  }
  if (ends.size()) end_stack_.pop_back();
  return out;
}

void Parser::fail_unknown_tag(const std::string* name) const {
  std::string message =
      name ? "Encountered unknown tag " + repr_string(*name) + "." : "Unexpected end of template.";
  if (!end_stack_.empty()) {
    std::string looking;
    for (const std::string_view end : end_stack_.back()) {
      looking += (looking.empty() ? "" : " or ") + repr_string(end);
    }
    bool expected = false;
    for (const auto& ends : end_stack_) {
      expected = expected || (name && std::find(ends.begin(), ends.end(), *name) != ends.end());
    }
    message +=
        expected ? " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking "
                   "for " +
                       looking + "."
                 : " Jinja was looking for the following tags: " + looking + ".";
  }
  if (!tag_stack_.empty()) {
    message += " The innermost block that needs to be closed is " + repr_string(tag_stack_.back()) + ".";
  }
  fail_here(std::move(message));
}

void Parser::statement(Block& out) {
  if (token().type != TokenType::kName) fail_here("tag name expected");
  const std::string tag = token().text;
  auto stmt = std::make_unique<Stmt>();
  stmt->line = token().line;
  static constexpr std::string_view kNotHere[] = {"include", "import", "from",
                                                  "extends", "block",  "autoescape"};
  if (std::find(std::begin(kNotHere), std::end(kNotHere), tag) != std::end(kNotHere)) {
    throw Error(ErrorKind::kUnsupported, "{% " + tag + " %} in a chat template",
                "template: line " + std::to_string(stmt->line));
  }
  tag_stack_.push_back(tag);
  if (tag == "if") {
    parse_if(*stmt);
  } else if (tag == "for") {
    parse_for(*stmt);
  } else if (tag == "set") {
    parse_set(*stmt);
  } else if (tag == "with") {
    parse_with(*stmt);
  } else if (tag == "macro") {
    parse_macro(*stmt);
  } else if (tag == "call") {
    parse_call_block(*stmt);
  } else if (tag == "filter") {
    parse_filter_block(*stmt);
  } else if (tag == "print") {
    next();
    stmt->kind = StmtKind::kOutput;
    while (token().type != TokenType::kBlockEnd) {
      if (!stmt->exprs.empty()) expect_operator(",");
      stmt->exprs.push_back(expression());
    }
  } else if (tag == "generation") {
    next();
    stmt->kind = StmtKind::kScope;
    const std::size_t loops = std::exchange(loops_, 0);
    const bool soft = std::exchange(soft_, false);
    stmt->blocks.push_back(statements({"endgeneration"}));
    soft_ = soft;
    loops_ = loops;
    next();
  } else if (tag == "break" || tag == "continue") {
    next();
    if (loops_ == 0) fail_here(tag == "break" ? "'break' outside loop" : "'continue' not properly in loop");
    stmt->kind = tag == "break" ? StmtKind::kBreak : StmtKind::kContinue;
  } else {
    tag_stack_.pop_back();
    fail_unknown_tag(&tag);
  }
  tag_stack_.pop_back();
  out.push_back(std::move(stmt));
}

void Parser::parse_if(Stmt& stmt) {
  stmt.kind = StmtKind::kIf;
  const bool soft = std::exchange(soft_, true);
  next();
  while (true) {
    stmt.exprs.push_back(tuple(false));
    stmt.blocks.push_back(statements({"elif", "else", "endif"}));
    const std::string end = next().text;
    if (end == "elif") continue;
    if (end == "else") {
      stmt.blocks.push_back(statements({"endif"}));
      next();
    }
    break;
  }
  soft_ = soft;
}

void Parser::parse_for(Stmt& stmt) {
  stmt.kind = StmtKind::kFor;
  next();
  stmt.targets.push_back(assign_target(false, "in"));
  if (!skip_name("in")) fail_expected("in");
  stmt.exprs.push_back(tuple(false, "recursive"));
  const bool soft = std::exchange(soft_, false);
  stmt.exprs.push_back(skip_name("if") ? expression() : nullptr);
  stmt.recursive = skip_name("recursive");
  ++loops_;
  stmt.blocks.push_back(statements({"endfor", "else"}));
  --loops_;
  if (next().text == "else") {
    stmt.blocks.push_back(statements({"endfor"}));
    next();
  }
  soft_ = soft;
}

void Parser::parse_set(Stmt& stmt) {
  next();
  stmt.targets.push_back(assign_target(true));
  if (skip_operator("=")) {
    stmt.kind = StmtKind::kSet;
    stmt.exprs.push_back(tuple());
    return;
  }
  stmt.kind = StmtKind::kSetBlock;
  ExprPtr through;
  while (skip_operator("|")) through = filter(std::move(through));
  stmt.exprs.push_back(std::move(through));
  const bool soft = std::exchange(soft_, false);
  stmt.blocks.push_back(statements({"endset"}));
  soft_ = soft;
  next();
}

void Parser::parse_with(Stmt& stmt) {
  stmt.kind = StmtKind::kWith;
  next();
  while (token().type != TokenType::kBlockEnd) {
    if (!stmt.targets.empty()) expect_operator(",");
    stmt.targets.push_back(assign_target(false));
    expect_operator("=");
    stmt.exprs.push_back(expression());
  }
  const bool soft = std::exchange(soft_, false);
  stmt.blocks.push_back(statements({"endwith"}));
  soft_ = soft;
  next();
}

void Parser::signature(MacroDef& macro) {
  expect_operator("(");
  while (!at_operator(")")) {
    if (!macro.parameters.empty()) expect_operator(",");
    const Token name = token();
    const NameId parameter = name_target().name;
    if (std::find(macro.parameters.begin(), macro.parameters.end(), parameter) != macro.parameters.end()) {
      fail_syntax("duplicate argument " + repr_string(name.text) + " in function definition", name.line);
    }
    macro.parameters.push_back(parameter);
    if (skip_operator("=")) {
      macro.defaults.push_back(expression());
    } else if (!macro.defaults.empty()) {
      fail_here("non-default argument follows default argument");
    }
  }
  expect_operator(")");
}

void Parser::macro_body(MacroDef& macro, std::string_view end) {
  const MacroUse outer = std::exchange(use_, {});
  const std::size_t loops = std::exchange(loops_, 0);
  const bool soft = std::exchange(soft_, false);
  macro.body = statements({end});
  next();
  soft_ = soft;
  loops_ = loops;
  const auto takes = [&](bool used, const std::string& name) {
    const NameId id = intern(name);
    return used && std::find(macro.parameters.begin(), macro.parameters.end(), id) == macro.parameters.end();
  };
  macro.takes_caller = takes(use_.caller, "caller");
  macro.takes_kwargs = takes(use_.kwargs, "kwargs");
  macro.takes_varargs = takes(use_.varargs, "varargs");
  use_ = {outer.caller || use_.caller, outer.kwargs || use_.kwargs, outer.varargs || use_.varargs};
}

void Parser::parse_macro(Stmt& stmt) {
  stmt.kind = StmtKind::kMacro;
  next();
  stmt.macro = std::make_unique<MacroDef>();
  stmt.macro->name = token().text;
  stmt.macro->name_id = name_target().name;
  signature(*stmt.macro);
  macro_body(*stmt.macro, "endmacro");
}

void Parser::parse_call_block(Stmt& stmt) {
  stmt.kind = StmtKind::kCall;
  next();
  stmt.macro = std::make_unique<MacroDef>();
  stmt.macro->name = "caller";
  if (at_operator("(")) signature(*stmt.macro);
  ExprPtr call = expression();
  if (call->kind != ExprKind::kCall) fail_syntax("expected call", stmt.line);
  stmt.exprs.push_back(std::move(call));
  macro_body(*stmt.macro, "endcall");
}

void Parser::parse_filter_block(Stmt& stmt) {
  stmt.kind = StmtKind::kFilter;
  next();
  ExprPtr through = filter(nullptr);
  while (skip_operator("|")) through = filter(std::move(through));
  stmt.exprs.push_back(std::move(through));
  const bool soft = std::exchange(soft_, false);
  stmt.blocks.push_back(statements({"endfilter"}));
  soft_ = soft;
  next();
}

Target Parser::name_target() {
  const Token name = expect(TokenType::kName, "name");
  static constexpr std::string_view kConstants[] = {"true", "false", "none", "True", "False", "None"};
  if (std::find(std::begin(kConstants), std::end(kConstants), name.text) != std::end(kConstants)) {
    fail_syntax("can't assign to 'name'", name.line);
  }
  count_node();
  Target target;
  target.name = intern(name.text);
  return target;
}

Target Parser::single_target(bool with_namespace) {
  const Nested nested(*this);
  if (skip_operator("(")) {
    Target inner;
    inner.is_tuple = true;
    bool comma = false;
    while (!at_operator(")")) {
      inner.parts.push_back(single_target(with_namespace));
      if (!skip_operator(",")) break;
      comma = true;
    }
    expect_operator(")");
    if (inner.parts.size() == 1 && !comma) {
      Target only = std::move(inner.parts[0]);
      return only;
    }
    return inner;
  }
  const Token& here = token();
  if (here.type == TokenType::kString || here.type == TokenType::kInteger || here.type == TokenType::kFloat) {
    fail_here("can't assign to 'const'");
  }
  if (here.type != TokenType::kName) fail_here("unexpected " + repr_string(described(here)));
  if (here.text == "true" || here.text == "false" || here.text == "none" || here.text == "True" ||
      here.text == "False" || here.text == "None") {
    fail_here("can't assign to 'const'");
  }
  Target target = name_target();
  if (with_namespace && skip_operator(".")) target.attribute = expect(TokenType::kName, "name").text;
  return target;
}

Target Parser::assign_target(bool with_namespace, std::string_view end_name) {
  Target targets;
  targets.is_tuple = true;
  bool comma = false;
  while (true) {
    if (at_tuple_end(end_name) && !targets.parts.empty()) break;
    if (at_tuple_end(end_name)) fail_here("Expected an expression, got " + repr_string(described(token())));
    targets.parts.push_back(single_target(with_namespace));
    if (!skip_operator(",")) break;
    comma = true;
  }
  if (comma) return targets;
  Target only = std::move(targets.parts[0]);
  return only;
}

}  // namespace exa::jinja
