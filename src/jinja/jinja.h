// Chat templates: a small Jinja engine. Template text → tree → text, each stretch marked as template or data.
//
// Ownership and threads: a Template owns its tree and is immutable; render may be called from several
// threads. Source: Jinja2 3.1 with trim_blocks, lstrip_blocks and loop controls, as transformers'
// render_jinja_template sets them up; exaone-models specification 6.3; limits from reliability G36 (depth 64,
// fuel 1 M, output 4 MiB).
#pragma once

#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace exa {

struct TemplateLimits {
  std::size_t depth = 64;
  std::size_t fuel = 1'000'000;  // evaluated nodes and produced characters
  std::size_t output_bytes = 4u << 20;
};

struct Rendered {
  std::string text;
  std::vector<TextSpan> spans;  // literal template text against everything that came from a variable
};

class Template {
 public:
  // source: at most 1 MiB, and what becomes at most 65,536 nodes of the tree, so that the tree's memory stays
  // bounded (13 MiB). Errors: kBadInput "template: line N: …" on syntax, "template_limit: …" beyond the limits,
  // kUnsupported for a Jinja feature that is not there.
  static Template parse(std::string_view source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // variables: a JSON object (messages, tools, add_generation_prompt, enable_thinking, …).
  // Errors: kBadInput; for raise_exception the message is the template's own, for Jinja run-time errors
  // Jinja2's wording (golden/chat compares it); "template_limit: …" where a limit is reached.
  Rendered render(const nlohmann::ordered_json& variables, const TemplateLimits& limits = {}) const;

 private:
  struct Impl;
  explicit Template(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace exa
