// Methods of strings: Python's str as far as templates use it.
#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "jinja/builtins.h"
#include "jinja/text.h"

namespace exa::jinja {

namespace {

struct Call {
  Engine& engine;
  const Text& self;
  const Value& value;  // self again, to hand out unchanged
  const std::string& name;
  const Args& args;

  const std::string& bytes() const { return self.bytes(); }
  Value part(std::size_t begin, std::size_t end) const {
    return Value(sub_text(&engine.budget, self, begin, end));
  }
  // Positional only, between low and high of them.
  void arity(std::size_t low, std::size_t high) const {
    if (!args.named.empty()) fail("str." + name + "() takes no keyword arguments");
    const std::size_t given = args.positional.size();
    if (given >= low && given <= high) return;
    if (low == high && low == 0)
      fail("str." + name + "() takes no arguments (" + std::to_string(given) + " given)");
    if (low == high && low == 1) {
      fail("str." + name + "() takes exactly one argument (" + std::to_string(given) + " given)");
    }
    if (low == high)
      fail(name + " expected " + std::to_string(low) + " arguments, got " + std::to_string(given));
    const bool few = given < low;
    const std::size_t bound = few ? low : high;
    fail(name + " expected at " + (few ? "least " : "most ") + std::to_string(bound) +
         (bound == 1 ? " argument, got " : " arguments, got ") + std::to_string(given));
  }
  const Text& text(std::size_t index) const {
    const Value& argument = args.positional[index];
    if (argument.is_undefined() || !argument.text()) {
      fail(name + "() argument " + std::to_string(index + 1) + " must be str, not " + type_name(argument));
    }
    return *argument.text();
  }
};

Value flag(const Call& call, bool (*each)(char32_t), bool empty) {
  call.arity(0, 0);
  call.engine.budget.burn_read(call.bytes().size());
  for (std::size_t at = 0; at < call.bytes().size();) {
    const CodePoint point = code_point_at(call.bytes(), at);
    if (!each(point.value)) return Value(false);
    at += point.size;
  }
  return Value(!call.bytes().empty() || empty);
}

template <Casing casing>
Value recased(const Call& call) {
  call.arity(0, 0);
  call.engine.budget.burn(call.bytes().size() / 8);
  return derived_text(call.engine, call.self, recase(call.bytes(), casing));
}

template <bool left, bool right>
Value strip(const Call& call) {
  call.arity(0, 1);
  StripSet set;
  if (!call.args.positional.empty() && !call.args.positional[0].is_none()) {
    const Value& chars = call.args.positional[0];
    if (!chars.text()) fail(call.name + " arg must be None or str");
    call.engine.budget.burn_read(chars.text()->bytes().size());
    set = strip_set(chars.text()->bytes());
  }
  const auto [begin, end] = strip_range(call.bytes(), set, left, right);
  call.engine.budget.burn_read(call.bytes().size() - (end - begin));
  if (begin == 0 && end == call.bytes().size()) return call.value;
  return call.part(begin, end);
}

template <bool from_right>
Value split(const Call& call) {
  const BoundArgs bound(call.args, call.name, {"sep", "maxsplit"});
  const std::int64_t limit = bound.integer(1).value_or(-1);
  std::vector<ByteRange> parts;
  const std::size_t most = call.engine.budget.most_parts();
  call.engine.budget.burn_read(call.bytes().size());
  if (!bound.get(0) || bound.get(0)->is_none()) {
    parts = from_right ? rsplit_spaces(call.bytes(), limit, most) : split_spaces(call.bytes(), limit, most);
  } else {
    if (!bound.get(0)->text()) fail("must be str or None, not " + type_name(*bound.get(0)));
    const std::string& separator = bound.get(0)->text()->bytes();
    if (separator.empty()) fail("empty separator");
    parts = from_right ? rsplit_by(call.bytes(), separator, limit, most)
                       : split_by(call.bytes(), separator, limit, most);
  }
  call.engine.budget.burn(parts.size());
  const Holding holding(call.engine.budget, parts.size() * (sizeof(Value) + sizeof(ByteRange)));
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const auto& [begin, end] : parts) items.push_back(call.part(begin, end));
  return Value(make_seq(call.engine.budget, std::move(items)));
}

Value splitlines(const Call& call) {
  const BoundArgs bound(call.args, call.name, {"keepends"});
  call.engine.budget.burn_read(call.bytes().size());
  const std::vector<ByteRange> lines =
      split_lines(call.bytes(), bound.flag(0, false), call.engine.budget.most_parts());
  call.engine.budget.burn(lines.size());
  const Holding holding(call.engine.budget, lines.size() * (sizeof(Value) + sizeof(ByteRange)));
  std::vector<Value> items;
  items.reserve(lines.size());
  for (const auto& [begin, end] : lines) items.push_back(call.part(begin, end));
  return Value(make_seq(call.engine.budget, std::move(items)));
}

template <bool last>
Value partition(const Call& call) {
  call.arity(1, 1);
  const Text& separator = call.text(0);
  if (separator.bytes().empty()) fail("empty separator");
  call.engine.budget.burn_read(call.bytes().size());
  const std::size_t found =
      last ? find_last(call.bytes(), separator.bytes()) : find_first(call.bytes(), separator.bytes());
  const std::size_t end = call.bytes().size();
  const Value empty = call.part(end, end);
  std::vector<Value> parts;
  if (found == std::string_view::npos) {
    parts =
        last ? std::vector<Value>{empty, empty, call.value} : std::vector<Value>{call.value, empty, empty};
  } else {
    parts = {call.part(0, found), call.args.positional[0], call.part(found + separator.bytes().size(), end)};
  }
  return Value(make_seq(call.engine.budget, std::move(parts), SeqKind::kTuple));
}

// The byte range of s[start:end] given as arguments 1 and 2; nothing where start lies beyond the end.
std::optional<ByteRange> window(const Call& call) {
  const auto size = static_cast<std::int64_t>(call.self.length());
  const auto place = [&](std::size_t index, std::int64_t otherwise) {
    if (call.args.positional.size() <= index || call.args.positional[index].is_none()) return otherwise;
    const Value& given = call.args.positional[index];
    if (!given.is_integral()) fail("slice indices must be integers or None or have an __index__ method");
    const Int at = given.as_int() < 0 ? std::max<Int>(given.as_int() + size, 0) : given.as_int();
    return static_cast<std::int64_t>(std::min<Int>(at, size + 1));
  };
  const std::int64_t start = place(1, 0);
  const std::int64_t end = std::min(place(2, size), size);
  if (start > end) return std::nullopt;
  if (!call.self.ascii())
    call.engine.budget.burn(static_cast<std::size_t>(start + (end < size ? end : 0)) / 8);
  return ByteRange{call.self.byte_offset(static_cast<std::size_t>(start)),
                   call.self.byte_offset(static_cast<std::size_t>(end))};
}

template <bool at_end>
Value affix(const Call& call) {
  call.arity(1, 3);
  const Value& wanted = call.args.positional[0];
  const std::optional<ByteRange> range = window(call);
  const auto matches = [&](const Value& candidate) {
    if (!candidate.text()) {
      const bool listed = wanted.seq() && wanted.seq()->kind() == SeqKind::kTuple;
      const std::string expected = listed ? "tuple for " + call.name + " must only contain str, not "
                                          : call.name + " first arg must be str or a tuple of str, not ";
      fail(expected + type_name(candidate));
    }
    if (!range) return false;
    const std::string_view inside =
        std::string_view(call.bytes()).substr(range->first, range->second - range->first);
    const std::string& affix = candidate.text()->bytes();
    call.engine.budget.burn_read(std::min(affix.size(), inside.size()));
    return at_end ? inside.ends_with(affix) : inside.starts_with(affix);
  };
  if (!wanted.seq() || wanted.seq()->kind() != SeqKind::kTuple) return Value(matches(wanted));
  for (const Value& candidate : wanted.seq()->items()) {
    if (matches(candidate)) return Value(true);
  }
  return Value(false);
}

template <bool last, bool must>
Value find(const Call& call) {
  call.arity(1, 3);
  const Text& wanted = call.text(0);
  const std::optional<ByteRange> range = window(call);
  std::size_t found = std::string_view::npos;
  call.engine.budget.burn_read(call.bytes().size());
  if (range) {
    const std::string_view inside =
        std::string_view(call.bytes()).substr(range->first, range->second - range->first);
    found = last ? find_last(inside, wanted.bytes()) : find_first(inside, wanted.bytes());
  }
  if (found == std::string_view::npos) {
    if (must) fail("substring not found");
    return Value(Int(-1));
  }
  return Value::of_size(count_code_points(std::string_view(call.bytes()).substr(0, range->first + found)));
}

Value count(const Call& call) {
  call.arity(1, 3);
  const Text& wanted = call.text(0);
  const std::optional<ByteRange> range = window(call);
  if (!range) return Value(Int(0));
  const std::string_view inside =
      std::string_view(call.bytes()).substr(range->first, range->second - range->first);
  call.engine.budget.burn_read(inside.size());
  if (wanted.bytes().empty()) return Value::of_size(count_code_points(inside) + 1);
  std::size_t n = 0;
  for (std::size_t at = 0; (at = find_first(inside, wanted.bytes(), at)) != std::string_view::npos;
       at += wanted.bytes().size()) {
    ++n;
  }
  return Value::of_size(n);
}

Value replace(const Call& call) {
  const BoundArgs bound(call.args, call.name, {"old", "new", "count"});
  call.arity(2, 3);
  const Text& old = call.text(0);
  TextPtr fresh = (call.text(1), call.args.positional[1].text_ptr());
  if (call.self.markup()) fresh = escape_html(call.engine, Value(fresh));
  std::int64_t left = bound.integer(2).value_or(-1);
  call.engine.budget.burn_read(call.bytes().size());
  TextBuilder out(&call.engine.budget);
  std::size_t at = 0;
  const std::size_t size = call.bytes().size();
  if (old.bytes().empty()) {
    for (; left != 0; --left) {
      out.append(*fresh);
      call.engine.budget.burn(1);
      if (at == size) break;
      const std::size_t next = next_code_point(call.bytes(), at);
      out.append(call.self, at, next);
      at = next;
    }
  } else {
    for (; left != 0; --left) {
      const std::size_t found = find_first(call.bytes(), old.bytes(), at);
      if (found == std::string_view::npos) break;
      call.engine.budget.burn(1);
      out.append(call.self, at, found);
      out.append(*fresh);
      at = found + old.bytes().size();
    }
  }
  out.append(call.self, at, size);
  return Value(out.finish(call.self.markup()));
}

Value join(const Call& call) {
  call.arity(1, 1);
  const Value& items = call.args.positional[0];
  if (!items.seq() && !items.dict() && !items.text() && !items.is_undefined())
    fail("can only join an iterable");
  TextBuilder out(&call.engine.budget);
  std::size_t index = 0;
  for (const Value& item : iterate(items, call.engine.budget)) {
    if (!item.text()) {
      fail("sequence item " + std::to_string(index) + ": expected str instance, " + type_name(item) +
           " found");
    }
    if (index++) out.append(call.self);
    out.append(call.self.markup() ? *escape_html(call.engine, item) : *item.text());
  }
  return Value(out.finish(call.self.markup()));
}

template <bool at_end>
Value remove_affix(const Call& call) {
  call.arity(1, 1);
  const std::string& affix = call.text(0).bytes();
  const std::size_t size = call.bytes().size();
  call.engine.budget.burn_read(affix.size());
  if (at_end ? !call.bytes().ends_with(affix) : !call.bytes().starts_with(affix)) return call.value;
  return at_end ? call.part(0, size - affix.size()) : call.part(affix.size(), size);
}

template <char align>
Value pad(const Call& call) {
  call.arity(1, align == '0' ? 1 : 2);
  const Value& given = call.args.positional[0];
  if (!given.is_integral()) fail("'" + type_name(given) + "' object cannot be interpreted as an integer");
  std::string fill = align == '0' ? "0" : " ";
  if (call.args.positional.size() == 2) {
    if (call.text(1).length() != 1) fail("The fill character must be exactly one character long");
    fill = call.text(1).bytes();
  }
  const auto length = static_cast<Int>(call.self.length());
  if (given.as_int() <= length) return call.value;
  const Int missing = given.as_int() - length;
  if (missing > static_cast<Int>(call.engine.budget.text_limit)) {
    fail_limit("text longer than " + std::to_string(call.engine.budget.text_limit) + " bytes");
  }
  const Int odd = missing & given.as_int() & 1;
  const Int left = align == '<' ? 0 : align == '^' ? missing / 2 + odd : missing;
  TextBuilder out(&call.engine.budget);
  const bool sign =
      align == '0' && !call.bytes().empty() && (call.bytes()[0] == '-' || call.bytes()[0] == '+');
  if (sign) out.append(call.self, 0, 1);
  std::string before, after;
  for (Int i = 0; i < left; ++i) before += fill;
  for (Int i = left; i < missing; ++i) after += fill;
  out.append(before, call.self.origin());
  out.append(call.self, sign ? 1 : 0, call.bytes().size());
  out.append(after, call.self.origin());
  return Value(out.finish(call.self.markup()));
}

template <bool upper>
Value is_cased(const Call& call) {
  call.arity(0, 0);
  return Value(apply_test(call.engine, upper ? "upper" : "lower", call.value, {}));
}

bool is_alnum(char32_t c) {
  return is_letter(c) || is_digit(c);
}
bool is_ascii(char32_t c) {
  return c < 0x80;
}

using Method = Value (*)(const Call& call);

const std::unordered_map<std::string_view, Method>& methods() {
  static const std::unordered_map<std::string_view, Method> kMethods = {
      {"upper", recased<Casing::kUpper>},
      {"lower", recased<Casing::kLower>},
      {"casefold", recased<Casing::kLower>},
      {"title", recased<Casing::kTitle>},
      {"capitalize", recased<Casing::kCapitalize>},
      {"swapcase", recased<Casing::kSwap>},
      {"strip", strip<true, true>},
      {"lstrip", strip<true, false>},
      {"rstrip", strip<false, true>},
      {"split", split<false>},
      {"rsplit", split<true>},
      {"splitlines", splitlines},
      {"partition", partition<false>},
      {"rpartition", partition<true>},
      {"startswith", affix<false>},
      {"endswith", affix<true>},
      {"find", find<false, false>},
      {"rfind", find<true, false>},
      {"index", find<false, true>},
      {"rindex", find<true, true>},
      {"count", count},
      {"replace", replace},
      {"join", join},
      {"removeprefix", remove_affix<false>},
      {"removesuffix", remove_affix<true>},
      {"ljust", pad<'<'>},
      {"rjust", pad<'>'>},
      {"center", pad<'^'>},
      {"zfill", pad<'0'>},
      {"islower", is_cased<false>},
      {"isupper", is_cased<true>},
      {"isdigit", [](const Call& call) { return flag(call, is_digit, false); }},
      {"isdecimal", [](const Call& call) { return flag(call, is_digit, false); }},
      {"isalpha", [](const Call& call) { return flag(call, is_letter, false); }},
      {"isalnum", [](const Call& call) { return flag(call, is_alnum, false); }},
      {"isspace", [](const Call& call) { return flag(call, is_space, false); }},
      {"isascii", [](const Call& call) { return flag(call, is_ascii, true); }},
      {"isprintable", [](const Call& call) { return flag(call, is_printable, true); }},
      {"format", [](const Call& call) { return Value(format_braces(call.engine, call.self, call.args)); }},
  };
  return kMethods;
}

}  // namespace

Value call_text_method(Engine& engine, const Text& self, const Value& self_value, const std::string& name,
                       const Args& args) {
  const auto found = methods().find(name);
  if (found == methods().end()) throw Error(ErrorKind::kUnsupported, "str." + name + "() in a chat template");
  return found->second({engine, self, self_value, name, args});
}

}  // namespace exa::jinja
