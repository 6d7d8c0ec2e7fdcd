// Filters on sequences and mappings.
#include <algorithm>

#include "base/error.h"
#include "jinja/filters.h"
#include "jinja/text.h"

namespace exa::jinja {

namespace {

constexpr std::size_t kMostAttributes = 100;

// "address.city" or an index, looked up as items; strings compare without case unless asked.
class Getter {
 public:
  Getter(Engine& engine, const Value* attribute, const Value* otherwise = nullptr)
      : engine_(engine), otherwise_(otherwise) {
    if (!attribute || attribute->is_none()) return;
    const Text* path = attribute->text();
    if (!path) {
      parts_.push_back(*attribute);
      return;
    }
    for (const auto& [begin, end] : split_by(path->bytes(), ".", -1, kMostAttributes)) {
      const std::string part = path->bytes().substr(begin, end - begin);
      const bool digits = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
      const std::optional<Int> index = digits ? parse_int(part, 10) : std::nullopt;
      parts_.push_back(index ? Value(*index) : Value(make_text(&engine.budget, part, path->origin())));
    }
  }

  Value operator()(const Value& item) const {
    Value value = item;
    for (const Value& part : parts_) {
      engine_.budget.burn(1);
      value = get_item(engine_, value, part);
      if (otherwise_ && !otherwise_->is_none() && value.is_undefined()) value = *otherwise_;
    }
    return value;
  }

 private:
  Engine& engine_;
  const Value* otherwise_;
  std::vector<Value> parts_;
};

Value folded(Engine& engine, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.text()) return value;
  return derived_text(engine, *value.text(), recase(value.text()->bytes(), Casing::kLower));
}

// Sorts values by keys, stably; the comparison may fail, so the sort is a merge sort that only moves indices.
std::vector<std::size_t> sorted_order(Engine& engine, const std::vector<Value>& keys, bool reverse) {
  std::vector<std::size_t> order(keys.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return reverse ? less(keys[b], keys[a], "<", false, engine.budget)
                   : less(keys[a], keys[b], "<", false, engine.budget);
  });
  return order;
}

Value size_of(Engine&, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "len", {});
  return Value::of_size(length(subject));
}

Value fallback(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_default", {"default_value", "boolean"});
  if (!subject.is_undefined() && !(bound.flag(1, false) && !truth(subject))) return subject;
  return bound.get(0) ? *bound.get(0) : Value(make_text(&engine.budget, "", TextOrigin::kTemplate));
}

Value join(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_join", {"d", "attribute"});
  const Items items = iterate(subject, engine.budget);
  const TextPtr separator =
      bound.get(0) ? to_text(engine, *bound.get(0)) : make_text(&engine.budget, "", TextOrigin::kTemplate);
  const Getter getter(engine, bound.get(1));
  TextBuilder out(&engine.budget);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i) out.append(*separator);
    out.append(getter(items[i]));
  }
  return Value(out.finish());
}

Value first(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_first", {});
  if (const Text* text = subject.text(); text && text->length() > 0) {
    return Value(sub_text(&engine.budget, *text, 0, next_code_point(text->bytes(), 0)));
  }
  const Items items = iterate(subject, engine.budget);
  return items.empty() ? undefined_hint(engine, "No first item, sequence was empty.") : items[0];
}

Value last(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_last", {});
  if (const Text* text = subject.text(); text && text->length() > 0) {
    const std::size_t end = text->bytes().size();
    return Value(sub_text(&engine.budget, *text, previous_code_point(text->bytes(), end), end));
  }
  const Seq* seq = subject.seq();
  if (seq && seq->kind() == SeqKind::kIterator) fail("'generator' object is not reversible");
  if (!seq && !subject.dict() && !subject.text() && !subject.is_undefined()) {
    fail("'" + type_name(subject) + "' object is not reversible");
  }
  const Items items = iterate(subject, engine.budget);
  return items.empty() ? undefined_hint(engine, "No last item, sequence was empty.")
                       : items[items.size() - 1];
}

Value list(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_list", {});
  const Items items = iterate(subject, engine.budget);
  const Holding holding(engine.budget, items.size() * sizeof(Value));
  std::vector<Value> copied = items.list();
  return Value(make_seq(engine.budget, std::move(copied)));
}

Value reverse(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_reverse", {});
  if (subject.text()) return get_slice(engine, subject, Value(), Value(), Value(Int(-1)));
  if (!subject.seq() && !subject.dict() && !subject.is_undefined()) fail("argument must be iterable");
  const Items forward = iterate(subject, engine.budget);
  const Holding holding(engine.budget, forward.size() * sizeof(Value));
  std::vector<Value> items(forward.list().rbegin(), forward.list().rend());
  const bool generator = subject.seq() && subject.seq()->kind() == SeqKind::kIterator;
  return Value(make_seq(engine.budget, std::move(items), generator ? SeqKind::kList : SeqKind::kIterator));
}

Value sort(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_sort", {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = bound.flag(1, false);
  std::vector<Getter> getters;
  const Text* attributes = bound.get(2) ? bound.get(2)->text() : nullptr;
  if (attributes) {
    for (const auto& [begin, end] : split_by(attributes->bytes(), ",", -1, kMostAttributes)) {
      const Value part(sub_text(&engine.budget, *attributes, begin, end));
      getters.emplace_back(engine, &part);
    }
  } else {
    getters.emplace_back(engine, bound.get(2));
  }
  const Items items = iterate(subject, engine.budget);
  const Holding holding(engine.budget, items.size() * (2 * sizeof(Value) + sizeof(std::size_t)));
  std::vector<Value> keys;
  keys.reserve(items.size());
  for (const Value& item : items) {
    std::vector<Value> parts;
    for (const Getter& getter : getters) parts.push_back(folded(engine, getter(item), case_sensitive));
    keys.push_back(Value(make_seq(engine.budget, std::move(parts))));
  }
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (const std::size_t i : sorted_order(engine, keys, bound.flag(0, false))) sorted.push_back(items[i]);
  return Value(make_seq(engine.budget, std::move(sorted)));
}

Value dictsort(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_dictsort", {"case_sensitive", "by", "reverse"});
  const std::string by = bound.get(1) && bound.get(1)->text() ? bound.get(1)->text()->bytes() : "key";
  if (by != "key" && by != "value") fail("You can only sort by either \"key\" or \"value\"");
  if (subject.is_undefined()) fail(subject.undefined()->message());
  const Dict* dict = subject.dict();
  if (!dict) fail("'" + type_name(subject) + "' object has no attribute 'items'");
  std::vector<Value> keys;
  for (const auto& [key, value] : dict->entries()) {
    keys.push_back(folded(engine, by == "key" ? key : value, bound.flag(0, false)));
  }
  std::vector<Value> pairs;
  for (const std::size_t i : sorted_order(engine, keys, bound.flag(2, false))) {
    const auto& [key, value] = dict->entries()[i];
    pairs.push_back(Value(make_seq(engine.budget, {key, value}, SeqKind::kTuple)));
  }
  return Value(make_seq(engine.budget, std::move(pairs)));
}

Value items(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_items", {});
  std::vector<Value> pairs;
  if (!subject.is_undefined()) {
    const Dict* dict = subject.dict();
    if (!dict) fail("Can only get item pairs from a mapping.");
    pairs.reserve(dict->size());
    for (const auto& [key, value] : dict->entries()) {
      pairs.push_back(Value(make_seq(engine.budget, {key, value}, SeqKind::kTuple)));
    }
  }
  return Value(make_seq(engine.budget, std::move(pairs), SeqKind::kIterator));
}

Value unique(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_unique", {"case_sensitive", "attribute"});
  const Getter getter(engine, bound.get(1));
  const Items all = iterate(subject, engine.budget);
  const Holding holding(engine.budget,
                        all.size() * (sizeof(Dict::Entry) + sizeof(Value) + sizeof(std::size_t)));
  // A dict of keys → first item does the bookkeeping, hashing included.
  std::vector<Dict::Entry> entries;
  entries.reserve(all.size());
  for (std::size_t i = all.size(); i-- > 0;) {
    entries.emplace_back(folded(engine, getter(all[i]), bound.flag(0, false)), Value::of_size(i));
  }
  const DictPtr seen = make_dict(engine.budget, std::move(entries));
  std::vector<std::size_t> kept;
  for (const auto& [key, index] : seen->entries()) kept.push_back(static_cast<std::size_t>(*index.integer()));
  std::sort(kept.begin(), kept.end());
  std::vector<Value> result;
  for (const std::size_t i : kept) result.push_back(all[i]);
  return Value(make_seq(engine.budget, std::move(result), SeqKind::kIterator));
}

template <bool greatest>
Value extreme(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_min", {"case_sensitive", "attribute"});
  const Items all = iterate(subject, engine.budget);
  if (all.empty()) return undefined_hint(engine, "No aggregated item, sequence was empty.");
  const Getter getter(engine, bound.get(1));
  const auto key = [&](const Value& item) { return folded(engine, getter(item), bound.flag(0, false)); };
  std::size_t best = 0;
  Value best_key = key(all[0]);
  for (std::size_t i = 1; i < all.size(); ++i) {
    Value candidate = key(all[i]);
    const bool better = greatest ? less(best_key, candidate, ">", true, engine.budget)
                                 : less(candidate, best_key, "<", false, engine.budget);
    if (!better) continue;
    best = i;
    best_key = std::move(candidate);
  }
  return all[best];
}

Value sum(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_sum", {"attribute", "start"});
  const Getter getter(engine, bound.get(0));
  Value total = bound.get(1) ? *bound.get(1) : Value(Int(0));
  if (total.text()) fail("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value& item : iterate(subject, engine.budget)) {
    total = arithmetic(engine, Operator::kAdd, total, getter(item));
  }
  return total;
}

Value map(Engine& engine, const Value& subject, const Args& args) {
  if (!truth(subject)) return Value(make_seq(engine.budget, {}, SeqKind::kIterator));
  const Items all = iterate(subject, engine.budget);
  const Holding holding(engine.budget, all.size() * sizeof(Value));
  std::vector<Value> results;
  results.reserve(all.size());
  if (args.positional.empty() && !args.named.empty()) {
    const Value *attribute = nullptr, *otherwise = nullptr;
    for (const auto& [name, value] : args.named) {
      if (name == "attribute") {
        attribute = &value;
      } else if (name == "default") {
        otherwise = &value;
      } else {
        fail("Unexpected keyword argument " + repr_string(name));
      }
    }
    if (!attribute) fail("map requires a filter argument");
    const Getter getter(engine, attribute, otherwise);
    for (const Value& item : all) results.push_back(getter(item));
  } else {
    if (args.positional.empty()) fail("map requires a filter argument");
    const TextPtr name = to_text(engine, args.positional[0]);
    if (!filter_exists(name->bytes())) fail("No filter named " + repr_string(name->bytes()) + ".");
    Args rest{{args.positional.begin() + 1, args.positional.end()}, args.named};
    for (const Value& item : all) {
      results.push_back(apply_filter(engine, name->bytes(), item, rest));
    }
  }
  return Value(make_seq(engine.budget, std::move(results), SeqKind::kIterator));
}

template <bool keep, bool by_attribute>
Value select(Engine& engine, const Value& subject, const Args& args) {
  if (!truth(subject)) return Value(make_seq(engine.budget, {}, SeqKind::kIterator));
  const Items all = iterate(subject, engine.budget);
  const Holding holding(engine.budget, all.size() * sizeof(Value));
  std::vector<Value> results;
  results.reserve(all.size());
  std::size_t used = 0;
  if (by_attribute && args.positional.empty()) fail("Missing parameter for attribute name");
  const Getter getter(engine, by_attribute ? &args.positional[used++] : nullptr);
  TextPtr test;
  Args rest;
  if (args.positional.size() > used) {
    test = to_text(engine, args.positional[used++]);
    if (!test_exists(test->bytes())) fail("No test named " + repr_string(test->bytes()) + ".");
    rest.positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(used),
                           args.positional.end());
    rest.named = args.named;
  }
  for (const Value& item : all) {
    engine.budget.burn(1);
    const Value value = getter(item);
    const bool passed = test ? apply_test(engine, test->bytes(), value, rest) : truth(value);
    if (passed == keep) results.push_back(item);
  }
  return Value(make_seq(engine.budget, std::move(results), SeqKind::kIterator));
}

Value batch(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_batch", {"linecount", "fill_with"});
  const std::int64_t size = bound.need(0).is_integral() ? *bound.integer(0) : 0;
  if (size < 1) fail_limit("a batch of less than one item");
  std::vector<Value> rows, row;
  const auto finish = [&] { rows.push_back(Value(make_seq(engine.budget, std::exchange(row, {})))); };
  for (const Value& item : iterate(subject, engine.budget)) {
    if (static_cast<std::int64_t>(row.size()) == size) finish();
    row.push_back(item);
  }
  if (!row.empty()) {
    if (bound.get(1) && !bound.get(1)->is_none()) {
      engine.budget.burn(static_cast<std::size_t>(std::min<std::int64_t>(size, 1'000'000'000)));
      const Holding holding(engine.budget, static_cast<std::size_t>(size) * sizeof(Value));
      row.resize(static_cast<std::size_t>(size), *bound.get(1));
    }
    finish();
  }
  return Value(make_seq(engine.budget, std::move(rows), SeqKind::kIterator));
}

Value slices(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_slice", {"slices", "fill_with"});
  bound.need(0);
  const std::int64_t count = *bound.integer(0);
  const Items all = iterate(subject, engine.budget);
  if (count == 0) fail("integer division or modulo by zero");
  std::vector<Value> rows;
  engine.budget.burn(static_cast<std::size_t>(std::clamp<std::int64_t>(count, 0, 1'000'000'000)));
  const auto n = static_cast<std::size_t>(std::max<std::int64_t>(count, 1));
  std::size_t at = 0;
  for (std::size_t i = 0; count > 0 && i < n; ++i) {
    const std::size_t size = all.size() / n + (i < all.size() % n ? 1 : 0);
    std::vector<Value> row(all.begin() + static_cast<std::ptrdiff_t>(at),
                           all.begin() + static_cast<std::ptrdiff_t>(at + size));
    at += size;
    if (bound.get(1) && !bound.get(1)->is_none() && i >= all.size() % n) row.push_back(*bound.get(1));
    rows.push_back(Value(make_seq(engine.budget, std::move(row))));
  }
  return Value(make_seq(engine.budget, std::move(rows), SeqKind::kIterator));
}

// obj|attr(name): attributes only, never keys.
Value attribute(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_attr", {"name"});
  const TextPtr name = to_text(engine, bound.need(0));
  if (subject.is_undefined()) fail(subject.undefined()->message());
  if (std::optional<Value> found = find_attribute(engine, subject, name->bytes())) return std::move(*found);
  return Value(UndefinedPtr(std::make_shared<const Undefined>(&engine.budget, object_name(subject),
                                                              repr_string(name->bytes()), true)));
}

}  // namespace

const FilterTable& sequence_filters() {
  static const FilterTable kFilters = {
      {"length", size_of},
      {"count", size_of},
      {"default", fallback},
      {"d", fallback},
      {"join", join},
      {"first", first},
      {"last", last},
      {"list", list},
      {"reverse", reverse},
      {"sort", sort},
      {"dictsort", dictsort},
      {"items", items},
      {"unique", unique},
      {"min", extreme<false>},
      {"max", extreme<true>},
      {"sum", sum},
      {"map", map},
      {"select", select<true, false>},
      {"reject", select<false, false>},
      {"selectattr", select<true, true>},
      {"rejectattr", select<false, true>},
      {"batch", batch},
      {"slice", slices},
      {"attr", attribute},
  };
  return kFilters;
}

}  // namespace exa::jinja
