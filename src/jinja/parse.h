// Template text → tree.
//
// Ownership and threads: free function; the tree owns everything.
// Source: Jinja2 3.1's parser, observed; nesting is bounded (reliability G36).
#pragma once

#include <cstddef>
#include <string_view>

#include "jinja/tree.h"

namespace exa::jinja {

// depth: how deep statements and expressions may nest together.
// Errors: kBadInput at "template: line N" in Jinja2's wording, "template_limit: …" beyond depth; kUnsupported
// for include, import, extends, block and autoescape.
Tree parse_template(std::string_view source, std::size_t depth);

}  // namespace exa::jinja
