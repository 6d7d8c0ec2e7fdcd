// What `exaone inspect` reports, for the repository's models and for files it cannot run.
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/files/inspect_report.h"
#include "exaone/engine.h"
#include "formats/gguf_builder.h"
#include "formats/scratch_folder.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
using test::GgufBuilder;
using test::ScratchFolder;

const fs::path kModels = fs::path(EXAONE_SOURCE_DIR) / "tests" / "data" / "models";

bool says(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(Inspect, HybridFolder) {
  const InspectReport report = inspect_model(kModels / "tiny-exaone4-hybrid", 64);
  ASSERT_TRUE(report.config.has_value()) << report.problem;
  const nlohmann::ordered_json json = to_json(report);
  EXPECT_EQ(json["format"], "huggingface");
  EXPECT_EQ(json["architecture"], "exaone4");
  EXPECT_EQ(json["supported"], true);
  EXPECT_TRUE(json["problem"].is_null());
  EXPECT_EQ(json["config"]["hidden"], report.config->hidden);
  EXPECT_EQ(json["layers"].size(), static_cast<std::size_t>(report.config->n_layers()));
  EXPECT_TRUE(json["layers"][3]["window"].is_null());
  EXPECT_EQ(json["layers"][3]["rope"], false);
  EXPECT_EQ(json["layers"][0]["window"], report.config->window);
  EXPECT_EQ(json["tensors"].size(), report.checkpoint.tensors().size());
  std::uint64_t sum = 0;
  for (const auto& total : json["types"]) sum += total["n_bytes"].get<std::uint64_t>();
  EXPECT_EQ(sum, json["tensor_bytes"].get<std::uint64_t>());
  EXPECT_EQ(json["memory"]["context_tokens"], 64);
  std::uint64_t all_bytes = 0;
  for (const char* const what :
       {"weight_bytes", "activation_bytes", "vision_weight_bytes", "vision_activation_bytes", "kv_bytes"}) {
    all_bytes += json["memory"][what].get<std::uint64_t>();
  }
  EXPECT_EQ(json["memory"]["total_bytes"].get<std::uint64_t>(), all_bytes);
  EXPECT_TRUE(json["tokenizer"]["eos_id"].is_number());
  EXPECT_TRUE(json["tokenizer_problem"].is_null());

  const std::string text = to_text(report);
  for (const std::string_view part :
       {"exaone4", "Hugging Face folder", "global, no RoPE", "tokenizer", "64 tokens"}) {
    EXPECT_TRUE(says(text, part)) << part << " is missing in\n" << text;
  }
}

TEST(Inspect, LongerContextsTakeMoreMemory) {
  const fs::path model = kModels / "tiny-exaone4";
  const InspectReport small = inspect_model(model, 64);
  const InspectReport all = inspect_model(model, 0);
  EXPECT_EQ(all.memory->context_tokens, all.config->max_context);
  EXPECT_LT(small.memory->kv_bytes, all.memory->kv_bytes);
  EXPECT_EQ(small.memory->weight_bytes, all.memory->weight_bytes);
  try {
    inspect_model(model, all.config->max_context + 1);
    FAIL() << "a context beyond the model's limit was taken";
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(ErrorKind::kUsage));
  }
}

// Whoever asks before gets the numbers that the engine then sets itself up with.
TEST(Inspect, SaysOfMemoryWhatTheEngineSays) {
  const fs::path seeing = fs::path(EXAONE_SHARED_DIR) / "golden/models/exaone4_5";
  for (const fs::path& model : {kModels / "tiny-exaone4", kModels / "tiny-exaone4_5", seeing}) {
    if (!fs::exists(model)) continue;
    SCOPED_TRACE(model.filename());
    EngineOptions options;
    options.model = model;
    options.context_tokens = 96;
    options.n_threads = 1;
    options.pack_cache = false;
    const std::unique_ptr<Engine> engine = Engine::load(options);
    const ModelInfo& info = engine->info();
    const InspectReport report = inspect_model(options.model, 96);
    ASSERT_TRUE(report.memory);
    const MemoryNeed& need = *report.memory;
    EXPECT_EQ(static_cast<std::size_t>(info.weight_bytes), need.weight_bytes);
    EXPECT_EQ(static_cast<std::size_t>(info.activation_bytes), need.activation_bytes);
    EXPECT_EQ(static_cast<std::size_t>(info.vision_weight_bytes), need.vision_weight_bytes);
    EXPECT_EQ(static_cast<std::size_t>(info.vision_activation_bytes), need.vision_activation_bytes);
    EXPECT_EQ(static_cast<std::size_t>(info.kv_bytes_at_context), need.kv_bytes);
    EXPECT_EQ(info.sees, need.vision_weight_bytes > 0);
    EXPECT_EQ(says(to_text(report), "pictures"), info.sees);
  }
}

TEST(Inspect, OtherArchitecturesAreStillDescribed) {
  const ScratchFolder folder;
  GgufBuilder file;
  file.key("general.architecture", "llama");
  file.key("tokenizer.ggml.model", "llama");
  file.strings("tokenizer.ggml.tokens", {"a", "b"});
  file.key("tokenizer.chat_template", "{{ x }}");
  file.tensor("evil\x1b[2J\xff", {4}, test::kTypeF32, 16);
  const InspectReport report = inspect_model(folder.write("llama.gguf", file.bytes()), 0);
  const nlohmann::ordered_json json = to_json(report);
  EXPECT_EQ(json["architecture"], "llama");
  EXPECT_EQ(json["supported"], false);
  EXPECT_TRUE(says(json["problem"], "llama"));
  EXPECT_TRUE(json["config"].is_null());
  EXPECT_TRUE(json["memory"].is_null());
  EXPECT_TRUE(json["tokenizer"].is_null());
  EXPECT_FALSE(json["tokenizer_problem"].is_null());
  EXPECT_EQ(json["chat_template"]["n_bytes"], 7);
  EXPECT_EQ(json["metadata"]["tokenizer.ggml.tokens"]["n_elements"], 2);
  EXPECT_EQ(json["tensors"].size(), 1U);
  const std::string text = to_text(report);
  EXPECT_TRUE(says(text, "not supported"));
  EXPECT_FALSE(says(text, "\x1b"));
}

TEST(Inspect, SafetensorsWithoutConfig) {
  const ScratchFolder folder;
  const NamedArray array{"x", DType::kF32, {2}, std::vector<std::byte>(8)};
  write_safetensors(folder.path() / "x.safetensors", std::span(&array, 1));
  const InspectReport report = inspect_model(folder.path() / "x.safetensors", 0);
  EXPECT_FALSE(report.config.has_value());
  EXPECT_EQ(report.n_parameters, 2U);
  EXPECT_TRUE(says(to_text(report), "not stated"));
}

}  // namespace
}  // namespace exa
