// `exaone man`: the manual, as roff.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>

#include "cli/flags/command_table.h"
#include "cli/terminal/streams.h"
#include "exaone/engine.h"

namespace exa {
namespace {

// Text that roff shows as it is.
std::string roff_text(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '-') {
      out += "\\-";
    } else if (c == '\\') {
      out += "\\e";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return text;
}

std::string title(const std::string& name) {
  return fmt::format(".TH {} 1 \"\" \"exaone {}\" \"User commands\"\n", upper(name), version());
}

std::string page_of(const CommandRow& command) {
  std::string text = title("exaone-" + command.name) + ".SH NAME\nexaone\\-" + roff_text(command.name) +
                     " \\- " + roff_text(command.help) + "\n.SH SYNOPSIS\n.B exaone " +
                     roff_text(command.name) + "\n";
  for (const FlagRow& flag : command.flags) {
    if (flag.positional) text += ".I " + roff_text(flag.names[0]) + "\n";
  }
  text += "[\n.I flags\n]\n.SH FLAGS\n";
  for (const FlagRow& flag : command.flags) {
    std::string names;
    for (const std::string& name : flag.names) names += (names.empty() ? "" : ", ") + name;
    std::string value = flag.value;
    for (const std::string& choice : flag.choices)
      value = (&choice == &flag.choices[0] ? "" : value + "|") + choice;
    text += ".TP\n\\fB" + roff_text(names) + "\\fR" +
            (value.empty() || flag.positional ? "" : " \\fI" + roff_text(value) + "\\fR") + "\n" +
            roff_text(flag.help) + "\n";
    if (!flag.default_value.empty()) text += "(default: " + roff_text(flag.default_value) + ")\n";
  }
  text +=
      ".SH SETTINGS\nA flag that is not typed is looked for in the environment (\\fBEXAONE_MAX_TOKENS\\fR "
      "for "
      "\\fB\\-\\-max\\-tokens\\fR), then in \\fI~/.config/exaone/config.toml\\fR (\\fBmax\\-tokens = "
      "100\\fR, for one "
      "command under \\fB[" +
      roff_text(command.name) +
      "]\\fR). \\fB\\-\\-print\\-config\\fR says what is in force and why.\n"
      ".SH EXIT STATUS\n0 ok, 1 usage, 2 bad input, 3 unsupported, 4 memory, 5 input or output, 7 an "
      "answer cut short of what was demanded of it, 70 a fault of the program, 130 interrupted\n.SH SEE ALSO\n.BR exaone (1)\n";
  return text;
}

std::string main_page(const CLI::App& app, const std::vector<CommandRow>& commands) {
  std::string text = title("exaone") + ".SH NAME\nexaone \\- " + roff_text(app.get_description()) +
                     "\n.SH SYNOPSIS\n.B exaone\n.I command\n[\n.I flags\n]\n.SH COMMANDS\n";
  for (const CommandRow& command : commands) {
    text += ".TP\n\\fB" + roff_text(command.name) + "\\fR\n" + roff_text(command.help) + "\n";
  }
  return text + ".SH SEE ALSO\n\\fBexaone man\\fR \\fIcommand\\fR prints the page of one command.\n";
}

}  // namespace

void add_man_page(CLI::App& app) {
  CLI::App* const command = app.add_subcommand("man", "Print a manual page: exaone man chat | man -l -");
  const auto name = std::make_shared<std::string>();
  command->add_option("command", *name, "The command (default: the program itself)");
  command->callback([&app, name] {
    const std::vector<CommandRow> commands = command_table(app);
    if (name->empty()) return write_out(main_page(app, commands));
    const auto found = std::find_if(commands.begin(), commands.end(),
                                    [&](const CommandRow& row) { return row.name == *name; });
    if (found == commands.end()) throw Error(ErrorKind::kUsage, "there is no command \"" + *name + "\"");
    write_out(page_of(*found));
  });
}

}  // namespace exa
