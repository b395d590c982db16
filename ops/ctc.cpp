#include <gradweave/ops/ctc.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/body.hpp>
#include <gradweave/graph/define.hpp>
#include <gradweave/graph/gradients.hpp>
#include <gradweave/graph/kernels/parallel.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/graph/memory/storage.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/pad.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/scan.hpp>
#include <gradweave/ops/scatter.hpp>
#include <gradweave/ops/shape.hpp>

namespace gradweave {
namespace {

template <class T>
constexpr T impossible = -std::numeric_limits<T>::infinity();

// log(exp(a) + exp(b) + exp(c))
template <class T>
T log_of_sum(T a, T b, T c) {
  const T largest = std::max({a, b, c});
  if (largest == impossible<T>) return largest;
  return largest + std::log(std::exp(a - largest) + std::exp(b - largest) + std::exp(c - largest));
}

// The samples of a batch: log_probs (time, batch, classes), targets (batch, longest) or (all), lengths (2,
// batch).
struct CtcBatch {
  Index time, count, classes;
  const ArrayView &targets, &lengths;

  CtcBatch(const ArrayView& x, const ArrayView& targets_, const ArrayView& lengths_)
      : time(x.shape[0]), count(x.shape[1]), classes(x.shape[2]), targets(targets_), lengths(lengths_) {}
  Index steps(Index n) const { return lengths.as<const Index>()[n]; }
  Index labels(Index n) const { return lengths.as<const Index>()[count + n]; }
  const Index* target(Index n) const {
    Index first = 0;
    if (targets.shape.size() == 2) {
      first = n * targets.shape[1];
    } else {
      for (Index k = 0; k < n; ++k) first += labels(k);
    }
    return targets.as<const Index>() + first;
  }
  // Before anything is read by them.
  void check() const {
    const bool rows = targets.shape.size() == 2;
    Index all = 0;
    for (Index n = 0; n < count; ++n) {
      if (steps(n) < 0 || steps(n) > time)
        throw ValueError(fmt::format("input length {} of sample {}; there are {} steps", steps(n), n, time));
      const Index longest = rows ? targets.shape[1] : targets.size() - all;
      if (labels(n) < 0 || labels(n) > longest)
        throw ValueError(
            fmt::format("target length {} of sample {}; there are {} labels", labels(n), n, longest));
      all += labels(n);
      for (Index i = 0; i < labels(n); ++i) {
        if (target(n)[i] < 0 || target(n)[i] >= classes)
          throw ValueError(fmt::format("label {} of sample {} is outside [0, {})", target(n)[i], n, classes));
      }
    }
  }
};

// One sample: its labels with a blank before, between and behind are the places of a walk, which stays, goes
// on by one or, past a blank between different labels, by two.
template <class T>
struct CtcWalk {
  const T* x;  // of step 0 and class 0
  const Index* target;
  Index labels, steps, blank, next_step;

  Index places() const { return 2 * labels + 1; }
  Index label(Index s) const { return s % 2 == 0 ? blank : target[s / 2]; }
  T log_prob(Index t, Index s) const { return x[t * next_step + label(s)]; }
  bool skips(Index s) const { return s >= 2 && s % 2 == 1 && target[s / 2] != target[s / 2 - 1]; }

  // The logarithm of the probability of being at each place at step t, having come there; `before` are those
  // of the step before.
  void forward(Index t, const T* before, T* now) const {
    for (Index s = 0; s < places(); ++s) {
      const T come = t == 0 ? (s < 2 ? T(0) : impossible<T>)
                            : log_of_sum(before[s], s > 0 ? before[s - 1] : impossible<T>,
                                         skips(s) ? before[s - 2] : impossible<T>);
      now[s] = come + log_prob(t, s);
    }
  }
  // And of coming to an end from there; without what is at step t itself.
  void backward(Index t, const T* after, T* now) const {
    const Index count = places();
    for (Index s = 0; s < count; ++s) {
      if (t == steps - 1) {
        now[s] = s >= count - 2 ? T(0) : impossible<T>;
        continue;
      }
      const auto to = [&](Index next) { return after[next] + log_prob(t + 1, next); };
      now[s] = log_of_sum(to(s), s + 1 < count ? to(s + 1) : impossible<T>,
                          s + 2 < count && skips(s + 2) ? to(s + 2) : impossible<T>);
    }
  }
  T total(const T* last) const {
    if (steps == 0) return labels == 0 ? T(0) : impossible<T>;
    const Index count = places();
    return log_of_sum(last[count - 1], count > 1 ? last[count - 2] : impossible<T>, impossible<T>);
  }
};

// Calls f(walk, n) for each sample, on several threads.
template <class T>
void for_walks(const ArrayView& x, const ArrayView& targets, const ArrayView& lengths, Index blank,
               const auto& f) {
  const CtcBatch batch(x, targets, lengths);
  batch.check();
  const Index cost = 50 * batch.time * (2 * targets.shape.back() + 1);
  parallel_for(batch.count, min_task_ns / std::max<Index>(cost, 1) + 1, [&](Index first, Index last) {
    for (Index n = first; n < last; ++n) {
      f(CtcWalk<T>{x.as<const T>() + n * batch.classes, batch.target(n), batch.labels(n), batch.steps(n),
                   blank, batch.count * batch.classes},
        n);
    }
  });
}

Spec require_ctc(const Spec& x, const Spec& targets, const Spec& lengths, Index blank) {
  const bool fits =
      x.shape.rank() == 3 && lengths.shape == Shape{2, x.shape[1]} &&
      (targets.shape.rank() == 1 || (targets.shape.rank() == 2 && targets.shape[0] == x.shape[1]));
  if (!fits)
    throw ShapeError("expected (time, batch, classes), targets (batch, longest) or (all), lengths (batch)");
  if (blank < 0 || blank >= x.shape[2])
    throw ValueError(fmt::format("the blank {} is outside [0, {})", blank, x.shape[2]));
  return x;
}
constexpr std::array<std::optional<DType>, 3> ctc_dtypes{std::nullopt, DType::int64, DType::int64};

// Samples of an op of log_probs alone: of three samples.
template <class Op>
std::vector<Sample> ctc_samples() {
  const auto call = [](std::span<const Tensor> in) {
    return apply(Op{1}, {in[0], constant(std::vector<Index>{0, 0, 2, 2, 0, 2}, {3, 2}),
                         constant(std::vector<Index>{4, 3, 2, 2, 1, 2}, {2, 3})});
  };
  return {{{uniform(-2, -0.5, {4, 3, 3})}, call}};
}

// How likely each class is at each step, given that the labels are those of the target.
struct CtcOccupancy {
  Index blank;
  static constexpr std::string_view name = "ctc_occupancy";
  static constexpr bool leading_axes = false;
  static constexpr DTypes dtypes = floating;
  static constexpr auto fixed = ctc_dtypes;
  Spec infer(const Spec& x, const Spec& targets, const Spec& lengths) const {
    return require_ctc(x, targets, lengths, blank);
  }
  void forward(const ArrayView& y, const ArrayView& x, const ArrayView& targets,
               const ArrayView& lengths) const {
    dispatch<floating>(y.dtype, [&]<class T>() {
      std::fill_n(y.as<T>(), y.size(), T(0));
      for_walks<T>(x, targets, lengths, blank, [&](const CtcWalk<T>& walk, Index n) {
        const Index places = walk.places();
        RecycledVector<T> come(static_cast<std::size_t>(places * walk.steps)),
            go(static_cast<std::size_t>(2 * places));
        for (Index t = 0; t < walk.steps; ++t)
          walk.forward(t, come.data() + (t - 1) * places, come.data() + t * places);
        const T total = walk.total(come.data() + (walk.steps - 1) * places);
        if (total == impossible<T>) return;
        for (Index t = walk.steps - 1; t >= 0; --t) {
          T* const now = go.data() + t % 2 * places;
          walk.backward(t, go.data() + (t + 1) % 2 * places, now);
          T* const to = y.as<T>() + t * walk.next_step + n * x.shape[2];
          for (Index s = 0; s < places; ++s)
            to[walk.label(s)] += std::exp(come[static_cast<std::size_t>(t * places + s)] + now[s] - total);
        }
      });
    });
  }
  Tensor vjp(std::size_t, const Tensor& h, const Tensor& x, const Tensor& targets, const Tensor& lengths,
             const Tensor&) const;
  static std::vector<Sample> samples() { return ctc_samples<CtcOccupancy>(); }
};

struct CtcLoss {
  Index blank;
  static constexpr std::string_view name = "ctc_loss";
  static constexpr bool leading_axes = false;
  static constexpr DTypes dtypes = floating;
  static constexpr auto fixed = ctc_dtypes;
  Spec infer(const Spec& x, const Spec& targets, const Spec& lengths) const {
    return {{require_ctc(x, targets, lengths, blank).shape[1]}, x.dtype};
  }
  void forward(const ArrayView& y, const ArrayView& x, const ArrayView& targets,
               const ArrayView& lengths) const {
    dispatch<floating>(y.dtype, [&]<class T>() {
      for_walks<T>(x, targets, lengths, blank, [&](const CtcWalk<T>& walk, Index n) {
        const Index places = walk.places();
        RecycledVector<T> come(static_cast<std::size_t>(2 * places));
        for (Index t = 0; t < walk.steps; ++t)
          walk.forward(t, come.data() + (t + 1) % 2 * places, come.data() + t % 2 * places);
        y.as<T>()[n] = -walk.total(come.data() + (walk.steps + 1) % 2 * places);
      });
    });
  }
  Tensor vjp(std::size_t, const Tensor& g, const Tensor& x, const Tensor& targets, const Tensor& lengths,
             const Tensor&) const {
    return gradweave::apply(CtcOccupancy{blank}, {x, targets, lengths}) * expand_dims(-g, -1);
  }
  static std::vector<Sample> samples() { return ctc_samples<CtcLoss>(); }
};

// The loss of all samples, as a graph of all steps; what is impossible is only very unlikely.
Tensor composed_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& lengths, Index blank) {
  constexpr double unlikely = -1e30;
  const Tensor x = cast(log_probs, computed_as(log_probs.dtype()));  // a half does not hold that
  const Index time = x.size(0), count = x.size(1);
  const Tensor steps = expand_dims(select(lengths, 0, 0), -1),
               labels = expand_dims(select(lengths, 0, 1), -1);
  // Targets as rows, then with blanks around them.
  Tensor rows = targets;
  if (targets.rank() == 1) {
    const Tensor first = cumsum(labels, 0) - labels;
    rows = take(targets, minimum(first + arange(targets.numel()), targets.numel() - 1));
  }
  const Index longest = rows.size(1), places = 2 * longest + 1;
  const Tensor blanks = full({count, longest}, static_cast<double>(blank), DType::int64);
  const Tensor label = concat({reshape(stack({blanks, rows}, -1), {count, 2 * longest}),
                               full({count, 1}, static_cast<double>(blank), DType::int64)},
                              1);
  const Tensor is_there = arange(places) < 2 * labels + 1;
  const Tensor safe = where(is_there, label, blank);
  const auto shifted = [&](const Tensor& y, Index by) {
    return slice(pad(y, {by, 0}, PadMode::constant, unlikely), -1, 0, places);
  };
  const Tensor two_back = slice(pad(safe, {2, 0}, PadMode::constant, -1), -1, 0, places);
  const Tensor skips = logical_and(safe != two_back, safe != blank);
  Tensor now;
  for (Index t = 0; t < time; ++t) {
    const Tensor here = take_along_axis(select(x, 0, t), safe, 1);
    if (t == 0) {
      now = where(logical_and(arange(places) < 2, is_there), here, unlikely);
      continue;
    }
    const Tensor ways = stack({now, shifted(now, 1), where(skips, shifted(now, 2), unlikely)}, -1);
    now = where(t < steps, where(is_there, logsumexp(ways, {-1}) + here, unlikely), now);
  }
  const Tensor is_end = logical_and(arange(places) >= 2 * labels - 1, is_there);
  return -logsumexp(where(is_end, now, unlikely), {-1});
}

// The occupancy is minus the gradient of the loss.
Tensor CtcOccupancy::vjp(std::size_t, const Tensor& h, const Tensor& x, const Tensor& targets,
                         const Tensor& lengths, const Tensor&) const {
  const std::array<Tensor, 4> inputs{h, x, targets, lengths};
  std::array<Tensor, 4> like = inputs;
  if (!x.is_tracked()) like[1] = variable(zeros(x.shape(), x.dtype()));  // the body differentiates by it
  std::vector<Tensor> captured;
  const auto f = [&](std::span<const Tensor> in) {
    const Tensor loss = composed_loss(in[1], in[2], in[3], blank);
    const Tensor can_be = cast(loss < 1e29, loss.dtype());
    const Tensor slope = gradients(sum(loss * can_be), {in[1]})[0];
    return std::vector<Tensor>{gradients(-sum(slope * in[0]), {in[1]}, {}, Unconnected::zeros)[0]};
  };
  const Body body = Body::trace(f, like, captured);
  std::vector<Tensor> all(inputs.begin(), inputs.end());
  all.insert(all.end(), captured.begin(), captured.end());
  return body(all)[0];
}

}  // namespace

Tensor ctc_losses(const Operand& log_probs, const Operand& targets, const Operand& input_lengths,
                  const Operand& target_lengths, Index blank) {
  constexpr std::string_view op = "ctc_loss";
  for (const Operand& x : {targets, input_lengths, target_lengths}) {
    if (!is_integral(tensor_of(x, op).dtype())) refuse<DTypeError>(op, {x}, "expected whole numbers");
  }
  if (tensor_of(log_probs, op).rank() == 2) {  // one sample
    const Tensor x = expand_dims(log_probs, 1), t = reshape(targets, {1, targets.tensor()->numel()}),
                 n = reshape(input_lengths, {1}), m = reshape(target_lengths, {1});
    return select(ctc_losses(Operand(x, log_probs.where()), t, n, m, blank), 0, 0);
  }
  const Tensor lengths = stack({cast(input_lengths, DType::int64), cast(target_lengths, DType::int64)});
  return apply(CtcLoss{blank}, {log_probs, targets, lengths});
}

std::vector<const Operation*> ctc_operations() {
  return {&operation_of<CtcLoss>(), &operation_of<CtcOccupancy>()};
}

}  // namespace gradweave
