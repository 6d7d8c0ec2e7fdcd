// What a model's answer must look like, compiled once a request: a JSON schema, any JSON object, a GBNF
// grammar, a regular expression, a choice of texts, calls of offered tools.
//
// Fails closed: what is not understood is an error that names it, never a grammar that allows more.
// Everything that a compiled grammar lets through satisfies what it was compiled from;
// docs/structured_output.md says what is supported, and which valid texts are left out for good reasons.
// Ownership and threads: immutable and cheap to copy; may be shared. Compiling is bounded in size and steps.
// Source: JSON Schema 2020-12; llama.cpp's GBNF notation; ECMA-262 (patterns); exaone-models specification 6.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace exa {

namespace grammar {
class Machine;
struct RuleSet;
}  // namespace grammar

struct ToolGrammar {
  enum class Choice : std::uint8_t {
    kAuto,      // text, calls, or text and then calls
    kRequired,  // one call or more
  };
  Choice choice = Choice::kAuto;
  // The one tool that may be called; unset: any.
  std::optional<std::string> name;
  // More than one call.
  bool parallel = true;
  // With kAuto: what the text must be where no tool is called, as JSON schema; unset: any text.
  std::optional<std::string> answer_schema;
};

class Grammar {
 public:
  // text: a JSON schema. Errors: kBadInput (not JSON, a keyword with a value that makes no sense, a schema
  // that nothing satisfies), kUnsupported naming the keyword or format; where: the JSON path. Texts beyond
  // 256 KiB and schemas that need more than 50,000 states are kUnsupported too.
  static Grammar from_json_schema(std::string_view text);
  static Grammar json_object();
  // text: rules, beginning at "root". Errors: as above, where: the line.
  static Grammar from_gbnf(std::string_view text);
  // The whole text must match. Errors: as above, where: the offset.
  static Grammar from_regex(std::string_view pattern);
  // One of these texts, exactly. Errors: kBadInput for none, an empty one or invalid UTF-8.
  static Grammar from_choices(std::span<const std::string> choices);
  // tools: a JSON array of tools as OpenAI's API has them; others than functions are left out. A tool whose
  // function says "strict": true has its schema enforced or refused; one without takes any JSON object as
  // arguments where its schema uses something unsupported. Errors: kBadInput (no tool to call, `name` not
  // offered, a name twice), and as from_json_schema; where: "tools[0].function.parameters…".
  static Grammar from_tools(std::string_view tools, const ToolGrammar& options);

  // Whether the whole text satisfies the grammar. For tools the tags are text too.
  bool matches(std::string_view text) const;
  std::size_t n_states() const;
  bool calls_tools() const { return calls_tools_; }

  // For grammar_state: the rule that begins with the text itself, without newlines before it.
  static constexpr std::uint32_t kTextRule = 1;
  const grammar::Machine& machine() const { return *machine_; }

 private:
  explicit Grammar(const grammar::RuleSet& rules, bool calls_tools = false);

  std::shared_ptr<const grammar::Machine> machine_;
  bool calls_tools_ = false;
};

}  // namespace exa
