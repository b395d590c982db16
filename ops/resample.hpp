// Images at other sizes and places: PyTorch's `interpolate`, `affine_grid` and `grid_sample`, with its
// coordinates.
#pragma once
#include <vector>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// How the value at a place between elements comes about: of the nearest element (`nearest` rounds down as
/// PyTorch's old rule does, `nearest_exact` to the nearest centre), of two along each axis (bilinear for
/// images, trilinear for volumes), of four by the cubic convolution of Keys (IEEE ASSP 29, 1981; a = -0.75),
/// or, `area`, as the mean of what a new element covers.
enum class Resampling { nearest, nearest_exact, linear, cubic, area };

struct InterpolateOptions {
  std::vector<Index> size = {};  ///< of each axis behind the channels, or
  std::vector<double> scale_factor =
      {};  ///< a factor for each of them, or one for all; sizes are rounded down
  Resampling mode = Resampling::nearest;
  bool align_corners = false;  ///< the first and last elements, not their outer edges, keep their places
  bool antialias =
      false;  ///< shrinking averages over all that is covered (linear: a triangle; cubic: a = -0.5)
  bool recompute_scale_factor = false;  ///< coordinates by the rounded sizes, not by the factor given
};
/// x (n, channels, ...) with one to three axes more, at another size. The means of whole numbers are of the
/// default dtype. Throws ShapeError for another rank or an empty axis, ValueError unless there is one of size
/// and scale_factor, for sizes below 1, and for `antialias` and `align_corners` with a mode without them.
Tensor interpolate(const Operand& x, const InterpolateOptions& options);

/// The grid for `grid_sample` that maps places of an image of `size` (n, channels, height, width) by the
/// affine maps theta (n, 2, 3), or (n, 3, 4) for volumes: (n, height, width, 2), coordinates of width first,
/// from -1 to 1 over the image. Throws ShapeError when the shapes do not fit.
Tensor affine_grid(const Operand& theta, const Shape& size, bool align_corners = false);

/// What stands outside of an image: zeros, its edge, or its mirror image.
enum class GridPadding { zeros, border, reflection };
struct GridSampleOptions {
  Resampling mode = Resampling::linear;  ///< or nearest (rounded to even), or cubic for images
  GridPadding padding_mode = GridPadding::zeros;
  bool align_corners = false;  ///< -1 and 1 are the centres of the outer elements, not their edges
};
/// x (n, channels, height, width) at the places of a grid (n, height', width', 2), or the same of volumes
/// with grids of three coordinates: (n, channels, height', width'). Differentiable in both. Throws ShapeError
/// when the shapes do not fit, ValueError for another mode.
Tensor grid_sample(const Operand& x, const Operand& grid, const GridSampleOptions& options = {});

}  // namespace gradweave
