#include "grammar/formats.h"

#include <string>

#include "grammar/regex.h"

namespace exa::grammar {
namespace {

// Leap years: divisible by 4 and not by 100, or by 400. Year 0000 is left out: some readers refuse it.
std::string date_pattern() {
  const std::string year = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)";
  const std::string leap =
      "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)";
  return "(?:" + year +
         "-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|"
         "02-(?:0[1-9]|1[0-9]|2[0-8]))|" +
         leap + "-02-29)";
}

// No leap second: whether one is valid depends on the offset.
std::string time_pattern() {
  return "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?"
         "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
}

std::string ipv4_pattern() {
  const std::string part = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
  return "(?:" + part + "\\.){3}" + part;
}

std::string ipv6_pattern() {
  const std::string h = "[0-9A-Fa-f]{1,4}";
  const std::string tail = "(?:" + h + ":" + h + "|" + ipv4_pattern() + ")";
  std::string out = "(?:" + h + ":){6}" + tail + "|::(?:" + h + ":){5}" + tail;
  for (int before = 1; before <= 5; ++before) {
    // At most `before` groups, then "::", then the groups that are left beyond one that it stands for.
    const std::string front = "(?:(?:" + h + ":){0," + std::to_string(before - 1) + "}" + h + ")?";
    const int after = 5 - before;
    out += "|" + front + "::(?:" + h + ":){" + std::to_string(after) + "}" + tail;
  }
  out += "|(?:(?:" + h + ":){0,5}" + h + ")?::" + h;
  out += "|(?:(?:" + h + ":){0,6}" + h + ")?::";
  return out;
}

// At most 62 characters; two hyphens in a row have a meaning of their own in internationalized names.
std::string label_pattern() {
  return "[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}";
}

}  // namespace

std::string_view format_names() {
  return "date, time, date-time, uuid, ipv4, ipv6, hostname or email";
}

std::optional<Automaton> format_automaton(std::string_view format, Budget& budget) {
  const auto whole = [&budget](const std::string& pattern) {
    return search_match("^(?:" + pattern + ")$", budget);
  };
  if (format == "date") return whole(date_pattern());
  if (format == "time") return whole(time_pattern());
  if (format == "date-time") return whole(date_pattern() + "T" + time_pattern());
  if (format == "uuid") return whole("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}");
  if (format == "ipv4") return whole(ipv4_pattern());
  if (format == "ipv6") return whole(ipv6_pattern());
  if (format == "hostname") return whole("(?:" + label_pattern() + "\\.){0,2}" + label_pattern());
  if (format == "email") {
    const std::string atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,15}";
    const std::string host = "(?:" + label_pattern() + "\\.){1,2}[A-Za-z]{2,24}";
    return whole(atom + "(?:\\." + atom + "){0,3}@" + host);
  }
  return std::nullopt;
}

}  // namespace exa::grammar
