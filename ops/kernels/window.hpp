// Windows that slide over an image: what convolution and pooling share.
#pragma once
#include <concepts>
#include <string>

#include <gradweave/graph/attribute_value.hpp>
#include <gradweave/graph/types/shape.hpp>

namespace gradweave {

/// A number for rows and one for columns; one number stands for both.
struct Pair {
  Index rows = 1, cols = 1;
  constexpr Pair() = default;
  constexpr Pair(Index both) : rows(both), cols(both) {}
  constexpr Pair(Index of_rows, Index of_cols) : rows(of_rows), cols(of_cols) {}
  friend constexpr bool operator==(const Pair&, const Pair&) = default;
};

/// The same of volumes.
struct Triple {
  Index depth = 1, rows = 1, cols = 1;
  constexpr Triple() = default;
  constexpr Triple(Index all) : depth(all), rows(all), cols(all) {}
  constexpr Triple(Index of_depth, Index of_rows, Index of_cols)
      : depth(of_depth), rows(of_rows), cols(of_cols) {}
  constexpr Pair plane() const { return {rows, cols}; }
  friend constexpr bool operator==(const Triple&, const Triple&) = default;
};

/// How many axes an Index, a Pair or a Triple has a number for.
template <class Extent>
inline constexpr std::size_t extent_axes = std::same_as<Extent, Index>  ? 1
                                           : std::same_as<Extent, Pair> ? 2
                                                                        : 3;

/// `valid`: none. `same`: as many as keep the size of what is convolved, where the stride is 1; of an odd
/// number the larger half comes behind, as in PyTorch.
enum class Padding { valid, same };
/// Places around an image: a number for all sides, one for each axis, or one for each side: `.padding = 1`,
/// `{1, 2}`, `{{1, 2}, {0, 1}}` (before and behind), `Padding::same`.
template <class Extent>
struct PaddingOf {
  Extent before = 0, behind = 0;
  bool is_same = false;
  constexpr PaddingOf() = default;
  constexpr PaddingOf(Extent each) : before(each), behind(each) {}
  constexpr PaddingOf(Extent before_, Extent behind_) : before(before_), behind(behind_) {}
  constexpr PaddingOf(Padding kind) : is_same(kind == Padding::same) {}
  template <std::integral... I>
    requires(sizeof...(I) == extent_axes<Extent> || sizeof...(I) == 1) && (extent_axes<Extent> > 1)
  constexpr PaddingOf(I... each) : PaddingOf(Extent(static_cast<Index>(each)...)) {}
};

std::string to_string(const Pair& pair);
/// How many windows fit along each axis: floor((size + 2 padding - dilation (window - 1) - 1) / stride) + 1.
/// Throws ShapeError when the window is larger than the padded image, ValueError for a window, stride or
/// dilation that is not positive and for negative padding. With `ceil_mode` rounded up, as long as the last
/// window begins before the padding behind.
Pair window_count(Pair size, Pair window, Pair stride, Pair padding, Pair dilation, bool ceil_mode = false);

// Of an attribute (attributes.hpp): `(2, 3)`.
std::size_t hash_member(const Pair& pair);
AttributeValue to_value(const Pair& pair);
void from_value(const AttributeValue& value, Pair& pair);

}  // namespace gradweave
