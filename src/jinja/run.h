// Tree x variables → text: the renderer.
//
// Ownership and threads: one Renderer a render, on one thread; it borrows the tree.
// Source: Jinja2 3.1's scoping: a block of a loop, macro, call, with, set or filter has names of its own, an
// if has not; names are looked up when they are used.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "jinja/builtins.h"
#include "jinja/call.h"
#include "jinja/jinja.h"
#include "jinja/tree.h"

namespace exa::jinja {

struct Scope : Object {
  Scope(Budget* budget, std::shared_ptr<Scope> outer)
      : Object(budget, sizeof(Scope) + 64), parent(std::move(outer)) {}
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<NameId, Value>> names;
};

class Renderer final : public Engine {
 public:
  Renderer(const Tree& tree, const TemplateLimits& limits);
  ~Renderer();
  // Errors: as Template::render.
  Rendered render(const nlohmann::ordered_json& variables);

  Value call(const Value& callee, Args args) override;
  NamespacePtr new_namespace() override;

 private:
  enum class Flow : std::uint8_t { kNext, kBreak, kContinue };
  class Level;   // counts how deep the walk is
  class Inside;  // a scope of its own while it lives

  // jinja_run.cpp
  void load(const nlohmann::ordered_json& variables);
  Flow run(const Block& block);
  Flow run(const Stmt& stmt);
  Flow run_if(const Stmt& stmt);
  Flow run_for(const Stmt& stmt, const Value& items, std::size_t depth0);
  Flow run_capture(const Block& block, TextPtr& text);
  void run_call_block(const Stmt& stmt);
  void run_with(const Stmt& stmt);
  Value call_macro(const Callable& macro, Args args);
  void bind_macro(const Callable& macro, Args args);
  void assign(const Target& target, const Value& value);
  void unpack(const Target& target, const Value& value);
  void check_namespaces(const Target& target);
  const Value* find(NameId name);
  NameId id_of(std::string_view name) const;
  void set(NameId name, Value value);
  Value make_macro(const MacroDef& macro);
  std::shared_ptr<Scope> new_scope(std::shared_ptr<Scope> parent);

  // jinja_eval.cpp
  Value eval(const Expr& expr);
  Value eval_name(const Expr& expr);
  Value eval_conditional(const Expr& expr);
  Value eval_compare(const Expr& expr);
  Value eval_dict(const Expr& expr);
  Value eval_concat(const Expr& expr);
  Value eval_call(const Expr& expr);
  Value eval_filter(const Expr& expr, const Value* subject);
  Args eval_args(const CallArgs& args);
  std::vector<Value> eval_items(const Expr& expr);

  const Tree& tree_;
  const TemplateLimits limits_;
  const NameId loop_, caller_, kwargs_, varargs_;  // beyond the names where the template has no such name
  std::vector<NamespacePtr> namespaces_;
  std::vector<std::shared_ptr<Scope>> captured_;  // scopes that macros and callers keep
  std::shared_ptr<Scope> scope_;
  TextBuilder* out_ = nullptr;
  std::size_t level_ = 0;
  std::size_t calls_ = 0;
};

}  // namespace exa::jinja
