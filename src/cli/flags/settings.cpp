#include "cli/flags/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "cli/flags/command_table.h"
#include "cli/terminal/streams.h"

namespace exa {
namespace {

constexpr std::uint64_t kMostSettingBytes = 1 << 20;

const char* variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value && *value ? value : nullptr;
}

bool configurable(const CLI::Option& option) {
  const auto& names = option.get_lnames();
  return !names.empty() && names[0] != "help" && names[0] != "print-config";
}

const CLI::Option* find_flag(const CLI::App& command, const std::string& name) {
  for (const CLI::Option* const option : command.get_options()) {
    if (configurable(*option) && option->check_lname(name)) return option;
  }
  return nullptr;
}

// An empty value is a variable that a script left unset, but for texts that may say nothing.
bool may_be_empty(const CLI::Option& option) {
  constexpr const char* kTexts[] = {"system", "prompt", "reasoning-budget-message", "regex"};
  return option.get_expected_max() == 0 ||
         std::any_of(std::begin(kTexts), std::end(kTexts),
                     [&](const char* name) { return option.check_lname(name); });
}

void refuse_empty_values(CLI::App& command) {
  for (CLI::Option* const option : command.get_options()) {
    if (may_be_empty(*option)) continue;
    option->check(CLI::Validator(
        [](const std::string& value) { return value.empty() ? "found an empty value, expected one" : ""; }, ""));
  }
}

std::vector<CLI::App*> subcommands(CLI::App& app) {
  return app.get_subcommands([](CLI::App*) { return true; });
}

}  // namespace

std::filesystem::path Settings::file() {
  if (const char* const given = variable("EXAONE_CONFIG")) return given;
  const char* const config = variable("XDG_CONFIG_HOME");
  if (config && *config == '/') return std::filesystem::path(config) / "exaone/config.toml";
  const char* const home = variable("HOME");
  return home && *home == '/' ? std::filesystem::path(home) / ".config/exaone/config.toml"
                              : std::filesystem::path();
}

Settings::Settings(CLI::App& app, int argc, const char* const* argv)
    : words_(argv + std::min(argc, 1), argv + argc) {
  const bool print = std::find(words_.begin(), words_.end(), "--print-config") != words_.end();
  for (CLI::App* const command : subcommands(app)) {
    command->add_flag("--print-config", print_,
                      "Say what every flag is and where that comes from, and do nothing else");
    const bool chosen = !words_.empty() && words_[0] == command->get_name();
    if (!chosen) continue;
    refuse_empty_values(*command);
    read_file(app, command->get_name());
    bind(*command);
    if (!print) continue;
    for (CLI::Option* const option : command->get_options()) option->required(false);
    // Before the command's own callback, which then does not run.
    command->parse_complete_callback([this, command] {
      write_out(describe(*command));
      throw CLI::Success();
    });
  }
}

void Settings::read_file(const CLI::App& app, const std::string& command) {
  const std::filesystem::path path = file();
  if (path.empty() || !std::filesystem::exists(path)) {
    if (variable("EXAONE_CONFIG")) throw Error(ErrorKind::kIo, "there is no such file", path.string());
    return;
  }
  std::istringstream text(read_text_file(path, kMostSettingBytes));
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_config(text);
  } catch (const CLI::Error& error) {
    throw Error(ErrorKind::kUsage, error.what(), path.string());
  }
  const auto& all = app.get_subcommands([](const CLI::App*) { return true; });
  // What stands under [command] wins over what stands at the top.
  for (const bool own : {true, false}) {
    for (const CLI::ConfigItem& item : items) {
      if (item.name == "++" || item.name == "--") continue;
      const std::string key = item.fullname();
      if (item.parents.size() > 1) throw Error(ErrorKind::kUsage, "found the key " + key, path.string());
      const bool known = std::any_of(all.begin(), all.end(), [&](const CLI::App* each) {
        return (item.parents.empty() || each->get_name() == item.parents[0]) && find_flag(*each, item.name);
      });
      if (!known)
        throw Error(ErrorKind::kUsage, "the key " + key + " is no flag of any command", path.string());
      if (item.parents.empty() == own || (own && item.parents[0] != command)) continue;
      const CLI::Option* const option = find_flag(*app.get_subcommand(command), item.name);
      if (!option) continue;
      std::string value;
      for (const std::string& input : item.inputs) value += (value.empty() ? "" : "\n") + input;
      if (value.empty() && !may_be_empty(*option)) {
        throw Error(ErrorKind::kUsage, "the key " + key + " is empty, expected a value", path.string());
      }
      from_file_.emplace(environment_name(option->get_lnames()[0]), value);
    }
  }
}

void Settings::bind(CLI::App& command) {
  for (CLI::Option* const option : command.get_options()) {
    if (!configurable(*option)) continue;
    const std::string primary = environment_name(option->get_lnames()[0]);
    const char* value = nullptr;
    for (const std::string& name : option->get_lnames()) {
      const std::string environment = environment_name(name);
      const char* const set = std::getenv(environment.c_str());
      if (set && !*set && !may_be_empty(*option) && !typed(*option)) {
        throw Error(ErrorKind::kUsage, environment + " is empty, expected a value or no such variable");
      }
      if (!value) value = variable(environment);
    }
    const auto stated = from_file_.find(primary);
    if (value) {
      from_file_.erase(primary);
    } else if (stated != from_file_.end()) {
      value = stated->second.c_str();
    }
    option->envname(primary);
    if (option->get_expected_max() > 1) option->delimiter('\n');
    if (value) setenv(primary.c_str(), std::string(value).c_str(), 1);
  }
}

bool Settings::typed(const CLI::Option& option) const {
  return std::any_of(words_.begin(), words_.end(), [&](const std::string& word) {
    for (const std::string& name : option.get_lnames()) {
      if (word == "--" + name || word.starts_with("--" + name + "=")) return true;
    }
    for (const std::string& name : option.get_snames()) {
      if (!word.starts_with("--") && word.starts_with("-" + name)) return true;
    }
    return false;
  });
}

std::string Settings::describe(const CLI::App& command) const {
  const std::string path = file().string();
  std::string text = "# " + (std::filesystem::exists(path) ? path : path + " (not there)") + "\n";
  for (const CLI::Option* const option : command.get_options()) {
    if (!configurable(*option)) continue;
    const std::string& name = option->get_lnames()[0];
    const std::string environment = environment_name(name);
    std::string value, source;
    for (const std::string& each : option->results()) value += (value.empty() ? "" : ", ") + each;
    if (typed(*option)) {
      source = "the command line";
    } else if (from_file_.contains(environment)) {
      source = path;
    } else if (option->count() > 0) {
      source = environment;
    } else {
      value = option->get_default_str();
      source = "the default";
    }
    text += fmt::format("{:<28} {:<24} # {}\n", name + " =", one_line(value), source);
  }
  return text;
}

}  // namespace exa
