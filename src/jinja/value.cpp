#include "jinja/value.h"

#include <algorithm>

#include "base/error.h"
#include "jinja/call.h"
#include "jinja/text.h"

namespace exa::jinja {

void Budget::burn(std::size_t steps) {
  if (steps > fuel) {
    fuel = 0;
    fail_limit("the template needs more steps than allowed");
  }
  fuel -= steps;
}

void Budget::hold(std::size_t bytes) {
  if (bytes > live_limit || live_bytes > live_limit - bytes) {
    fail_limit("the values of the template need more than " + std::to_string(live_limit) + " bytes");
  }
  live_bytes += bytes;
}

void fail(std::string message) {
  throw Error(ErrorKind::kBadInput, std::move(message));
}
void fail_limit(std::string message) {
  throw Error(ErrorKind::kBadInput, "template_limit: " + std::move(message));
}

Object::Object(Budget* budget, std::size_t bytes, std::size_t nesting)
    : budget_(budget), held_(bytes), nesting_(nesting) {
  if (nesting_ > kMaxNesting) fail_limit("values nested deeper than " + std::to_string(kMaxNesting));
  if (budget_) budget_->hold(held_);
}

Object::~Object() {
  if (budget_) budget_->release(held_);
}

Text::Text(Budget* budget, std::string bytes, std::vector<OriginRun> runs, bool markup)
    : Object(budget, sizeof(Text) + bytes.capacity() + runs.capacity() * sizeof(OriginRun)),
      bytes_(std::move(bytes)),
      runs_(std::move(runs)),
      length_(count_code_points(bytes_)),
      markup_(markup) {}

TextOrigin Text::origin() const {
  if (runs_.size() == 1) return runs_[0].origin;
  return runs_.empty() ? TextOrigin::kTemplate : TextOrigin::kData;
}

std::size_t Text::byte_offset(std::size_t index) const {
  if (ascii() || index == 0) return index;
  if (index >= length_) return bytes_.size();
  std::size_t at = 0;
  for (; index > 0; --index) at = next_code_point(bytes_, at);
  return at;
}

TextBuilder::~TextBuilder() {
  if (budget_) budget_->release(held_);
}

void TextBuilder::append(std::string_view bytes, TextOrigin origin) {
  if (bytes.empty()) return;
  if (budget_) {
    budget_->burn_written(bytes.size());
    const std::size_t size = bytes_.size() + bytes.size();
    if (size > budget_->text_limit) {
      fail_limit("text longer than " + std::to_string(budget_->text_limit) + " bytes");
    }
    if (size > bytes_.capacity()) {
      const std::size_t wanted =
          std::max(size, std::min(bytes_.capacity() + bytes_.capacity() / 2, budget_->text_limit));
      budget_->hold(wanted);
      bytes_.reserve(wanted);
      budget_->release(held_);
      held_ = wanted;
    }
  }
  if (runs_.empty() || runs_.back().origin != origin) runs_.push_back({bytes_.size(), origin});
  bytes_.append(bytes);
}

void TextBuilder::append(const Text& text, std::size_t begin, std::size_t end) {
  const auto& runs = text.runs();
  const std::string_view bytes = text.bytes();
  auto run = std::upper_bound(runs.begin(), runs.end(), begin,
                              [](std::size_t at, const OriginRun& r) { return at < r.begin; });
  if (run != runs.begin()) --run;
  while (begin < end && run != runs.end()) {
    const auto next = run + 1;
    const std::size_t stop = next == runs.end() ? end : std::min(end, next->begin);
    append(bytes.substr(begin, stop - begin), run->origin);
    begin = stop;
    run = next;
  }
}

void TextBuilder::append(const Value& value) {
  if (const Text* text = value.text()) {
    append(*text);
  } else if (!value.is_undefined()) {
    append_repr(*this, value);
  }
}

TextPtr TextBuilder::finish(bool markup) {
  if (budget_) budget_->release(held_);
  held_ = 0;
  if (bytes_.capacity() > bytes_.size() + bytes_.size() / 4 + 32) bytes_.shrink_to_fit();
  return std::make_shared<const Text>(budget_, std::move(bytes_), std::move(runs_), markup);
}

TextPtr make_text(Budget* budget, std::string bytes, TextOrigin origin, bool markup) {
  if (budget) budget->burn_written(bytes.size());
  if (budget && bytes.size() > budget->text_limit) {
    fail_limit("text longer than " + std::to_string(budget->text_limit) + " bytes");
  }
  std::vector<OriginRun> runs;
  if (!bytes.empty()) runs.push_back({0, origin});
  return std::make_shared<const Text>(budget, std::move(bytes), std::move(runs), markup);
}

TextPtr sub_text(Budget* budget, const Text& text, std::size_t begin, std::size_t end) {
  if (text.runs().size() <= 1) {
    return make_text(budget, text.bytes().substr(begin, end - begin), text.origin(), text.markup());
  }
  TextBuilder out(budget);
  out.append(text, begin, end);
  return out.finish(text.markup());
}

std::size_t Value::nesting() const {
  if (seq()) return seq()->nesting();
  if (dict()) return dict()->nesting();
  if (callable()) return callable()->nesting();
  return loop() ? loop_nesting(*loop()) : 0;
}

namespace {

std::size_t nesting_of(const std::vector<Value>& items) {
  std::size_t deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, item.nesting());
  return deepest + 1;
}

std::size_t nesting_of(const std::vector<Dict::Entry>& entries) {
  std::size_t deepest = 0;
  for (const auto& [key, value] : entries) deepest = std::max({deepest, key.nesting(), value.nesting()});
  return deepest + 1;
}

constexpr std::size_t kIndexedFrom = 8;

// Equal values of Python hash alike: 1, 1.0 and True are one key.
std::string hash_key(const Value& key) {
  if (const Text* text = key.text()) return "s" + text->bytes();
  if (key.is_integral()) return "i" + int_string(key.as_int());
  if (key.real()) {
    const double real = *key.real();
    if (real == static_cast<double>(static_cast<std::int64_t>(std::clamp(real, -9e18, 9e18)))) {
      return "i" + int_string(static_cast<Int>(real));
    }
    return "f" + float_string(real);
  }
  if (key.is_none()) return "n";
  if (key.is_undefined()) return "u";
  if (key.seq() && key.seq()->kind() == SeqKind::kTuple) {
    std::string hashed = "t";
    for (const Value& item : key.seq()->items()) {
      const std::string part = hash_key(item);
      hashed += std::to_string(part.size()) + ":" + part;
    }
    return hashed;
  }
  if (key.seq() || key.dict()) fail("unhashable type: '" + type_name(key) + "'");
  throw Error(ErrorKind::kUnsupported, "a " + type_name(key) + " as a dict key in a template");
}

}  // namespace

Seq::Seq(Budget* budget, SeqKind kind, std::vector<Value> items)
    : Object(budget, sizeof(Seq) + items.capacity() * sizeof(Value), nesting_of(items)),
      kind_(kind),
      items_(std::move(items)) {}

const std::vector<Value>& Seq::iterate() const {
  static const std::vector<Value> kNothing;
  if (kind_ != SeqKind::kIterator) return items_;
  if (spent_) return kNothing;
  spent_ = true;
  return items_;
}

Dict::Dict(Budget* budget, std::vector<Entry> entries)
    : Object(budget, sizeof(Dict) + entries.size() * (sizeof(Entry) + 96), nesting_of(entries)) {
  entries_.reserve(entries.size());
  for (Entry& entry : entries) {
    std::string hashed = hash_key(entry.first);
    const auto [place, fresh] = index_.try_emplace(std::move(hashed), entries_.size());
    if (fresh) {
      entries_.push_back(std::move(entry));
    } else {
      entries_[place->second].second = std::move(entry.second);
    }
  }
  if (entries_.size() < kIndexedFrom) index_.clear();
}

const Value* Dict::find_hashed(const std::string& hashed) const {
  if (!index_.empty()) {
    const auto found = index_.find(hashed);
    return found == index_.end() ? nullptr : &entries_[found->second].second;
  }
  for (const auto& [key, value] : entries_) {
    if (hash_key(key) == hashed) return &value;
  }
  return nullptr;
}

const Value* Dict::find(const Value& key) const {
  if (const Text* text = key.text()) return find(text->bytes());
  return find_hashed(hash_key(key));
}

const Value* Dict::find(std::string_view key) const {
  if (!index_.empty()) return find_hashed("s" + std::string(key));
  for (const auto& [k, value] : entries_) {
    if (k.text() && k.text()->bytes() == key) return &value;
  }
  return nullptr;
}

std::string Undefined::message() const {
  if (!hint_.empty()) return hint_;
  if (object_.empty()) return name_ + " is undefined";
  if (!string_name_) return object_ + " has no element " + name_;
  return repr_string(object_) + " has no attribute " + name_;
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [key, value] : attributes_) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [key, old] : attributes_) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  budget_->burn(1 + attributes_.size() / 8);
  attributes_.emplace_back(name, std::move(value));
}

SeqPtr make_seq(Budget& budget, std::vector<Value> items, SeqKind kind) {
  budget.burn(1 + items.size() / 4);
  return std::make_shared<const Seq>(&budget, kind, std::move(items));
}

DictPtr make_dict(Budget& budget, std::vector<Dict::Entry> entries) {
  budget.burn(1 + entries.size() / 2);
  return std::make_shared<const Dict>(&budget, std::move(entries));
}

Value from_json(Budget& budget, const nlohmann::ordered_json& json, TextOrigin origin, std::size_t nesting) {
  if (nesting > kMaxNesting) fail_limit("variables nested deeper than " + std::to_string(kMaxNesting));
  using Type = nlohmann::ordered_json::value_t;
  switch (json.type()) {
    case Type::boolean:
      return Value(json.get<bool>());
    case Type::number_integer:
      return Value(static_cast<Int>(json.get<std::int64_t>()));
    case Type::number_unsigned:
      return Value(static_cast<Int>(json.get<std::uint64_t>()));
    case Type::number_float:
      return Value(json.get<double>());
    case Type::string: {
      const auto& bytes = json.get_ref<const std::string&>();
      std::vector<OriginRun> runs;
      if (!bytes.empty()) runs.push_back({0, origin});
      return Value(std::make_shared<const Text>(&budget, bytes, std::move(runs)));
    }
    case Type::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(from_json(budget, item, origin, nesting + 1));
      return Value(std::make_shared<const Seq>(&budget, SeqKind::kList, std::move(items)));
    }
    case Type::object: {
      std::vector<Dict::Entry> entries;
      entries.reserve(json.size());
      for (const auto& [key, value] : json.items()) {
        std::vector<OriginRun> runs;
        if (!key.empty()) runs.push_back({0, origin});
        entries.emplace_back(Value(std::make_shared<const Text>(&budget, key, std::move(runs))),
                             from_json(budget, value, origin, nesting + 1));
      }
      return Value(std::make_shared<const Dict>(&budget, std::move(entries)));
    }
    default:
      return Value();
  }
}

}  // namespace exa::jinja
