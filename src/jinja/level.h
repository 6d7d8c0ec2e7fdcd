// Guards of the renderer's walk: how deep it is, and which scope it is in.
#pragma once

#include <utility>

#include "jinja/run.h"

namespace exa::jinja {

class Renderer::Level {
 public:
  explicit Level(Renderer& renderer) : renderer_(renderer) {
    // Macros nest at most `depth` calls; each may walk through nested blocks and expressions of its own.
    if (++renderer_.level_ > 12 * renderer_.limits_.depth) {
      --renderer_.level_;
      fail_limit("the template recurses too deeply");
    }
  }
  ~Level() { --renderer_.level_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  Renderer& renderer_;
};

class Renderer::Inside {
 public:
  Inside(Renderer& renderer, std::shared_ptr<Scope> scope)
      : renderer_(renderer), outer_(std::exchange(renderer.scope_, std::move(scope))) {}
  ~Inside() { renderer_.scope_ = std::move(outer_); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Renderer& renderer_;
  std::shared_ptr<Scope> outer_;
};

}  // namespace exa::jinja
