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
