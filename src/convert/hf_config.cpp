#include "convert/hf_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "model/arch/text_config.h"
#include "model/config_reader.h"

namespace exa {

HfConfig read_hf_config(const Checkpoint& checkpoint) {
  if (checkpoint.format() != CheckpointFormat::kHuggingFace || checkpoint.config().is_null()) {
    throw Error(ErrorKind::kBadInput, "expected a Hugging Face folder with config.json, found none",
                checkpoint.path().string());
  }
  const JsonReader text = text_object(checkpoint);
  return {.family = &family_of(checkpoint, false),
          .model = read_stated_config(checkpoint),
          .states_head_dim = text.find("head_dim") != nullptr,
          .mtp_shares_layers = text.boolean_or("mtp_share_layers", false),
          .has_vision = checkpoint.config().contains("vision_config") &&
                        !checkpoint.config()["vision_config"].is_null()};
}

HfVisionConfig read_hf_vision_config(const Checkpoint& checkpoint) {
  HfVisionConfig vision{.tower = read_vision_config(checkpoint)};
  const std::string where = (checkpoint.path() / "config.json").string() + ", vision_config";
  const JsonReader json(checkpoint.config()["vision_config"], where);
  vision.image_px = json.integer_or("image_size", 1, 1 << 16, 560);
  const std::vector<bool>& full = vision.tower.full;
  vision.full_attention_period = std::find(full.begin(), full.end(), true) - full.begin() + 1;
  for (std::int64_t i = 0; i < vision.tower.n_layers(); ++i) {
    if (full[static_cast<std::size_t>(i)] == ((i + 1) % vision.full_attention_period == 0)) continue;
    throw Error(ErrorKind::kUnsupported,
                "block " + std::to_string(i) + (full[static_cast<std::size_t>(i)] ? " has" : " lacks") +
                    " full attention, expected it in the last block of each of equally long runs",
                json.where("fullatt_block_indexes"));
  }
  return vision;
}

}  // namespace exa
