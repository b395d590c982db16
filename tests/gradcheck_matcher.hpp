// `REQUIRE_THAT(f, HasRightGradients(inputs))`: the gradient checker as a Catch2 matcher.
#pragma once
#include <string>
#include <vector>

#include <gradweave/graph/check/gradcheck.hpp>

#include "catch.hpp"

namespace gradweave {

class GradientMatcher : public Catch::Matchers::MatcherBase<GradcheckFunction> {
 public:
  GradientMatcher(std::vector<Tensor> inputs, const GradcheckOptions& options)
      : inputs_(std::move(inputs)), options_(options) {}

  bool match(const GradcheckFunction& f) const override {
    report_ = gradcheck(f, inputs_, options_);
    return report_.ok;
  }
  std::string describe() const override { return "has right gradients: " + report_.message; }

 private:
  std::vector<Tensor> inputs_;
  GradcheckOptions options_;
  mutable GradcheckReport report_;
};

inline GradientMatcher HasRightGradients(std::vector<Tensor> inputs, const GradcheckOptions& options = {}) {
  return {std::move(inputs), options};
}

}  // namespace gradweave
