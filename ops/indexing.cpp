#include <gradweave/ops/indexing.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

#include <fmt/format.h>

#include <gradweave/graph/algebra.hpp>
#include <gradweave/graph/located_error.hpp>
#include <gradweave/ops/elementwise.hpp>
#include <gradweave/ops/index.hpp>
#include <gradweave/ops/rearrange.hpp>
#include <gradweave/ops/reduction.hpp>
#include <gradweave/ops/scan.hpp>
#include <gradweave/ops/scatter.hpp>
#include <gradweave/ops/shape.hpp>
#include <gradweave/ops/sort.hpp>

namespace gradweave {
namespace {

// The number of axes that an index stands for.
std::size_t axes_of(const Indexer& indexer) {
  if (std::holds_alternative<NewAxis>(indexer.value()) || std::holds_alternative<Ellipsis>(indexer.value()))
    return 0;
  const auto* tensor = std::get_if<Tensor>(&indexer.value());
  return tensor != nullptr && !tensor->is_empty() && tensor->dtype() == DType::bool_ ? tensor->rank() : 1;
}

Tensor in_range(const Operand& x, Index axis, const Range& range) {
  const Index size = x.tensor()->size(axis);
  if (range.step > 0) return slice(x, axis, range.start.value_or(0), range.stop.value_or(size), range.step);
  if (range.step == 0) refuse<ValueError>("index", {x}, "a range has step 0");
  // Backwards: of the axis turned round, from its start on.
  const auto limited = [&](Index position, Index least) {
    return std::clamp(position < 0 ? position + size : position, least, size - 1);
  };
  const Index start = range.start ? limited(*range.start, -1) : size - 1;
  const Index stop = range.stop ? limited(*range.stop, -1) : -1;
  const Index count = start > stop ? (start - stop - 1) / -range.step + 1 : 0;
  const Tensor places = start + arange(count) * range.step;
  return take(x, places, axis);
}

class Indexing {
 public:
  Indexing(const Operand& x, std::span<const Indexer> indices) : x_(x), y_(tensor_of(x, "index")) {
    std::size_t named = 0, dots = 0;
    for (const Indexer& indexer : indices) {
      named += axes_of(indexer);
      dots += std::holds_alternative<Ellipsis>(indexer.value()) ? 1 : 0;
    }
    if (named > y_.rank() || dots > 1)
      refuse<ShapeError>("index", {x},
                         dots > 1 ? "\"...\" stands there twice" : fmt::format("{} indices", named));
    for (const Indexer& indexer : indices) {
      if (std::holds_alternative<Ellipsis>(indexer.value())) {
        axis_ += static_cast<Index>(x_.tensor()->rank() - named);
        separate();
      } else {
        add(indexer);
      }
    }
  }

  Tensor result() {
    if (tensors_.empty()) return y_;
    // Indexed axes to the front, joined into one; the index tensors become one of places along that.
    Shape shape;
    for (const Tensor& tensor : tensors_) shape = broadcast(shape, tensor.shape());
    std::vector<Index> order(axes_), sizes;
    for (Index k = 0; k < static_cast<Index>(y_.rank()); ++k) {
      if (std::ranges::find(axes_, k) == axes_.end()) order.push_back(k), sizes.push_back(y_.size(k));
    }
    Tensor places;
    Index joined = 1;
    for (std::size_t k = tensors_.size(); k-- > 0;) {
      const Index size = y_.size(axes_[k]);
      // Each is looked at: places that combine would hide one that is outside.
      const Tensor checked = checked_index(Operand(tensors_[k], x_.where()), size);
      const Tensor step = joined == 1 ? checked : checked * joined;
      places = places.is_empty() ? step : places + step;
      joined *= size;
    }
    sizes.insert(sizes.begin(), joined);
    const Tensor rows = reshape(
        Operand(permute(Operand(y_, x_.where()), std::span<const Index>(order)), x_.where()), Dims(sizes));
    Tensor y = take(Operand(rows, x_.where()), broadcast_to(places, shape), 0);
    if (is_apart_) return y;
    // Back to where the first of them stood.
    std::vector<Index> back;
    const auto rank = static_cast<Index>(shape.rank()), in_front = axes_.front();
    for (Index k = 0; k < in_front; ++k) back.push_back(rank + k);
    for (Index k = 0; k < rank; ++k) back.push_back(k);
    for (Index k = in_front; k < static_cast<Index>(y.rank()) - rank; ++k) back.push_back(rank + k);
    return permute(y, std::span<const Index>(back));
  }

 private:
  // After a tensor came something else: the next tensor makes them apart.
  void separate() { is_over_ = !tensors_.empty(); }

  void add(const Indexer& indexer) {
    if (const auto* position = std::get_if<Index>(&indexer.value())) {
      separate();
      y_ = select(Operand(y_, x_.where()), axis_, *position);
    } else if (const auto* range = std::get_if<Range>(&indexer.value())) {
      separate();
      y_ = in_range(Operand(y_, x_.where()), axis_++, *range);
    } else if (std::holds_alternative<NewAxis>(indexer.value())) {
      separate();
      y_ = expand_dims(Operand(y_, x_.where()), axis_++);
    } else {
      add_tensor(std::get<Tensor>(indexer.value()));
    }
  }

  void add_tensor(const Tensor& tensor) {
    is_apart_ |= is_over_;
    if (tensor.is_empty()) refuse<GraphError>("index", {x_}, "an index is an empty Tensor");
    if (tensor.dtype() == DType::bool_) {
      for (std::size_t k = 0; k < tensor.rank(); ++k) {
        if (tensor.size(static_cast<Index>(k)) != y_.size(axis_ + static_cast<Index>(k)))
          refuse<ShapeError>("index", {x_, tensor}, "the mask has another shape");
      }
      const Tensor places = nonzero(tensor);
      for (std::size_t k = 0; k < tensor.rank(); ++k) {
        tensors_.push_back(select(places, 1, static_cast<Index>(k)));
        axes_.push_back(axis_++);
      }
    } else if (is_integral(tensor.dtype())) {
      tensors_.push_back(cast(tensor, DType::int64));
      axes_.push_back(axis_++);
    } else {
      refuse<DTypeError>("index", {x_, tensor}, "an index is whole numbers or bools");
    }
  }

  const Operand& x_;
  Tensor y_;
  Index axis_ = 0;
  std::vector<Tensor> tensors_;
  std::vector<Index> axes_;  // of y, that the tensors index
  bool is_over_ = false, is_apart_ = false;
};

Tensor put(const Operand& x, std::span<const Indexer> indices, const Operand& value, bool adds) {
  const Tensor& all = tensor_of(x, "index_put");
  const Tensor numbers = reshape(arange(all.numel()), Dims(all.shape()));
  const Tensor places = index(Operand(numbers, x.where()), indices);
  const Tensor values =
      value.tensor() == nullptr ? full({}, value.number(), all.dtype()) : cast(value, all.dtype());
  const Tensor spread = reshape(Operand(broadcast_to(values, places.shape()), x.where()), {places.numel()});
  const Tensor flat = reshape(x, {all.numel()}), at = reshape(places, {places.numel()});
  const Tensor y = adds ? scatter_add(Operand(flat, x.where()), 0, at, spread)
                        : scatter(Operand(flat, x.where()), 0, at, spread);
  return reshape(Operand(y, x.where()), Dims(all.shape()));
}

}  // namespace

Tensor index(const Operand& x, std::span<const Indexer> indices) { return Indexing(x, indices).result(); }
Tensor index_put(const Operand& x, std::span<const Indexer> indices, const Operand& value) {
  return put(x, indices, value, false);
}
Tensor index_put_add(const Operand& x, std::span<const Indexer> indices, const Operand& value) {
  return put(x, indices, value, true);
}

Tensor nonzero(const Tensor& x) {
  const Tensor is = not_equal(tensor_of(x, "nonzero"), 0);
  std::vector<bool> found;
  try {
    found = is.to_vector<bool>();
  } catch (const GraphError& error) {
    throw GraphError(fmt::format(
        "{}; how many elements are not zero is not known here: `where` needs no count", error.what()));
  }
  const Shape shape = x.shape();
  const auto rank = static_cast<Index>(shape.rank());
  std::vector<Index> all, at(shape.rank());
  Index count = 0;
  for (const bool here : found) {
    if (here) all.insert(all.end(), at.begin(), at.end()), ++count;
    for (std::size_t k = at.size(); k-- > 0;) {  // the next place
      if (++at[k] < shape[k]) break;
      at[k] = 0;
    }
  }
  return constant(all, {count, rank});
}

Tensor masked_select(const Operand& x, const Tensor& mask) {
  const Shape shape =
      broadcast(tensor_of(x, "masked_select").shape(), tensor_of(mask, "masked_select").shape());
  const Tensor one = reshape(Operand(broadcast_to(x, shape), x.where()), {numel(shape)});
  return index(Operand(one, x.where()), {reshape(broadcast_to(mask, shape), {numel(shape)})});
}

Unique unique(const Tensor& x) {
  const Tensor flat = detach(reshape(tensor_of(x, "unique"), {x.numel()}));
  if (x.numel() == 0)
    return {flat, reshape(zeros({0}, DType::int64), Dims(x.shape())), zeros({0}, DType::int64)};
  const auto [sorted, order] = sort(flat, 0);
  const Index size = x.numel();
  // Where a new value begins; how many began up to an element is that element's number.
  const Tensor begins =
      concat({ones({1}, DType::bool_), slice(sorted, 0, 1, size) != slice(sorted, 0, 0, size - 1)});
  const Tensor number = cumsum(begins, 0) - 1;
  const Tensor inverse = scatter(zeros({size}, DType::int64), 0, order, number);
  return {masked_select(sorted, begins), reshape(inverse, Dims(x.shape())), bincount(number)};
}

}  // namespace gradweave
