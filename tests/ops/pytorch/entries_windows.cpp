// Windows that slide over images, and images at other sizes.
#ifdef GRADWEAVE_HAS_JSON
#include <gradweave/ops/ops.hpp>

#include "call.hpp"

namespace gradweave::pytorch {
namespace {

// One number for all axes, or one for each.
Index index_of(const std::vector<Index>& all) { return all.at(0); }
Pair pair_of(const std::vector<Index>& all) {
  return all.size() == 1 ? Pair(all[0]) : Pair(all.at(0), all.at(1));
}
Triple triple_of(const std::vector<Index>& all) {
  return all.size() == 1 ? Triple(all[0]) : Triple(all.at(0), all.at(1), all.at(2));
}
template <class Extent>
Extent extent_of(const std::vector<Index>& all) {
  if constexpr (extent_axes<Extent> == 1) {
    return index_of(all);
  } else if constexpr (extent_axes<Extent> == 2) {
    return pair_of(all);
  } else {
    return triple_of(all);
  }
}
/// One argument: a list, or a number.
std::vector<Index> one_argument(const Call& call, std::size_t place, std::string_view name) {
  const Json* json = call.json(place, name);
  return json->is_array() ? call.integers(place, name) : std::vector<Index>{call.integer(place, name)};
}
template <class Extent>
Extent extent(const Call& call, std::size_t place, std::string_view name) {
  return extent_of<Extent>(one_argument(call, place, name));
}
template <class Extent>
Extent extent(const Call& call, std::size_t place, std::string_view name, Index fallback) {
  const bool is_there =
      call.has(place, name) && !(call.json(place, name)->is_array() && call.json(place, name)->empty());
  return is_there ? extent<Extent>(call, place, name) : extent_of<Extent>({fallback});
}

template <class Extent>
PoolOptionsOf<Extent> pool_options(const Call& call) {
  PoolOptionsOf<Extent> options{.padding = extent<Extent>(call, 3, "padding", 0),
                                .dilation = extent<Extent>(call, 4, "dilation", 1),
                                .ceil_mode = call.flag(5, "ceil_mode")};
  if (call.has(2, "stride")) options.stride = extent<Extent>(call, 2, "stride");
  return options;
}
template <class Extent>
PoolOptionsOf<Extent> average_options(const Call& call) {
  PoolOptionsOf<Extent> options{.padding = extent<Extent>(call, 3, "padding", 0),
                                .ceil_mode = call.flag(4, "ceil_mode"),
                                .count_include_pad = call.flag(5, "count_include_pad", true),
                                .divisor_override = call.some_number(6, "divisor_override")};
  if (call.has(2, "stride") && !(call.json(2, "stride")->is_array() && call.json(2, "stride")->empty()))
    options.stride = extent<Extent>(call, 2, "stride");
  return options;
}
template <class Extent>
MaxUnpoolOptions<Extent> unpool_options(const Call& call) {
  MaxUnpoolOptions<Extent> options{.padding = extent<Extent>(call, 4, "padding", 0)};
  if (call.has(3, "stride")) options.stride = extent<Extent>(call, 3, "stride");
  if (call.has(5, "output_size")) {
    auto sizes = call.integers(5, "output_size");
    options.output_size =
        extent_of<Extent>({sizes.end() - static_cast<std::ptrdiff_t>(extent_axes<Extent>), sizes.end()});
  }
  return options;
}
/// A size of adaptive pooling, where None keeps that of the image.
std::vector<Index> adaptive(const Call& call, std::size_t axes) {
  const Json* json = call.json(1, "output_size");
  if (!json->is_array()) return {call.integer(1, "output_size")};
  std::vector<Index> sizes;
  for (std::size_t k = 0; k < json->size(); ++k) {
    sizes.push_back(json->at(k).is_null()
                        ? call.tensor(0).size(static_cast<Index>(k) - static_cast<Index>(axes))
                        : json->at(k).get<Index>());
  }
  return sizes;
}

InterpolateOptions interpolation(const Call& call, Resampling mode) {
  InterpolateOptions options{.mode = mode,
                             .align_corners = call.flag(4, "align_corners"),
                             .antialias = call.flag(9, "antialias"),
                             .recompute_scale_factor = call.flag(9, "recompute_scale_factor")};
  if (call.has(1, "size")) options.size = one_argument(call, 1, "size");
  if (call.has(2, "scale_factor")) options.scale_factor = call.numbers(2, "scale_factor");
  if (options.size.size() == 1) options.size.resize(call.tensor(0).rank() - 2, options.size[0]);
  return options;
}

template <Resampling mode>
Results resized(const Call& call) {
  return interpolate(call[0], interpolation(call, mode));
}

GridSampleOptions grid_options(const Call& call) {
  const auto mode = call.text(2, "mode", "bilinear"), padding = call.text(3, "padding_mode", "zeros");
  return {.mode = mode == "nearest"   ? Resampling::nearest
                  : mode == "bicubic" ? Resampling::cubic
                                      : Resampling::linear,
          .padding_mode = padding == "border"       ? GridPadding::border
                          : padding == "reflection" ? GridPadding::reflection
                                                    : GridPadding::zeros,
          .align_corners = call.flag(4, "align_corners")};
}
GridSampleOptions numbered_grid_options(const Call& call) {
  constexpr Resampling modes[] = {Resampling::linear, Resampling::nearest, Resampling::cubic};
  constexpr GridPadding paddings[] = {GridPadding::zeros, GridPadding::border, GridPadding::reflection};
  return {.mode = modes[call.integer(2)],
          .padding_mode = paddings[call.integer(3)],
          .align_corners = call.flag(4, "")};
}

}  // namespace

std::vector<Entry> window_entries() {
  using C = const Call&;
  return {
      {"nn.functional.max_pool1d",
       [](C c) -> Results {
         const auto window = extent<Index>(c, 1, "kernel_size");
         if (c.flag(6, "return_indices"))
           return max_pool1d_with_indices(c[0], window, pool_options<Index>(c));
         return max_pool1d(c[0], window, pool_options<Index>(c));
       }},
      {"nn.functional.max_pool2d",
       [](C c) -> Results {
         const auto window = extent<Pair>(c, 1, "kernel_size");
         if (c.flag(6, "return_indices")) return max_pool2d_with_indices(c[0], window, pool_options<Pair>(c));
         return max_pool2d(c[0], window, pool_options<Pair>(c));
       }},
      {"nn.functional.max_pool3d",
       [](C c) -> Results {
         const auto window = extent<Triple>(c, 1, "kernel_size");
         if (c.flag(6, "return_indices"))
           return max_pool3d_with_indices(c[0], window, pool_options<Triple>(c));
         return max_pool3d(c[0], window, pool_options<Triple>(c));
       }},
      {"nn.functional.avg_pool1d",
       [](C c) -> Results {
         return avg_pool1d(c[0], extent<Index>(c, 1, "kernel_size"), average_options<Index>(c));
       }},
      {"nn.functional.avg_pool2d",
       [](C c) -> Results {
         return avg_pool2d(c[0], extent<Pair>(c, 1, "kernel_size"), average_options<Pair>(c));
       }},
      {"nn.functional.avg_pool3d",
       [](C c) -> Results {
         return avg_pool3d(c[0], extent<Triple>(c, 1, "kernel_size"), average_options<Triple>(c));
       }},
      {"nn.functional.max_unpool1d",
       [](C c) -> Results {
         return max_unpool1d(c[0], c[1], extent<Index>(c, 2, "kernel_size"), unpool_options<Index>(c));
       }},
      {"nn.functional.max_unpool1d.grad",
       [](C c) -> Results {
         return max_unpool1d(c[0], c[1], extent<Index>(c, 2, "kernel_size"), unpool_options<Index>(c));
       }},
      {"nn.functional.max_unpool2d",
       [](C c) -> Results {
         return max_unpool2d(c[0], c[1], extent<Pair>(c, 2, "kernel_size"), unpool_options<Pair>(c));
       }},
      {"nn.functional.max_unpool2d.grad",
       [](C c) -> Results {
         return max_unpool2d(c[0], c[1], extent<Pair>(c, 2, "kernel_size"), unpool_options<Pair>(c));
       }},
      {"nn.functional.max_unpool3d",
       [](C c) -> Results {
         return max_unpool3d(c[0], c[1], extent<Triple>(c, 2, "kernel_size"), unpool_options<Triple>(c));
       }},
      {"nn.functional.max_unpool3d.grad",
       [](C c) -> Results {
         return max_unpool3d(c[0], c[1], extent<Triple>(c, 2, "kernel_size"), unpool_options<Triple>(c));
       }},
      {"nn.functional.adaptive_avg_pool1d",
       [](C c) -> Results { return adaptive_avg_pool1d(c[0], index_of(adaptive(c, 1))); }},
      {"nn.functional.adaptive_avg_pool2d",
       [](C c) -> Results { return adaptive_avg_pool2d(c[0], pair_of(adaptive(c, 2))); }},
      {"nn.functional.adaptive_avg_pool3d",
       [](C c) -> Results { return adaptive_avg_pool3d(c[0], triple_of(adaptive(c, 3))); }},
      {"nn.functional.adaptive_max_pool1d",
       [](C c) -> Results {
         const Index size = index_of(adaptive(c, 1));
         if (c.flag(2, "return_indices")) return adaptive_max_pool1d_with_indices(c[0], size);
         return adaptive_max_pool1d(c[0], size);
       }},
      {"nn.functional.adaptive_max_pool2d",
       [](C c) -> Results {
         const Pair size = pair_of(adaptive(c, 2));
         if (c.flag(2, "return_indices")) return adaptive_max_pool2d_with_indices(c[0], size);
         return adaptive_max_pool2d(c[0], size);
       }},
      {"nn.functional.adaptive_max_pool3d",
       [](C c) -> Results {
         const Triple size = triple_of(adaptive(c, 3));
         if (c.flag(2, "return_indices")) return adaptive_max_pool3d_with_indices(c[0], size);
         return adaptive_max_pool3d(c[0], size);
       }},
      {"nn.functional.interpolate.nearest", resized<Resampling::nearest>},
      {"nn.functional.interpolate.nearest-exact", resized<Resampling::nearest_exact>},
      {"nn.functional.interpolate.linear", resized<Resampling::linear>},
      {"nn.functional.interpolate.bilinear", resized<Resampling::linear>},
      {"nn.functional.interpolate.trilinear", resized<Resampling::linear>},
      {"nn.functional.interpolate.bicubic", resized<Resampling::cubic>},
      {"nn.functional.interpolate.area", resized<Resampling::area>},
      {"nn.functional.upsample_nearest", resized<Resampling::nearest>},
      {"nn.functional.upsample_bilinear",
       [](C c) -> Results {
         auto options = interpolation(c, Resampling::linear);
         options.align_corners = true;
         return interpolate(c[0], options);
       }},
      {"nn.functional.grid_sample", [](C c) -> Results { return grid_sample(c[0], c[1], grid_options(c)); }},
      {"grid_sampler_2d", [](C c) -> Results { return grid_sample(c[0], c[1], numbered_grid_options(c)); }},
      {"grid_sampler_3d", [](C c) -> Results { return grid_sample(c[0], c[1], numbered_grid_options(c)); }},
      {"nn.functional.unfold",
       [](C c) -> Results {
         return unfold(c[0], extent<Pair>(c, 1, "kernel_size"),
                       {.stride = extent<Pair>(c, 4, "stride", 1),
                        .padding = extent<Pair>(c, 3, "padding", 0),
                        .dilation = extent<Pair>(c, 2, "dilation", 1)});
       }},
      {"unfold", [](C c) -> Results { return unfold(c[0], c.integer(1), c.integer(2), c.integer(3)); }},
      {"unfold_copy", [](C c) -> Results { return unfold(c[0], c.integer(1), c.integer(2), c.integer(3)); }},
      {"nn.functional.channel_shuffle",
       [](C c) -> Results { return channel_shuffle(c[0], c.integer(1, "groups")); }},
  };
}

}  // namespace gradweave::pytorch
#endif
