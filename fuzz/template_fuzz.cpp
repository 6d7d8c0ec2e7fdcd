// Chat templates: any text is a template or an exa::Error; rendered with little fuel over two conversations
// it ends, within the limit of its output, the same each time, with every byte's origin known.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "jinja/jinja.h"
#include "text/utf8.h"

namespace {

using Json = nlohmann::ordered_json;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

const std::vector<Json>& conversations() {
  static const std::vector<Json> all = {
      Json::parse(
          R"({"messages": [{"role": "user", "content": "Hi <think>"}], "add_generation_prompt": true})"),
      Json::parse(R"({
        "messages": [
          {"role": "system", "content": "짧게"},
          {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "날씨?"}]},
          {"role": "assistant", "content": "<think>\nr\n</think>\n\nok", "reasoning_content": "r",
           "tool_calls": [{"id": "c", "type": "function",
                           "function": {"name": "w", "arguments": {"city": "서울", "n": 1.5e3}}}]},
          {"role": "tool", "content": [1, "나", null], "tool_call_id": "c"},
          {"role": "assistant", "content": null}],
        "tools": [{"type": "function", "function": {"name": "w", "parameters": {"type": "object"}}}],
        "enable_thinking": false, "add_vision_id": true, "add_generation_prompt": false})")};
  return all;
}

// The rendered text, or the error's message.
std::string render(const exa::Template& source, const Json& variables, bool valid) {
  constexpr exa::TemplateLimits kLimits = {.depth = 64, .fuel = 20'000, .output_bytes = 1u << 16};
  try {
    const exa::Rendered out = source.render(variables, kLimits);
    require(out.text.size() <= kLimits.output_bytes);
    require(!valid || exa::find_invalid_utf8(out.text) == std::string_view::npos);
    std::size_t end = 0;
    for (const exa::TextSpan& span : out.spans) {
      require(span.begin == end && span.end > span.begin);
      end = span.end;
    }
    require(end == out.text.size());
    return out.text;
  } catch (const exa::Error& error) {
    require(error.kind() == exa::ErrorKind::kBadInput || error.kind() == exa::ErrorKind::kUnsupported);
    return error.message();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool valid = exa::find_invalid_utf8(text) == std::string_view::npos;
  try {
    const exa::Template source = exa::Template::parse(text);
    for (const Json& variables : conversations()) {
      require(render(source, variables, valid) == render(source, variables, valid));
    }
  } catch (const exa::Error& error) {
    require(error.kind() == exa::ErrorKind::kBadInput || error.kind() == exa::ErrorKind::kUnsupported);
  }
  return 0;
}
