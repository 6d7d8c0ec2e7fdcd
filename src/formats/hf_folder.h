// A Hugging Face folder: which of its files may be read, and the safetensors shards its index names.
//
// Ownership and threads: free functions; the result owns its files.
// Source: the layout of huggingface_hub repositories and its cache; format rule 4.1.8 of the reliability
// specification.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "formats/model_files.h"

namespace exa {

// The regular file `name` of the folder; nothing where there is none. A link may lead to another place in the
// folder or, as in the hub's cache, into the blobs folder beside its snapshots. Errors: kBadInput where the
// name is more than a plain file name or a link leads elsewhere.
std::optional<std::filesystem::path> file_in_folder(const std::filesystem::path& folder,
                                                    std::string_view name);

// The weights: model.safetensors, or the shards of model.safetensors.index.json; no tensors where the folder
// has neither but holds a config.json or tokenizer.json. Errors: kBadInput (a folder that is no model, an
// index that disagrees with its shards), kIo for a missing shard, and as read_safetensors_header.
ModelFiles open_hf_weights(const std::filesystem::path& folder);

// The field chat_template of a tokenizer_config.json: a string, or the entry "default" of a list; nothing
// where absent. Errors: kBadInput for broken JSON.
std::optional<std::string> tokenizer_config_template(std::string_view json, const std::string& where);

}  // namespace exa
