#include "json/read.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>
#include <vector>

#include "base/printable.h"
#include "json/walk.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

// Containers are built when they end, from what they hold: nlohmann's own builder would look for each new key
// among all before it.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(const std::string& where, const JsonLimits& limits, bool strict)
      : where_(where), limits_(limits), strict_(strict) {}

  bool is_json() const { return is_json_; }
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool key(string_t& name) override {
    std::vector<std::string>& keys = open_.back().keys;
    if (keys.size() == limits_.keys) refuse("object has more than " + std::to_string(limits_.keys) + " keys");
    keys.push_back(std::move(name));
    return true;
  }
  bool end_array() override { return close(Json(std::move(open_.back().values))); }
  bool end_object() override {
    Open& object = open_.back();
    std::vector<std::size_t> order(object.keys.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return object.keys[a] < object.keys[b]; });
    std::vector<bool> dropped(order.size(), false);
    for (std::size_t i = 1; i < order.size(); ++i) {
      if (object.keys[order[i - 1]] != object.keys[order[i]]) continue;
      if (strict_) {
        throw Error(
            ErrorKind::kBadInput,
            "key \"" + printable(object.keys[order[i]]) + "\" occurs twice in an object, expected once",
            where_);
      }
      // The first one's place, the last one's value.
      object.values[order[i - 1]].swap(object.values[order[i]]);
      dropped[order[i]] = true;
      order[i] = order[i - 1];
    }
    Json::object_t entries;
    entries.reserve(object.keys.size());
    for (std::size_t i = 0; i < object.keys.size(); ++i) {
      if (!dropped[i]) entries.emplace_back(std::move(object.keys[i]), std::move(object.values[i]));
    }
    return close(Json(std::move(entries)));
  }

  bool parse_error(std::size_t position, const std::string& last_token, const Json::exception&) override {
    is_json_ = false;
    if (!strict_) return false;
    throw Error(ErrorKind::kBadInput,
                "invalid JSON at \"" + printable(last_token) + "\", expected a JSON document",
                where_ + (where_.empty() ? "" : ", ") + "JSON byte " + std::to_string(position));
  }

 private:
  struct Open {
    std::vector<std::string> keys;  // of an object
    std::vector<Json> values;
  };

  [[noreturn]] void refuse(const std::string& limit) const {
    throw Error(limits_.beyond, "JSON " + limit + ", expected at most that", where_);
  }
  void count() {
    if (++n_values_ > limits_.values) refuse("has more than " + std::to_string(limits_.values) + " values");
  }
  bool open() {
    count();
    if (open_.size() == limits_.depth) {
      refuse("is nested deeper than " + std::to_string(limits_.depth) + " levels");
    }
    open_.emplace_back();
    return true;
  }
  bool close(Json value) {
    open_.pop_back();
    return place(std::move(value));
  }
  bool add(Json value) {
    count();
    return place(std::move(value));
  }
  bool place(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else {
      open_.back().values.push_back(std::move(value));
    }
    return true;
  }

  const std::string& where_;
  const JsonLimits& limits_;
  bool strict_;
  bool is_json_ = true;
  std::size_t n_values_ = 0;
  std::vector<Open> open_;
  Json root_;
};

std::optional<Json> build(std::string_view text, const std::string& where, const JsonLimits& limits,
                          bool strict) {
  if (text.size() > limits.bytes) {
    throw Error(limits.beyond,
                "JSON has " + std::to_string(text.size()) + " bytes, expected at most " +
                    std::to_string(limits.bytes),
                where);
  }
  Builder builder(where, limits, strict);
  const bool whole = Json::sax_parse(text.begin(), text.end(), &builder);
  if (!whole || !builder.is_json()) return std::nullopt;
  return builder.take();
}

}  // namespace

Json read_json(std::string_view text, const std::string& where, const JsonLimits& limits) {
  check_json_tokens(text, limits.bytes, where);
  return *build(text, where, limits, true);
}

std::optional<Json> read_json_if_any(std::string_view text, const std::string& where,
                                     const JsonLimits& limits) {
  return build(text, where, limits, false);
}

}  // namespace exa
