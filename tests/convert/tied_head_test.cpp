// A folder whose config ties the head and whose tensors bring one: transformers keeps it where it differs
// from the embedding, and so do running and converting.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/threads.h"
#include "convert/tiny_folder.h"
#include "kernels/backend.h"
#include "kernels/quant.h"
#include "model/decoder.h"
#include "model/score.h"
#include "model/tied_head.h"
#include "model/weights.h"

namespace exa {
namespace {

using test::array_named;
using test::TinyFolder;
using Arrays = std::vector<NamedArray>;

// The embedding's rows, moved on by `rows`.
NamedArray rotated(const NamedArray& embedding, std::size_t rows) {
  NamedArray head = embedding;
  head.name = "lm_head.weight";
  const std::size_t row = head.bytes.size() / static_cast<std::size_t>(head.shape[0]);
  std::rotate(head.bytes.begin(), head.bytes.end() - static_cast<std::ptrdiff_t>(rows * row),
              head.bytes.end());
  return head;
}

void add_head(const TinyFolder& folder, std::size_t rows) {
  folder.edit_tensors([&](Arrays& arrays) {
    arrays.push_back(rotated(array_named(arrays, "model.embed_tokens.weight"), rows));
  });
}

std::vector<float> logits(const std::filesystem::path& path) {
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = make_cpu_backend(pool);
  const Checkpoint checkpoint = Checkpoint::open(path);
  const Weights weights = load_weights(checkpoint, read_config(checkpoint), *backend, Precision::kExact);
  Decoder decoder(weights, *backend, 8);
  KvCache cache(weights.config, KvType::kF32, 8);
  std::vector<float> row;
  score(decoder, cache, std::vector<std::int32_t>{5, 17, 40}, std::vector<std::int32_t>{2}, 8,
        [&](std::size_t, std::span<const float> values) { row.assign(values.begin(), values.end()); });
  return row;
}

TEST(TiedHead, AnotherHeadInTheFolderIsUsed) {
  const TinyFolder tied, own;
  add_head(own, 1);
  EXPECT_TRUE(read_config(Checkpoint::open(tied.path())).tied_head);
  EXPECT_FALSE(read_config(Checkpoint::open(own.path())).tied_head);
  std::vector<float> expected = logits(tied.path());
  std::rotate(expected.begin(), expected.end() - 1, expected.end());
  EXPECT_EQ(logits(own.path()), expected);

  convert_huggingface(own.options());
  const Checkpoint gguf = Checkpoint::open(own.output());
  ASSERT_NE(gguf.find("output.weight"), nullptr);
  EXPECT_FALSE(read_config(gguf).tied_head);
  EXPECT_EQ(logits(own.output()), expected);
}

TEST(TiedHead, AnEqualCopyIsNoNews) {
  const TinyFolder tied, copied, widened;
  add_head(copied, 0);
  widened.edit_tensors([](Arrays& arrays) {
    NamedArray head = rotated(array_named(arrays, "model.embed_tokens.weight"), 0);
    const std::vector<std::byte> stored = std::move(head.bytes);
    const std::size_t n = static_cast<std::size_t>(head.shape[0] * head.shape[1]);
    head.bytes.resize(n * sizeof(float));
    decode_row(head.type, stored.data(), n, reinterpret_cast<float*>(head.bytes.data()));
    head.type = DType::kF32;
    arrays.push_back(std::move(head));
  });
  for (const TinyFolder* folder : {&copied, &widened}) {
    EXPECT_TRUE(read_config(Checkpoint::open(folder->path())).tied_head);
    EXPECT_EQ(logits(folder->path()), logits(tied.path()));
    convert_huggingface(folder->options());
    EXPECT_EQ(Checkpoint::open(folder->output()).find("output.weight"), nullptr);
  }
}

// Tensors longer than one piece of the comparison; only the last number of the last piece differs.
TEST(TiedHead, OneNumberMakesAnotherHead) {
  const test::ScratchFolder scratch;
  std::vector<NamedArray> arrays;
  for (const char* name : {"a", "b", "c"}) {
    arrays.push_back({name, DType::kBF16, {1100, 1024}, std::vector<std::byte>(2 * 1100 * 1024)});
  }
  arrays[2].bytes.back() = std::byte{0x40};
  const std::filesystem::path path = scratch.path() / "two.safetensors";
  write_safetensors(path, arrays);
  const Checkpoint file = Checkpoint::open(path);
  EXPECT_TRUE(hold_same_numbers(file, *file.find("a"), *file.find("b")));
  EXPECT_FALSE(hold_same_numbers(file, *file.find("a"), *file.find("c")));
}

// EXAONE 4.5: the outer object ties, the inner one does not, the folder holds both tensors.
TEST(TiedHead, TheOuterObjectTiesAndTheTensorsDiffer) {
  const TinyFolder untied("tiny-exaone4_5"), folder("tiny-exaone4_5");
  for (const TinyFolder* each : {&untied, &folder}) {
    each->edit_config([](auto& config) { config.erase("vision_config"); });
  }
  folder.edit_config([](auto& config) {
    config["tie_word_embeddings"] = true;
    config["text_config"]["tie_word_embeddings"] = false;
  });
  EXPECT_EQ(logits(folder.path()), logits(untied.path()));
  convert_huggingface(folder.options());
  EXPECT_EQ(logits(folder.output()), logits(untied.path()));
}

// transformers ties the other way round where the head alone is stored.
TEST(TiedHead, TheHeadAloneIsTheEmbedding) {
  const TinyFolder tied, folder;
  folder.edit_tensors(
      [](Arrays& arrays) { array_named(arrays, "model.embed_tokens.weight").name = "lm_head.weight"; });
  EXPECT_EQ(logits(folder.path()), logits(tied.path()));
  convert_huggingface(folder.options());
  EXPECT_EQ(logits(folder.output()), logits(tied.path()));
  folder.edit_config([](auto& config) { config["tie_word_embeddings"] = false; });
  EXPECT_THROW(logits(folder.path()), Error) << "an untied model has two tensors";
}

// A saved model without drafting layers may still count them in its config.
TEST(TiedHead, DraftingLayersThatAreNotThereAreNotCounted) {
  const TinyFolder folder("tiny-exaone4_5");
  EXPECT_EQ(read_config(Checkpoint::open(folder.path())).n_mtp_layers, 1);
  folder.edit_tensors([](Arrays& arrays) {
    std::erase_if(arrays, [](const NamedArray& array) { return array.name.starts_with("mtp."); });
  });
  EXPECT_EQ(read_config(Checkpoint::open(folder.path())).n_mtp_layers, 0);
}

}  // namespace
}  // namespace exa
