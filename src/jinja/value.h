// The values a template computes with: Python's, as far as a chat template can see them, every string with
// provenance.
//
// Ownership and threads: values are shared by reference count and immutable, namespaces, loops and cyclers
// excepted. Literals of the tree are shared between threads; everything else belongs to one render and its
// Budget, which must outlive it. Containers know their nesting, so nothing here recurses deeper than
// kMaxNesting. Source: Python's data model and Jinja2 3.1's Undefined, observed; limits from reliability G36.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "text/tokenizer.h"

namespace exa::jinja {

__extension__ typedef __int128 Int;

// Containers inside containers, and namespaces printed inside each other.
inline constexpr std::size_t kMaxNesting = 256;

// What one render may still spend. Errors: kBadInput "template_limit: …".
struct Budget {
  std::size_t fuel = 0;        // steps left: one a node, one for 16 bytes written or 64 bytes read
  std::size_t live_bytes = 0;  // held by values of this render
  std::size_t live_limit = 0;
  std::size_t text_limit = 0;  // bytes of one string, the output included

  void burn(std::size_t steps);
  void burn_written(std::size_t bytes) { burn(1 + bytes / 16); }
  void burn_read(std::size_t bytes) { burn(1 + bytes / 64); }
  void hold(std::size_t bytes);
  void release(std::size_t bytes) noexcept { live_bytes -= bytes; }
  // Into how many pieces a string can still be cut.
  std::size_t most_parts() const { return std::min(fuel, (live_limit - live_bytes) / 48); }
};

// Bytes of a working copy, counted while it lives.
class Holding {
 public:
  Holding() = default;
  Holding(Budget& budget, std::size_t bytes) : budget_(&budget), bytes_(bytes) { budget.hold(bytes); }
  Holding(Holding&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
  Holding& operator=(Holding&&) = delete;
  ~Holding() {
    if (budget_) budget_->release(bytes_);
  }

 private:
  Budget* budget_ = nullptr;
  std::size_t bytes_ = 0;
};

[[noreturn]] void fail(std::string message);        // kBadInput, Jinja2's or Python's wording
[[noreturn]] void fail_limit(std::string message);  // kBadInput "template_limit: …"

class Object {
 public:
  Object(Budget* budget, std::size_t bytes, std::size_t nesting = 0);
  virtual ~Object();
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  std::size_t nesting() const { return nesting_; }

 private:
  Budget* budget_;
  std::size_t held_;
  std::size_t nesting_;
};

struct OriginRun {
  std::size_t begin;  // byte offset; the run ends where the next begins
  TextOrigin origin;
};

// A string: UTF-8 bytes, code points counted, stretches marked by origin.
class Text : public Object {
 public:
  // runs: sorted, first at 0, neighbours differ; empty only for the empty string.
  Text(Budget* budget, std::string bytes, std::vector<OriginRun> runs, bool markup = false);

  const std::string& bytes() const { return bytes_; }
  std::size_t length() const { return length_; }  // code points
  bool ascii() const { return length_ == bytes_.size(); }
  bool markup() const { return markup_; }  // came from |safe or |escape: `+` escapes the other side
  const std::vector<OriginRun>& runs() const { return runs_; }
  // kTemplate only if every byte is.
  TextOrigin origin() const;
  // Byte offset of a code point index (0 … length).
  std::size_t byte_offset(std::size_t index) const;

 private:
  std::string bytes_;
  std::vector<OriginRun> runs_;
  std::size_t length_;
  bool markup_;
};
using TextPtr = std::shared_ptr<const Text>;

class Value;

// Puts a string together, keeping the origin of each piece. Counts what it holds against the budget.
class TextBuilder {
 public:
  explicit TextBuilder(Budget* budget) : budget_(budget) {}
  ~TextBuilder();
  TextBuilder(const TextBuilder&) = delete;
  TextBuilder& operator=(const TextBuilder&) = delete;

  void append(std::string_view bytes, TextOrigin origin);
  void append(const Text& text) { append(text, 0, text.bytes().size()); }
  // Bytes [begin, end) of text.
  void append(const Text& text, std::size_t begin, std::size_t end);
  // str(value)
  void append(const Value& value);
  std::size_t size() const { return bytes_.size(); }
  TextPtr finish(bool markup = false);
  // The bytes and runs themselves.
  std::string take_bytes() { return std::move(bytes_); }
  std::vector<OriginRun> take_runs() { return std::move(runs_); }

 private:
  Budget* budget_;
  std::string bytes_;
  std::vector<OriginRun> runs_;
  std::size_t held_ = 0;
};

enum class SeqKind : std::uint8_t {
  kList,
  kTuple,
  kRange,
  kKeys,
  kValues,
  kItems,
  kIterator,  // a generator: no length, no index, empty the second time
};

class Seq;
class Dict;
class Undefined;
class Namespace;
class Callable;
class Loop;
using SeqPtr = std::shared_ptr<const Seq>;
using DictPtr = std::shared_ptr<const Dict>;
using UndefinedPtr = std::shared_ptr<const Undefined>;
using NamespacePtr = std::shared_ptr<Namespace>;
using CallablePtr = std::shared_ptr<const Callable>;
using LoopPtr = std::shared_ptr<Loop>;

class Value {
 public:
  Value() = default;                   // none
  Value(bool value) : data_(value) {}  // NOLINT: literals read like the language they model
  Value(Int value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(TextPtr value) : data_(std::move(value)) {}
  Value(SeqPtr value) : data_(std::move(value)) {}
  Value(DictPtr value) : data_(std::move(value)) {}
  Value(UndefinedPtr value) : data_(std::move(value)) {}
  Value(NamespacePtr value) : data_(std::move(value)) {}
  Value(CallablePtr value) : data_(std::move(value)) {}
  Value(LoopPtr value) : data_(std::move(value)) {}
  template <typename T>
  Value(const T*) = delete;
  static Value of_size(std::size_t n) { return Value(static_cast<Int>(n)); }

  bool is_none() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_undefined() const { return undefined() != nullptr; }
  bool is_string() const { return text() != nullptr; }
  const bool* boolean() const { return std::get_if<bool>(&data_); }
  const Int* integer() const { return std::get_if<Int>(&data_); }
  const double* real() const { return std::get_if<double>(&data_); }
  const Text* text() const { return get<TextPtr>(); }
  const Seq* seq() const { return get<SeqPtr>(); }
  const Dict* dict() const { return get<DictPtr>(); }
  const Undefined* undefined() const { return get<UndefinedPtr>(); }
  Namespace* name_space() const { return get<NamespacePtr>(); }
  const Callable* callable() const { return get<CallablePtr>(); }
  Loop* loop() const { return get<LoopPtr>(); }
  TextPtr text_ptr() const { return std::get<TextPtr>(data_); }  // only where is_string()
  SeqPtr seq_ptr() const { return std::get<SeqPtr>(data_); }
  LoopPtr loop_ptr() const { return std::get<LoopPtr>(data_); }

  // int or bool as a number, as Python's isinstance(x, int) sees it.
  bool is_integral() const { return integer() || boolean(); }
  Int as_int() const { return integer() ? *integer() : Int(boolean() && *boolean()); }
  bool is_number() const { return is_integral() || real(); }
  double as_double() const { return real() ? *real() : static_cast<double>(as_int()); }
  // The same object in memory (Python's `is`), for objects; for scalars the same type and value.
  bool same_object(const Value& other) const { return data_ == other.data_; }
  std::size_t nesting() const;

 private:
  template <typename P>
  auto get() const -> decltype(std::declval<P>().get()) {
    const P* pointer = std::get_if<P>(&data_);
    return pointer ? pointer->get() : nullptr;
  }
  std::variant<std::monostate, bool, Int, double, TextPtr, SeqPtr, DictPtr, UndefinedPtr, NamespacePtr,
               CallablePtr, LoopPtr>
      data_;
};

class Seq : public Object {
 public:
  Seq(Budget* budget, SeqKind kind, std::vector<Value> items);
  SeqKind kind() const { return kind_; }
  std::size_t size() const { return items_.size(); }
  const std::vector<Value>& items() const { return items_; }
  // What a for loop gets: an iterator gives its items once.
  const std::vector<Value>& iterate() const;

 private:
  SeqKind kind_;
  std::vector<Value> items_;
  mutable bool spent_ = false;
};

class Range : public Seq {
 public:
  Range(Budget* budget, Int from, Int to, Int by, std::vector<Value> items)
      : Seq(budget, SeqKind::kRange, std::move(items)), start(from), stop(to), step(by) {}
  const Int start, stop, step;
};

class Dict : public Object {
 public:
  using Entry = std::pair<Value, Value>;
  // Later entries of the same key replace the value and keep the place. Errors: unhashable key.
  Dict(Budget* budget, std::vector<Entry> entries);
  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }
  // nullptr where absent. Errors: kBadInput "unhashable type: …".
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;

 private:
  const Value* find_hashed(const std::string& hashed) const;
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::size_t> index_;
};

// What a missing name or attribute evaluates to; most uses of it fail with message().
class Undefined : public Object {
 public:
  Undefined(Budget* budget, std::string hint) : Object(budget, sizeof(Undefined)), hint_(std::move(hint)) {}
  // object: "dict object"; empty for a plain name. name: already repr'd, with string_name true if it was a
  // string.
  Undefined(Budget* budget, std::string object, std::string name, bool string_name)
      : Object(budget, sizeof(Undefined)),
        object_(std::move(object)),
        name_(std::move(name)),
        string_name_(string_name) {}
  std::string message() const;

 private:
  std::string hint_, object_, name_;
  bool string_name_ = true;
};

class Namespace : public Object {
 public:
  explicit Namespace(Budget* budget) : Object(budget, 256), budget_(budget) {}
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
  const std::vector<std::pair<std::string, Value>>& attributes() const { return attributes_; }
  void clear() { attributes_.clear(); }

 private:
  Budget* budget_;
  std::vector<std::pair<std::string, Value>> attributes_;
};

bool truth(const Value& value);
std::string type_name(const Value& value);    // "str", "NoneType", "dict"
std::string object_name(const Value& value);  // in "'dict object' has no attribute": "dict object", "None"
void append_repr(TextBuilder& out, const Value& value, std::size_t nesting = 0);
std::string repr_string(std::string_view text);  // quotes and escapes as Python
std::string int_string(Int value);
std::string float_string(double value);  // Python's repr of a float
bool equal(const Value& a, const Value& b, Budget& budget);
// a < b for sorting and comparing. The error of types that do not compare names operation; with swapped, the
// source said b OPERATION a.
bool less(const Value& a, const Value& b, std::string_view operation, bool swapped, Budget& budget);

// Items as a for loop sees them: those of a sequence where they are, or a working copy.
class Items {
 public:
  explicit Items(SeqPtr seq) : seq_(std::move(seq)), items_(&seq_->iterate()) {}
  Items(std::vector<Value> made, Holding holding)
      : made_(std::make_unique<std::vector<Value>>(std::move(made))),
        holding_(std::move(holding)),
        items_(made_.get()) {}
  const std::vector<Value>& list() const { return *items_; }
  std::size_t size() const { return items_->size(); }
  bool empty() const { return items_->empty(); }
  const Value& operator[](std::size_t i) const { return (*items_)[i]; }
  auto begin() const { return items_->begin(); }
  auto end() const { return items_->end(); }

 private:
  SeqPtr seq_;
  std::unique_ptr<std::vector<Value>> made_;
  Holding holding_;
  const std::vector<Value>* items_;
};
// Errors: kBadInput "'int' object is not iterable".
Items iterate(const Value& value, Budget& budget);
std::size_t length(const Value& value);  // Errors: kBadInput "object of type 'int' has no len()"

TextPtr make_text(Budget* budget, std::string bytes, TextOrigin origin, bool markup = false);
// Bytes [begin, end) of text, origin and markup kept.
TextPtr sub_text(Budget* budget, const Text& text, std::size_t begin, std::size_t end);
SeqPtr make_seq(Budget& budget, std::vector<Value> items, SeqKind kind = SeqKind::kList);
DictPtr make_dict(Budget& budget, std::vector<Dict::Entry> entries);
// Strings become origin; nesting beyond kMaxNesting is a template_limit.
Value from_json(Budget& budget, const nlohmann::ordered_json& json, TextOrigin origin,
                std::size_t nesting = 0);

}  // namespace exa::jinja
