#include "model/memory_need.h"

#include <gtest/gtest.h>

#include "base/threads.h"
#include "model/kv_cache.h"
#include "model/vision.h"
#include "model/vision_weights.h"
#include "model/weights.h"

namespace exa {
namespace {

const std::filesystem::path kModels = std::filesystem::path(EXAONE_SOURCE_DIR) / "tests/data/models";

// What is reckoned from headers is what loading then takes.
TEST(MemoryNeed, IsWhatLoadingTakes) {
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = make_cpu_backend(pool);
  for (const char* const name :
       {"tiny-exaone4", "tiny-exaone4/tiny-exaone4.Q8_0.gguf", "tiny-exaone4/tiny-exaone4.BF16.gguf",
        "tiny-exaone4-hybrid", "tiny-exaone4_5", "tiny-exaone4_5/tiny-exaone4_5.Q4_0.gguf",
        "tiny-exaone3", "tiny-exaone3-deep"}) {
    SCOPED_TRACE(name);
    const Checkpoint checkpoint = Checkpoint::open(kModels / name);
    const ModelConfig config = read_config(checkpoint);
    const MemoryNeed need = memory_need(checkpoint, config, std::nullopt, *backend, KvType::kBF16, 40);
    const Weights weights = load_weights(checkpoint, config, *backend, Precision::kProduction);
    EXPECT_EQ(need.weight_bytes, weights.size_bytes());
    EXPECT_EQ(need.kv_bytes, KvCache::bytes_for(config, KvType::kBF16, kStepRows, 40));
    EXPECT_GT(need.activation_bytes, 0U);
    EXPECT_EQ(need.vision_weight_bytes + need.vision_activation_bytes, 0U);
    EXPECT_EQ(need.total_bytes(), need.weight_bytes + need.activation_bytes + need.kv_bytes);
    if (!has_vision(checkpoint)) continue;
    const VisionConfig tower = read_vision_config(checkpoint);
    const VisionSource vision = {checkpoint, tower};
    const MemoryNeed seeing = memory_need(checkpoint, config, vision, *backend, KvType::kBF16, 40);
    EXPECT_EQ(seeing.vision_weight_bytes,
              load_vision_weights(checkpoint, *backend, Precision::kProduction).size_bytes());
    EXPECT_EQ(seeing.fixed_bytes(),
              need.fixed_bytes() + seeing.vision_weight_bytes + seeing.vision_activation_bytes);
  }
}

TEST(MemoryNeed, OfATowerAloneAndOfLargerPictures) {
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = make_cpu_backend(pool);
  const Checkpoint checkpoint = Checkpoint::open(kModels / "tiny-vision");
  VisionConfig tower = read_vision_config(checkpoint);
  EXPECT_EQ(vision_weight_bytes(checkpoint, tower, *backend),
            load_vision_weights(checkpoint, *backend, Precision::kProduction).size_bytes());
  tower.max_pixels = 16384 * tower.patch_px * tower.patch_px;
  const std::size_t group = VisionTower::activation_bytes(tower);
  EXPECT_GT(group, static_cast<std::size_t>(16384 * tower.hidden) * sizeof(float));
  tower.max_pixels *= 2;
  EXPECT_GT(VisionTower::activation_bytes(tower), group * 19 / 10);
}

}  // namespace
}  // namespace exa
