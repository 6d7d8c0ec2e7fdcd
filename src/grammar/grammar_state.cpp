#include "grammar/grammar_state.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "grammar/machine.h"
#include "grammar/mask_cache.h"
#include "grammar/runner.h"
#include "grammar/token_walk.h"

namespace exa {

using grammar::Config;
using grammar::Machine;
using grammar::Runner;

namespace {

constexpr std::size_t kMostCacheBytes = std::size_t{64} << 20;
// Frames of stacks that ended are dropped when there are so many.
constexpr std::size_t kMostFrames = 16384;

void set_bit(std::span<std::uint64_t> words, TokenId id) {
  words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
}

bool has_bit(std::span<const std::uint64_t> words, TokenId id) {
  return (words[static_cast<std::size_t>(id) / 64] >> (id % 64) & 1) != 0;
}

}  // namespace

struct BoundGrammar::Impl {
  Impl(Grammar g, std::shared_ptr<const TokenMasks> v)
      : grammar(std::move(g)),
        vocabulary(std::move(v)),
        cache(grammar.machine(), *vocabulary, kMostCacheBytes) {}

  Grammar grammar;
  std::shared_ptr<const TokenMasks> vocabulary;
  grammar::MaskCache cache;
};

BoundGrammar::BoundGrammar(Grammar grammar, std::shared_ptr<const TokenMasks> vocabulary)
    : impl_(std::make_unique<Impl>(std::move(grammar), std::move(vocabulary))) {
  if (impl_->grammar.calls_tools() && !impl_->vocabulary->has_tool_tags()) {
    throw Error(ErrorKind::kUnsupported,
                "expected a vocabulary with the tokens <tool_call> and </tool_call>, found none");
  }
}

BoundGrammar::~BoundGrammar() = default;

const TokenMasks& BoundGrammar::vocabulary() const {
  return *impl_->vocabulary;
}

const Grammar& BoundGrammar::grammar() const {
  return impl_->grammar;
}

struct GrammarState::Impl {
  Impl(std::shared_ptr<BoundGrammar> g, grammar::RuleId rule)
      : bound(std::move(g)),
        shared(*bound->impl_),
        machine(shared.grammar.machine()),
        runner(machine, machine.most_depth()),
        walk(runner, *shared.vocabulary),
        words(shared.vocabulary->n_words()) {
    can_end = runner.begin(rule, configs).ended;
  }

  void work_out_mask() {
    std::fill(words.begin(), words.end(), 0u);
    uncertain.clear();
    const bool shallow = std::all_of(configs.begin(), configs.end(), [this](const Config& c) {
      return runner.depth(c.stack) + shared.cache.margin() <= machine.most_depth();
    });
    found.allowed.clear();
    if (!shallow) {
      walk.all(configs, nullptr, found);
    } else {
      for (const Config& config : configs) add_state(config);
      std::erase_if(uncertain,
                    [this](std::uint32_t rank) { return has_bit(words, shared.vocabulary->id_of(rank)); });
      if (!uncertain.empty()) walk.some(configs, nullptr, uncertain, found);
    }
    for (const std::uint32_t rank : found.allowed) set_bit(words, shared.vocabulary->id_of(rank));
    if (can_end) {
      for (const TokenId id : shared.vocabulary->ends()) set_bit(words, id);
    }
    is_known = true;
  }

  void add_state(const Config& config) {
    const auto mask = shared.cache.find(config);
    for (std::size_t i = 0; i < mask->words.size(); ++i) words[i] |= mask->words[i];
    for (const TokenId id : mask->ids) set_bit(words, id);
    if (mask->uncertain.empty()) return;
    const auto n_before = static_cast<std::ptrdiff_t>(uncertain.size());
    uncertain.insert(uncertain.end(), mask->uncertain.begin(), mask->uncertain.end());
    if (n_before == 0) return;
    std::inplace_merge(uncertain.begin(), uncertain.begin() + n_before, uncertain.end());
    uncertain.erase(std::unique(uncertain.begin(), uncertain.end()), uncertain.end());
  }

  // False, and nothing changes, where the symbols do not fit.
  bool take(std::string_view symbols) {
    next = configs;
    std::size_t first = 0;
    bool through = false;
    for (const char c : symbols) {
      const std::size_t last = next.size();
      through = runner.step(next, first, last, static_cast<std::uint8_t>(c)).ended;
      if (next.size() == last && !through) return false;
      first = last;
    }
    next.erase(next.begin(), next.begin() + static_cast<std::ptrdiff_t>(first));
    if (next != configs || through != can_end) is_known = false;
    configs.swap(next);
    can_end = through;
    if (runner.mark() > kMostFrames) runner.compact(configs);
    return true;
  }

  std::shared_ptr<BoundGrammar> bound;
  BoundGrammar::Impl& shared;
  const Machine& machine;
  Runner runner;
  grammar::TokenWalk walk;
  std::vector<Config> configs;
  std::vector<Config> next;
  bool can_end = false;
  bool ended = false;
  std::vector<std::uint64_t> words;  // the mask, where it is known
  bool is_known = false;
  std::vector<std::uint32_t> uncertain;
  grammar::Found found;
};

GrammarState::GrammarState(std::shared_ptr<BoundGrammar> grammar, Begin begin)
    : impl_(std::make_unique<Impl>(std::move(grammar),
                                   begin == Begin::kAtText ? Grammar::kTextRule : Machine::kRoot)) {}
GrammarState::~GrammarState() = default;
GrammarState::GrammarState(GrammarState&&) noexcept = default;
GrammarState& GrammarState::operator=(GrammarState&&) noexcept = default;

std::size_t GrammarState::vocab_size() const {
  return impl_->shared.vocabulary->vocab_size();
}

void GrammarState::mask(std::span<std::uint64_t> allowed) {
  if (allowed.size() != impl_->words.size()) {
    throw Error(ErrorKind::kInternal, "expected a mask of " + std::to_string(impl_->words.size()) +
                                          " words, found " + std::to_string(allowed.size()));
  }
  if (impl_->ended) {
    std::fill(allowed.begin(), allowed.end(), 0u);
    return;
  }
  if (!impl_->is_known) impl_->work_out_mask();
  std::copy(impl_->words.begin(), impl_->words.end(), allowed.begin());
}

bool GrammarState::accept(TokenId id) {
  if (impl_->ended) return false;
  if (impl_->shared.vocabulary->is_end(id)) {
    impl_->ended = impl_->can_end;
    return impl_->ended;
  }
  const std::string_view symbols = impl_->shared.vocabulary->symbols(id);
  return !symbols.empty() && impl_->take(symbols);
}

bool GrammarState::can_end() const {
  return impl_->can_end;
}

bool GrammarState::ended() const {
  return impl_->ended;
}

}  // namespace exa
