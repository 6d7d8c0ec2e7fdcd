#include <algorithm>
#include <cmath>

#include "jinja/builtins.h"
#include "jinja/text.h"

namespace exa::jinja {

namespace {

class JsonWriter {
 public:
  JsonWriter(Engine& engine, const JsonStyle& style) : budget_(engine.budget), style_(style) {}
  ~JsonWriter() { budget_.release(held_); }
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  void write(const Value& value, std::size_t level) {
    budget_.burn(1);
    if (const Text* text = value.text()) return write_string(text->bytes());
    if (value.is_none()) return put("null");
    if (const bool* b = value.boolean()) return put(*b ? "true" : "false");
    if (const Int* i = value.integer()) return put(int_string(*i));
    if (const double* d = value.real()) return put(number(*d));
    const Seq* seq = value.seq();
    if (seq && (seq->kind() == SeqKind::kList || seq->kind() == SeqKind::kTuple))
      return write_list(*seq, level);
    if (const Dict* dict = value.dict()) return write_dict(*dict, level);
    fail("Object of type " + type_name(value) + " is not JSON serializable");
  }

  std::string take() { return std::move(out_); }

 private:
  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_string(value);
  }

  void put(std::string_view bytes) {
    budget_.burn(bytes.size() / 16);
    if (out_.size() + bytes.size() > budget_.text_limit) {
      fail_limit("text longer than " + std::to_string(budget_.text_limit) + " bytes");
    }
    if (out_.size() + bytes.size() > out_.capacity()) {
      const std::size_t wanted = std::max(out_.size() + bytes.size(), out_.capacity() + out_.capacity() / 2);
      budget_.hold(wanted);
      out_.reserve(wanted);
      budget_.release(held_);
      held_ = wanted;
    }
    out_ += bytes;
  }

  void newline(std::size_t level) {
    if (!style_.indent) return;
    put("\n");
    for (std::size_t i = 0; i < level; ++i) put(*style_.indent);
  }

  void write_list(const Seq& seq, std::size_t level) {
    if (seq.size() == 0) return put("[]");
    put("[");
    for (std::size_t i = 0; i < seq.size(); ++i) {
      if (i) put(style_.item_separator);
      newline(level + 1);
      write(seq.items()[i], level + 1);
    }
    newline(level);
    put("]");
  }

  void write_dict(const Dict& dict, std::size_t level) {
    if (dict.size() == 0) return put("{}");
    std::vector<const Dict::Entry*> entries;
    entries.reserve(dict.size());
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [this](const Dict::Entry* a, const Dict::Entry* b) {
        return less(a->first, b->first, "<", false, budget_);
      });
    }
    put("{");
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i) put(style_.item_separator);
      newline(level + 1);
      write_key(entries[i]->first);
      put(style_.key_separator);
      write(entries[i]->second, level + 1);
    }
    newline(level);
    put("}");
  }

  void write_key(const Value& key) {
    if (const Text* text = key.text()) return write_string(text->bytes());
    if (key.is_none()) return put("\"null\"");
    if (const bool* b = key.boolean()) return put(*b ? "\"true\"" : "\"false\"");
    if (const Int* i = key.integer()) return put("\"" + int_string(*i) + "\"");
    if (const double* d = key.real()) return put("\"" + number(*d) + "\"");
    fail("keys must be str, int, float, bool or None, not " + type_name(key));
  }

  void unicode_escape(char32_t c) {
    static constexpr char kHex[] = "0123456789abcdef";
    if (c >= 0x10000) {
      unicode_escape(0xD800 + ((c - 0x10000) >> 10));
      unicode_escape(0xDC00 + ((c - 0x10000) & 0x3FF));
      return;
    }
    const char escaped[] = {'\\',        'u', kHex[(c >> 12) & 15], kHex[(c >> 8) & 15], kHex[(c >> 4) & 15],
                            kHex[c & 15]};
    put({escaped, sizeof escaped});
  }

  void write_string(std::string_view text) {
    put("\"");
    std::size_t plain = 0;  // start of what is copied as it is
    for (std::size_t at = 0; at < text.size();) {
      const CodePoint point = code_point_at(text, at);
      const char32_t c = point.value;
      const bool escape = c < 0x20 || c == '"' || c == '\\' || (style_.ascii && c > 0x7E);
      if (escape) {
        put(text.substr(plain, at - plain));
        plain = at + point.size;
        static constexpr std::string_view kShort = "\"\\\n\r\t\b\f";
        static constexpr std::string_view kNames = "\"\\nrtbf";
        const std::size_t known = c < 0x80 ? kShort.find(static_cast<char>(c)) : std::string_view::npos;
        if (known != std::string_view::npos) {
          const char escaped[] = {'\\', kNames[known]};
          put({escaped, 2});
        } else {
          unicode_escape(c);
        }
      }
      at += point.size;
    }
    put(text.substr(plain));
    put("\"");
  }

  Budget& budget_;
  const JsonStyle& style_;
  std::string out_;
  std::size_t held_ = 0;
};

}  // namespace

std::string to_json(Engine& engine, const Value& value, const JsonStyle& style) {
  JsonWriter writer(engine, style);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace exa::jinja
