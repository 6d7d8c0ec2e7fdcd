#include "jinja/jinja.h"

#include "base/error.h"
#include "jinja/parse.h"
#include "jinja/run.h"

namespace exa {

struct Template::Impl {
  jinja::Tree tree;
};

Template::Template(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Template Template::parse(std::string_view source) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  if (source.size() > kMostBytes) {
    throw Error(ErrorKind::kBadInput, "template_limit: the template has " + std::to_string(source.size()) +
                                          " bytes, expected at most " + std::to_string(kMostBytes));
  }
  return Template(std::make_unique<Impl>(Impl{jinja::parse_template(source, TemplateLimits{}.depth)}));
}

Rendered Template::render(const nlohmann::ordered_json& variables, const TemplateLimits& limits) const {
  return jinja::Renderer(impl_->tree, limits).render(variables);
}

}  // namespace exa
