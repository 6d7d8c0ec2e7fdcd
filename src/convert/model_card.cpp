#include "convert/model_card.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace exa {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_letter(char c) {
  return is_lower(c) || is_upper(c);
}
char lower(char c) {
  return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}
char upper(char c) {
  return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c;
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

// Length of "12", "1.5", "1.2.3" at the front; 0 where there is no number.
std::size_t number_length(std::string_view text, char separator) {
  std::size_t i = 0;
  while (i < text.size() && is_digit(text[i])) ++i;
  if (i == 0) return 0;
  while (i + 1 < text.size() && text[i] == separator && is_digit(text[i + 1])) {
    ++i;
    while (i < text.size() && is_digit(text[i])) ++i;
  }
  return i;
}

// 4.0, v1, iter2
bool is_version(std::string_view part) {
  const std::string text = lowered(part);
  std::string_view rest = text;
  if (rest.starts_with("iter")) {
    rest.remove_prefix(4);
  } else if (rest.starts_with("v")) {
    rest.remove_prefix(1);
  }
  const std::size_t n = number_length(rest, '.');
  return n > 0 && n == rest.size();
}

// Names of storage types: bf16, fp32, q4_k_m
bool is_storage_type(std::string_view part) {
  std::string text = lowered(part);
  if (text == "bf16" || text == "f16" || text == "fp16" || text == "f32" || text == "fp32" ||
      text == "bfp16") {
    return true;
  }
  std::string_view rest = text;
  if (rest.starts_with("i")) rest.remove_prefix(1);
  if (rest.size() < 2 || rest[0] != 'q' || !is_digit(rest[1])) return false;
  for (rest.remove_prefix(2); !rest.empty(); rest.remove_prefix(2)) {
    if (rest.size() < 2 || rest[0] != '_' || !(is_letter(rest[1]) || is_digit(rest[1]))) return false;
  }
  return true;
}

constexpr std::string_view kSizeLetters = " KMBT";

// 1.2B, 236b, 8x7B, A23B
bool is_size(std::string_view part) {
  std::string_view rest = part;
  if (!rest.empty() && (rest[0] == 'A' || rest[0] == 'a')) {
    rest.remove_prefix(1);
  } else {
    std::size_t digits = 0;
    while (digits < rest.size() && is_digit(rest[digits])) ++digits;
    if (digits > 0 && digits < rest.size() && (rest[digits] == 'x' || rest[digits] == 'X')) {
      rest.remove_prefix(digits + 1);
    }
  }
  std::size_t i = 0;
  while (i < rest.size() && is_digit(rest[i])) ++i;
  if (i == 0) return false;
  if (i < rest.size() && (rest[i] == '.' || rest[i] == '_')) {
    const std::size_t point = i++;
    while (i < rest.size() && is_digit(rest[i])) ++i;
    if (i == point + 1) return false;
  }
  return i + 1 == rest.size() && kSizeLetters.substr(1).find(upper(rest[i])) != std::string_view::npos;
}

bool is_any_of(std::string_view part, std::initializer_list<std::string_view> words) {
  const std::string text = lowered(part);
  return std::find(words.begin(), words.end(), text) != words.end();
}

// A size far from the model's own is a context length or the like.
bool is_far_from(std::string_view size, double n_parameters) {
  if (n_parameters <= 0) return false;
  double value = 0;
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size() - 1, value);
  if (error != std::errc() || end != size.data() + size.size() - 1) return false;
  value *= std::pow(1000.0, static_cast<double>(kSizeLetters.find(size.back())));
  return std::abs(value - n_parameters) > 7.0 / 8.0 * n_parameters;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : "-") + word;
  return text;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r'))
    text.remove_suffix(1);
  return text;
}

std::string unquoted(std::string_view text) {
  text = trimmed(text);
  const bool quoted =
      text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front();
  return std::string(quoted ? text.substr(1, text.size() - 2) : text);
}

}  // namespace

ModelId parse_model_id(std::string_view id, double n_parameters) {
  ModelId parsed;
  if (id.find(' ') != std::string_view::npos) {
    parsed.full_name = id;
    return parsed;
  }
  if (const std::size_t slash = id.find('/'); slash != std::string_view::npos) {
    if (!id.starts_with(".")) parsed.organization = id.substr(0, slash);
    id.remove_prefix(slash + 1);
  }
  parsed.full_name = id;

  enum Kind { kWord, kVersion, kStorage, kSize, kFinetune };
  struct Part {
    std::string text;
    Kind kind;
    bool base = false;
  };
  std::vector<Part> parts;
  for (std::size_t begin = 0; begin <= id.size();) {
    const std::size_t end = std::min(id.find('-', begin), id.size());
    if (end > begin) parts.push_back({std::string(id.substr(begin, end - begin)), kWord});
    begin = end + 1;
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Part& part = parts[i];
    if (is_version(part.text)) {
      part.kind = kVersion;
    } else if (is_storage_type(part.text)) {
      part.kind = kStorage;
      std::transform(part.text.begin(), part.text.end(), part.text.begin(), upper);
    } else if (i > 0 && is_size(part.text)) {
      std::replace(part.text.begin(), part.text.end(), '_', '.');
      part.text.back() = upper(part.text.back());
      part.kind = is_far_from(part.text, n_parameters) ? kFinetune : kSize;
      if (part.kind == kFinetune) part.text.back() = lower(part.text.back());
    } else if (i > 0 && is_any_of(part.text, {"small", "mini", "medium", "large", "xl", "xxl"})) {
      part.kind = kSize;
    } else if (i > 0 && is_any_of(part.text, {"chat", "instruct", "vision", "lora"})) {
      part.kind = kFinetune;
    }
  }
  // A size in words counts only where there is none in numbers.
  const bool numbered = std::any_of(parts.begin(), parts.end(), [](const Part& part) {
    return part.kind == kSize && std::any_of(part.text.begin(), part.text.end(), is_digit);
  });
  for (Part& part : parts) {
    if (numbered && part.kind == kSize && std::all_of(part.text.begin(), part.text.end(), is_letter))
      part.kind = kWord;
  }
  // The base name runs from the front to the first part that is neither word nor version; a version at its
  // end is the version.
  std::size_t n_base = 0;
  while (n_base < parts.size() && (parts[n_base].kind == kVersion ||
                                   (parts[n_base].kind == kWord && is_letter(parts[n_base].text.front())))) {
    parts[n_base++].base = true;
  }
  for (std::size_t i = n_base; i < parts.size(); ++i) {
    if (parts[i].kind == kWord) parts[i].kind = kFinetune;
  }
  for (std::size_t i = parts.size(); i-- > 0 && parts[i].base && parts[i].kind == kVersion;)
    parts[i].base = false;

  std::vector<std::string> base, sizes, finetunes, versions;
  for (const Part& part : parts) {
    if (part.base) base.push_back(part.text);
    if (part.kind == kSize && std::find(sizes.begin(), sizes.end(), part.text) == sizes.end()) {
      sizes.push_back(part.text);
    }
    if (part.kind == kFinetune) finetunes.push_back(part.text);
    if (part.kind == kVersion && !part.base) versions.push_back(part.text);
  }
  parsed.size_label = joined(sizes);
  parsed.finetune = joined(finetunes);
  parsed.version = joined(versions);
  const bool says_something = !sizes.empty() || !finetunes.empty() || !versions.empty();
  if (says_something) parsed.basename = joined(base);
  return parsed;
}

std::string title(std::string_view name) {
  std::string text;
  std::string word;
  const auto flush = [&] {
    if (word.empty()) return;
    const bool has_lower = std::any_of(word.begin(), word.end(), is_lower);
    const bool has_upper = std::any_of(word.begin(), word.end(), is_upper);
    const bool version = is_digit(word[0]) || (word[0] == 'v' && is_version(word));
    if (has_lower && !has_upper && !version) {
      for (std::size_t i = 0; i < word.size(); ++i) {
        if (i == 0 || !is_letter(word[i - 1])) word[i] = upper(word[i]);
      }
    }
    text += (text.empty() ? "" : " ") + word;
    word.clear();
  };
  for (const char c : name) {
    if (c == '-' || c == ' ' || c == '\t' || c == '\n') {
      flush();
    } else {
      word += c;
    }
  }
  flush();
  return text;
}

ModelCard parse_model_card(std::string_view readme) {
  ModelCard card;
  bool inside = false;
  while (!readme.empty()) {
    const std::size_t end = std::min(readme.find('\n'), readme.size());
    std::string_view line = readme.substr(0, end);
    readme.remove_prefix(std::min(end + 1, readme.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line == "---") {
      if (inside) return card;
      inside = true;
      continue;
    }
    if (!inside) return {};
    const std::string_view content = trimmed(line);
    if (content.empty() || content.starts_with('#')) continue;
    if (content.starts_with("- ")) {
      if (!card.empty() && content.find(": ") == std::string_view::npos) {
        card.back().second.push_back(unquoted(content.substr(2)));
      }
      continue;
    }
    const std::size_t colon = content.find(':');
    if (line.front() == ' ' || colon == std::string_view::npos) continue;
    std::vector<std::string> values;
    std::string_view value = trimmed(content.substr(colon + 1));
    if (value.starts_with('[') && value.ends_with(']')) {
      value = value.substr(1, value.size() - 2);
      while (!value.empty()) {
        const std::size_t comma = std::min(value.find(','), value.size());
        values.push_back(unquoted(value.substr(0, comma)));
        value.remove_prefix(std::min(comma + 1, value.size()));
      }
    } else if (!value.empty() && !value.starts_with('{') && !value.starts_with('|') &&
               !value.starts_with('>')) {
      values.push_back(unquoted(value));
    }
    card.emplace_back(unquoted(content.substr(0, colon)), std::move(values));
  }
  return {};
}

std::vector<std::string> card_values(const ModelCard& card, std::string_view key) {
  for (const auto& [name, values] : card) {
    if (name == key) return values;
  }
  return {};
}

}  // namespace exa
