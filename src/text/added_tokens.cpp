#include "text/added_tokens.h"

#include <algorithm>

namespace exa {

std::uint32_t AddedTokens::child(std::uint32_t node, unsigned char byte) const {
  std::uint32_t found = nodes_[node].first_child;
  while (found != kNone && nodes_[found].byte != byte) found = nodes_[found].next_sibling;
  return found;
}

bool AddedTokens::add(std::string_view text, TokenId id, bool everywhere) {
  std::uint32_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    std::uint32_t next = child(node, byte);
    if (next == kNone) {
      next = static_cast<std::uint32_t>(nodes_.size());
      Node fresh;
      fresh.byte = byte;
      fresh.next_sibling = nodes_[node].first_child;
      nodes_.push_back(fresh);
      nodes_[node].first_child = next;
    }
    node = next;
  }
  if (nodes_[node].id >= 0) return false;
  nodes_[node].id = id;
  nodes_[node].everywhere = everywhere;
  const auto first = static_cast<unsigned char>(text[0]);
  starts_[first] = true;
  if (text.size() == 1) {
    single_[first] = true;
  } else {
    pairs_[std::size_t{first} << 8 | static_cast<unsigned char>(text[1])] = true;
  }
  return true;
}

std::optional<TokenId> AddedTokens::find_whole(std::string_view text) const {
  std::uint32_t node = 0;
  for (const char c : text) {
    node = child(node, static_cast<unsigned char>(c));
    if (node == kNone) return std::nullopt;
  }
  if (nodes_[node].id < 0) return std::nullopt;
  return nodes_[node].id;
}

bool AddedTokens::find(std::string_view text, std::size_t from, Admission& admission, Match& match) const {
  for (std::size_t i = from; i < text.size(); ++i) {
    const auto first = static_cast<unsigned char>(text[i]);
    if (!starts_[first]) continue;
    if (!single_[first]) {
      if (i + 1 == text.size()) continue;
      if (!pairs_[std::size_t{first} << 8 | static_cast<unsigned char>(text[i + 1])]) continue;
    }
    const std::size_t admitted_end = admission.end_of(i);
    match.id = -1;
    std::uint32_t node = 0;
    for (std::size_t end = i; end < text.size();) {
      node = child(node, static_cast<unsigned char>(text[end]));
      if (node == kNone) break;
      ++end;
      if (nodes_[node].id >= 0 && (nodes_[node].everywhere || end <= admitted_end)) {
        match = {i, end, nodes_[node].id};
      }
    }
    if (match.id >= 0) return true;
  }
  return false;
}

}  // namespace exa
