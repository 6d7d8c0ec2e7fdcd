// What Python's built-ins print and compare: repr, truth, ==, <, iteration.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "jinja/call.h"
#include "jinja/text.h"
#include "jinja/value.h"

namespace exa::jinja {

bool truth(const Value& value) {
  if (const bool* b = value.boolean()) return *b;
  if (const Int* i = value.integer()) return *i != 0;
  if (const double* d = value.real()) return *d != 0;
  if (const Text* text = value.text()) return !text->bytes().empty();
  if (const Seq* seq = value.seq()) return seq->kind() == SeqKind::kIterator || seq->size() != 0;
  if (const Dict* dict = value.dict()) return dict->size() != 0;
  return !value.is_none() && !value.is_undefined();
}

std::string type_name(const Value& value) {
  if (value.is_none()) return "NoneType";
  if (value.boolean()) return "bool";
  if (value.integer()) return "int";
  if (value.real()) return "float";
  if (const Text* text = value.text()) return text->markup() ? "Markup" : "str";
  if (value.dict()) return "dict";
  if (value.is_undefined()) return "Undefined";
  if (value.name_space()) return "TemplateNamespace";
  if (value.loop()) return "LoopContext";
  if (value.callable()) return callable_type(*value.callable());
  switch (value.seq()->kind()) {
    case SeqKind::kTuple:
      return "tuple";
    case SeqKind::kRange:
      return "range";
    case SeqKind::kKeys:
      return "dict_keys";
    case SeqKind::kValues:
      return "dict_values";
    case SeqKind::kItems:
      return "dict_items";
    case SeqKind::kIterator:
      return "generator";
    default:
      return "list";
  }
}

std::string object_name(const Value& value) {
  if (value.is_none()) return "None";
  if (value.name_space()) return "transformers.utils.chat_template_utils.TemplateNamespace object";
  if (value.loop()) return "jinja2.runtime.LoopContext object";
  if (const Text* text = value.text(); text && text->markup()) return "markupsafe.Markup object";
  if (value.callable() && type_name(value) == "Macro") return "jinja2.runtime.Macro object";
  return type_name(value) + " object";
}

std::string int_string(Int value) {
  if (value == 0) return "0";
  std::string digits;
  const bool negative = value < 0;
  while (value != 0) {
    const int digit = static_cast<int>(value % 10);
    digits += static_cast<char>('0' + (digit < 0 ? -digit : digit));
    value /= 10;
  }
  if (negative) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string float_string(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto shortest = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<std::size_t>(shortest.ptr - buffer));
  std::string out;
  if (text.front() == '-') {
    out += '-';
    text.remove_prefix(1);
  }
  const std::size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  std::string_view exponent_text = text.substr(e + 1);
  if (exponent_text.front() == '+') exponent_text.remove_prefix(1);
  int exponent = 0;
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out += "." + digits.substr(1);
    const int size = exponent < 0 ? -exponent : exponent;
    return out + "e" + (exponent < 0 ? "-" : "+") + (size < 10 ? "0" : "") + std::to_string(size);
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() < whole) digits.resize(whole, '0');
  out += digits.substr(0, whole) + ".";
  return out + (digits.size() > whole ? digits.substr(whole) : "0");
}

std::string repr_string(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out(1, quote);
  const auto hex = [&out](char32_t value, int digits) {
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kHex[(value >> shift) & 15];
  };
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    const char32_t c = point.value;
    if (c == '\\' || c == static_cast<char32_t>(quote)) {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out.append(text.substr(at, point.size));
    } else if (c < 0x100) {
      out += "\\x";
      hex(c, 2);
    } else if (c < 0x10000) {
      out += "\\u";
      hex(c, 4);
    } else {
      out += "\\U";
      hex(c, 8);
    }
    at += point.size;
  }
  return out + quote;
}

namespace {

constexpr TextOrigin kPrinted = TextOrigin::kData;

void append_entries(TextBuilder& out, const std::vector<Dict::Entry>& entries, std::size_t nesting) {
  out.append("{", kPrinted);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i) out.append(", ", kPrinted);
    append_repr(out, entries[i].first, nesting + 1);
    out.append(": ", kPrinted);
    append_repr(out, entries[i].second, nesting + 1);
  }
  out.append("}", kPrinted);
}

void append_items(TextBuilder& out, const Seq& seq, std::string_view open, std::string_view close,
                  std::size_t nesting) {
  out.append(open, kPrinted);
  for (std::size_t i = 0; i < seq.size(); ++i) {
    if (i) out.append(", ", kPrinted);
    append_repr(out, seq.items()[i], nesting + 1);
  }
  out.append(close, kPrinted);
}

void append_seq(TextBuilder& out, const Seq& seq, std::size_t nesting) {
  switch (seq.kind()) {
    case SeqKind::kList:
      return append_items(out, seq, "[", "]", nesting);
    case SeqKind::kTuple:
      return append_items(out, seq, "(", seq.size() == 1 ? ",)" : ")", nesting);
    case SeqKind::kKeys:
      return append_items(out, seq, "dict_keys([", "])", nesting);
    case SeqKind::kValues:
      return append_items(out, seq, "dict_values([", "])", nesting);
    case SeqKind::kItems:
      return append_items(out, seq, "dict_items([", "])", nesting);
    case SeqKind::kIterator:
      return out.append("<generator object>", kPrinted);
    case SeqKind::kRange: {
      const auto& range = static_cast<const Range&>(seq);
      std::string text = "range(" + int_string(range.start) + ", " + int_string(range.stop);
      if (range.step != 1) text += ", " + int_string(range.step);
      return out.append(text + ")", kPrinted);
    }
  }
}

}  // namespace

void append_repr(TextBuilder& out, const Value& value, std::size_t nesting) {
  if (nesting > 2 * kMaxNesting) fail_limit("values nested too deeply to print");
  if (const Text* text = value.text()) {
    const std::string quoted = repr_string(text->bytes());
    return out.append(text->markup() ? "Markup(" + quoted + ")" : quoted, text->origin());
  }
  if (const Seq* seq = value.seq()) return append_seq(out, *seq, nesting);
  if (const Dict* dict = value.dict()) return append_entries(out, dict->entries(), nesting);
  if (value.is_none()) return out.append("None", kPrinted);
  if (const bool* b = value.boolean()) return out.append(*b ? "True" : "False", kPrinted);
  if (const Int* i = value.integer()) return out.append(int_string(*i), kPrinted);
  if (const double* d = value.real()) return out.append(float_string(*d), kPrinted);
  if (value.is_undefined()) return out.append("Undefined", kPrinted);
  if (const Namespace* names = value.name_space()) {
    out.append("<Namespace {", kPrinted);
    bool first = true;
    for (const auto& [name, attribute] : names->attributes()) {
      out.append((first ? "" : ", ") + repr_string(name) + ": ", kPrinted);
      append_repr(out, attribute, nesting + 1);
      first = false;
    }
    return out.append("}>", kPrinted);
  }
  if (value.loop()) return out.append(loop_repr(*value.loop()), kPrinted);
  out.append(callable_repr(*value.callable()), kPrinted);
}

namespace {

bool equal_items(const std::vector<Value>& a, const std::vector<Value>& b, Budget& budget) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!equal(a[i], b[i], budget)) return false;
  }
  return true;
}

}  // namespace

bool equal(const Value& a, const Value& b, Budget& budget) {
  budget.burn(1);
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
    return a.as_double() == b.as_double();
  }
  if (a.text() && b.text()) {
    const std::string& x = a.text()->bytes();
    const std::string& y = b.text()->bytes();
    if (x.size() != y.size()) return false;
    budget.burn_read(x.size());
    return x == y;
  }
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.same_object(b)) return true;
  if (const Seq* x = a.seq(), *y = b.seq(); x && y) {
    if (x->kind() != y->kind() || x->kind() == SeqKind::kIterator || x->kind() == SeqKind::kValues)
      return false;
    return equal_items(x->items(), y->items(), budget);
  }
  if (const Dict* x = a.dict(), *y = b.dict(); x && y) {
    if (x->size() != y->size()) return false;
    for (const auto& [key, value] : x->entries()) {
      budget.burn(1 + y->size() / 8);
      const Value* other = y->find(key);
      if (!other || !equal(value, *other, budget)) return false;
    }
    return true;
  }
  return false;
}

bool less(const Value& a, const Value& b, std::string_view operation, bool swapped, Budget& budget) {
  budget.burn(1);
  const Value& left = swapped ? b : a;
  const Value& right = swapped ? a : b;
  if (left.is_undefined()) fail(left.undefined()->message());
  if (right.is_undefined()) fail(right.undefined()->message());
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() < b.as_int();
    return a.as_double() < b.as_double();
  }
  if (a.text() && b.text()) {
    budget.burn_read(std::min(a.text()->bytes().size(), b.text()->bytes().size()));
    return a.text()->bytes() < b.text()->bytes();  // byte order of UTF-8 is code point order
  }
  const Seq* x = a.seq();
  const Seq* y = b.seq();
  if (x && y && x->kind() == y->kind() && (x->kind() == SeqKind::kList || x->kind() == SeqKind::kTuple)) {
    for (std::size_t i = 0; i < std::min(x->size(), y->size()); ++i) {
      if (!equal(x->items()[i], y->items()[i], budget)) {
        return less(x->items()[i], y->items()[i], operation, swapped, budget);
      }
    }
    return x->size() < y->size();
  }
  fail("'" + std::string(operation) + "' not supported between instances of '" + type_name(left) + "' and '" +
       type_name(right) + "'");
}

Items iterate(const Value& value, Budget& budget) {
  if (value.seq()) {
    budget.burn(1 + value.seq()->size() / 8);
    return Items(value.seq_ptr());
  }
  const Text* text = value.text();
  const Dict* dict = value.dict();
  if (!text && !dict && !value.is_undefined()) {
    if (value.loop()) throw Error(ErrorKind::kUnsupported, "iterating over loop in a template");
    fail("'" + type_name(value) + "' object is not iterable");
  }
  const std::size_t size = text ? text->length() : dict ? dict->size() : 0;
  budget.burn(1 + size / (text ? 1 : 4));
  Holding holding(budget, size * sizeof(Value));
  std::vector<Value> items;
  items.reserve(size);
  if (dict) {
    for (const auto& entry : dict->entries()) items.push_back(entry.first);
  } else if (text) {
    for (std::size_t at = 0; at < text->bytes().size();) {
      const std::size_t next = next_code_point(text->bytes(), at);
      TextBuilder character(&budget);  // plain text, also from Markup
      character.append(*text, at, next);
      items.push_back(Value(character.finish()));
      at = next;
    }
  }
  return Items(std::move(items), std::move(holding));
}

std::size_t length(const Value& value) {
  if (const Text* text = value.text()) return text->length();
  if (const Seq* seq = value.seq(); seq && seq->kind() != SeqKind::kIterator) return seq->size();
  if (const Dict* dict = value.dict()) return dict->size();
  if (value.is_undefined()) return 0;
  if (value.loop()) return loop_length(*value.loop());
  fail("object of type '" + type_name(value) + "' has no len()");
}

}  // namespace exa::jinja
