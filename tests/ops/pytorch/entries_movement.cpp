// Movement: views, joining, splitting, indexing, and what makes tensors.
#ifdef GRADWEAVE_HAS_JSON
#include <gradweave/ops/ops.hpp>

#include "call.hpp"

namespace gradweave::pytorch {
namespace {

// Python's x[...]: numbers, slices, None, Ellipsis, lists and tensors.
std::vector<Indexer> indexers(const Call& call) {
  const Json& json = *call.json(1);
  const auto tensors = call.tensors(1);
  std::vector<Indexer> all;
  for (std::size_t k = 0; k < json.size(); ++k) {
    const Json& item = json[k];
    const auto bound = [&](std::size_t part) {
      return item.at("slice").at(part).is_null() ? std::optional<Index>()
                                                 : item.at("slice").at(part).get<Index>();
    };
    if (!tensors[k].is_empty()) {
      all.emplace_back(tensors[k]);
    } else if (item.is_null()) {
      all.emplace_back(new_axis);
    } else if (item.is_array()) {
      all.emplace_back(constant(item.get<std::vector<Index>>()));
    } else if (!item.is_object()) {
      all.emplace_back(item.get<Index>());
    } else if (item.contains("slice")) {
      all.emplace_back(Range{bound(0), bound(1), bound(2).value_or(1)});
    } else {
      all.emplace_back(ellipsis);
    }
  }
  return all;
}

Results split_as_asked(const Call& call) {
  const Json* sizes = call.json(1, "split_size_or_sections");
  const Index axis = call.integer(2, "dim", 0);
  if (sizes != nullptr && sizes->is_array()) return split(call[0], call.integers(1), axis);
  return split(call[0], call.integer(1), axis);
}

}  // namespace

std::vector<Entry> movement_entries() {
  using C = const Call&;
  return {
      {"__getitem__", [](C c) -> Results { return index(c[0], indexers(c)); }},
      {"index_put",
       [](C c) -> Results {
         return c.flag(3, "accumulate") ? index_put_add(c[0], indexers(c), c[2])
                                        : index_put(c[0], indexers(c), c[2]);
       }},
      {"zeros_like",
       [](C c) -> Results { return zeros_like(c.tensor(0), c.dtype(9, "dtype", c.tensor(0).dtype())); }},
      {"ones_like",
       [](C c) -> Results { return ones_like(c.tensor(0), c.dtype(9, "dtype", c.tensor(0).dtype())); }},
      {"full_like",
       [](C c) -> Results {
         return full_like(c.tensor(0), c.number(1, "fill_value"), c.dtype(9, "dtype", c.tensor(0).dtype()));
       }},
      {"fill", [](C c) -> Results { return full_like(c.tensor(0), c.number(1, "value")); }},
      {"new_zeros",
       [](C c) -> Results { return zeros(c.shape(1), c.dtype(9, "dtype", c.tensor(0).dtype())); }},
      {"new_ones", [](C c) -> Results { return ones(c.shape(1), c.dtype(9, "dtype", c.tensor(0).dtype())); }},
      {"new_full",
       [](C c) -> Results {
         return full(c.shape(1), c.number(2), c.dtype(9, "dtype", c.tensor(0).dtype()));
       }},
      {"sum_to_size", [](C c) -> Results { return sum_to(c[0], c.shape(1)); }},
      {"repeat_interleave",
       [](C c) -> Results {
         const Tensor flat = c.has(2, "dim") ? c.tensor(0) : flatten(c[0]);
         if (c.is_tensor(1, "repeats"))
           return repeat_interleave(flat, c.tensor(1, "repeats"), c.integer(2, "dim", 0));
         return repeat_interleave(flat, c.integer(1, "repeats"), c.integer(2, "dim", 0));
       }},
      {"isin", [](C c) -> Results { return isin(c[0], c[1]); }},
      {"t", [](C c) -> Results { return c.tensor(0).rank() < 2 ? c.tensor(0) : transpose(c[0]); }},
      {"t_copy", [](C c) -> Results { return c.tensor(0).rank() < 2 ? c.tensor(0) : transpose(c[0]); }},
      {"mT", [](C c) -> Results { return transpose(c[0]); }},
      {"transpose", [](C c) -> Results { return transpose(c[0], c.integer(1), c.integer(2)); }},
      {"transpose_copy", [](C c) -> Results { return transpose(c[0], c.integer(1), c.integer(2)); }},
      {"permute", [](C c) -> Results { return permute(c[0], c.integers(1)); }},
      {"permute_copy", [](C c) -> Results { return permute(c[0], c.integers(1)); }},
      {"reshape", [](C c) -> Results { return reshape(c[0], c.integers(1)); }},
      {"view", [](C c) -> Results { return reshape(c[0], c.integers(1)); }},
      {"view_copy", [](C c) -> Results { return reshape(c[0], c.integers(1)); }},
      {"expand", [](C c) -> Results { return expand(c[0], c.integers(1)); }},
      {"expand_copy", [](C c) -> Results { return expand(c[0], c.integers(1)); }},
      {"broadcast_to", [](C c) -> Results { return broadcast_to(c[0], c.shape(1)); }},
      {"expand_as", [](C c) -> Results { return broadcast_to(c[0], c.tensor(1).shape()); }},
      {"view_as", [](C c) -> Results { return reshape(c[0], c.tensor(1).shape()); }},
      {"reshape_as", [](C c) -> Results { return reshape(c[0], c.tensor(1).shape()); }},
      {"flatten",
       [](C c) -> Results {
         return flatten(c[0], c.integer(1, "start_dim", 0), c.integer(2, "end_dim", -1));
       }},
      {"ravel", [](C c) -> Results { return flatten(c[0]); }},
      {"unflatten", [](C c) -> Results { return unflatten(c[0], c.integer(1), c.integers(2)); }},
      {"unsqueeze", [](C c) -> Results { return expand_dims(c[0], c.integer(1)); }},
      {"unsqueeze_copy", [](C c) -> Results { return expand_dims(c[0], c.integer(1)); }},
      {"movedim",
       [](C c) -> Results { return movedim(c[0], c.integers(1, "source"), c.integers(2, "destination")); }},
      {"select", [](C c) -> Results { return select(c[0], c.integer(1), c.integer(2)); }},
      {"slice",
       [](C c) -> Results {
         return slice(c[0], c.integer(1, "dim", 0), c.integer(2, "start", 0),
                      c.integer(3, "end", std::numeric_limits<Index>::max()), c.integer(4, "step", 1));
       }},
      {"narrow", [](C c) -> Results { return narrow(c[0], c.integer(1), c.integer(2), c.integer(3)); }},
      {"narrow_copy", [](C c) -> Results { return narrow(c[0], c.integer(1), c.integer(2), c.integer(3)); }},
      {"cat", [](C c) -> Results { return concat(c.tensors(0), c.integer(1, "dim", 0)); }},
      {"stack", [](C c) -> Results { return stack(c.tensors(0), c.integer(1, "dim", 0)); }},
      {"hstack", [](C c) -> Results { return hstack(c.tensors(0)); }},
      {"vstack", [](C c) -> Results { return vstack(c.tensors(0)); }},
      {"dstack", [](C c) -> Results { return dstack(c.tensors(0)); }},
      {"column_stack", [](C c) -> Results { return column_stack(c.tensors(0)); }},
      {"block_diag", [](C c) -> Results { return block_diag(c.all_tensors()); }},
      {"atleast_1d",
       [](C c) -> Results {
         std::vector<Tensor> all;
         for (const Tensor& t : c.all_tensors()) all.push_back(atleast_1d(t));
         return all;
       }},
      {"atleast_2d",
       [](C c) -> Results {
         std::vector<Tensor> all;
         for (const Tensor& t : c.all_tensors()) all.push_back(atleast_2d(t));
         return all;
       }},
      {"atleast_3d",
       [](C c) -> Results {
         std::vector<Tensor> all;
         for (const Tensor& t : c.all_tensors()) all.push_back(atleast_3d(t));
         return all;
       }},
      {"split", split_as_asked},
      {"split.list_args", split_as_asked},
      {"split_with_sizes", [](C c) -> Results { return split(c[0], c.integers(1), c.integer(2, "dim", 0)); }},
      {"split_with_sizes_copy",
       [](C c) -> Results { return split(c[0], c.integers(1), c.integer(2, "dim", 0)); }},
      {"unsafe_split", split_as_asked},
      {"chunk", [](C c) -> Results { return chunk(c[0], c.integer(1), c.integer(2, "dim", 0)); }},
      {"unsafe_chunk", [](C c) -> Results { return chunk(c[0], c.integer(1), c.integer(2, "dim", 0)); }},
      {"tensor_split",
       [](C c) -> Results {
         const Json* parts = c.json(1);
         const Index axis = c.integer(2, "dim", 0);
         if (parts->is_array() || (c.is_tensor(1) && c.tensor(1).rank() == 1))
           return tensor_split(c[0], c.integers(1), axis);
         return tensor_split(c[0], c.integer(1), axis);
       }},
      {"hsplit",
       [](C c) -> Results {
         if (c.json(1)->is_array()) return hsplit(c[0], c.integers(1));
         return hsplit(c[0], c.integer(1));
       }},
      {"vsplit",
       [](C c) -> Results {
         if (c.json(1)->is_array()) return vsplit(c[0], c.integers(1));
         return vsplit(c[0], c.integer(1));
       }},
      {"dsplit",
       [](C c) -> Results {
         if (c.json(1)->is_array()) return dsplit(c[0], c.integers(1));
         return dsplit(c[0], c.integer(1));
       }},
      {"unbind", [](C c) -> Results { return unbind(c[0], c.integer(1, "dim", 0)); }},
      {"unbind_copy", [](C c) -> Results { return unbind(c[0], c.integer(1, "dim", 0)); }},
      {"flip", [](C c) -> Results { return flip(c[0], c.axes(1, "dims")); }},
      {"fliplr", [](C c) -> Results { return fliplr(c[0]); }},
      {"flipud", [](C c) -> Results { return flipud(c[0]); }},
      {"roll",
       [](C c) -> Results {
         if (c.has(2, "dims") && c.json(2, "dims")->is_array())
           return roll(c[0], c.integers(1, "shifts"), c.integers(2, "dims"));
         if (c.has(2, "dims")) return roll(c[0], c.integer(1, "shifts"), c.integer(2, "dims"));
         return roll(c[0], c.integer(1, "shifts"));
       }},
      {"rot90",
       [](C c) -> Results {
         const auto axes = c.has(2, "dims") ? c.integers(2, "dims") : std::vector<Index>{0, 1};
         return rot90(c[0], c.integer(1, "k", 1), axes[0], axes[1]);
       }},
      {"repeat", [](C c) -> Results { return repeat(c[0], c.integers(1)); }},
      {"tile", [](C c) -> Results { return tile(c[0], c.integers(1)); }},
      {"tril", [](C c) -> Results { return tril(c[0], c.integer(1, "diagonal", 0)); }},
      {"triu", [](C c) -> Results { return triu(c[0], c.integer(1, "diagonal", 0)); }},
      {"tril_indices",
       [](C c) -> Results { return tril_indices(c.integer(0), c.integer(1), c.integer(2, "offset", 0)); }},
      {"triu_indices",
       [](C c) -> Results { return triu_indices(c.integer(0), c.integer(1), c.integer(2, "offset", 0)); }},
      {"diag", [](C c) -> Results { return diag(c[0], c.integer(1, "diagonal", 0)); }},
      {"diagflat", [](C c) -> Results { return diagflat(c[0], c.integer(1, "offset", 0)); }},
      {"diagonal",
       [](C c) -> Results {
         return diagonal(c[0], c.integer(1, "offset", 0), c.integer(2, "dim1", 0), c.integer(3, "dim2", 1));
       }},
      {"diagonal_copy",
       [](C c) -> Results {
         return diagonal(c[0], c.integer(1, "offset", 0), c.integer(2, "dim1", 0), c.integer(3, "dim2", 1));
       }},
      {"linalg.diagonal",
       [](C c) -> Results {
         return diagonal(c[0], c.integer(9, "offset", 0), c.integer(9, "dim1", -2), c.integer(9, "dim2", -1));
       }},
      {"diag_embed",
       [](C c) -> Results {
         return diag_embed(c[0], c.integer(1, "offset", 0), c.integer(2, "dim1", -2),
                           c.integer(3, "dim2", -1));
       }},
      {"select_scatter",
       [](C c) -> Results { return select_scatter(c[0], c[1], c.integer(2), c.integer(3)); }},
      {"slice_scatter",
       [](C c) -> Results {
         return slice_scatter(c[0], c[1], c.integer(2, "dim", 0), c.integer(3, "start", 0),
                              c.integer(4, "end", std::numeric_limits<Index>::max()),
                              c.integer(5, "step", 1));
       }},
      {"diagonal_scatter",
       [](C c) -> Results {
         return diagonal_scatter(c[0], c[1], c.integer(2, "offset", 0), c.integer(3, "dim1", 0),
                                 c.integer(4, "dim2", 1));
       }},
      {"meshgrid.variadic_tensors",
       [](C c) -> Results {
         return meshgrid(c.all_tensors(),
                         c.text(99, "indexing", "ij") == "xy" ? GridIndexing::xy : GridIndexing::ij);
       }},
      {"meshgrid.list_of_tensors",
       [](C c) -> Results {
         return meshgrid(c.all_tensors(),
                         c.text(99, "indexing", "ij") == "xy" ? GridIndexing::xy : GridIndexing::ij);
       }},
      {"cartesian_prod", [](C c) -> Results { return cartesian_prod(c.all_tensors()); }},
      {"combinations",
       [](C c) -> Results {
         return combinations(c[0], c.integer(1, "r", 2), c.flag(2, "with_replacement"));
       }},
      {"linalg.vander",
       [](C c) -> Results { return vander(c[0], c.has(9, "N") ? c.integer(9, "N") : c.tensor(0).size(-1)); }},
      {"unravel_index", [](C c) -> Results { return unravel_index(c[0], c.shape(1)); }},
      {"gather", [](C c) -> Results { return gather(c[0], c.integer(1), c[2]); }},
      {"take_along_dim",
       [](C c) -> Results {
         return c.has(2, "dim") ? take_along_axis(c[0], c[1], c.integer(2, "dim"))
                                : take_along_axis(flatten(c[0]), flatten(c[1]), 0);
       }},
      {"index_select", [](C c) -> Results { return index_select(c[0], c.integer(1), c[2]); }},
      {"scatter", [](C c) -> Results { return scatter(c[0], c.integer(1), c[2], c[3]); }},
      {"scatter_add", [](C c) -> Results { return scatter_add(c[0], c.integer(1), c[2], c[3]); }},
      {"index_add",
       [](C c) -> Results { return index_add(c[0], c.integer(1), c[2], c[3], c.number(9, "alpha", 1)); }},
      {"index_copy", [](C c) -> Results { return index_copy(c[0], c.integer(1), c[2], c[3]); }},
      {"index_fill", [](C c) -> Results { return index_fill(c[0], c.integer(1), c[2], c[3]); }},
      {"masked_fill", [](C c) -> Results { return masked_fill(c[0], c[1], c[2]); }},
      {"masked_select", [](C c) -> Results { return masked_select(c[0], c.tensor(1)); }},
      {"nonzero", [](C c) -> Results { return nonzero(c.tensor(0)); }},
      {"argwhere", [](C c) -> Results { return nonzero(c.tensor(0)); }},
      {"eye",
       [](C c) -> Results {
         return eye(c.integer(0), c.integer(1, "m", c.integer(0)), c.dtype(9, "dtype", DType::float32));
       }},
      {"linspace",
       [](C c) -> Results {
         return linspace(c.number(0), c.number(1), c.integer(2, "steps"),
                         c.dtype(9, "dtype", DType::float32));
       }},
      {"logspace",
       [](C c) -> Results {
         return logspace(c.number(0), c.number(1), c.integer(2, "steps"), c.number(3, "base", 10),
                         c.dtype(9, "dtype", DType::float32));
       }},
      {"ones", [](C c) -> Results { return ones(c.shape(0), c.dtype(9, "dtype", DType::float32)); }},
      {"zeros", [](C c) -> Results { return zeros(c.shape(0), c.dtype(9, "dtype", DType::float32)); }},
      {"full",
       [](C c) -> Results { return full(c.shape(0), c.number(1), c.dtype(9, "dtype", DType::float32)); }},
      {"nn.functional.one_hot",
       [](C c) -> Results { return one_hot(c[0], c.integer(1, "num_classes", -1), DType::int64); }},
      {"nn.functional.pixel_shuffle",
       [](C c) -> Results { return pixel_shuffle(c[0], c.integer(1, "upscale_factor")); }},
      {"nn.functional.pixel_unshuffle",
       [](C c) -> Results { return pixel_unshuffle(c[0], c.integer(1, "downscale_factor")); }},
      {"nn.functional.pad.constant",
       [](C c) -> Results { return pad(c[0], c.integers(1), PadMode::constant, c.number(3, "value", 0)); }},
      {"nn.functional.pad.reflect",
       [](C c) -> Results { return pad(c[0], c.integers(1), PadMode::reflect); }},
      {"nn.functional.pad.replicate",
       [](C c) -> Results { return pad(c[0], c.integers(1), PadMode::replicate); }},
      {"nn.functional.pad.replicate_negative",
       [](C c) -> Results { return pad(c[0], c.integers(1), PadMode::replicate); }},
      {"nn.functional.pad.circular",
       [](C c) -> Results { return pad(c[0], c.integers(1), PadMode::circular); }},
      {"constant_pad_nd",
       [](C c) -> Results { return pad(c[0], c.integers(1), PadMode::constant, c.number(2, "value", 0)); }},
  };
}

}  // namespace gradweave::pytorch
#endif
