// The control words that prompts and answers are made of, but for those of calls (grammar/tags.h).
//
// Ownership and threads: constants.
// Source: exaone-models specification 6.2 (EXAONE Deep's thoughts), 6.5, 1.2.
#pragma once

#include <string>
#include <string_view>

namespace exa {

// What stands around a model's thoughts.
struct ThinkingTags {
  std::string_view begin = "<think>";
  std::string_view end = "</think>";
};
inline constexpr ThinkingTags kThoughtTags = {"<thought>", "</thought>"};  // of EXAONE Deep

// Those of the model whose chat template this is.
inline ThinkingTags thinking_tags(std::string_view chat_template) {
  return chat_template.find(kThoughtTags.begin) != std::string_view::npos ? kThoughtTags : ThinkingTags();
}

// The end of thoughts as a model writes it, behind text that does not end its line.
inline std::string reasoning_end(const ThinkingTags& tags) {
  return "\n" + std::string(tags.end) + "\n\n";
}

// Placeholders of a picture's or video's rows.
inline constexpr std::string_view kImagePad = "<|image_pad|>";
inline constexpr std::string_view kVideoPad = "<|video_pad|>";

}  // namespace exa
