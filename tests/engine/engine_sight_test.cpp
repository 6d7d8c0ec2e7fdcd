#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "base/threads.h"
#include "exaone/engine.h"
#include "model/vision.h"

namespace exa {
namespace {

namespace fs = std::filesystem;
const fs::path kData = fs::path(EXAONE_SOURCE_DIR) / "tests/data";

std::unique_ptr<Engine> load_seeing(const fs::path& mmproj = kData / "models/tiny-vision") {
  EngineOptions options;
  options.model = kData / "models/tiny-exaone4_5";
  options.mmproj = mmproj;
  options.n_threads = 2;
  options.context_tokens = 512;
  return Engine::load(options);
}

ContentPart picture(const std::string& name) {
  std::ifstream stream(kData / "images" / name, std::ios::binary);
  ContentPart part;
  part.image = std::make_shared<const std::string>(std::istreambuf_iterator<char>(stream),
                                                   std::istreambuf_iterator<char>());
  return part;
}

ContentPart text(const std::string& words) {
  ContentPart part;
  part.text = words;
  return part;
}

Message user(std::vector<ContentPart> content) {
  Message message("user", "");
  message.content = std::move(content);
  return message;
}

GenerateRequest request_of(std::vector<Message> messages) {
  GenerateRequest request;
  request.messages = std::move(messages);
  request.think = Think::kOff;
  request.max_tokens = 8;
  request.sampling.temperature = 0;
  return request;
}

TEST(EngineSight, TheTowersMemoryIsReckonedBeforeItIsLoaded) {
  const ModelInfo info = load_seeing()->info();
  ThreadPool pool(1);
  const std::unique_ptr<Backend> backend = make_cpu_backend(pool);
  const VisionWeights tower =
      load_vision_weights(Checkpoint::open(kData / "models/tiny-vision"), *backend, Precision::kProduction);
  EXPECT_EQ(static_cast<std::size_t>(info.vision_weight_bytes), tower.size_bytes());
  EXPECT_GE(static_cast<std::size_t>(info.vision_activation_bytes),
            VisionTower::activation_bytes(tower.config));
}

TEST(EngineSight, AModelWithoutATowerRefusesPictures) {
  const auto engine = load_seeing({});
  EXPECT_FALSE(engine->info().sees);
  EXPECT_EQ(engine->info().vision_weight_bytes + engine->info().vision_activation_bytes, 0);
  try {
    engine->generate(request_of({user({picture("png-rgba.png"), text("what?")})}), {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_EQ(error.where(), "messages[0].content");
  }
}

TEST(EngineSight, PicturesStandInThePrompt) {
  const auto engine = load_seeing();
  EXPECT_TRUE(engine->info().sees);
  const Usage blind = engine->generate(request_of({user({text("what?")})}), {}).usage;
  EXPECT_EQ(blind.image_tokens, 0);
  const Usage one = engine->generate(request_of({user({picture("gif-large.gif"), text("what?")})}), {}).usage;
  EXPECT_EQ(one.image_tokens, 20);
  EXPECT_EQ(one.encoded_images, 1);
  EXPECT_GT(one.prompt_tokens, blind.prompt_tokens + 20);
  const Usage two =
      engine
          ->generate(request_of({user({picture("gif-large.gif"), picture("png-rgba.png"), text("what?")})}),
                     {})
          .usage;
  EXPECT_EQ(two.images, 2);
  EXPECT_EQ(two.image_tokens, 26);
  EXPECT_EQ(two.encoded_images, 1);  // the other one was known
}

TEST(EngineSight, ReusedPicturesAreCounted) {
  const auto engine = load_seeing();
  const auto ask = [&](const std::string& words) {
    return engine->generate(request_of({user({text(words), picture("gif-large.gif")})}), {}).usage;
  };
  EXPECT_EQ(ask("first").reused_images, 0);
  const Usage moved = ask("then the same one behind other words");
  EXPECT_EQ(moved.encoded_images, 0);
  EXPECT_EQ(moved.reused_images, 1);
  EXPECT_GT(moved.image_seconds, 0);
  EXPECT_LE(moved.image_seconds, moved.prefill_seconds);
}

TEST(EngineSight, AHistorySentAgainCostsNothing) {
  const auto engine = load_seeing();
  std::vector<Message> messages = {user({picture("gif-large.gif"), text("what?")})};
  const Answer first = engine->generate(request_of(messages), {});
  messages.push_back(Message("assistant", first.content));
  messages.push_back(user({text("and now?")}));
  const Answer second = engine->generate(request_of(messages), {});
  EXPECT_EQ(second.usage.image_tokens, 20);
  EXPECT_EQ(second.usage.encoded_images, 0);
  EXPECT_GT(second.usage.cached_tokens, 20);

  const auto fresh = load_seeing();
  EXPECT_EQ(fresh->generate(request_of(messages), {}).content, second.content);
}

TEST(EngineSight, AnotherPictureIsAnotherPrompt) {
  const auto engine = load_seeing();
  const auto ask = [&](const std::string& name) {
    return engine->generate(request_of({user({picture(name), text("what?")})}), {}).usage;
  };
  const Usage rgba = ask("png-rgba.png");
  const Usage other = ask("png-interlaced.png");
  EXPECT_EQ(other.prompt_tokens, rgba.prompt_tokens);
  EXPECT_EQ(other.encoded_images, 1);
  EXPECT_LT(other.cached_tokens, other.prompt_tokens - 6);
  const Usage again = ask("png-interlaced.png");
  EXPECT_EQ(again.cached_tokens, again.prompt_tokens - 1);
}

TEST(EngineSight, ABadPictureEndsItsOwnRequest) {
  const auto engine = load_seeing();
  const auto good = request_of({user({picture("png-rgba.png"), text("what?")})});
  const std::string before = engine->generate(good, {}).content;
  ContentPart broken = picture("png-interlaced.png");
  broken.image = std::make_shared<const std::string>(broken.image->substr(0, broken.image->size() - 40));
  for (const ContentPart& part : {broken, picture("bad-animated.png")}) {
    try {
      engine->generate(request_of({user({text("look:"), part})}), {});
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.where().substr(0, 22), "messages[0].content[1]") << error.what();
    }
  }
  EXPECT_EQ(engine->generate(good, {}).content, before);
}

TEST(EngineSight, OnlyUsersShowPictures) {
  const auto engine = load_seeing();
  Message system("system", "");
  system.content = {picture("png-rgba.png")};
  EXPECT_THROW(engine->generate(request_of({system, user({text("what?")})}), {}), Error);
}

TEST(EngineSight, TextThatLooksLikeAPictureIsText) {
  const auto engine = load_seeing();
  const Answer answer = engine->generate(request_of({user({text("<vision><|image_pad|></vision>")})}), {});
  EXPECT_EQ(answer.usage.image_tokens, 0);
  GenerateRequest raw = request_of({});
  raw.raw = "<vision><|image_pad|></vision>";
  EXPECT_THROW(engine->generate(raw, {}), Error);
}

// This model's template has no place for one.
TEST(EngineSight, AVideoNeedsAPlaceInThePrompt) {
  const auto engine = load_seeing();
  ContentPart video;
  for (const char* name : {"png-rgba.png", "png-gamma.png", "png-interlaced.png"}) {
    video.frames.push_back(picture(name).image);
  }
  EXPECT_THROW(engine->generate(request_of({user({video, text("what?")})}), {}), Error);
}

// The published template and its tokens, on the reference's model.
TEST(EngineSight, VideosAndPicturesOfSeveralTurns) {
  const fs::path golden = fs::path(EXAONE_SHARED_DIR) / "golden/models/exaone4_5";
  if (!fs::exists(golden)) GTEST_SKIP() << "no golden data at " << golden;
  EngineOptions options;
  options.model = golden;
  options.n_threads = 2;
  options.context_tokens = 1024;
  const auto load = [&] { return Engine::load(options); };
  const auto engine = load();
  const auto video_of = [](const std::vector<std::string>& names) {
    ContentPart video;
    for (const std::string& name : names) video.frames.push_back(picture(name).image);
    return video;
  };
  const std::vector<std::string> frames = {"png-rgba.png", "png-gamma.png", "png-interlaced.png"};
  const Usage blind = engine->generate(request_of({user({text("what?")})}), {}).usage;

  const Answer seen = engine->generate(request_of({user({video_of(frames), text("what?")})}), {});
  EXPECT_EQ(seen.usage.images, 1);
  EXPECT_EQ(seen.usage.encoded_images, 1);
  EXPECT_EQ(seen.usage.image_tokens, 2 * 6);
  EXPECT_EQ(seen.usage.prompt_tokens, blind.prompt_tokens + 12 + 3);  // <vision>, </vision>, a new line
  const Usage backwards =
      engine->generate(request_of({user({video_of({frames.rbegin(), frames.rend()}), text("what?")})}), {})
          .usage;
  EXPECT_EQ(backwards.encoded_images, 1);
  EXPECT_LT(backwards.cached_tokens, backwards.prompt_tokens - 12);

  std::vector<Message> turns = {
      user({picture("gif-large.gif"), text("and"), video_of(frames), text("what?")})};
  const Answer first = engine->generate(request_of(turns), {});
  EXPECT_EQ(first.usage.images, 2);
  EXPECT_EQ(first.usage.image_tokens, 20 + 12);
  EXPECT_EQ(first.usage.encoded_images, 1);
  EXPECT_EQ(first.usage.reused_images, 1);
  turns.push_back(Message("assistant", first.content));
  turns.push_back(user({text("and this?"), picture("png-interlaced.png")}));
  const Answer second = engine->generate(request_of(turns), {});
  EXPECT_EQ(second.usage.images, 3);
  EXPECT_EQ(second.usage.image_tokens, 20 + 12 + 6);
  EXPECT_EQ(second.usage.encoded_images, 1);
  EXPECT_EQ(load()->generate(request_of(turns), {}).content, second.content);
}

TEST(EngineSight, CancelledWhileItLooks) {
  const auto engine = load_seeing();
  CancelToken cancel;
  cancel.cancel();
  const Answer answer =
      engine->generate(request_of({user({picture("gif-large.gif"), text("what?")})}), {}, &cancel);
  EXPECT_EQ(answer.reason, FinishReason::kCancelled);
  EXPECT_EQ(answer.usage.encoded_images, 0);
}

}  // namespace
}  // namespace exa
