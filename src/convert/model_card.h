// What a repository says about itself in words: its name, organization, licence and base models.
//
// Ownership and threads: values.
// Source: the YAML front matter of Hugging Face model cards; ggml's gguf.md (naming of models).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace exa {

// A repository's id taken apart: "LGAI-EXAONE/EXAONE-4.0-1.2B" is organization LGAI-EXAONE, basename
// EXAONE-4.0, size label 1.2B. Parts that are not there are empty.
struct ModelId {
  std::string full_name;
  std::string organization;
  std::string basename;
  std::string finetune;
  std::string version;
  std::string size_label;
};

// n_parameters: of the model, to tell a size ("32B") from a context length ("128K"); 0 where unknown.
ModelId parse_model_id(std::string_view id, double n_parameters);

// "exaone4-dense" → "Exaone4 Dense": words with capitals, numbers and versions stay as they are.
std::string title(std::string_view name);

// The front matter of README.md: top-level keys with one value or a list of values. Values that are maps or
// span lines are left out. Empty where there is none.
using ModelCard = std::vector<std::pair<std::string, std::vector<std::string>>>;
ModelCard parse_model_card(std::string_view readme);
// The values of a key; empty where absent.
std::vector<std::string> card_values(const ModelCard& card, std::string_view key);

}  // namespace exa
