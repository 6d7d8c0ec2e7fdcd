#include <algorithm>

#include "base/error.h"
#include "jinja/parser.h"

namespace exa::jinja {

Expr Parser::start(ExprKind kind) const {
  Expr expr{};
  expr.kind = kind;
  expr.line = token().line;
  return expr;
}

ExprPtr Parser::make(Expr expr) {
  count_node();
  std::uint32_t height = 0;
  const auto see = [&height](const ExprPtr& child) {
    if (child) height = std::max(height, child->height);
  };
  for (const ExprPtr& item : expr.items) see(item);
  for (const ExprPtr& item : expr.args.positional) see(item);
  for (const auto& [name, item] : expr.args.named) see(item);
  see(expr.args.star);
  see(expr.args.double_star);
  expr.height = height + 1;
  if (expr.height > depth_) fail_nesting();
  return std::make_unique<const Expr>(std::move(expr));
}

ExprPtr Parser::expression(bool conditional) {
  const Nested nested(*this);
  if (!conditional) return or_expression();
  const std::size_t checked = checked_.size();
  ExprPtr value = or_expression();
  if (at_name("if")) checked_.resize(checked);
  while (at_name("if")) {
    Expr choice = start(ExprKind::kConditional);
    next();
    const bool soft = soft_;
    soft_ = true;
    ExprPtr condition = or_expression();
    ExprPtr otherwise = skip_name("else") ? expression() : nullptr;
    soft_ = soft;
    choice.items.push_back(std::move(condition));
    choice.items.push_back(std::move(value));
    choice.items.push_back(std::move(otherwise));
    value = make(std::move(choice));
  }
  return value;
}

bool Parser::at_tuple_end(std::string_view end_name) const {
  return token().type == TokenType::kPrintEnd || token().type == TokenType::kBlockEnd || at_operator(")") ||
         (!end_name.empty() && at_name(end_name));
}

ExprPtr Parser::tuple(bool conditional, std::string_view end_name, bool parenthesised) {
  Expr items = start(ExprKind::kTuple);
  bool is_tuple = false;
  while (true) {
    if (!items.items.empty()) expect_operator(",");
    if (at_tuple_end(end_name)) break;
    items.items.push_back(expression(conditional));
    if (!at_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.items.empty()) return std::move(items.items[0]);
  if (!is_tuple && !parenthesised) {
    fail_here("Expected an expression, got " + repr_string(described(token())));
  }
  return make(std::move(items));
}

ExprPtr Parser::or_expression() {
  Expr chain = start(ExprKind::kOr);
  chain.items.push_back(and_expression());
  while (skip_name("or")) chain.items.push_back(and_expression());
  return chain.items.size() == 1 ? std::move(chain.items[0]) : make(std::move(chain));
}

ExprPtr Parser::and_expression() {
  Expr chain = start(ExprKind::kAnd);
  chain.items.push_back(not_expression());
  while (skip_name("and")) chain.items.push_back(not_expression());
  return chain.items.size() == 1 ? std::move(chain.items[0]) : make(std::move(chain));
}

ExprPtr Parser::not_expression() {
  if (!at_name("not")) return comparison();
  const Nested nested(*this);
  Expr negation = start(ExprKind::kNot);
  next();
  negation.items.push_back(not_expression());
  return make(std::move(negation));
}

ExprPtr Parser::comparison() {
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {
      {"==", Operator::kEqual},     {"!=", Operator::kNotEqual}, {"<", Operator::kLess},
      {"<=", Operator::kLessEqual}, {">", Operator::kGreater},   {">=", Operator::kGreaterEqual}};
  Expr chain = start(ExprKind::kCompare);
  chain.items.push_back(sum());
  while (true) {
    const auto* found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                     [this](const auto& row) { return at_operator(row.first); });
    if (found != std::end(kOperators)) {
      next();
      chain.operators.push_back(found->second);
    } else if (skip_name("in")) {
      chain.operators.push_back(Operator::kIn);
    } else if (at_name("not") && following().type == TokenType::kName && following().text == "in") {
      next();
      next();
      chain.operators.push_back(Operator::kNotIn);
    } else {
      break;
    }
    chain.items.push_back(sum());
  }
  return chain.operators.empty() ? std::move(chain.items[0]) : make(std::move(chain));
}

ExprPtr Parser::sum() {
  Expr chain = start(ExprKind::kArithmetic);
  chain.items.push_back(concatenation());
  while (at_operator("+") || at_operator("-")) {
    chain.operators.push_back(next().text == "+" ? Operator::kAdd : Operator::kSubtract);
    chain.items.push_back(concatenation());
  }
  return chain.operators.empty() ? std::move(chain.items[0]) : make(std::move(chain));
}

ExprPtr Parser::concatenation() {
  Expr chain = start(ExprKind::kConcat);
  chain.items.push_back(product());
  while (skip_operator("~")) chain.items.push_back(product());
  return chain.items.size() == 1 ? std::move(chain.items[0]) : make(std::move(chain));
}

ExprPtr Parser::product() {
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {{"*", Operator::kMultiply},
                                                                         {"/", Operator::kDivide},
                                                                         {"//", Operator::kFloorDivide},
                                                                         {"%", Operator::kModulo}};
  Expr chain = start(ExprKind::kArithmetic);
  chain.items.push_back(power());
  while (true) {
    const auto* found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                     [this](const auto& row) { return at_operator(row.first); });
    if (found == std::end(kOperators)) break;
    next();
    chain.operators.push_back(found->second);
    chain.items.push_back(power());
  }
  return chain.operators.empty() ? std::move(chain.items[0]) : make(std::move(chain));
}

ExprPtr Parser::power() {
  Expr chain = start(ExprKind::kArithmetic);
  chain.items.push_back(unary());
  while (skip_operator("**")) {
    chain.operators.push_back(Operator::kPower);
    chain.items.push_back(unary());
  }
  return chain.operators.empty() ? std::move(chain.items[0]) : make(std::move(chain));
}

ExprPtr Parser::unary(bool with_filters) {
  ExprPtr value;
  if (at_operator("-") || at_operator("+")) {
    const Nested nested(*this);
    Expr sign = start(at_operator("-") ? ExprKind::kNegative : ExprKind::kPositive);
    next();
    sign.items.push_back(unary(false));
    value = make(std::move(sign));
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return with_filters ? filters_and_tests(std::move(value)) : std::move(value);
}

ExprPtr Parser::literal(Value value) {
  Expr expr = start(ExprKind::kLiteral);
  expr.value = std::move(value);
  return make(std::move(expr));
}

ExprPtr Parser::primary() {
  const std::uint32_t line = token().line;
  switch (token().type) {
    case TokenType::kName: {
      const std::string name = next().text;
      if (name == "true" || name == "True") return literal(Value(true));
      if (name == "false" || name == "False") return literal(Value(false));
      if (name == "none" || name == "None") return literal(Value());
      if (name == "caller") use_.caller = true;
      if (name == "kwargs") use_.kwargs = true;
      if (name == "varargs") use_.varargs = true;
      Expr variable = start(ExprKind::kName);
      variable.line = line;
      variable.name = intern(name);
      return make(std::move(variable));
    }
    case TokenType::kString: {
      std::string text = next().text;
      while (token().type == TokenType::kString) text += next().text;
      return literal(Value(make_text(nullptr, std::move(text), TextOrigin::kTemplate)));
    }
    case TokenType::kInteger:
      return literal(Value(next().integer));
    case TokenType::kFloat:
      return literal(Value(next().real));
    case TokenType::kOperator:
      if (token().text == "(") {
        next();
        ExprPtr inner = tuple(true, {}, true);
        expect_operator(")");
        return inner;
      }
      if (token().text == "[") return list();
      if (token().text == "{") return dictionary();
      break;
    default:
      break;
  }
  fail_here("unexpected " + repr_string(described(token())));
}

ExprPtr Parser::list() {
  Expr expr = start(ExprKind::kList);
  expect_operator("[");
  while (!at_operator("]")) {
    if (!expr.items.empty()) expect_operator(",");
    if (at_operator("]")) break;
    expr.items.push_back(expression());
  }
  expect_operator("]");
  return make(std::move(expr));
}

ExprPtr Parser::dictionary() {
  Expr expr = start(ExprKind::kDict);
  expect_operator("{");
  while (!at_operator("}")) {
    if (!expr.items.empty()) expect_operator(",");
    if (at_operator("}")) break;
    expr.items.push_back(expression());
    expect_operator(":");
    expr.items.push_back(expression());
  }
  expect_operator("}");
  return make(std::move(expr));
}

ExprPtr Parser::postfix(ExprPtr base) {
  while (true) {
    if (at_operator(".") || at_operator("[")) {
      base = subscript(std::move(base));
    } else if (at_operator("(")) {
      base = call(std::move(base));
    } else {
      return base;
    }
  }
}

ExprPtr Parser::filters_and_tests(ExprPtr base) {
  while (true) {
    if (skip_operator("|")) {
      base = filter(std::move(base));
    } else if (at_name("is")) {
      base = test(std::move(base));
    } else if (at_operator("(")) {
      base = call(std::move(base));
    } else {
      return base;
    }
  }
}

std::string Parser::dotted_name() {
  std::string name = expect(TokenType::kName, "name").text;
  while (skip_operator(".")) name += "." + expect(TokenType::kName, "name").text;
  return name;
}

ExprPtr Parser::filter(ExprPtr base) {
  Expr expr = start(ExprKind::kFilter);
  expr.text = dotted_name();
  check_later(true, expr);
  if (at_operator("(")) expr.args = call_args();
  expr.items.push_back(std::move(base));
  return make(std::move(expr));
}

ExprPtr Parser::test(ExprPtr base) {
  Expr expr = start(ExprKind::kTest);
  next();
  const bool negated = skip_name("not");
  expr.text = dotted_name();
  check_later(false, expr);
  const TokenType type = token().type;
  if (at_operator("(")) {
    expr.args = call_args();
  } else if (type == TokenType::kString || type == TokenType::kInteger || type == TokenType::kFloat ||
             at_operator("[") || at_operator("{") ||
             (type == TokenType::kName && !at_name("else") && !at_name("or") && !at_name("and"))) {
    if (at_name("is")) fail_here("You cannot chain multiple tests with is");
    expr.args.positional.push_back(postfix(primary()));
  }
  expr.items.push_back(std::move(base));
  ExprPtr made = make(std::move(expr));
  if (!negated) return made;
  Expr negation = start(ExprKind::kNot);
  negation.items.push_back(std::move(made));
  return make(std::move(negation));
}

ExprPtr Parser::subscript(ExprPtr base) {
  Expr expr = start(ExprKind::kAttribute);
  if (skip_operator(".")) {
    const Token name = next();
    if (name.type == TokenType::kName) {
      expr.text = name.text;
      expr.items.push_back(std::move(base));
      return make(std::move(expr));
    }
    if (name.type != TokenType::kInteger) fail_syntax("expected name or number", name.line);
    expr.kind = ExprKind::kItem;
    expr.items.push_back(std::move(base));
    expr.items.push_back(literal(Value(name.integer)));
    return make(std::move(expr));
  }
  expect_operator("[");
  expr.items.push_back(std::move(base));
  if (skip_operator("]")) {
    expr.kind = ExprKind::kItem;
    expr.items.push_back(make(start(ExprKind::kTuple)));
    return make(std::move(expr));
  }
  ExprPtr first = at_operator(":") ? nullptr : expression();
  if (!at_operator(":")) {
    expr.kind = ExprKind::kItem;
    if (at_operator(",")) {
      Expr parts = start(ExprKind::kTuple);
      parts.items.push_back(std::move(first));
      while (skip_operator(",")) {
        parts.items.push_back(expression());
        if (at_operator(":"))
          throw Error(ErrorKind::kUnsupported, "slices of several dimensions in a template");
      }
      first = make(std::move(parts));
    }
    expr.items.push_back(std::move(first));
  } else {
    expr.kind = ExprKind::kSlice;
    expr.items.push_back(std::move(first));
    next();
    expr.items.push_back(at_operator(":") || at_operator("]") ? nullptr : expression());
    const bool step = skip_operator(":");
    expr.items.push_back(!step || at_operator("]") ? nullptr : expression());
  }
  if (!skip_operator("]")) fail_expected(",");
  return make(std::move(expr));
}

ExprPtr Parser::call(ExprPtr base) {
  Expr expr = start(ExprKind::kCall);
  expr.args = call_args();
  expr.items.push_back(std::move(base));
  return make(std::move(expr));
}

CallArgs Parser::call_args() {
  CallArgs args;
  const std::uint32_t line = token().line;
  expect_operator("(");
  const auto ensure = [line](bool holds) {
    if (!holds) fail_syntax("invalid syntax for function call expression", line);
  };
  bool first = true;
  while (!at_operator(")")) {
    if (!first) {
      expect_operator(",");
      if (at_operator(")")) break;
    }
    first = false;
    if (skip_operator("*")) {
      ensure(!args.star && !args.double_star);
      args.star = expression();
    } else if (skip_operator("**")) {
      ensure(!args.double_star);
      args.double_star = expression();
    } else if (token().type == TokenType::kName && following().type == TokenType::kOperator &&
               following().text == "=") {
      ensure(!args.double_star);
      std::string name = next().text;
      next();
      args.named.emplace_back(std::move(name), expression());
    } else {
      ensure(!args.star && !args.double_star && args.named.empty());
      args.positional.push_back(expression());
    }
  }
  expect_operator(")");
  return args;
}

}  // namespace exa::jinja
