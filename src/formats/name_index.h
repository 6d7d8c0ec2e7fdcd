// Names looked up by binary search: no hashing, so no file can be crafted to make it slow.
//
// Ownership and threads: borrows the names' bytes, which must outlive it; immutable after construction.
// Source: rule G5 of the reliability specification (time in proportion to the input).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace exa {

class NameIndex {
 public:
  NameIndex() = default;

  // name_of(item) is the item's name, alive as long as the index.
  template <typename Items, typename NameOf>
  NameIndex(const Items& items, NameOf name_of) {
    entries_.reserve(items.size());
    for (const auto& item : items) entries_.push_back({name_of(item), entries_.size()});
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
  }

  // Position of the item with this name; nothing where there is none.
  std::optional<std::size_t> find(std::string_view name) const {
    const auto it = std::lower_bound(entries_.begin(), entries_.end(), name,
                                     [](const Entry& a, std::string_view b) { return a.name < b; });
    if (it == entries_.end() || it->name != name) return std::nullopt;
    return it->position;
  }

  // A name that occurs more than once; nothing where all differ.
  std::optional<std::string_view> duplicate() const {
    const auto it = std::adjacent_find(entries_.begin(), entries_.end(),
                                       [](const Entry& a, const Entry& b) { return a.name == b.name; });
    if (it == entries_.end()) return std::nullopt;
    return it->name;
  }

 private:
  struct Entry {
    std::string_view name;
    std::size_t position;
  };
  std::vector<Entry> entries_;
};

}  // namespace exa
