#include <gradweave/graph/evaluate.hpp>

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <boost/container/small_vector.hpp>

#include <gradweave/graph/blocks.hpp>
#include <gradweave/graph/operation.hpp>
#include <gradweave/graph/refuse.hpp>
#include <gradweave/graph/traverse.hpp>

namespace gradweave {
namespace {

template <class T>
using Few = boost::container::small_vector<T, 4>;

struct FollowPending {
  static bool follows(const Node& node) { return !node.evaluated(); }
};

Array array_of(const Node& node) {
  return {node.data, node.dtype, node.shape(), node.strided ? node.strides() : Dims()};
}

std::size_t bytes_of(const Node& node) {
  return static_cast<std::size_t>(numel(node.shape())) * size_of(node.dtype);
}

// `x` laid out row-major in memory of its own, which `keep` owns from here on.
Array row_major_copy(const Array& x, Few<Ref<Storage>>& keep) {
  const auto bytes = static_cast<std::size_t>(x.size()) * size_of(x.dtype);
  const Ref<Storage>& storage = keep.emplace_back(allocate_storage(bytes));
  gather(x, 0, x.size(), storage->data);
  return {storage->data, x.dtype, x.shape, {}};
}

// Runs the nodes of one evaluation. While uses of a node are still to come, `index` counts them and its
// colour is black: inputs that had values before stay white, and nothing is written to them, for other
// threads may share them.
class Run {
 public:
  Run(std::vector<Node*> order, History history) : order_(std::move(order)), history_(history) {
    for (Node* node : order_) node->index = 0;
    for (Node* node : order_) {
      for (const Tensor& input : node->inputs()) {
        if (!input.node()->evaluated()) ++input.node()->index;
      }
    }
    for (Node* node : order_) {
      node->held = node->refs.value() > node->index;
      if (node->index > 0) node->color = boost::black_color;
    }
  }

  void all() {
    for (std::size_t k = 0; k < order_.size(); ++k) {
      try {
        compute(*order_[k]);
      } catch (...) {
        abandon(k);
        rethrow_situated(*order_[k]);
      }
      release_inputs(*order_[k]);
    }
  }

 private:
  void compute(Node& node) {
    const Operation& op = *node.operation;
    if (op.view != nullptr) return compute_view(node);
    Few<Array> inputs;
    for (const Tensor& input : node.inputs()) inputs.push_back(array_of(*input.node()));
    if (op.elementwise) {
      allocate_reusing_input(node);
      const auto slot = static_cast<std::size_t>(computing_dtype(node));
      return run_elementwise(op.block[slot], node.attributes(), array_of(node),
                             {inputs.data(), inputs.size()});
    }
    Few<Ref<Storage>> copies;
    if (!op.takes_strides) {
      for (Array& x : inputs) {
        if (!x.row_major()) x = row_major_copy(x, copies);
      }
    }
    if (op.uniform) return compute_uniform(node);
    Ref<Storage> storage = allocate_storage(bytes_of(node));
    Array y = array_of(node);
    y.data = storage->data;
    op.run(node.attributes(), y, {inputs.data(), inputs.size()});  // may throw: the node stays without values
    node.data = storage->data;
    node.storage = std::move(storage);
  }

  static void compute_view(Node& node) {
    const Operation& op = *node.operation;
    const Node& input = *node.inputs()[0].node();
    Array x = array_of(input), y = array_of(node);
    const std::span<Index> strides(node.stride_array(), node.rank);
    Few<Ref<Storage>> storage{input.storage};
    y.data = x.data;
    if (!op.view(node.attributes(), x, y, strides)) {
      x = row_major_copy(x, storage);
      y.data = x.data;
      op.view(node.attributes(), x, y, strides);
    }
    node.strided = !is_row_major(node.shape(), strides);
    node.storage = std::move(storage.back());
    node.data = static_cast<std::byte*>(y.data);
  }

  // Every element is the same: memory for one, read with strides of zero.
  static void compute_uniform(Node& node) {
    Ref<Storage> storage = allocate_storage(size_of(node.dtype));
    node.operation->run(node.attributes(), {storage->data, node.dtype, {}, {}}, {});
    std::fill_n(node.stride_array(), node.rank, 0);
    node.strided = node.rank != 0;
    node.data = storage->data;
    node.storage = std::move(storage);
  }

  static DType computing_dtype(const Node& node) {
    const auto& fixed = node.operation->fixed;
    for (std::size_t i = 0; i < node.input_count; ++i) {
      if (i >= fixed.size() || !fixed[i]) return node.inputs()[i].node()->dtype;
    }
    return node.dtype;
  }

  // An input that dies here gives its memory to the output: kernels may write where they read.
  void allocate_reusing_input(Node& node) {
    const Dims shape = node.shape();
    for (const Tensor& input : node.inputs()) {
      Node& x = *input.node();
      if (dies_here(x) && !x.strided && size_of(x.dtype) == size_of(node.dtype) && same(x.shape(), shape) &&
          x.storage->refs.value() == 1) {
        node.storage = x.storage;
        node.data = x.data;
        return;
      }
    }
    node.storage = allocate_storage(bytes_of(node));
    node.data = node.storage->data;
  }

  bool dies_here(const Node& x) const {
    if (history_ == History::release) return x.refs.value() == 1;
    return x.color == boost::black_color && x.index == 1 && !x.held;
  }

  void release_inputs(Node& node) {
    const bool lets_go = history_ == History::release || (!node.tracked && node.held);
    for (const Tensor& input : std::as_const(node).inputs()) {
      Node& x = *input.node();
      if (x.color != boost::black_color || --x.index > 0) continue;
      x.color = boost::white_color;
      if (!x.held) x.storage = {}, x.data = nullptr;
    }
    if (!lets_go) return;
    if (history_ == History::release && node.tracked) node.tracked = false, node.released = true;
    node.drop_inputs();
  }

  // The graph as it was, but for what has been computed.
  void abandon(std::size_t failed) {
    order_[failed]->storage = {}, order_[failed]->data = nullptr;
    for (std::size_t k = failed; k < order_.size(); ++k) {
      order_[k]->color = boost::white_color;
      for (const Tensor& input : order_[k]->inputs()) {
        if (input.node()->color != boost::white_color) input.node()->color = boost::white_color;
      }
    }
  }

  std::vector<Node*> order_;
  History history_;
};

}  // namespace

void evaluate(std::span<const Tensor> tensors, History history) {
  for (const Tensor& tensor : tensors) {
    if (!tensor) throw GraphError("eval of an empty Tensor");
  }
  if (std::ranges::all_of(tensors, [](const Tensor& t) { return t.node()->evaluated(); })) return;
  Run(topological_order<FollowPending>(tensors), history).all();
}

}  // namespace gradweave
