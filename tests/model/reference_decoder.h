// A decoder in double precision, written from the model card's equations and sharing no code with src/: what
// the engine's page is compared with where published outputs cannot see a difference.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace exa::test {

struct DenseLayer {
  std::vector<double> q, k, v, o, gate, up, down;  // [out][in]
  std::vector<double> q_norm, k_norm;  // empty: none
  std::vector<double> attention_norm, ffn_norm;
};

// One eps for each place where the network normalises.
struct NormEps {
  double q = 1e-5, k = 1e-5, attention = 1e-5, ffn = 1e-5, final = 1e-5;
};

struct DenseModel {
  int hidden, n_heads, n_kv_heads, head_dim, ffn_width, vocab;
  std::vector<int> window;  // a layer, 0: global
  std::vector<bool> rope;
  std::vector<double> inverse;  // [head_dim / 2]
  std::vector<double> embedding, head, final_norm;
  std::vector<DenseLayer> layers;
  bool pre_norm = false;  // sublayers read a normed copy and their output is added as it is
};

inline std::vector<double> multiply(const std::vector<double>& w, const std::vector<double>& x) {
  std::vector<double> y(w.size() / x.size(), 0.0);
  for (std::size_t i = 0; i < y.size(); ++i) {
    for (std::size_t j = 0; j < x.size(); ++j) y[i] += w[i * x.size() + j] * x[j];
  }
  return y;
}

inline void normalise(double* x, std::size_t n, const std::vector<double>& weight, double eps) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += x[i] * x[i];
  const double r = 1.0 / std::sqrt(sum / static_cast<double>(n) + eps);
  for (std::size_t i = 0; i < n; ++i) x[i] *= r * weight[i];
}

inline void rotate(double* x, const std::vector<double>& inverse, int position) {
  const std::size_t half = inverse.size();
  for (std::size_t j = 0; j < half; ++j) {
    const double angle = position * inverse[j];
    const double a = x[j];
    const double b = x[j + half];
    x[j] = a * std::cos(angle) - b * std::sin(angle);
    x[j + half] = b * std::cos(angle) + a * std::sin(angle);
  }
}

// Logits [ids.size()][vocab].
inline std::vector<std::vector<double>> forward(const DenseModel& m, const std::vector<std::int32_t>& ids,
                                                const NormEps& eps) {
  const auto hidden = static_cast<std::size_t>(m.hidden);
  const auto dim = static_cast<std::size_t>(m.head_dim);
  std::vector<std::vector<double>> x;
  for (const std::int32_t id : ids) {
    const auto row = m.embedding.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(id) * hidden);
    x.emplace_back(row, row + m.hidden);
  }
  for (std::size_t l = 0; l < m.layers.size(); ++l) {
    const DenseLayer& w = m.layers[l];
    std::vector<std::vector<double>> q, k, v;
    for (std::size_t t = 0; t < x.size(); ++t) {
      std::vector<double> in = x[t];
      if (m.pre_norm) normalise(in.data(), in.size(), w.attention_norm, eps.attention);
      q.push_back(multiply(w.q, in));
      k.push_back(multiply(w.k, in));
      v.push_back(multiply(w.v, in));
      for (std::size_t h = 0; h < static_cast<std::size_t>(m.n_heads); ++h) {
        if (!w.q_norm.empty()) normalise(&q[t][h * dim], dim, w.q_norm, eps.q);
        if (m.rope[l]) rotate(&q[t][h * dim], m.inverse, static_cast<int>(t));
      }
      for (std::size_t h = 0; h < static_cast<std::size_t>(m.n_kv_heads); ++h) {
        if (!w.k_norm.empty()) normalise(&k[t][h * dim], dim, w.k_norm, eps.k);
        if (m.rope[l]) rotate(&k[t][h * dim], m.inverse, static_cast<int>(t));
      }
    }
    for (std::size_t t = 0; t < x.size(); ++t) {
      std::vector<double> attended(static_cast<std::size_t>(m.n_heads) * dim, 0.0);
      const std::size_t first = m.window[l] == 0 || t + 1 < static_cast<std::size_t>(m.window[l])
                                    ? 0
                                    : t + 1 - static_cast<std::size_t>(m.window[l]);
      for (std::size_t h = 0; h < static_cast<std::size_t>(m.n_heads); ++h) {
        const std::size_t g = h / static_cast<std::size_t>(m.n_heads / m.n_kv_heads);
        std::vector<double> p;
        double total = 0;
        for (std::size_t s = first; s <= t; ++s) {
          double dot = 0;
          for (std::size_t d = 0; d < dim; ++d) dot += q[t][h * dim + d] * k[s][g * dim + d];
          p.push_back(std::exp(dot / std::sqrt(static_cast<double>(m.head_dim))));
          total += p.back();
        }
        for (std::size_t s = first; s <= t; ++s) {
          for (std::size_t d = 0; d < dim; ++d)
            attended[h * dim + d] += p[s - first] / total * v[s][g * dim + d];
        }
      }
      std::vector<double> o = multiply(w.o, attended);
      if (!m.pre_norm) normalise(o.data(), o.size(), w.attention_norm, eps.attention);
      for (std::size_t i = 0; i < hidden; ++i) x[t][i] += o[i];
      std::vector<double> in = x[t];
      if (m.pre_norm) normalise(in.data(), in.size(), w.ffn_norm, eps.ffn);
      std::vector<double> gate = multiply(w.gate, in);
      const std::vector<double> up = multiply(w.up, in);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1.0 + std::exp(-gate[i])) * up[i];
      std::vector<double> down = multiply(w.down, gate);
      if (!m.pre_norm) normalise(down.data(), down.size(), w.ffn_norm, eps.ffn);
      for (std::size_t i = 0; i < hidden; ++i) x[t][i] += down[i];
    }
  }
  std::vector<std::vector<double>> logits;
  for (std::vector<double>& row : x) {
    normalise(row.data(), row.size(), m.final_norm, eps.final);
    logits.push_back(multiply(m.head, row));
  }
  return logits;
}

}  // namespace exa::test
