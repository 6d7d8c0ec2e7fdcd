#include "formats/hf_folder.h"

#include <algorithm>
#include <functional>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "json/walk.h"
#include "formats/name_index.h"
#include "formats/safetensors.h"

namespace exa {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFolderShards = 512;
constexpr std::size_t kMaxFileNameBytes = 255;
constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{64} << 20;
constexpr std::size_t kIndexDepth = 4;
constexpr std::string_view kIndexName = "model.safetensors.index.json";

bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxFileNameBytes || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

// Calls visit(tensor, shard) for each entry of weight_map.
void walk_index(std::string_view json, const std::string& where,
                const std::function<void(std::string_view, std::string_view)>& visit) {
  std::size_t depth = 0;
  bool map_seen = false;
  bool in_map = false;
  std::string key;
  const auto refuse = [&](const JsonEvent& event, std::string_view expected) {
    throw Error(ErrorKind::kBadInput,
                "found " + std::string(json_kind_name(event.kind)) + ", expected " + std::string(expected),
                where + ", weight_map" + (in_map ? ", " + printable(key) : std::string()));
  };
  walk_json(json, kIndexDepth, where, [&](const JsonEvent& event) {
    if (event.kind == JsonEvent::kKey) {
      key = event.text;
      return;
    }
    if (event.kind == JsonEvent::kObjectEnd || event.kind == JsonEvent::kArrayEnd) {
      --depth;
      in_map = false;
      return;
    }
    if (in_map) {
      if (event.kind != JsonEvent::kString) refuse(event, "a shard's name");
      visit(key, event.text);
      return;
    }
    if (depth == 1 && key == "weight_map") {
      if (event.kind != JsonEvent::kObjectBegin) refuse(event, "an object");
      if (map_seen) throw Error(ErrorKind::kBadInput, "weight_map occurs twice, expected once", where);
      map_seen = true;
      in_map = true;
    }
    if (event.kind == JsonEvent::kObjectBegin || event.kind == JsonEvent::kArrayBegin) ++depth;
  });
  if (!map_seen) throw Error(ErrorKind::kBadInput, "weight_map is missing, expected an object", where);
}

void open_shard(ModelFiles& model, const fs::path& path) {
  FileReader file(path);
  const std::size_t number = model.files.size();
  for (TensorInfo& tensor : read_safetensors_header(file)) {
    tensor.file = number;
    model.tensors.push_back(std::move(tensor));
  }
  model.files.push_back(std::move(file));
}

ModelFiles open_index(const fs::path& folder, const fs::path& index_path) {
  const std::string where = index_path.string();
  const std::string json = read_text_file(index_path, kMaxIndexBytes);
  std::set<std::string, std::less<>> shards;
  walk_index(json, where, [&](std::string_view tensor, std::string_view shard) {
    if (shards.contains(shard)) return;
    if (!is_plain_name(shard)) {
      throw Error(
          ErrorKind::kBadInput,
          "shard is \"" + printable(shard) + "\", expected a plain file name of A-Z, a-z, 0-9, ., _ and -",
          where + ", weight_map, " + printable(tensor));
    }
    if (shards.size() == kMaxFolderShards) {
      throw Error(ErrorKind::kBadInput,
                  "more than " + std::to_string(kMaxFolderShards) + " shards, expected at most that", where);
    }
    shards.emplace(shard);
  });

  ModelFiles model;
  std::vector<std::string> names;
  for (const std::string& shard : shards) {
    const std::optional<fs::path> path = file_in_folder(folder, shard);
    if (!path) {
      throw Error(ErrorKind::kIo, "missing shard, expected it because the index names it",
                  (folder / shard).string());
    }
    open_shard(model, *path);
    names.push_back(shard);
  }

  const NameIndex tensors(model.tensors,
                          [](const TensorInfo& tensor) { return std::string_view(tensor.name); });
  if (const auto twice = tensors.duplicate()) {
    throw Error(ErrorKind::kBadInput, "tensor occurs in two shards, expected one",
                folder.string() + ", tensor " + printable(*twice));
  }
  std::vector<bool> named(model.tensors.size());
  walk_index(json, where, [&](std::string_view tensor, std::string_view shard) {
    const std::string at = where + ", weight_map, " + printable(tensor);
    const std::optional<std::size_t> position = tensors.find(tensor);
    if (!position) {
      throw Error(ErrorKind::kBadInput, "no shard holds the tensor, expected it in " + std::string(shard),
                  at);
    }
    const std::string& holder = names[model.tensors[*position].file];
    if (holder != shard) {
      throw Error(ErrorKind::kBadInput, "tensor is in " + holder + ", expected it in " + std::string(shard),
                  at);
    }
    if (named[*position]) throw Error(ErrorKind::kBadInput, "tensor is named twice, expected once", at);
    named[*position] = true;
  });
  return model;
}

// Why a folder is no model, and what in it may be meant.
[[noreturn]] void refuse_folder(const fs::path& folder) {
  constexpr int kMaxEntries = 10'000;
  int n_seen = 0;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end && n_seen < kMaxEntries;
       it.increment(error)) {
    ++n_seen;
    const std::string name = it->path().filename().string();
    if (name.ends_with(".gguf")) {
      throw Error(ErrorKind::kBadInput,
                  "not a model: found a folder without config.json that holds " + printable(name) +
                      ", expected a Hugging Face folder or the path of a GGUF file",
                  folder.string());
    }
  }
  throw Error(
      ErrorKind::kBadInput,
      "not a model: found a folder without config.json, tokenizer.json or model.safetensors, expected a "
      "Hugging Face folder, a .gguf or a .safetensors file",
      folder.string());
}

}  // namespace

std::optional<fs::path> file_in_folder(const fs::path& folder, std::string_view name) {
  const fs::path path = folder / name;
  if (!is_plain_name(name)) {
    throw Error(ErrorKind::kBadInput, "file name is \"" + printable(name) + "\", expected a plain file name",
                folder.string());
  }
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  if (!fs::is_symlink(fs::symlink_status(path, error))) return path;

  const fs::path home = fs::canonical(folder, error);
  const fs::path target = error ? fs::path() : fs::canonical(path, error);
  const auto inside = [&](const fs::path& root) {
    return std::mismatch(root.begin(), root.end(), target.begin(), target.end()).first == root.end();
  };
  const bool in_cache =
      home.parent_path().filename() == "snapshots" && inside(home.parent_path().parent_path() / "blobs");
  if (error || !(inside(home) || in_cache)) {
    throw Error(ErrorKind::kBadInput,
                "link leads out of the folder to " + target.string() + ", expected a file inside the folder",
                path.string());
  }
  return path;
}

ModelFiles open_hf_weights(const fs::path& folder) {
  if (const auto single = file_in_folder(folder, "model.safetensors")) {
    ModelFiles model;
    open_shard(model, *single);
    return model;
  }
  if (const auto index = file_in_folder(folder, kIndexName)) return open_index(folder, *index);
  if (!file_in_folder(folder, "config.json") && !file_in_folder(folder, "tokenizer.json"))
    refuse_folder(folder);
  return {};
}

std::optional<std::string> tokenizer_config_template(std::string_view json, const std::string& where) {
  constexpr std::size_t kMaxDepth = 64;
  std::size_t depth = 0;
  bool in_list = false;  // inside the array of {name, template}
  std::string key;
  std::string entry_name;
  std::string entry_template;
  std::optional<std::string> found;
  walk_json(json, kMaxDepth, where, [&](const JsonEvent& event) {
    switch (event.kind) {
      case JsonEvent::kKey:
        key = event.text;
        return;
      case JsonEvent::kObjectBegin:
      case JsonEvent::kArrayBegin:
        if (depth == 1) in_list = key == "chat_template" && event.kind == JsonEvent::kArrayBegin;
        if (depth == 2) entry_name.clear(), entry_template.clear();
        ++depth;
        return;
      case JsonEvent::kObjectEnd:
      case JsonEvent::kArrayEnd:
        --depth;
        if (depth == 2 && in_list && entry_name == "default") found = entry_template;
        return;
      case JsonEvent::kString:
        if (depth == 1 && key == "chat_template") found = event.text;
        if (depth == 3 && in_list && key == "name") entry_name = event.text;
        if (depth == 3 && in_list && key == "template") entry_template = event.text;
        return;
      default:
        return;
    }
  });
  return found;
}

}  // namespace exa
