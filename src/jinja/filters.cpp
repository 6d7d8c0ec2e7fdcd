// Filters on text and numbers.
#include "jinja/filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "jinja/text.h"

namespace exa::jinja {

TextPtr to_text(Engine& engine, const Value& value) {
  if (value.text()) return value.text_ptr();
  TextBuilder out(&engine.budget);
  out.append(value);
  return out.finish();
}

Value derived_text(Engine& engine, const Text& source, std::string bytes) {
  return Value(make_text(&engine.budget, std::move(bytes), source.origin(), source.markup()));
}

TextPtr escape_html(Engine& engine, const Value& value) {
  const TextPtr text = to_text(engine, value);
  if (text->markup()) return text;
  static constexpr std::string_view kSpecial = "&<>'\"";
  static constexpr std::string_view kEscaped[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  TextBuilder out(&engine.budget);
  std::size_t plain = 0;
  const std::string& bytes = text->bytes();
  for (std::size_t at = bytes.find_first_of(kSpecial); at != std::string::npos;
       at = bytes.find_first_of(kSpecial, at + 1)) {
    out.append(*text, plain, at);
    out.append(kEscaped[kSpecial.find(bytes[at])], text->origin());
    plain = at + 1;
  }
  out.append(*text, plain, bytes.size());
  return out.finish(true);
}

std::optional<Int> parse_int(std::string_view text, int base) {
  const auto [begin, end] = strip_range(text, {}, true, true);
  text = text.substr(begin, end - begin);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const char mark = text.size() > 2 && text[0] == '0' ? static_cast<char>(text[1] | 0x20) : ' ';
  const int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
  if (marked && (base == marked || base == 0)) {
    text.remove_prefix(2);
    base = marked;
  }
  if (base == 0) base = 10;
  if (text.empty() || text.front() == '_' || text.back() == '_') return std::nullopt;
  Int value = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '_' && text[i - 1] != '_') continue;
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 10
                      : c >= 'A' && c <= 'Z' ? c - 'A' + 10
                                             : 99;
    if (digit >= base) return std::nullopt;
    if (__builtin_mul_overflow(value, Int(base), &value) ||
        __builtin_add_overflow(value, Int(digit), &value)) {
      fail_limit("an integer became too large");
    }
  }
  return negative ? -value : value;
}

std::optional<double> parse_float(std::string_view text) {
  const auto [begin, end] = strip_range(text, {}, true, true);
  std::string plain(text.substr(begin, end - begin));
  std::transform(plain.begin(), plain.end(), plain.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  bool negative = false;
  if (!plain.empty() && (plain[0] == '-' || plain[0] == '+')) {
    negative = plain[0] == '-';
    plain.erase(0, 1);
  }
  if (plain == "infinity") plain = "inf";
  const bool word = plain == "inf" || plain == "nan";
  if (plain.empty() || (!word && plain.find_first_not_of("0123456789.e+-_") != std::string::npos)) {
    return std::nullopt;
  }
  for (std::size_t at = plain.find('_'); at != std::string::npos; at = plain.find('_', at)) {
    const auto digit = [&](std::size_t i) { return i < plain.size() && plain[i] >= '0' && plain[i] <= '9'; };
    if (at == 0 || !digit(at - 1) || !digit(at + 1)) return std::nullopt;
    plain.erase(at, 1);
  }
  double value = 0;
  const auto parsed = std::from_chars(plain.data(), plain.data() + plain.size(), value);
  if (parsed.ptr != plain.data() + plain.size()) return std::nullopt;
  if (parsed.ec == std::errc::result_out_of_range) {
    value = plain.find("e-") != std::string::npos ? 0 : std::numeric_limits<double>::infinity();
  } else if (parsed.ec != std::errc()) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

namespace {

std::string_view bytes_of(const BoundArgs& args, Engine& engine, std::size_t index, TextPtr& keep) {
  keep = to_text(engine, args.need(index));
  return keep->bytes();
}

template <Casing casing>
Value recased(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "filter", {});
  const TextPtr text = to_text(engine, subject);
  engine.budget.burn(text->bytes().size() / 8);
  return derived_text(engine, *text, recase(text->bytes(), casing));
}

Value title(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_title", {});
  const TextPtr text = to_text(engine, subject);
  engine.budget.burn(text->bytes().size() / 8);
  return derived_text(engine, *text, title_words(text->bytes()));
}

Value string(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "soft_str", {});
  return Value(to_text(engine, subject));
}

Value safe(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_mark_safe", {});
  const TextPtr text = to_text(engine, subject);
  if (text->markup()) return Value(text);
  TextBuilder out(&engine.budget);
  out.append(*text);
  return Value(out.finish(true));
}

Value escape(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "escape", {});
  return Value(escape_html(engine, subject));
}

Value force_escape(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_forceescape", {});
  const TextPtr text = to_text(engine, subject);
  TextBuilder plain(&engine.budget);
  plain.append(*text);
  return Value(escape_html(engine, Value(plain.finish())));
}

Value trim(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_trim", {"chars"});
  const TextPtr text = to_text(engine, subject);
  TextPtr keep;
  const bool given = bound.get(0) && !bound.get(0)->is_none();
  const StripSet set = given ? strip_set(bytes_of(bound, engine, 0, keep)) : StripSet{};
  const auto [begin, end] = strip_range(text->bytes(), set, true, true);
  engine.budget.burn_read(text->bytes().size() - (end - begin));
  return Value(sub_text(&engine.budget, *text, begin, end));
}

Value replace(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_replace", {"old", "new", "count"});
  const auto unmarked = [&](const Value& value) {
    const TextPtr text = to_text(engine, value);
    if (!text->markup()) return Value(text);
    TextBuilder plain(&engine.budget);
    plain.append(*text);
    return Value(plain.finish());
  };
  Args positional;
  positional.positional = {unmarked(bound.need(0)), unmarked(bound.need(1))};
  if (bound.get(2) && !bound.get(2)->is_none()) positional.positional.push_back(*bound.get(2));
  const Value text = unmarked(subject);
  return call_text_method(engine, *text.text(), text, "replace", positional);
}

Value to_integer(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_int", {"default", "base"});
  const Value otherwise = bound.get(0) ? *bound.get(0) : Value(Int(0));
  if (subject.is_undefined()) fail(subject.undefined()->message());
  if (subject.is_integral()) return Value(subject.as_int());
  std::optional<double> real;
  if (subject.real()) real = *subject.real();
  if (const Text* text = subject.text()) {
    engine.budget.burn_read(text->bytes().size());
    const std::int64_t base = bound.integer(1).value_or(10);
    if (base == 0 || (base >= 2 && base <= 36)) {
      if (const auto whole = parse_int(text->bytes(), static_cast<int>(base))) return Value(*whole);
    }
    real = parse_float(text->bytes());
  }
  if (!real || std::isnan(*real)) return otherwise;
  if (std::isinf(*real)) {
    if (subject.real()) fail("cannot convert float infinity to integer");
    return otherwise;
  }
  if (std::fabs(*real) > 1e38) fail_limit("an integer became too large");
  return Value(static_cast<Int>(std::trunc(*real)));
}

Value to_real(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_float", {"default"});
  if (subject.is_undefined()) fail(subject.undefined()->message());
  if (subject.is_number()) return Value(subject.as_double());
  if (const Text* text = subject.text()) {
    engine.budget.burn_read(text->bytes().size());
    if (const auto real = parse_float(text->bytes())) return Value(*real);
  }
  return bound.get(0) ? *bound.get(0) : Value(0.0);
}

Value absolute(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "abs", {});
  if (subject.real()) return Value(std::fabs(*subject.real()));
  if (!subject.is_integral()) fail("bad operand type for abs(): '" + type_name(subject) + "'");
  return subject.as_int() < 0 ? negate(engine, subject, true) : Value(subject.as_int());
}

// Correctly rounded to the number of decimals, half to even, as Python's round.
double rounded(double value, std::int64_t decimals) {
  if (!std::isfinite(value) || decimals > 300) return value;
  if (decimals < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-decimals));
    return std::isinf(unit) ? 0.0 : std::nearbyint(value / unit) * unit;
  }
  char buffer[1024];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed,
                                 static_cast<int>(decimals));
  double result = value;
  std::from_chars(buffer, end.ptr, result);
  return result;
}

Value round(Engine&, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_round", {"precision", "method"});
  const std::int64_t precision = bound.integer(0).value_or(0);
  std::string method = "common";
  if (bound.get(1)) method = bound.get(1)->text() ? bound.get(1)->text()->bytes() : "";
  if (method != "common" && method != "ceil" && method != "floor")
    fail("method must be common, ceil or floor");
  if (!subject.is_number()) {
    if (method == "common") fail("type " + type_name(subject) + " doesn't define __round__ method");
    fail("must be real number, not " + type_name(subject));
  }
  if (method == "common") {
    if (subject.is_integral()) {
      if (precision >= 0) return Value(subject.as_int());
      return Value(static_cast<Int>(rounded(subject.as_double(), precision)));
    }
    return Value(rounded(*subject.real(), precision));
  }
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = subject.as_double() * unit;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

std::string spaces(std::int64_t width) {
  constexpr std::int64_t kWidest = 10'000;
  if (width > kWidest) fail_limit("indented by more than " + std::to_string(kWidest));
  return std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
}

Value indent(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_indent", {"width", "first", "blank"});
  if (subject.is_undefined()) fail(subject.undefined()->message());
  if (!subject.text()) fail("unsupported operand type(s) for +=: '" + type_name(subject) + "' and 'str'");
  const Text& text = *subject.text();
  Value unit;
  if (bound.get(0) && bound.get(0)->text()) {
    unit = *bound.get(0);
  } else {
    unit = Value(make_text(&engine.budget, spaces(bound.integer(0).value_or(4)), TextOrigin::kTemplate));
  }
  const bool first = bound.flag(1, false);
  const bool blank = bound.flag(2, false);
  const std::string source = text.bytes() + "\n";
  engine.budget.burn_written(source.size());
  TextBuilder out(&engine.budget);
  bool start = true;
  const std::vector<ByteRange> lines = split_lines(source, false, engine.budget.most_parts());
  engine.budget.burn(lines.size());
  const Holding holding(engine.budget, source.capacity() + lines.size() * sizeof(ByteRange));
  for (const auto& [begin, end] : lines) {
    if (!start) out.append("\n", TextOrigin::kTemplate);
    if (start ? first : (blank || begin < end)) out.append(*unit.text());
    out.append(text, begin, end);
    start = false;
  }
  return Value(out.finish(text.markup()));
}

Value truncate(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_truncate", {"length", "killwords", "end", "leeway"});
  if (!subject.text()) {
    exa::jinja::length(subject);
    if (!subject.is_undefined()) throw Error(ErrorKind::kUnsupported, "truncate of a " + type_name(subject));
  }
  const TextPtr text = to_text(engine, subject);
  const std::int64_t length = bound.integer(0).value_or(255);
  const Value end =
      bound.get(2) ? *bound.get(2) : Value(make_text(&engine.budget, "...", TextOrigin::kTemplate));
  const TextPtr tail = to_text(engine, end);
  const std::int64_t leeway = bound.get(3) && !bound.get(3)->is_none() ? *bound.integer(3) : 5;
  const auto tail_length = static_cast<std::int64_t>(tail->length());
  if (length < tail_length) {
    fail("expected length >= " + std::to_string(tail_length) + ", got " + std::to_string(length));
  }
  if (leeway < 0) fail("expected leeway >= 0, got " + std::to_string(leeway));
  if (static_cast<std::int64_t>(text->length()) <= length + leeway) return Value(text);
  engine.budget.burn_read(text->bytes().size());
  std::size_t stop = text->byte_offset(static_cast<std::size_t>(length - tail_length));
  if (!bound.flag(1, false)) {
    const std::size_t space = text->bytes().substr(0, stop).rfind(' ');
    if (space != std::string::npos) stop = space;
  }
  TextBuilder out(&engine.budget);
  out.append(*text, 0, stop);
  out.append(*tail);
  return Value(out.finish(text->markup()));
}

Value center(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_center", {"width"});
  Args width;
  width.positional = {bound.get(0) ? *bound.get(0) : Value(Int(80))};
  const TextPtr text = to_text(engine, subject);
  return call_text_method(engine, *text, Value(text), "center", width);
}

Value word_count(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "do_wordcount", {});
  const TextPtr text = to_text(engine, subject);
  engine.budget.burn_read(text->bytes().size());
  std::size_t words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text->bytes().size();) {
    const CodePoint point = code_point_at(text->bytes(), at);
    const bool word = point.value == '_' || is_letter(point.value) || is_digit(point.value);
    words += word && !inside;
    inside = word;
    at += point.size;
  }
  return Value::of_size(words);
}

Value format(Engine& engine, const Value& subject, const Args& args) {
  if (!args.positional.empty() && !args.named.empty()) {
    fail("can't handle positional and keyword arguments at the same time");
  }
  const TextPtr text = to_text(engine, subject);
  if (args.named.empty()) {
    return Value(
        format_percent(engine, *text, Value(make_seq(engine.budget, args.positional, SeqKind::kTuple))));
  }
  std::vector<Dict::Entry> entries;
  for (const auto& [name, value] : args.named) {
    entries.emplace_back(Value(make_text(&engine.budget, name, TextOrigin::kTemplate)), value);
  }
  return Value(format_percent(engine, *text, Value(make_dict(engine.budget, std::move(entries)))));
}

Value tojson(Engine& engine, const Value& subject, const Args& args) {
  const BoundArgs bound(args, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = bound.flag(0, false);
  style.sort_keys = bound.flag(3, false);
  if (bound.get(1) && !bound.get(1)->is_none()) {
    if (const Text* text = bound.get(1)->text()) {
      style.indent = text->bytes();
    } else {
      style.indent = spaces(*bound.integer(1));
    }
    style.item_separator = ",";
  }
  if (bound.get(2) && !bound.get(2)->is_none()) {
    const Items pair = iterate(*bound.get(2), engine.budget);
    if (pair.size() != 2 || !pair[0].text() || !pair[1].text()) fail("separators must be a pair of strings");
    style.item_separator = pair[0].text()->bytes();
    style.key_separator = pair[1].text()->bytes();
  }
  return Value(make_text(&engine.budget, to_json(engine, subject, style), TextOrigin::kData));
}

}  // namespace

const FilterTable& text_filters() {
  static const FilterTable kFilters = {
      {"upper", recased<Casing::kUpper>},
      {"lower", recased<Casing::kLower>},
      {"capitalize", recased<Casing::kCapitalize>},
      {"title", title},
      {"string", string},
      {"safe", safe},
      {"e", escape},
      {"escape", escape},
      {"forceescape", force_escape},
      {"trim", trim},
      {"replace", replace},
      {"int", to_integer},
      {"float", to_real},
      {"abs", absolute},
      {"round", round},
      {"indent", indent},
      {"truncate", truncate},
      {"center", center},
      {"wordcount", word_count},
      {"format", format},
      {"tojson", tojson},
  };
  return kFilters;
}

bool filter_exists(std::string_view name) {
  return text_filters().count(name) != 0 || sequence_filters().count(name) != 0;
}

Value apply_filter(Engine& engine, const std::string& name, const Value& subject, const Args& args) {
  engine.budget.burn(1);
  auto found = text_filters().find(name);
  if (found == text_filters().end()) {
    found = sequence_filters().find(name);
    if (found == sequence_filters().end()) fail_missing_filter(name);
  }
  return found->second(engine, subject, args);
}

}  // namespace exa::jinja
