// printf-style and brace-style formatting, the parts templates use.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "jinja/builtins.h"
#include "jinja/text.h"

namespace exa::jinja {

namespace {

constexpr std::size_t kWidest = 10'000;

struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =
  char sign = '-';
  bool alternate = false, zero = false, grouping = false;
  std::size_t width = 0;
  std::optional<std::size_t> precision;
  char type = 0;
};

[[noreturn]] void fail_unsupported(std::string_view spec) {
  throw Error(ErrorKind::kUnsupported, "format specification " + repr_string(spec) + " in a template");
}

std::size_t read_number(std::string_view text, std::size_t& at) {
  std::size_t value = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    value = value * 10 + static_cast<std::size_t>(text[at++] - '0');
    if (value > kWidest) fail_limit("a format width above " + std::to_string(kWidest));
  }
  return value;
}

std::string fixed(double value, std::chars_format format, std::size_t precision) {
  std::string buffer(precision + 400, '\0');
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format, static_cast<int>(precision));
  buffer.resize(static_cast<std::size_t>(end.ptr - buffer.data()));
  return buffer;
}

// Python's 'g': precision significant digits, no trailing zeros.
std::string general(double value, std::size_t precision) {
  std::string text = fixed(value, std::chars_format::general, std::max<std::size_t>(precision, 1));
  const std::size_t e = text.find('e');
  std::string mantissa = text.substr(0, e);
  if (mantissa.find('.') != std::string::npos) {
    mantissa.erase(mantissa.find_last_not_of('0') + 1);
    if (mantissa.back() == '.') mantissa.pop_back();
  }
  return e == std::string::npos ? mantissa : mantissa + text.substr(e);
}

std::string based(Int value, int base, bool upper) {
  if (value == 0) return "0";
  std::string digits;
  const bool negative = value < 0;
  while (value != 0) {
    const int digit = static_cast<int>(value % base);
    digits += (upper ? "0123456789ABCDEF" : "0123456789abcdef")[digit < 0 ? -digit : digit];
    value /= base;
  }
  if (negative) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string grouped(const std::string& digits) {
  const std::size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
  std::string out;
  for (std::size_t i = 0; i < whole; ++i) {
    if (i && (whole - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out + digits.substr(whole);
}

std::string number_text(const Value& value, const Spec& spec, std::string_view whole_spec) {
  const std::size_t precision = spec.precision.value_or(6);
  const char type = spec.type;
  if (value.is_integral() && (type == 0 || type == 'd' || type == 'i' || type == 'u' || type == 'n')) {
    return int_string(value.as_int());
  }
  if (value.is_integral()) {
    const std::string prefix = spec.alternate ? std::string("0") + type : "";
    const auto with_prefix = [&](std::string digits) {
      if (!prefix.empty()) digits.insert(digits[0] == '-' ? 1 : 0, prefix);
      return digits;
    };
    if (type == 'x' || type == 'X') return with_prefix(based(value.as_int(), 16, type == 'X'));
    if (type == 'o') return with_prefix(based(value.as_int(), 8, false));
    if (type == 'b') return with_prefix(based(value.as_int(), 2, false));
  }
  const double real = value.as_double();
  if (std::isnan(real) || std::isinf(real)) return float_string(real);
  if (type == 'f' || type == 'F') return fixed(real, std::chars_format::fixed, precision);
  if (type == 'e') return fixed(real, std::chars_format::scientific, precision);
  if (type == 'g') return general(real, precision);
  if (type == '%') return fixed(real * 100, std::chars_format::fixed, precision) + "%";
  if (type == 0 && !spec.precision) return float_string(real);
  fail_unsupported(whole_spec);
}

std::string repeated(std::string_view fill, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += fill;
  return out;
}

std::string padded(std::string text, const Spec& spec, char align) {
  const std::size_t length = count_code_points(text);
  if (length >= spec.width) return text;
  const std::size_t missing = spec.width - length;
  if (align == '=') {
    const std::size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ') ? 1 : 0;
    return text.substr(0, sign) + repeated(spec.fill, missing) + text.substr(sign);
  }
  const std::size_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  return repeated(spec.fill, left) + text + repeated(spec.fill, missing - left);
}

std::string formatted(const Value& value, const Spec& spec, std::string_view whole_spec) {
  if (value.is_number() && spec.type != 's') {
    std::string text = number_text(value, spec, whole_spec);
    if (spec.grouping) {
      const bool negative = text[0] == '-';
      text = (negative ? "-" : "") + grouped(text.substr(negative ? 1 : 0));
    }
    if (spec.sign != '-' && text[0] != '-') text.insert(0, 1, spec.sign);
    return padded(std::move(text), spec, spec.align ? spec.align : '>');
  }
  std::string text;
  if (const Text* bytes = value.text()) {
    text = bytes->bytes();
  } else {
    Budget small{10'000, 0, 1u << 20, 1u << 20};
    TextBuilder printed(&small);
    printed.append(value);
    text = printed.take_bytes();
  }
  if (spec.precision) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < *spec.precision && at < text.size(); ++i) at = next_code_point(text, at);
    text.resize(at);
  }
  return padded(std::move(text), spec, spec.align ? spec.align : '<');
}

}  // namespace

std::string format_spec(const Value& value, std::string_view text) {
  Spec spec;
  std::size_t at = 0;
  const auto is_align = [&](std::size_t i) {
    return i < text.size() && (text[i] == '<' || text[i] == '>' || text[i] == '^' || text[i] == '=');
  };
  if (!text.empty()) {
    const std::size_t fill = code_point_at(text, 0).size;
    if (is_align(fill)) {
      spec.fill = text.substr(0, fill);
      spec.align = text[fill];
      at = fill + 1;
    } else if (is_align(0)) {
      spec.align = text[0];
      at = 1;
    }
  }
  if (at < text.size() && (text[at] == '+' || text[at] == '-' || text[at] == ' ')) spec.sign = text[at++];
  if (at < text.size() && text[at] == '#') spec.alternate = true, ++at;
  if (at < text.size() && text[at] == '0') {
    if (!spec.align) spec.fill = "0", spec.align = '=';
    ++at;
  }
  spec.width = read_number(text, at);
  if (at < text.size() && text[at] == ',') spec.grouping = true, ++at;
  if (at < text.size() && text[at] == '.') {
    ++at;
    spec.precision = read_number(text, at);
  }
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) fail_unsupported(text);
  if (spec.align == '=' && !value.is_number()) spec.align = '<';
  if (value.text() && spec.type != 0 && spec.type != 's') {
    fail("Unknown format code '" + std::string(1, spec.type) + "' for object of type 'str'");
  }
  return formatted(value, spec, text);
}

TextPtr format_percent(Engine& engine, const Text& format, const Value& values) {
  const std::string& text = format.bytes();
  const Seq* tuple = values.seq() && values.seq()->kind() == SeqKind::kTuple ? values.seq() : nullptr;
  std::size_t used = 0;
  const auto take = [&]() -> Value {
    if (tuple ? used >= tuple->size() : used >= 1) fail("not enough arguments for format string");
    return tuple ? tuple->items()[used++] : (++used, values);
  };
  TextBuilder out(&engine.budget);
  std::size_t plain = 0;
  for (std::size_t at = text.find('%'); at != std::string::npos; at = text.find('%', at)) {
    engine.budget.burn(1);
    out.append(format, plain, at++);
    std::optional<Value> named;
    if (at < text.size() && text[at] == '(') {
      const std::size_t close = text.find(')', at);
      if (close == std::string::npos) fail("incomplete format key");
      if (!values.dict()) fail("format requires a mapping");
      const std::string key = text.substr(at + 1, close - at - 1);
      const Value* found = values.dict()->find(key);
      if (!found) fail(repr_string(key));
      named = *found;
      used = 1;
      at = close + 1;
    }
    Spec spec;
    bool left = false;
    for (; at < text.size() && std::string_view("-+ #0").find(text[at]) != std::string_view::npos; ++at) {
      left = left || text[at] == '-';
      spec.zero = spec.zero || text[at] == '0';
      spec.alternate = spec.alternate || text[at] == '#';
      if (text[at] == '+' || text[at] == ' ') spec.sign = text[at];
    }
    spec.width = read_number(text, at);
    if (at < text.size() && text[at] == '.') {
      ++at;
      spec.precision = read_number(text, at);
    }
    if (at >= text.size()) fail("incomplete format");
    spec.type = text[at++];
    plain = at;
    if (spec.type == '%') {
      out.append("%", format.origin());
      continue;
    }
    const Value value = named ? *named : take();
    if (spec.type == 's' || spec.type == 'r') {
      TextBuilder printed(&engine.budget);
      if (spec.type == 's') {
        printed.append(value);
      } else {
        append_repr(printed, value);
      }
      const TextPtr whole = printed.finish();
      if (spec.width == 0 && !spec.precision) {
        out.append(*whole);
        continue;
      }
      spec.type = 's';
      spec.align = left ? '<' : '>';
      out.append(formatted(Value(whole), spec, text), whole->origin());
      continue;
    }
    if (std::string_view("diufFegxXo").find(spec.type) == std::string_view::npos) fail_unsupported(text);
    if (!value.is_number()) {
      const bool real = std::string_view("fFeg").find(spec.type) != std::string_view::npos;
      fail(real ? "must be real number, not " + type_name(value)
                : "%" + std::string(1, spec.type) + " format: a real number is required, not " +
                      type_name(value));
    }
    const bool whole = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (spec.zero && !left) spec.fill = "0";
    spec.align = left ? '<' : spec.zero ? '=' : '>';
    const Value number = whole && value.real() ? Value(static_cast<Int>(std::trunc(*value.real()))) : value;
    out.append(formatted(number, spec, text), TextOrigin::kData);
  }
  out.append(format, plain, text.size());
  if (tuple ? used < tuple->size() : (used == 0 && !values.dict() && !values.seq())) {
    fail("not all arguments converted during string formatting");
  }
  return out.finish(format.markup());
}

TextPtr format_braces(Engine& engine, const Text& format, const Args& args) {
  const std::string& text = format.bytes();
  TextBuilder out(&engine.budget);
  std::size_t next = 0;
  std::size_t plain = 0;
  for (std::size_t at = text.find_first_of("{}"); at != std::string::npos;
       at = text.find_first_of("{}", at)) {
    engine.budget.burn(1);
    out.append(format, plain, at);
    if (at + 1 < text.size() && text[at + 1] == text[at]) {
      out.append(format, at, at + 1);
      plain = at += 2;
      continue;
    }
    if (text[at] == '}') fail("Single '}' encountered in format string");
    const std::size_t close = text.find('}', at);
    if (close == std::string::npos) {
      fail(at + 1 == text.size() ? "Single '{' encountered in format string"
                                 : "expected '}' before end of string");
    }
    std::string_view field = std::string_view(text).substr(at + 1, close - at - 1);
    if (field.find('{') != std::string_view::npos) fail_unsupported(field);
    plain = at = close + 1;
    const std::size_t colon = std::min(field.find(':'), field.size());
    const std::string_view spec = colon < field.size() ? field.substr(colon + 1) : std::string_view();
    field = field.substr(0, colon);
    const std::size_t bang = std::min(field.find('!'), field.size());
    const std::string_view conversion = bang < field.size() ? field.substr(bang + 1) : std::string_view();
    field = field.substr(0, bang);
    const std::size_t stop = std::min(field.find_first_of(".["), field.size());
    const std::string_view name = field.substr(0, stop);
    std::string_view path = field.substr(stop);
    Value value;
    const std::optional<Int> number =
        name.empty() ? std::optional<Int>(static_cast<Int>(next++)) : parse_int(name, 10);
    if (number) {
      if (*number < 0 || *number >= static_cast<Int>(args.positional.size())) {
        fail("tuple index out of range");
      }
      value = args.positional[static_cast<std::size_t>(*number)];
    } else {
      const auto found = std::find_if(args.named.begin(), args.named.end(),
                                      [&](const auto& entry) { return entry.first == name; });
      if (found == args.named.end()) fail(repr_string(name));
      value = found->second;
    }
    while (!path.empty()) {
      const bool item = path[0] == '[';
      path.remove_prefix(1);
      const std::size_t end = std::min(path.find_first_of(item ? "]" : ".["), path.size());
      const std::string key(path.substr(0, end));
      const std::optional<Int> index = item ? parse_int(key, 10) : std::nullopt;
      value = index  ? get_item(engine, value, Value(*index))
              : item ? get_item(engine, value, Value(make_text(&engine.budget, key, TextOrigin::kData)))
                     : get_attribute(engine, value, key);
      path.remove_prefix(std::min(path.size(), end + (item ? 1 : 0)));
    }
    if (conversion == "r") {
      TextBuilder printed(&engine.budget);
      append_repr(printed, value);
      value = Value(printed.finish());
    } else if (conversion == "s") {
      value = Value(to_text(engine, value));
    } else if (!conversion.empty()) {
      fail_unsupported(conversion);
    }
    if (spec.empty()) {
      out.append(value);
    } else {
      out.append(format_spec(value, spec), value.text() ? value.text()->origin() : TextOrigin::kData);
    }
  }
  out.append(format, plain, text.size());
  return out.finish(format.markup());
}

}  // namespace exa::jinja
