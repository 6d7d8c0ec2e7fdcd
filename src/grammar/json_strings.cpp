#include "grammar/json_strings.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace exa::grammar {
namespace {

const CodePointSet& unescaped() {
  static const CodePointSet set{{0x20, 0x21}, {0x23, 0x5b}, {0x5d, kLastCodePoint}};
  return set;
}

void add_hex(Automaton& into, StateId from, StateId to) {
  into.add_bytes(from, '0', '9', to);
  into.add_bytes(from, 'A', 'F', to);
  into.add_bytes(from, 'a', 'f', to);
}

void add_character(Automaton& into, StateId from, StateId to) {
  into.add_code_points(from, unescaped(), to);
  const StateId escape = into.add_state();
  into.add_literal(from, "\\", escape);
  for (const char c : std::string_view("\"\\/bfnrt")) into.add_literal(escape, std::string_view(&c, 1), to);

  // \uXXXX: D800 to DBFF only with a low surrogate behind it, DC00 to DFFF never alone.
  std::array<StateId, 4> left{};  // left[k]: k more digits
  left[0] = to;
  for (std::size_t k = 1; k < 4; ++k) {
    left[k] = into.add_state();
    add_hex(into, left[k], left[k - 1]);
  }
  const StateId digits = into.add_state();
  into.add_literal(escape, "u", digits);
  into.add_bytes(digits, '0', '9', left[3]);
  const StateId after_d = into.add_state();
  for (const char c : std::string_view("ABCEFabcef"))
    into.add_literal(digits, std::string_view(&c, 1), left[3]);
  for (const char c : std::string_view("Dd")) into.add_literal(digits, std::string_view(&c, 1), after_d);
  into.add_bytes(after_d, '0', '7', left[2]);
  const StateId high = into.add_state();
  for (const char c : std::string_view("89ABab")) into.add_literal(after_d, std::string_view(&c, 1), high);
  const StateId high_last = into.add_state();
  add_hex(into, high, high_last);
  const StateId pair = into.add_state();
  add_hex(into, high_last, pair);
  const StateId low = into.add_state();
  into.add_literal(pair, "\\u", low);
  const StateId low_second = into.add_state();
  for (const char c : std::string_view("Dd")) into.add_literal(low, std::string_view(&c, 1), low_second);
  for (const char c : std::string_view("CDEFcdef")) {
    into.add_literal(low_second, std::string_view(&c, 1), left[2]);
  }
}

}  // namespace

Automaton any_string(Budget& budget) {
  Automaton out(budget);
  const StateId inside = out.add_state();
  const StateId end = out.add_state();
  out.states[end].accepts = true;
  out.add_literal(Automaton::kStart, "\"", inside);
  add_character(out, inside, inside);
  out.add_literal(inside, "\"", end);
  return determinize(out);
}

Automaton string_character(Budget& budget) {
  Automaton out(budget);
  const StateId end = out.add_state();
  out.states[end].accepts = true;
  add_character(out, Automaton::kStart, end);
  return determinize(out);
}

Automaton escaped(const Automaton& decoded) {
  Automaton out(decoded.budget());
  const std::size_t n = decoded.states.size();
  for (std::size_t s = 1; s < n; ++s) out.add_state();
  constexpr std::string_view kShort = "\b\t\n\f\r\"\\";
  constexpr std::string_view kNames = "btnfr\"\\";
  for (StateId s = 0; s < n; ++s) {
    out.states[s].accepts = decoded.states[s].accepts;
    std::optional<StateId> escape;
    std::array<std::optional<StateId>, 2> controls;  // 0x00 to 0x0f, 0x10 to 0x1f, before the last digit
    for (const ByteEdge& edge : decoded.states[s].bytes) {
      const auto plain = [&](unsigned low, unsigned high) {
        low = std::max<unsigned>(low, edge.low);
        high = std::min<unsigned>(high, edge.high);
        if (low > high) return;
        out.add_bytes(s, static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(high), edge.to);
      };
      plain(0x20, 0x21);
      plain(0x23, 0x5b);
      plain(0x5d, 0xff);
      for (unsigned b = edge.low; b <= std::min<unsigned>(edge.high, 0x5c); ++b) {
        if (b >= 0x20 && b != '"' && b != '\\') continue;
        if (!escape) {
          escape = out.add_state();
          out.add_literal(s, "\\", *escape);
        }
        const std::size_t name = kShort.find(static_cast<char>(b));
        if (name != std::string_view::npos) {
          out.add_literal(*escape, kNames.substr(name, 1), edge.to);
          continue;
        }
        auto& row = controls[b >> 4];
        if (!row) row = out.add_state();
        const char digit = "0123456789abcdef"[b & 15];
        out.add_literal(*row, std::string_view(&digit, 1), edge.to);
      }
    }
    if (controls[0] || controls[1]) {
      const StateId row = out.add_state();
      out.add_literal(*escape, "u00", row);
      if (controls[0]) out.add_literal(row, "0", *controls[0]);
      if (controls[1]) out.add_literal(row, "1", *controls[1]);
    }
  }
  return determinize(out);
}

}  // namespace exa::grammar
