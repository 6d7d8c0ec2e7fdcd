// The network's parameters, bound by name, checked by shape, packed for the kernels.
//
// Ownership and threads: Weights owns packed matrices and vectors and is immutable after loading.
// Source: exaone-models specification 2.8 (names), reliability 4.3 (what is checked).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "kernels/backend.h"
#include "model/config.h"
#include "model/pack_cache.h"

namespace exa {

struct LayerWeights {
  Matrix q, k, v;                     // [n_heads·head_dim | n_kv_heads·head_dim, hidden]
  std::vector<float> q_norm, k_norm;  // [head_dim]; empty where the architecture has none
  Matrix o;                           // [hidden, n_heads·head_dim]
  std::vector<float> attention_norm;  // [hidden], placed as the LayerSpec says
  Matrix gate, up;                    // [ffn_width, hidden]
  Matrix down;                        // [hidden, ffn_width]
  std::vector<float> ffn_norm;        // [hidden], placed as the LayerSpec says
};

// Calls visit for each matrix of a layer in the order of the pass.
template <typename Layer, typename Visit>
void for_each_matrix(Layer& layer, Visit&& visit) {
  for (auto* matrix : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
    visit(*matrix);
  }
}

struct Weights {
  ModelConfig config;
  Precision precision = Precision::kProduction;
  Matrix embedding;  // [vocab, hidden]
  std::vector<LayerWeights> layers;
  std::vector<float> final_norm;    // [hidden]
  std::optional<Matrix> head;       // [vocab, hidden]; absent: the embedding serves
  std::vector<float> rope_inverse;  // [head_dim / 2]
  std::vector<std::string> unused;  // tensors of the file that no room here uses (MTP, vision)

  std::shared_ptr<Region> region;  // where all matrices lie …
  std::size_t region_bytes = 0;    // … in its first bytes
  std::vector<PackEntry> pack;     // … and each of them
  PackFingerprint fingerprint{};   // of the checkpoint, where a cache was asked
  bool from_cache = false;         // the region is a file of the cache

  const Matrix& head_matrix() const { return head ? *head : embedding; }
  std::size_t size_bytes() const;
};

// What Weights::size_bytes() will be for Precision::kProduction; tensors that are missing or have another
// shape, which load_weights refuses, count as they are stored. Errors: those of family_of and
// Backend::packed_bytes.
std::size_t weight_bytes(const Checkpoint& checkpoint, const ModelConfig& config, const Backend& backend);

// progress(done_bytes, total_bytes) is called now and then on the calling thread.
using LoadProgress = std::function<void(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

struct LoadOptions {
  Pages pages = Pages::kHuge;        // of memory that is packed into
  // Where packed weights of production precision may be found, and the threads that check them; both or none.
  const PackCache* cache = nullptr;
  ThreadPool* pool = nullptr;
  LoadProgress progress = {};
};

// config: as read_config(checkpoint) gives it. Errors: kBadInput for a missing tensor or a shape that does
// not follow from the config (tensor, expected, found), for an unknown tensor that no skip list names;
// kUnsupported for a type the kernels cannot use.
Weights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, Backend& backend,
                     Precision precision, const LoadOptions& options = {});

}  // namespace exa
