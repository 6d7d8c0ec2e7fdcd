#include "jinja/run.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "jinja/level.h"

namespace exa::jinja {

namespace {

constexpr std::size_t kLiveBytes = 8u << 20;
constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

// A role out of this list is a choice, not text: templates that write '<|' + role + '|>' mean a control
// token.
constexpr std::string_view kRoles[] = {"system", "user", "assistant", "tool", "developer", "function"};
// Names under which tokenizers hand their own control tokens to templates.
constexpr std::string_view kTokenNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                            "pad_token", "cls_token", "mask_token"};

template <typename List>
bool is_listed(const List& list, std::string_view wanted) {
  return std::find(std::begin(list), std::end(list), wanted) != std::end(list);
}

Value messages_value(Budget& budget, const nlohmann::ordered_json& messages) {
  if (!messages.is_array()) return from_json(budget, messages, TextOrigin::kData);
  std::vector<Value> items;
  items.reserve(messages.size());
  for (const auto& message : messages) {
    if (!message.is_object()) {
      items.push_back(from_json(budget, message, TextOrigin::kData, 1));
      continue;
    }
    std::vector<Dict::Entry> entries;
    for (const auto& [key, value] : message.items()) {
      const bool role =
          key == "role" && value.is_string() && is_listed(kRoles, value.get_ref<const std::string&>());
      entries.emplace_back(Value(make_text(&budget, key, TextOrigin::kData)),
                           from_json(budget, value, role ? TextOrigin::kTemplate : TextOrigin::kData, 2));
    }
    items.push_back(Value(make_dict(budget, std::move(entries))));
  }
  return Value(make_seq(budget, std::move(items)));
}

}  // namespace

Renderer::Renderer(const Tree& tree, const TemplateLimits& limits)
    : tree_(tree),
      limits_(limits),
      loop_(id_of("loop")),
      caller_(id_of("caller")),
      kwargs_(id_of("kwargs")),
      varargs_(id_of("varargs")) {}

NameId Renderer::id_of(std::string_view name) const {
  return static_cast<NameId>(std::find(tree_.names.begin(), tree_.names.end(), name) - tree_.names.begin());
}

Renderer::~Renderer() {
  for (const NamespacePtr& names : namespaces_) names->clear();
  for (const auto& scope : captured_) scope->names.clear();
}

Rendered Renderer::render(const nlohmann::ordered_json& variables) {
  budget.fuel = kUnlimited;
  budget.live_limit = kUnlimited;
  budget.text_limit = kUnlimited;
  load(variables);
  budget.fuel = limits_.fuel;
  budget.text_limit = limits_.output_bytes;
  // What came in may be cut into pieces and put together again a few times over.
  budget.live_limit = kLiveBytes + budget.live_bytes + 3 * budget.live_bytes;

  TextBuilder out(&budget);
  out_ = &out;
  const Inside inside(*this, new_scope(scope_));
  run(tree_.body);
  Rendered rendered;
  rendered.text = out.take_bytes();
  const std::vector<OriginRun> runs = out.take_runs();
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::size_t end = i + 1 < runs.size() ? runs[i + 1].begin : rendered.text.size();
    rendered.spans.push_back({runs[i].begin, end, runs[i].origin});
  }
  return rendered;
}

void Renderer::load(const nlohmann::ordered_json& variables) {
  if (!variables.is_object()) {
    throw Error(ErrorKind::kBadInput, std::string("the template's variables are a JSON ") +
                                          variables.type_name() + ", expected an object");
  }
  std::unordered_map<std::string_view, NameId> ids;
  for (std::size_t i = 0; i < tree_.names.size(); ++i) ids.emplace(tree_.names[i], static_cast<NameId>(i));
  scope_ = new_scope(nullptr);
  for (const auto& [key, value] : variables.items()) {
    const auto id = ids.find(key);
    if (id == ids.end()) continue;
    const TextOrigin origin = is_listed(kTokenNames, key) ? TextOrigin::kTemplate : TextOrigin::kData;
    scope_->names.emplace_back(
        id->second, key == "messages" ? messages_value(budget, value) : from_json(budget, value, origin));
  }
}

NamespacePtr Renderer::new_namespace() {
  budget.burn(4);
  namespaces_.push_back(std::make_shared<Namespace>(&budget));
  return namespaces_.back();
}

std::shared_ptr<Scope> Renderer::new_scope(std::shared_ptr<Scope> parent) {
  return std::make_shared<Scope>(&budget, std::move(parent));
}

const Value* Renderer::find(NameId name) {
  for (const Scope* scope = scope_.get(); scope; scope = scope->parent.get()) {
    budget.burn(scope->names.size() / 16);
    for (const auto& [id, value] : scope->names) {
      if (id == name) return &value;
    }
  }
  return nullptr;
}

void Renderer::set(NameId name, Value value) {
  budget.burn(scope_->names.size() / 16);
  for (auto& [id, old] : scope_->names) {
    if (id == name) {
      old = std::move(value);
      return;
    }
  }
  scope_->names.emplace_back(name, std::move(value));
}

Renderer::Flow Renderer::run(const Block& block) {
  const Level level(*this);
  for (const auto& stmt : block) {
    const Flow flow = run(*stmt);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Renderer::Flow Renderer::run(const Stmt& stmt) {
  budget.burn(1);
  switch (stmt.kind) {
    case StmtKind::kText:
      out_->append(*stmt.literal);
      break;
    case StmtKind::kOutput:
      for (const ExprPtr& expr : stmt.exprs) out_->append(eval(*expr));
      break;
    case StmtKind::kIf:
      return run_if(stmt);
    case StmtKind::kFor:
      if (stmt.recursive) {
        // The whole loop prints into a text of its own, as a call of it does.
        const Value items = eval(*stmt.exprs[0]);
        TextBuilder text(&budget);
        TextBuilder* outer = std::exchange(out_, &text);
        run_for(stmt, items, 0);
        out_ = outer;
        out_->append(*text.finish());
        break;
      }
      run_for(stmt, eval(*stmt.exprs[0]), 0);
      break;
    case StmtKind::kSet:
      check_namespaces(stmt.targets[0]);
      assign(stmt.targets[0], eval(*stmt.exprs[0]));
      break;
    case StmtKind::kSetBlock: {
      check_namespaces(stmt.targets[0]);
      TextPtr text;
      const Flow flow = run_capture(stmt.blocks[0], text);
      if (flow != Flow::kNext) return flow;
      const Value captured(text);
      assign(stmt.targets[0], stmt.exprs[0] ? eval_filter(*stmt.exprs[0], &captured) : captured);
      break;
    }
    case StmtKind::kMacro:
      set(stmt.macro->name_id, make_macro(*stmt.macro));
      break;
    case StmtKind::kCall:
      run_call_block(stmt);
      break;
    case StmtKind::kFilter: {
      TextPtr text;
      const Flow flow = run_capture(stmt.blocks[0], text);
      if (flow != Flow::kNext) return flow;
      const Value captured(text);
      out_->append(eval_filter(*stmt.exprs[0], &captured));
      break;
    }
    case StmtKind::kWith: {
      const Inside inside(*this, new_scope(scope_));
      run_with(stmt);
      return run(stmt.blocks[0]);
    }
    case StmtKind::kScope: {
      const Inside inside(*this, new_scope(scope_));
      return run(stmt.blocks[0]);
    }
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Renderer::Flow Renderer::run_if(const Stmt& stmt) {
  for (std::size_t i = 0; i < stmt.exprs.size(); ++i) {
    if (truth(eval(*stmt.exprs[i]))) return run(stmt.blocks[i]);
  }
  return stmt.blocks.size() > stmt.exprs.size() ? run(stmt.blocks.back()) : Flow::kNext;
}

Renderer::Flow Renderer::run_for(const Stmt& stmt, const Value& items, std::size_t depth0) {
  const Level level(*this);
  const Target& target = stmt.targets[0];
  const Expr* filter = stmt.exprs[1].get();
  const std::shared_ptr<Scope> outer = scope_;
  const Items all = iterate(items, budget);
  std::size_t at = 0;

  const auto fetch = [&]() -> std::optional<Value> {
    while (at < all.size()) {
      const Value& item = all[at++];
      if (!filter) return item;
      const Inside inside(*this, new_scope(outer));
      assign(target, item);
      if (truth(eval(*filter))) return item;
    }
    return std::nullopt;
  };
  const auto loop = std::make_shared<Loop>(&budget, depth0, items.nesting() + 1, fetch);
  if (stmt.recursive) {
    loop->recurse = [this, &stmt, outer, depth0](const Value& inner) {
      TextBuilder text(&budget);
      TextBuilder* printed = std::exchange(out_, &text);
      const Inside inside(*this, outer);
      run_for(stmt, inner, depth0 + 1);
      out_ = printed;
      return Value(text.finish());
    };
  }
  // A loop object may outlive this frame; what it would call may not.
  struct Closing {
    Loop& loop;
    ~Closing() {
      loop.close();
      loop.recurse = nullptr;
    }
  } closing{*loop};

  bool ran = false;
  std::shared_ptr<Scope> scope;
  while (loop->advance()) {
    ran = true;
    budget.burn(1);
    if (scope && scope.use_count() == 1) {
      scope->names.clear();
    } else {
      scope = new_scope(outer);
    }
    Flow flow = Flow::kNext;
    {
      const Inside inside(*this, scope);
      if (loop_ < tree_.names.size()) set(loop_, Value(loop));
      assign(target, loop->current());
      flow = run(stmt.blocks[0]);
    }
    if (flow == Flow::kBreak) break;
  }
  if (!ran && stmt.blocks.size() > 1) {
    const Inside inside(*this, new_scope(outer));
    return run(stmt.blocks[1]);
  }
  return Flow::kNext;
}

Renderer::Flow Renderer::run_capture(const Block& block, TextPtr& text) {
  TextBuilder captured(&budget);
  TextBuilder* outer = std::exchange(out_, &captured);
  const Inside inside(*this, new_scope(scope_));
  const Flow flow = run(block);
  out_ = outer;
  text = captured.finish();
  return flow;
}

void Renderer::run_with(const Stmt& stmt) {
  // Values are those of the surrounding scope, so `with a=1, b=a` does not see the new a.
  std::vector<Value> values;
  {
    const Inside inside(*this, scope_->parent);
    for (const ExprPtr& expr : stmt.exprs) values.push_back(eval(*expr));
  }
  for (std::size_t i = 0; i < values.size(); ++i) assign(stmt.targets[i], values[i]);
}

void Renderer::run_call_block(const Stmt& stmt) {
  const Expr& call_expr = *stmt.exprs[0];
  Args args = eval_args(call_expr.args);
  args.named.emplace_back("caller", make_macro(*stmt.macro));
  out_->append(call(eval(*call_expr.items[0]), std::move(args)));
}

Value Renderer::make_macro(const MacroDef& macro) {
  if (captured_.empty() || captured_.back() != scope_) {
    budget.burn(4);
    captured_.push_back(scope_);
  }
  return Value(CallablePtr(std::make_shared<const Callable>(&budget, &macro, scope_)));
}

void Renderer::bind_macro(const Callable& macro, Args args) {
  const MacroDef& def = *macro.macro;
  const std::size_t n = def.parameters.size();
  const auto take_named = [&](std::string_view name) -> std::optional<Value> {
    const auto found = std::find_if(args.named.begin(), args.named.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    if (found == args.named.end()) return std::nullopt;
    Value value = std::move(found->second);
    args.named.erase(found);
    return value;
  };
  std::vector<std::optional<Value>> given(n);
  for (std::size_t i = 0; i < n; ++i) {
    if (i < args.positional.size()) {
      given[i] = args.positional[i];
    } else {
      given[i] = take_named(tree_.names[def.parameters[i]]);
    }
  }
  if (def.takes_caller) {
    std::optional<Value> caller = take_named("caller");
    set(caller_, caller ? *caller : undefined_hint(*this, "No caller defined"));
  }
  if (def.takes_kwargs) {
    std::vector<Dict::Entry> entries;
    for (auto& [name, value] : args.named) {
      entries.emplace_back(Value(make_text(&budget, name, TextOrigin::kTemplate)), std::move(value));
    }
    set(kwargs_, Value(make_dict(budget, std::move(entries))));
  } else if (!args.named.empty()) {
    const bool caller = std::any_of(args.named.begin(), args.named.end(),
                                    [](const auto& entry) { return entry.first == "caller"; });
    if (caller) {
      fail("macro " + repr_string(def.name) +
           " was invoked with two values for the special caller argument. This is most likely a bug.");
    }
    fail("macro " + repr_string(def.name) + " takes no keyword argument " + repr_string(args.named[0].first));
  }
  if (def.takes_varargs) {
    std::vector<Value> extra;
    for (std::size_t i = n; i < args.positional.size(); ++i) extra.push_back(args.positional[i]);
    set(varargs_, Value(make_seq(budget, std::move(extra), SeqKind::kTuple)));
  } else if (args.positional.size() > n) {
    fail("macro " + repr_string(def.name) + " takes not more than " + std::to_string(n) + " argument(s)");
  }
  const std::size_t without_default = n - def.defaults.size();
  for (std::size_t i = 0; i < n; ++i) {
    if (given[i]) {
      set(def.parameters[i], std::move(*given[i]));
    } else if (i >= without_default) {
      set(def.parameters[i], eval(*def.defaults[i - without_default]));
    } else {
      set(def.parameters[i],
          undefined_hint(*this,
                         "parameter " + repr_string(tree_.names[def.parameters[i]]) + " was not provided"));
    }
  }
}

Value Renderer::call_macro(const Callable& macro, Args args) {
  struct Calling {
    std::size_t& calls;
    ~Calling() { --calls; }
  } calling{++calls_};
  if (calls_ > limits_.depth)
    fail_limit("macros call each other deeper than " + std::to_string(limits_.depth));
  TextBuilder text(&budget);
  TextBuilder* outer = std::exchange(out_, &text);
  const Inside inside(*this, new_scope(macro.closure));
  bind_macro(macro, std::move(args));
  run(macro.macro->body);
  out_ = outer;
  return Value(text.finish());
}

void Renderer::check_namespaces(const Target& target) {
  if (target.is_tuple) {
    for (const Target& part : target.parts) check_namespaces(part);
  } else if (!target.attribute.empty()) {
    const Value* names = find(target.name);
    if (!names || !names->name_space()) fail("cannot assign attribute on non-namespace object");
  }
}

void Renderer::assign(const Target& target, const Value& value) {
  if (target.is_tuple) {
    unpack(target, value);
  } else if (target.attribute.empty()) {
    set(target.name, value);
  } else {
    const Value* names = find(target.name);
    if (!names || !names->name_space()) fail("cannot assign attribute on non-namespace object");
    set_namespace_attribute(*names->name_space(), target.attribute, value);
  }
}

void Renderer::unpack(const Target& target, const Value& value) {
  if (!value.seq() && !value.dict() && !value.text() && !value.is_undefined()) {
    fail("cannot unpack non-iterable " + type_name(value) + " object");
  }
  const Items items = iterate(value, budget);
  const std::size_t expected = target.parts.size();
  if (items.size() < expected) {
    fail("not enough values to unpack (expected " + std::to_string(expected) + ", got " +
         std::to_string(items.size()) + ")");
  }
  if (items.size() > expected) {
    fail("too many values to unpack (expected " + std::to_string(expected) + ")");
  }
  for (std::size_t i = 0; i < expected; ++i) assign(target.parts[i], items[i]);
}

}  // namespace exa::jinja
