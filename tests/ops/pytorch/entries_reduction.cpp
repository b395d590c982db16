// Reductions, scans, sorting, products.
#ifdef GRADWEAVE_HAS_JSON
#include <cmath>

#include <gradweave/ops/ops.hpp>

#include "call.hpp"

namespace gradweave::pytorch {
namespace {

bool keepdims(const Call& call, std::size_t place = 2) { return call.flag(place, "keepdim"); }

/// PyTorch's `correction` and, before it, `unbiased`, which is the second argument where no axes are given.
double correction(const Call& call) {
  if (call.has(9, "correction")) return call.number(9, "correction");
  if (call.has(9, "unbiased")) return call.flag(9, "unbiased") ? 1 : 0;
  const Json* second = call.json(1);
  if (second != nullptr && second->is_boolean()) return second->get<bool>() ? 1 : 0;
  const Json* third = call.json(2);
  return third != nullptr && third->is_boolean() ? (third->get<bool>() ? 1 : 0) : 1;
}
Axes statistics_axes(const Call& call) {
  const Json* second = call.json(1, "dim");
  return second == nullptr || second->is_boolean() ? Axes() : call.axes(1);
}

double order(const Call& call, std::size_t place, std::string_view name) {
  if (!call.text(place, name, "").empty()) return 2;  // "fro"
  return call.number(place, name, 2);
}

Interpolation interpolation(const Call& call) {
  const std::string name = call.text(4, "interpolation", "linear");
  return name == "lower"      ? Interpolation::lower
         : name == "higher"   ? Interpolation::higher
         : name == "midpoint" ? Interpolation::midpoint
         : name == "nearest"  ? Interpolation::nearest
                              : Interpolation::linear;
}

}  // namespace

std::vector<Entry> reduction_entries() {
  using C = const Call&;
  return {
      {"all", [](C c) -> Results { return all(c[0], c.axes(1), keepdims(c)); }},
      {"any", [](C c) -> Results { return any(c[0], c.axes(1), keepdims(c)); }},
      {"amax", [](C c) -> Results { return amax(c[0], c.axes(1), keepdims(c)); }},
      {"amin", [](C c) -> Results { return amin(c[0], c.axes(1), keepdims(c)); }},
      {"aminmax", [](C c) -> Results { return aminmax(c[0], c.axes(1), keepdims(c)); }},
      {"sum", [](C c) -> Results { return sum(c[0], c.axes(1), keepdims(c)); }},
      {"nansum", [](C c) -> Results { return nansum(c[0], c.axes(1), keepdims(c)); }},
      {"mean", [](C c) -> Results { return mean(c[0], c.axes(1), keepdims(c)); }},
      {"nanmean", [](C c) -> Results { return nanmean(c[0], c.axes(1), keepdims(c)); }},
      {"prod", [](C c) -> Results { return prod(c[0], c.axes(1), keepdims(c)); }},
      {"count_nonzero", [](C c) -> Results { return count_nonzero(c[0], c.axes(1)); }},
      {"logsumexp", [](C c) -> Results { return logsumexp(c[0], c.axes(1), keepdims(c)); }},
      {"max.reduction_no_dim", [](C c) -> Results { return max(c[0]); }},
      {"min.reduction_no_dim", [](C c) -> Results { return min(c[0]); }},
      {"max.reduction_with_dim",
       [](C c) -> Results { return max_with_indices(c[0], c.integer(1, "dim"), keepdims(c)); }},
      {"min.reduction_with_dim",
       [](C c) -> Results { return min_with_indices(c[0], c.integer(1, "dim"), keepdims(c)); }},
      {"var", [](C c) -> Results { return var(c[0], statistics_axes(c), keepdims(c, 3), correction(c)); }},
      {"var.unbiased",
       [](C c) -> Results { return var(c[0], statistics_axes(c), keepdims(c, 3), correction(c)); }},
      {"std", [](C c) -> Results { return std(c[0], statistics_axes(c), keepdims(c, 3), correction(c)); }},
      {"std.unbiased",
       [](C c) -> Results { return std(c[0], statistics_axes(c), keepdims(c, 3), correction(c)); }},
      {"var_mean",
       [](C c) -> Results { return var_mean(c[0], statistics_axes(c), keepdims(c, 3), correction(c)); }},
      {"var_mean.unbiased",
       [](C c) -> Results { return var_mean(c[0], statistics_axes(c), keepdims(c, 3), correction(c)); }},
      {"std_mean",
       [](C c) -> Results { return std_mean(c[0], statistics_axes(c), keepdims(c, 3), correction(c)); }},
      {"std_mean.unbiased",
       [](C c) -> Results { return std_mean(c[0], statistics_axes(c), keepdims(c, 3), correction(c)); }},
      {"norm", [](C c) -> Results { return norm(c[0], order(c, 1, "p"), c.axes(2), keepdims(c, 3)); }},
      {"norm.fro", [](C c) -> Results { return norm(c[0], 2, c.axes(2), keepdims(c, 3)); }},
      {"norm.inf", [](C c) -> Results { return norm(c[0], c.number(1, "p"), c.axes(2), keepdims(c, 3)); }},
      {"linalg.vector_norm",
       [](C c) -> Results { return norm(c[0], c.number(1, "ord", 2), c.axes(2), keepdims(c, 3)); }},
      {"dist", [](C c) -> Results { return norm(subtract(c[0], c[1]), c.number(2, "p", 2)); }},
      {"renorm", [](C c) -> Results { return renorm(c[0], c.number(1), c.integer(2), c.number(3)); }},
      {"cov",
       [](C c) -> Results {
         return cov(c[0], c.number(1, "correction", 1), c.tensor(2, "fweights"), c.tensor(3, "aweights"));
       }},
      {"corrcoef", [](C c) -> Results { return corrcoef(c[0]); }},
      {"cumsum", [](C c) -> Results { return cumsum(c[0], c.integer(1, "dim")); }},
      {"cumprod", [](C c) -> Results { return cumprod(c[0], c.integer(1, "dim")); }},
      {"cummax", [](C c) -> Results { return cummax(c[0], c.integer(1, "dim")); }},
      {"cummin", [](C c) -> Results { return cummin(c[0], c.integer(1, "dim")); }},
      {"logcumsumexp", [](C c) -> Results { return logcumsumexp(c[0], c.integer(1, "dim")); }},
      {"diff",
       [](C c) -> Results {
         return diff(c[0], c.integer(1, "n", 1), c.integer(2, "dim", -1), c.tensor(3, "prepend"),
                     c.tensor(4, "append"));
       }},
      {"trapezoid",
       [](C c) -> Results {
         const Index axis = c.integer(2, "dim", -1);
         return c.is_tensor(1, "x") ? trapezoid(c[0], c.tensor(1, "x"), axis)
                                    : trapezoid(c[0], c.number(1, "dx", 1), axis);
       }},
      {"trapz",
       [](C c) -> Results {
         const Index axis = c.integer(2, "dim", -1);
         return c.is_tensor(1, "x") ? trapezoid(c[0], c.tensor(1, "x"), axis)
                                    : trapezoid(c[0], c.number(1, "dx", 1), axis);
       }},
      {"cumulative_trapezoid",
       [](C c) -> Results {
         const Index axis = c.integer(2, "dim", -1);
         return c.is_tensor(1, "x") ? cumulative_trapezoid(c[0], c.tensor(1, "x"), axis)
                                    : cumulative_trapezoid(c[0], c.number(1, "dx", 1), axis);
       }},
      {"argmax",
       [](C c) -> Results {
         return argmax(c.has(1, "dim") ? c[0] : flatten(c[0]), c.integer(1, "dim", 0), keepdims(c));
       }},
      {"argmin",
       [](C c) -> Results {
         return argmin(c.has(1, "dim") ? c[0] : flatten(c[0]), c.integer(1, "dim", 0), keepdims(c));
       }},
      {"argsort",
       [](C c) -> Results { return argsort(c[0], c.integer(1, "dim", -1), c.flag(2, "descending")); }},
      {"sort", [](C c) -> Results { return sort(c[0], c.integer(1, "dim", -1), c.flag(2, "descending")); }},
      {"msort", [](C c) -> Results { return sort(c[0], 0).values; }},
      {"topk",
       [](C c) -> Results {
         return topk(c[0], c.integer(1, "k"), c.integer(2, "dim", -1), c.flag(3, "largest", true));
       }},
      {"kthvalue",
       [](C c) -> Results {
         return kthvalue(c[0], c.integer(1, "k"), c.integer(2, "dim", -1), keepdims(c, 3));
       }},
      {"median",
       [](C c) -> Results {
         if (c.has(1, "dim")) return median(c[0], c.integer(1, "dim"), keepdims(c));
         return median(c[0]);
       }},
      {"nanmedian",
       [](C c) -> Results {
         if (c.has(1, "dim")) return nanmedian(c[0], c.integer(1, "dim"), keepdims(c));
         return nanmedian(c[0]);
       }},
      {"mode", [](C c) -> Results { return mode(c[0], c.integer(1, "dim", -1), keepdims(c)); }},
      {"quantile",
       [](C c) -> Results {
         const bool one = !c.is_tensor(1, "q") || c.tensor(1, "q").rank() == 0;
         if (one && !c.has(2, "dim")) return quantile(c[0], c.number(1, "q"), interpolation(c));
         if (one)
           return quantile(c[0], c.number(1, "q"), c.integer(2, "dim"), keepdims(c, 3), interpolation(c));
         if (!c.has(2, "dim")) return quantile(flatten(c[0]), c.numbers(1, "q"), 0, false, interpolation(c));
         return quantile(c[0], c.numbers(1, "q"), c.integer(2, "dim"), keepdims(c, 3), interpolation(c));
       }},
      {"searchsorted",
       [](C c) -> Results {
         return searchsorted(c[0], c[1], c.flag(9, "right") || c.text(9, "side", "left") == "right",
                             c.flag(9, "out_int32") ? DType::int32 : DType::int64, c.tensor(9, "sorter"));
       }},
      {"bucketize",
       [](C c) -> Results {
         return bucketize(c[0], c[1], c.flag(9, "right"),
                          c.flag(9, "out_int32") ? DType::int32 : DType::int64);
       }},
      {"bincount",
       [](C c) -> Results {
         const Index minlength = c.integer(2, "minlength", 0);
         if (c.has(1, "weights"))
           return bincount(c.tensor(0), cast(c.operand(1, "weights"), DType::float64), minlength);
         return bincount(c.tensor(0), minlength);
       }},
      {"einsum", [](C c) -> Results { return einsum(c.text(1, "", ""), c.tensors(0)); }},
      {"matmul", [](C c) -> Results { return matmul(c[0], c[1]); }},
      {"__rmatmul__", [](C c) -> Results { return matmul(c[1], c[0]); }},
      {"mm", [](C c) -> Results { return matmul(c[0], c[1]); }},
      {"bmm", [](C c) -> Results { return matmul(c[0], c[1]); }},
      {"bmm.triton_optimized", [](C c) -> Results { return matmul(c[0], c[1]); }},
      {"mv", [](C c) -> Results { return matmul(c[0], c[1]); }},
      {"dot", [](C c) -> Results { return dot(c[0], c[1]); }},
      {"vdot", [](C c) -> Results { return dot(c[0], c[1]); }},
      {"linalg.vecdot", [](C c) -> Results { return vecdot(c[0], c[1], c.integer(2, "dim", -1)); }},
      {"inner", [](C c) -> Results { return inner(c[0], c[1]); }},
      {"outer", [](C c) -> Results { return outer(c[0], c[1]); }},
      {"kron", [](C c) -> Results { return kron(c[0], c[1]); }},
      {"linalg.cross", [](C c) -> Results { return cross(c[0], c[1], c.integer(2, "dim", -1)); }},
      {"linalg.multi_dot", [](C c) -> Results { return multi_dot(c.tensors(0)); }},
      {"tensordot",
       [](C c) -> Results {
         const Json* dims = c.json(2, "dims");
         if (dims == nullptr || !dims->is_array()) return tensordot(c[0], c[1], c.integer(2, "dims", 2));
         return tensordot(c[0], c[1], dims->at(0).get<std::vector<Index>>(),
                          dims->at(1).get<std::vector<Index>>());
       }},
      {"addmm",
       [](C c) -> Results {
         return addmm(c[0], c[1], c[2], {c.number(9, "beta", 1), c.number(9, "alpha", 1)});
       }},
      {"addmm.decomposed",
       [](C c) -> Results {
         return addmm(c[0], c[1], c[2], {c.number(9, "beta", 1), c.number(9, "alpha", 1)});
       }},
      {"addmv",
       [](C c) -> Results {
         return addmv(c[0], c[1], c[2], {c.number(9, "beta", 1), c.number(9, "alpha", 1)});
       }},
      {"addr",
       [](C c) -> Results {
         return addr(c[0], c[1], c[2], {c.number(9, "beta", 1), c.number(9, "alpha", 1)});
       }},
      {"addbmm",
       [](C c) -> Results {
         return addbmm(c[0], c[1], c[2], {c.number(9, "beta", 1), c.number(9, "alpha", 1)});
       }},
      {"baddbmm",
       [](C c) -> Results {
         return baddbmm(c[0], c[1], c[2], {c.number(9, "beta", 1), c.number(9, "alpha", 1)});
       }},
      {"addcmul", [](C c) -> Results { return addcmul(c[0], c[1], c[2], c.number(9, "value", 1)); }},
      {"addcdiv", [](C c) -> Results { return addcdiv(c[0], c[1], c[2], c.number(9, "value", 1)); }},
      {"softmax", [](C c) -> Results { return softmax(c[0], c.integer(1, "dim")); }},
      {"log_softmax", [](C c) -> Results { return log_softmax(c[0], c.integer(1, "dim")); }},
      {"nn.functional.softmin", [](C c) -> Results { return softmin(c[0], c.integer(1, "dim")); }},
      {"trace", [](C c) -> Results { return trace(c[0]); }},
  };
}

}  // namespace gradweave::pytorch
#endif
