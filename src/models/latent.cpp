#include "models/latent.h"

#include <algorithm>

namespace kvasir::models {

LatentForward::LatentForward(Ops& ops, Attention& attention, const Description& description, bool precise)
    : ops_(ops), attention_(attention), d_(description) {
  // What goes into queries and keys is as sensitive here as in ordinary attention (docs/decisions/0005).
  q_down_.set_precise(true);
  plain_.set_precise(true);
  latent_.set_precise(precise);
}

void LatentForward::forward(const Batch& batch, const AttentionLayer& layer, const LatentWeights& w, Rows& x,
                            Rows& out) {
  const LatentAttention& l = d_.latent;
  const std::size_t tokens = x.tokens();
  const std::size_t heads = d_.config.heads;
  project_queries(w, x);
  project_keys(batch, layer, w, x);

  // Queries in the latent's space: W_kb q for the plain part, the rotated part as it is.
  const std::size_t head = l.plain + l.rotated;
  plain_.resize(heads * tokens, l.plain);
  absorbed_.resize(heads * tokens, l.kv_rank);
  ops_.each(heads * tokens, [&](std::size_t i) {
    std::copy_n(q_.row(i % tokens) + i / tokens * head, l.plain, plain_.row(i));
    ops_.table().quantize(plain_.row(i), plain_.quantized(), i);
  });
  per_head(w.k, plain_, absorbed_);
  query_.resize(tokens, heads * d_.config.head_dim);
  const LayerDescription& shape = d_.layers[layer.index];
  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    ops_.each(s.tokens.size(), [&](std::size_t t) {
      const std::size_t r = row + t;
      for (std::size_t h = 0; h < heads; ++h) {
        float* to = query_.row(r) + h * d_.config.head_dim;
        std::copy_n(absorbed_.row(h * tokens + r), l.kv_rank, to);
        std::copy_n(q_.row(r) + h * head + l.plain, l.rotated, to + l.kv_rank);
        attention_.rotate(shape, r, to + l.kv_rank);
      }
      ops_.table().scale(query_.row(r), attention_.query_scale(s.start + t), query_.columns());
    });
    row += s.tokens.size();
  }
  attended_.resize(tokens, heads * l.kv_rank);
  attention_.attend(batch, layer, query_, attended_);

  // And the outputs back from there: W_vb o.
  latent_.resize(heads * tokens, l.kv_rank);
  values_.resize(heads * tokens, l.value);
  ops_.each(heads * tokens, [&](std::size_t i) {
    std::copy_n(attended_.row(i % tokens) + i / tokens * l.kv_rank, l.kv_rank, latent_.row(i));
    ops_.table().quantize(latent_.row(i), latent_.quantized(), i);
  });
  per_head(w.v, latent_, values_);
  ops_.each(tokens, [&](std::size_t t) {
    for (std::size_t h = 0; h < heads; ++h)
      std::copy_n(values_.row(h * tokens + t), l.value, out.row(t) + h * l.value);
    ops_.table().quantize(out.row(t), out.quantized(), t);
  });
}

void LatentForward::project_queries(const LatentWeights& w, Rows& x) {
  const LatentAttention& l = d_.latent;
  q_.resize(x.tokens(), d_.config.heads * (l.plain + l.rotated));
  if (l.q_rank == 0) {
    const Linear q[] = {{&w.q, {q_.data(), q_.columns(), nullptr, false}}};
    ops_.linear(q, x);
    return;
  }
  q_down_.resize(x.tokens(), l.q_rank);
  const Linear down[] = {{&w.q_down, {q_down_.data(), l.q_rank, nullptr, false}}};
  ops_.linear(down, x);
  ops_.norm(q_down_, w.q_norm, d_.config.norm_epsilon, q_down_);
  const Linear q[] = {{&w.q, {q_.data(), q_.columns(), nullptr, false}}};
  ops_.linear(q, q_down_);
}

void LatentForward::project_keys(const Batch& batch, const AttentionLayer& layer, const LatentWeights& w,
                                 Rows& x) {
  const LatentAttention& l = d_.latent;
  key_.resize(x.tokens(), l.kv_rank + l.rotated);
  const Linear down[] = {{&w.kv_down, {key_.data(), key_.columns(), nullptr, false}}};
  ops_.linear(down, x);
  ops_.each(x.tokens(), [&](std::size_t t) {
    float* key = key_.row(t);
    ops_.table().rms_norm(key, w.kv_norm.data(), d_.config.norm_epsilon, l.kv_rank, key);
    attention_.rotate(d_.layers[layer.index], t, key + l.kv_rank);
  });
  attention_.write(batch, layer, key_, key_);
}

void LatentForward::per_head(const std::vector<kernels::PackedMatrix>& w, Rows& x, Rows& y) {
  const std::size_t tokens = x.tokens() / w.size();
  std::vector<Linear> products;
  products.reserve(w.size());
  for (std::size_t h = 0; h < w.size(); ++h)
    products.push_back({&w[h], {y.row(h * tokens), y.columns(), nullptr, false}, h * tokens, tokens});
  ops_.linear(products, x);
}

}  // namespace kvasir::models
