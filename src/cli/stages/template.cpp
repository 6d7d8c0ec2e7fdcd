#include "cli/stages/template.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "cli/terminal/streams.h"
#include "formats/checkpoint.h"
#include "jinja/jinja.h"
#include "json/read.h"
#include "text/tokenizer.h"

namespace exa {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kLargestTemplate = 4u << 20;
const std::string kInput = "standard input";

struct TemplateOptions {
  std::filesystem::path model;
  std::filesystem::path file;
  bool jsonl = false;
};

struct Source {
  std::string text;
  Json special_tokens = Json::object();
};

Source source_of(const TemplateOptions& options) {
  if (!options.file.empty()) return {read_text_file(options.file, kLargestTemplate), Json::object()};
  const Checkpoint checkpoint = Checkpoint::open(options.model);
  std::optional<std::string> text = checkpoint.chat_template();
  if (!text) throw Error(ErrorKind::kBadInput, "the model has no chat template", options.model.string());
  Source source{std::move(*text), Json::object()};
  if (source.text.find("bos_token") == std::string::npos &&
      source.text.find("eos_token") == std::string::npos) {
    return source;
  }
  const Tokenizer tokenizer = Tokenizer::from_checkpoint(checkpoint);
  const auto add = [&](const char* name, std::optional<TokenId> id) {
    if (id) source.special_tokens[name] = std::string(tokenizer.token_bytes(*id));
  };
  add("bos_token", tokenizer.bos());
  add("eos_token", tokenizer.eos());
  return source;
}

// Reasoning goes under each name that templates read, as transformers does before it renders.
void alias_reasoning(Json& messages) {
  if (!messages.is_array()) return;
  for (Json& message : messages) {
    if (!message.is_object()) continue;
    for (const char* const name : {"reasoning_content", "thinking", "reasoning"}) {
      const auto found = message.find(name);
      if (found == message.end() || found->is_null()) continue;
      const Json reasoning = *found;
      if (!message.contains("thinking")) message["thinking"] = reasoning;
      message["reasoning_content"] = reasoning;
      break;
    }
  }
}

// What transformers' apply_chat_template hands to a template.
Json variables_of(const Json& request, const Json& special_tokens, const std::string& where) {
  if (!request.is_object()) {
    throw Error(ErrorKind::kBadInput, std::string("expected an object, found ") + request.type_name(), where);
  }
  Json variables = special_tokens;
  const auto kwargs = request.find("kwargs");
  if (kwargs != request.end() && !kwargs->is_null()) {
    if (!kwargs->is_object()) {
      throw Error(ErrorKind::kBadInput,
                  std::string("expected an object for \"kwargs\", found ") + kwargs->type_name(), where);
    }
    for (const auto& [key, value] : kwargs->items()) variables[key] = value;
  }
  const auto messages = request.find("messages");
  if (messages == request.end() || !messages->is_array()) {
    throw Error(ErrorKind::kBadInput,
                "expected an array for \"messages\", found " +
                    std::string(messages == request.end() ? "none" : messages->type_name()),
                where);
  }
  const auto given = [&](const char* key, Json otherwise) {
    const auto value = request.find(key);
    variables[key] = value == request.end() ? std::move(otherwise) : *value;
  };
  variables["messages"] = *messages;
  alias_reasoning(variables["messages"]);
  given("tools", nullptr);
  given("documents", nullptr);
  given("add_generation_prompt", false);
  return variables;
}

void render_lines(const Template& chat_template, const Json& special_tokens) {
  LineReader lines;
  std::size_t number = 0;
  for (std::string line; lines.next(line);) {
    ++number;
    if (line.empty()) continue;
    const std::string where = "standard input, line " + std::to_string(number);
    const Json variables = variables_of(read_json(line, where), special_tokens, where);
    Json answer;
    try {
      answer["text"] = chat_template.render(variables).text;
    } catch (const Error& error) {
      answer["error"] = error.message();
    }
    // ASCII, so that U+2028 in an answer ends nobody's line.
    write_out(answer.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n");
  }
}

}  // namespace

void add_template(CLI::App& app) {
  auto options = std::make_shared<TemplateOptions>();
  CLI::App* command = app.add_subcommand("template", "Render a chat template over a conversation on stdin");
  auto* model = command->add_option("-m,--model", options->model, "The model whose template it is");
  auto* file = command->add_option("--template", options->file, "A file with a Jinja template");
  model->excludes(file);
  command->add_flag(
      "--jsonl", options->jsonl,
      R"(One {"messages", "tools", "kwargs", "add_generation_prompt"} a line gives {"text"} or {"error"})");
  command->callback([options] {
    if (options->model.empty() && options->file.empty()) {
      throw Error(ErrorKind::kUsage, "expected --model or --template, found neither");
    }
    const Source source = source_of(*options);
    const Template chat_template = Template::parse(source.text);
    if (options->jsonl) {
      render_lines(chat_template, source.special_tokens);
    } else {
      write_out(chat_template.render(variables_of(read_json(read_all_input(), kInput), source.special_tokens, kInput)).text);
    }
  });
}

}  // namespace exa
