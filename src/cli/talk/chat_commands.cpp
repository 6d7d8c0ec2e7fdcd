// The slash commands of a ChatSession.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/file.h"
#include "cli/flags/named_files.h"
#include "cli/talk/chat_session.h"
#include "cli/talk/model_options.h"
#include "cli/terminal/external_program.h"
#include "cli/terminal/streams.h"

namespace exa {
namespace {

std::string_view name(Think think) {
  return think == Think::kOn ? "on" : think == Think::kOff ? "off" : "auto";
}

[[noreturn]] void misused(const std::string& message) {
  throw Error(ErrorKind::kUsage, message);
}

std::string required_path(std::string_view rest, const char* command) {
  if (rest.empty()) misused(std::string(command) + " needs a file");
  if (rest.starts_with("~/")) {
    if (const char* const home = std::getenv("HOME")) return home + std::string(rest.substr(1));
  }
  return std::string(rest);
}

// "kv FILE" → FILE: keys and values stand beside the conversation, in FILE.kv.
bool takes_cache(std::string_view& rest) {
  if (!rest.starts_with("kv ")) return false;
  rest.remove_prefix(rest.find_first_not_of(' ', 2));
  return true;
}

template <typename T>
std::optional<T> number(std::string_view key, std::string_view text) {
  if (text == "default") return std::nullopt;
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    misused(fmt::format("{} is \"{}\", expected a number or default", key, one_line(text)));
  }
  return value;
}

struct Option {
  std::string_view key;
  void (*set)(GenerateRequest& request, std::string_view key, std::string_view value);
};

template <auto Field>
void set_sampling(GenerateRequest& request, std::string_view key, std::string_view value) {
  auto& field = request.sampling.*Field;
  field = number<typename std::remove_reference_t<decltype(field)>::value_type>(key, value);
}

constexpr Option kOptions[] = {
    {"temp", set_sampling<&SamplingOptions::temperature>},
    {"temperature", set_sampling<&SamplingOptions::temperature>},
    {"top_k", set_sampling<&SamplingOptions::top_k>},
    {"top_p", set_sampling<&SamplingOptions::top_p>},
    {"min_p", set_sampling<&SamplingOptions::min_p>},
    {"repeat_penalty", set_sampling<&SamplingOptions::repetition_penalty>},
    {"presence_penalty", set_sampling<&SamplingOptions::presence_penalty>},
    {"frequency_penalty", set_sampling<&SamplingOptions::frequency_penalty>},
    {"seed", set_sampling<&SamplingOptions::seed>},
    {"max_tokens", [](GenerateRequest& request, std::string_view key,
                      std::string_view value) { request.max_tokens = number<std::int64_t>(key, value); }},
    {"reasoning_budget",
     [](GenerateRequest& request, std::string_view key, std::string_view value) {
       request.reasoning_budget = number<std::int64_t>(key, value);
     }},
    {"stop",
     [](GenerateRequest& request, std::string_view, std::string_view value) {
       request.stop.clear();
       if (value != "default") request.stop.emplace_back(value);
     }},
};

std::string option_keys() {
  std::string keys;
  for (const Option& option : kOptions) keys += (keys.empty() ? "" : ", ") + std::string(option.key);
  return keys;
}

}  // namespace

void set_option(GenerateRequest& request, std::string_view key, std::string_view value) {
  std::string plain(key);
  std::replace(plain.begin(), plain.end(), '-', '_');
  for (const Option& option : kOptions) {
    if (option.key == plain) return option.set(request, plain, value);
  }
  misused(fmt::format("there is no setting {}, expected {}", one_line(key), option_keys()));
}

struct ChatSession::Command {
  std::string_view word;
  std::string_view arguments;
  std::string_view what;
  void (ChatSession::*run)(std::string_view rest);  // null: leaves
};

const std::vector<ChatSession::Command>& ChatSession::commands() {
  static const std::vector<Command> table = {
      {"/think", "on|off|auto|hide|show", "whether to think; fold the thoughts or show them",
       &ChatSession::think},
      {"/system", "TEXT|off", "set the system prompt", &ChatSession::system},
      {"/set", "KEY VALUE|default", "change a setting: /set temp 0.6", &ChatSession::set},
      {"/show", "", "the settings and the conversation so far", &ChatSession::show},
      {"/regen", "", "answer the last question again", &ChatSession::regenerate},
      {"/undo", "", "forget the last question and its answer", &ChatSession::undo},
      {"/edit", "", "change the last question in $EDITOR, ask it again", &ChatSession::edit},
      {"/read", "FILE", "a text file goes with the next question", &ChatSession::read},
      {"/image", "FILE", "a picture goes with the next question", &ChatSession::image},
      {"/tools", "FILE|off", "let the model call the tools a JSON file declares", &ChatSession::tools},
      {"/result", "TEXT", "what the called tool returns", &ChatSession::result},
      {"/save", "[kv] FILE", "keep the conversation as JSON; kv: and its cache", &ChatSession::save},
      {"/load", "[kv] FILE", "go on with a kept conversation; kv: and its cache", &ChatSession::load},
      {"/stats", "", "tokens and speed of the last answer", &ChatSession::stats},
      {"/clear", "", "start a new conversation", &ChatSession::clear},
      {"/help", "", "this list", &ChatSession::help},
      {"/exit", "", "leave (also Ctrl-D)", nullptr},
  };
  return table;
}

bool ChatSession::command(std::string_view word, std::string_view rest) {
  if (word == "/quit" || word == "/bye") word = "/exit";
  if (word == "/?") word = "/help";
  for (const Command& entry : commands()) {
    if (entry.word != word) continue;
    if (!entry.run) return false;
    (this->*entry.run)(rest);
    return true;
  }
  refuse(fmt::format("There is no command {}; /help lists them.", one_line(word)));
  return true;
}

void ChatSession::help(std::string_view) {
  std::string text;
  const auto row = [&text](const std::string& what, std::string_view meaning) {
    text += fmt::format("{:<28}  {}\n", what, meaning);
  };
  for (const Command& entry : commands()) row(fmt::format("{} {}", entry.word, entry.arguments), entry.what);
  row("\\ at the end of a line", "the message goes on in the next line");
  row("\"\"\" … \"\"\"", "a message of several lines");
  row("Ctrl-C", "stop the answer; at the prompt, twice: leave");
  text.pop_back();
  tell(text);
}

void ChatSession::think(std::string_view rest) {
  if (rest == "hide") {
    fold_reasoning_ = true;
    return note("Thinking is folded; /think show unfolds it.");
  }
  if (rest == "show") {
    fold_reasoning_ = false;
    for (std::size_t i = request_.messages.size(); i > 0; --i) {
      const std::string& reasoning = request_.messages[i - 1].reasoning;
      if (reasoning.empty()) continue;
      return settings_.interactive ? quote("The last thoughts were:\n" + for_terminal(reasoning))
                                   : write_out(reasoning + "\n");
    }
    return note("Thinking is shown.");
  }
  if (rest == "on" || rest == "off" || rest == "auto") {
    request_.think = rest == "on" ? Think::kOn : rest == "off" ? Think::kOff : Think::kAuto;
  } else if (!rest.empty()) {
    misused("found /think " + one_line(rest) + ", expected on, off, auto, hide or show");
  }
  const bool automatic = request_.think == Think::kAuto;
  note(fmt::format("Thinking is {}{}.", name(request_.think),
                   automatic ? thinks() ? ", which is on" : ", which is off" : ""));
}

void ChatSession::system(std::string_view rest) {
  std::vector<Message>& messages = request_.messages;
  const bool has = !messages.empty() && messages[0].role == "system";
  if (rest.empty()) {
    return tell(has ? "The system prompt is: " + for_terminal(text_of(messages[0]))
                    : "There is no system prompt.");
  }
  if (has) messages.erase(messages.begin());
  if (rest == "off") return note("The system prompt is gone.");
  messages.insert(messages.begin(), Message("system", std::string(rest)));
  note("The system prompt is set.");
}

void ChatSession::set(std::string_view rest) {
  const std::size_t space = rest.find(' ');
  if (space == std::string_view::npos) misused("/set needs a key and a value; the keys are " + option_keys());
  const std::string_view key = rest.substr(0, space);
  const std::string_view value = rest.substr(rest.find_first_not_of(' ', space));
  GenerateRequest changed = request_;
  set_option(changed, key, value);
  request_ = std::move(changed);
  note(fmt::format("{} is {}.", one_line(key), one_line(value)));
}

void ChatSession::show(std::string_view) {
  const ModelInfo& info = engine_.info();
  std::string text = fmt::format("model      {}\ncontext    {} tokens\nthinking   {}{}{}\nsampling   {}\n",
                                 for_terminal(info.name), info.context_tokens, name(request_.think),
                                 request_.think == Think::kAuto ? thinks() ? " (on)" : " (off)" : "",
                                 fold_reasoning_ ? ", folded" : "", describe_sampling(engine_, request_));
  if (request_.max_tokens) text += fmt::format("max_tokens {}\n", *request_.max_tokens);
  if (request_.reasoning_budget) text += fmt::format("reasoning_budget {}\n", *request_.reasoning_budget);
  for (const std::string& stop : request_.stop) text += "stop       " + one_line(stop) + "\n";
  text += fmt::format("tools      {}\n", request_.tools.empty() ? "none"
                                         : settings_.tool_program.empty()
                                             ? "declared"
                                             : "declared, run by " + settings_.tool_program);
  for (const Message& message : request_.messages) {
    std::string line = one_line(text_of(message));
    for (const ToolCall& call : message.tool_calls) line += " [calls " + one_line(call.name) + "]";
    constexpr std::size_t kShown = 200;
    if (line.size() > kShown) {
      std::size_t end = kShown;
      while ((static_cast<unsigned char>(line[end]) & 0xc0) == 0x80) --end;
      line = line.substr(0, end) + "…";
    }
    text += fmt::format("{:<10} {}\n", message.role, line);
  }
  text.pop_back();
  tell(text, 11);
}

void ChatSession::regenerate(std::string_view) {
  const std::size_t question = last_question();
  if (question == request_.messages.size()) return refuse("There is no question yet.");
  std::vector<Message> before = request_.messages;
  request_.messages.resize(question + 1);
  // The same seed would draw the same answer.
  if (request_.sampling.seed) ++*request_.sampling.seed;
  try {
    answer();
  } catch (const Error&) {
    request_.messages = std::move(before);
    throw;
  }
}

void ChatSession::undo(std::string_view) {
  const std::size_t question = last_question();
  if (question == request_.messages.size()) return refuse("There is nothing to undo.");
  const std::string text = one_line(text_of(request_.messages[question]));
  request_.messages.resize(question);
  note("Forgotten: " + (text.size() > 60 ? "the last question and its answer" : text));
}

void ChatSession::edit(std::string_view) {
  const std::size_t question = last_question();
  const bool has = question < request_.messages.size();
  const std::string before = has ? text_of(request_.messages[question]) : "";
  const std::string text = edit_text(before);
  if (text.find_first_not_of(" \t\n") == std::string::npos)
    return refuse("The text is empty, nothing is asked.");
  if (has) request_.messages.resize(question);
  quote("> " + for_terminal(text));
  ask(user_message(text));
}

void ChatSession::save(std::string_view rest) {
  const bool with_cache = takes_cache(rest);
  const std::string path = required_path(rest, "/save");
  AtomicFile file(path);
  file.write(write_messages(request_.messages));
  file.commit();
  if (with_cache) engine_.save_cache(path + ".kv");
  note(fmt::format("Saved {} messages in {}.", request_.messages.size(), one_line(path)));
}

void ChatSession::load(std::string_view rest) {
  const bool with_cache = takes_cache(rest);
  const std::string path = required_path(rest, "/load");
  request_.messages = read_messages_file(path);
  if (with_cache) engine_.load_cache(path + ".kv");
  note(fmt::format("Loaded {} messages.", request_.messages.size()));
  const std::size_t n = request_.messages.size();
  for (std::size_t i = n > 2 ? n - 2 : 0; i < n; ++i) {
    quote(request_.messages[i].role + ": " + for_terminal(text_of(request_.messages[i])));
  }
}

void ChatSession::read(std::string_view rest) {
  const std::string path = required_path(rest, "/read");
  const std::string text = read_utf8_file(path);
  const std::string file_name = std::filesystem::path(path).filename().string();
  attached_.emplace_back().text =
      file_name + ":\n```\n" + text + (text.ends_with('\n') ? "" : "\n") + "```\n\n";
  note(fmt::format("{} ({} bytes) goes with the next question.", one_line(file_name), text.size()));
}

void ChatSession::image(std::string_view rest) {
  const std::string path = required_path(rest, "/image");
  if (!engine_.info().sees)
    throw Error(ErrorKind::kUnsupported, "the model sees no pictures", engine_.info().name);
  attached_.emplace_back().image = read_picture_file(path);
  note(fmt::format("{} goes with the next question.",
                   one_line(std::filesystem::path(path).filename().string())));
}

void ChatSession::tools(std::string_view rest) {
  if (rest == "off") {
    request_.tools.clear();
    return note("The model has no tools.");
  }
  const std::string path = required_path(rest, "/tools");
  request_.tools = read_tools(read_utf8_file(path), path);
  note("The model may call: " + one_line(tool_names(request_.tools)));
}

void ChatSession::result(std::string_view rest) {
  std::vector<Message>& messages = request_.messages;
  std::size_t caller = messages.size();
  while (caller > 0 && messages[caller - 1].role == "tool") --caller;
  const std::size_t n_given = messages.size() - caller;
  const std::vector<ToolCall>* const calls = caller > 0 ? &messages[caller - 1].tool_calls : nullptr;
  if (!calls || n_given >= calls->size()) return refuse("No call waits for a result.");
  const ToolCall call = (*calls)[n_given];
  const bool last = n_given + 1 == calls->size();
  const std::string next = last ? "" : (*calls)[n_given + 1].name;
  Message message("tool", std::string(rest));
  message.tool_call_id = call.id;
  message.name = call.name;
  if (last) return ask(std::move(message));
  messages.push_back(std::move(message));
  note(fmt::format("Next: the result of {}.", one_line(next)));
}

void ChatSession::stats(std::string_view) {
  if (n_answers_ == 0) return tell("There is no answer yet.");
  const Usage& usage = last_usage_;
  tell(
      fmt::format("prompt     {} tokens, {} of them cached, {:.1f} tokens/s\n"
                  "answer     {} tokens, {} of them thinking, {:.1f} tokens/s\n"
                  "{}first text after {:.2f} s\n"
                  "context    {} of {} tokens used",
                  usage.prompt_tokens, usage.cached_tokens, prompt_per_second(usage), usage.completion_tokens,
                  usage.reasoning_tokens, predicted_per_second(usage),
                  usage.images > 0 ? "images     " + describe_images(usage) + "\n" : "", first_token_seconds_,
                  usage.prompt_tokens + usage.completion_tokens, engine_.info().context_tokens));
}

void ChatSession::clear(std::string_view) {
  std::vector<Message>& messages = request_.messages;
  messages.resize(!messages.empty() && messages[0].role == "system" ? 1 : 0);
  attached_.clear();
  note("A new conversation.");
}

}  // namespace exa
