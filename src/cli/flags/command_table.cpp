#include "cli/flags/command_table.h"

#include <sstream>

namespace exa {
namespace {

FlagRow row_of(const CLI::Option& option) {
  FlagRow row;
  row.positional = option.get_positional();
  if (row.positional) {
    row.names.push_back(option.get_name(true, false));
  } else {
    for (const std::string& name : option.get_snames()) row.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) row.names.push_back("--" + name);
  }
  row.help = option.get_description();
  row.default_value = option.get_default_str();
  if (option.get_type_size() == 0) return row;
  const std::string type = option.get_type_name();
  row.value = type.substr(0, type.find(':'));
  // A list of what it may be ends the type's name: TEXT:{on,off,auto}.
  const std::size_t begin = type.find('{');
  const std::size_t end = type.rfind('}');
  if (begin != std::string::npos && end != std::string::npos && begin < end) {
    std::istringstream list(type.substr(begin + 1, end - begin - 1));
    for (std::string choice; std::getline(list, choice, ',');) row.choices.push_back(choice);
    row.value = "WORD";
  }
  return row;
}

}  // namespace

std::vector<CommandRow> command_table(const CLI::App& app) {
  std::vector<CommandRow> rows;
  for (const CLI::App* const command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_group().empty()) continue;
    CommandRow row{command->get_name(), command->get_description(), {}};
    for (const CLI::Option* const option : command->get_options()) row.flags.push_back(row_of(*option));
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string environment_name(const std::string& long_name) {
  std::string name = "EXAONE_";
  for (const char c : long_name) {
    name += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

}  // namespace exa
