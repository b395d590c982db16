// Layers and losses.
#ifdef GRADWEAVE_HAS_JSON
#include <gradweave/nn/losses.hpp>
#include <gradweave/ops/ops.hpp>

#include "call.hpp"

namespace gradweave::pytorch {
namespace {

using nn::Reduction;

Reduction reduction(const Call& call) {
  const std::string name = call.text(99, "reduction", "mean");
  return name == "sum"         ? Reduction::sum
         : name == "none"      ? Reduction::none
         : name == "batchmean" ? Reduction::batch_mean
                               : Reduction::mean;
}
nn::CrossEntropyOptions cross_entropy_options(const Call& call) {
  nn::CrossEntropyOptions options{.weight = call.tensor(99, "weight"),
                                  .label_smoothing = call.number(99, "label_smoothing", 0),
                                  .reduction = reduction(call)};
  options.ignore_index = call.integer(99, "ignore_index", -100);
  return options;
}

}  // namespace

std::vector<Entry> network_entries() {
  using C = const Call&;
  return {
      {"nn.functional.mse_loss", [](C c) -> Results { return nn::mse_loss(c[0], c[1], reduction(c)); }},
      {"nn.functional.l1_loss", [](C c) -> Results { return nn::l1_loss(c[0], c[1], reduction(c)); }},
      {"nn.functional.huber_loss",
       [](C c) -> Results { return nn::huber_loss(c[0], c[1], c.number(99, "delta", 1), reduction(c)); }},
      {"nn.functional.smooth_l1_loss",
       [](C c) -> Results { return nn::smooth_l1_loss(c[0], c[1], c.number(99, "beta", 1), reduction(c)); }},
      {"nn.functional.binary_cross_entropy_with_logits",
       [](C c) -> Results {
         return nn::binary_cross_entropy_with_logits(c[0], c[1],
                                                     {.weight = c.tensor(99, "weight"),
                                                      .pos_weight = c.tensor(99, "pos_weight"),
                                                      .reduction = reduction(c)});
       }},
      {"nn.functional.cross_entropy",
       [](C c) -> Results { return nn::cross_entropy(c[0], c[1], cross_entropy_options(c)); }},
      {"nn.functional.nll_loss",
       [](C c) -> Results { return nn::nll_loss(c[0], c[1], cross_entropy_options(c)); }},
      {"nn.functional.soft_margin_loss",
       [](C c) -> Results { return nn::soft_margin_loss(c[0], c[1], reduction(c)); }},
      {"nn.functional.margin_ranking_loss",
       [](C c) -> Results {
         return nn::margin_ranking_loss(c[0], c[1], c[2], c.number(99, "margin", 0), reduction(c));
       }},
      {"nn.functional.binary_cross_entropy",
       [](C c) -> Results {
         return nn::binary_cross_entropy(c[0], c[1], reduction(c), c.tensor(99, "weight"));
       }},
      {"nn.functional.kl_div",
       [](C c) -> Results { return nn::kl_div(c[0], c[1], reduction(c), c.flag(99, "log_target")); }},
      {"nn.functional.poisson_nll_loss",
       [](C c) -> Results {
         return nn::poisson_nll_loss(c[0], c[1],
                                     {.log_input = c.flag(99, "log_input", true),
                                      .full = c.flag(99, "full"),
                                      .epsilon = c.number(99, "eps", 1e-8),
                                      .reduction = reduction(c)});
       }},
      {"nn.functional.gaussian_nll_loss",
       [](C c) -> Results {
         return nn::gaussian_nll_loss(c[0], c[1], c[2], c.number(99, "eps", 1e-6), reduction(c),
                                      c.flag(99, "full"));
       }},
      {"nn.functional.hinge_embedding_loss",
       [](C c) -> Results {
         return nn::hinge_embedding_loss(c[0], c[1], c.number(99, "margin", 1), reduction(c));
       }},
      {"nn.functional.cosine_embedding_loss",
       [](C c) -> Results {
         return nn::cosine_embedding_loss(c[0], c[1], c[2], c.number(99, "margin", 0), reduction(c));
       }},
      {"nn.functional.triplet_margin_loss",
       [](C c) -> Results {
         return nn::triplet_margin_loss(c[0], c[1], c[2],
                                        {.margin = c.number(99, "margin", 1),
                                         .p = c.number(99, "p", 2),
                                         .epsilon = c.number(99, "eps", 1e-6),
                                         .swap = c.flag(99, "swap"),
                                         .reduction = reduction(c)});
       }},
      {"nn.functional.multi_margin_loss",
       [](C c) -> Results {
         return nn::multi_margin_loss(c[0], c[1],
                                      {.p = c.number(99, "p", 1),
                                       .margin = c.number(99, "margin", 1),
                                       .weight = c.tensor(99, "weight"),
                                       .reduction = reduction(c)});
       }},
      {"nn.functional.multilabel_margin_loss",
       [](C c) -> Results { return nn::multilabel_margin_loss(c[0], c[1], reduction(c)); }},
      {"nn.functional.multilabel_soft_margin_loss",
       [](C c) -> Results {
         return nn::multilabel_soft_margin_loss(c[0], c[1], reduction(c), c.tensor(99, "weight"));
       }},
      {"nn.functional.ctc_loss",
       [](C c) -> Results {
         const auto lengths = [&](std::size_t place, std::string_view name) {
           return c.is_tensor(place, name) ? c.tensor(place, name) : constant(c.integers(place, name));
         };
         return nn::ctc_loss(c[0], c[1], lengths(2, "input_lengths"), lengths(3, "target_lengths"),
                             {.blank = c.integer(4, "blank", 0),
                              .zero_infinity = c.flag(6, "zero_infinity"),
                              .reduction = reduction(c)});
       }},
      {"nn.functional.layer_norm",
       [](C c) -> Results {
         return layer_norm(c[0], c.integers(1),
                           {.weight = c.tensor(2, "weight"),
                            .bias = c.tensor(3, "bias"),
                            .epsilon = c.number(4, "eps", 1e-5)});
       }},
      {"nn.functional.rms_norm",
       [](C c) -> Results {
         return rms_norm(c[0], c.integers(1),
                         {.weight = c.tensor(2, "weight"),
                          .epsilon = c.number(3, "eps", std::numeric_limits<double>::epsilon())});
       }},
      {"nn.functional.group_norm",
       [](C c) -> Results {
         return group_norm(c[0], c.integer(1),
                           {.weight = c.tensor(2, "weight"),
                            .bias = c.tensor(3, "bias"),
                            .epsilon = c.number(4, "eps", 1e-5)});
       }},
      {"nn.functional.batch_norm",
       [](C c) -> Results {
         return batch_norm(c[0], {.running_mean = c.tensor(1, "running_mean"),
                                  .running_var = c.tensor(2, "running_var"),
                                  .weight = c.tensor(3, "weight"),
                                  .bias = c.tensor(4, "bias"),
                                  .training = c.flag(5, "training"),
                                  .momentum = c.number(6, "momentum", 0.1),
                                  .epsilon = c.number(7, "eps", 1e-5)})
             .output;
       }},
      {"nn.functional.local_response_norm",
       [](C c) -> Results {
         return local_response_norm(c[0], c.integer(1, "size"), c.number(2, "alpha", 1e-4),
                                    c.number(3, "beta", 0.75), c.number(4, "k", 1));
       }},
      {"nn.functional.normalize",
       [](C c) -> Results {
         return normalize(c[0], c.number(1, "p", 2), c.integer(2, "dim", 1), c.number(3, "eps", 1e-12));
       }},
      {"nn.functional.cosine_similarity",
       [](C c) -> Results {
         return cosine_similarity(c[0], c[1], c.integer(2, "dim", 1), c.number(3, "eps", 1e-8));
       }},
      {"nn.functional.pairwise_distance",
       [](C c) -> Results {
         return pairwise_distance(c[0], c[1], c.number(2, "p", 2), c.number(3, "eps", 1e-6),
                                  c.flag(4, "keepdim"));
       }},
      {"cdist", [](C c) -> Results { return cdist(c[0], c[1], c.number(2, "p", 2)); }},
      {"nn.functional.pdist", [](C c) -> Results { return pdist(c[0], c.number(1, "p", 2)); }},
      {"nn.functional.embedding",
       [](C c) -> Results {
         if (c.has(2, "padding_idx")) return embedding(c[1], c[0], c.integer(2, "padding_idx"));
         return embedding(c[1], c[0]);
       }},
      {"nn.functional.embedding_bag",
       [](C c) -> Results {
         const auto mode = c.text(99, "mode", "mean");
         EmbeddingBagOptions options{.offsets = c.tensor(2, "offsets"),
                                     .mode = mode == "sum"   ? BagMode::sum
                                             : mode == "max" ? BagMode::max
                                                             : BagMode::mean,
                                     .per_sample_weights = c.tensor(99, "per_sample_weights"),
                                     .include_last_offset = c.flag(99, "include_last_offset")};
         if (c.has(99, "padding_idx")) options.padding_idx = c.integer(99, "padding_idx");
         return embedding_bag(c[1], c[0], options);
       }},
      {"nn.functional.scaled_dot_product_attention",
       [](C c) -> Results {
         AttentionOptions options{.mask = c.tensor(3, "attn_mask"),
                                  .causal = c.flag(5, "is_causal"),
                                  .grouped_heads = c.flag(99, "enable_gqa")};
         options.scale = c.some_number(99, "scale");
         return scaled_dot_product_attention(c[0], c[1], c[2], options);
       }},
      {"nn.functional.linear",
       [](C c) -> Results {
         return c.has(2, "bias") ? linear(c[0], c[1]) + c.operand(2, "bias") : linear(c[0], c[1]);
       }},
      {"nn.functional.bilinear",
       [](C c) -> Results { return bilinear(c[0], c[1], c[2], c.tensor(3, "bias")); }},
  };
}

}  // namespace gradweave::pytorch
#endif
