// The table of filters: text filters and sequence filters are two files.
//
// Ownership and threads: functions and constant tables.
#pragma once

#include <string_view>
#include <unordered_map>

#include "jinja/builtins.h"

namespace exa::jinja {

using Filter = Value (*)(Engine& engine, const Value& subject, const Args& args);
using FilterTable = std::unordered_map<std::string_view, Filter>;

const FilterTable& text_filters();
const FilterTable& sequence_filters();
bool filter_exists(std::string_view name);
bool test_exists(std::string_view name);
[[noreturn]] void fail_missing_filter(const std::string& name);

}  // namespace exa::jinja
