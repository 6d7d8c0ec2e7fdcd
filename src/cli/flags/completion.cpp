// `exaone completion`: what a shell needs to know to complete command lines.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "cli/flags/command_table.h"
#include "cli/terminal/streams.h"

namespace exa {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c == '\n' ? ' ' : c;
    }
  }
  return out + "'";
}

std::string all_flags(const CommandRow& command) {
  std::string flags;
  for (const FlagRow& flag : command.flags) {
    if (!flag.positional) flags += (flags.empty() ? "" : " ") + joined(flag.names);
  }
  return flags;
}

std::string bash(const std::vector<CommandRow>& commands) {
  std::string names, flags, choices;
  for (const CommandRow& command : commands) {
    names += (names.empty() ? "" : " ") + command.name;
    flags += fmt::format("    {}) flags={} ;;\n", command.name, shell_quoted(all_flags(command)));
    for (const FlagRow& flag : command.flags) {
      if (flag.choices.empty()) continue;
      for (const std::string& name : flag.names) {
        choices += fmt::format("    {}:{}) COMPREPLY=($(compgen -W {} -- \"$word\")); return ;;\n",
                               command.name, name, shell_quoted(joined(flag.choices)));
      }
    }
  }
  return fmt::format(
      "_exaone() {{\n"
      "  local word=${{COMP_WORDS[COMP_CWORD]}} flags=\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W {} -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  case ${{COMP_WORDS[1]}}:${{COMP_WORDS[COMP_CWORD-1]}} in\n"
      "{}"
      "  esac\n"
      "  case ${{COMP_WORDS[1]}} in\n"
      "{}"
      "  esac\n"
      "  case $word in\n"
      "    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n"
      "  esac\n"
      "}}\n"
      "complete -o default -F _exaone exaone\n",
      shell_quoted(names), choices, flags);
}

std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh(const std::vector<CommandRow>& commands) {
  std::string names, cases;
  for (const CommandRow& command : commands) {
    names += "    " + shell_quoted(command.name + ":" + command.help) + "\n";
    cases += fmt::format("    {})\n      _arguments -s \\\n", command.name);
    for (const FlagRow& flag : command.flags) {
      if (flag.positional) continue;
      for (const std::string& name : flag.names) {
        std::string spec = fmt::format("*{}[{}]", name, zsh_text(flag.help));
        if (!flag.choices.empty()) {
          spec += fmt::format(":{}:({})", flag.value, joined(flag.choices));
        } else if (!flag.value.empty()) {
          spec += fmt::format(":{}:_files", flag.value);
        }
        cases += "        " + shell_quoted(spec) + " \\\n";
      }
    }
    cases += "        '*:file:_files'\n      ;;\n";
  }
  return fmt::format(
      "#compdef exaone\n"
      "_exaone() {{\n"
      "  local -a commands=(\n"
      "{}"
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n"
      "{}"
      "  esac\n"
      "}}\n"
      "compdef _exaone exaone\n",
      names, cases);
}

std::string fish(const std::vector<CommandRow>& commands) {
  std::string text;
  for (const CommandRow& command : commands) {
    text += fmt::format("complete -c exaone -n __fish_use_subcommand -f -a {} -d {}\n", command.name,
                        shell_quoted(command.help));
    for (const FlagRow& flag : command.flags) {
      if (flag.positional) continue;
      text += fmt::format("complete -c exaone -n '__fish_seen_subcommand_from {}'", command.name);
      for (const std::string& name : flag.names) {
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      if (!flag.choices.empty()) {
        text += " -x -a " + shell_quoted(joined(flag.choices));
      } else if (!flag.value.empty()) {
        text += " -r";
      }
      text += " -d " + shell_quoted(flag.help) + "\n";
    }
  }
  return text;
}

}  // namespace

void add_completion(CLI::App& app) {
  CLI::App* const command =
      app.add_subcommand("completion", "Print a completion script: source <(exaone completion bash)");
  const auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "The shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, shell] {
    const std::vector<CommandRow> commands = command_table(app);
    write_out(*shell == "bash" ? bash(commands) : *shell == "zsh" ? zsh(commands) : fish(commands));
  });
}

}  // namespace exa
