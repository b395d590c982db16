#include <gradweave/graph/types/dtype.hpp>

#include <cmath>
#include <limits>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

constexpr DType b = DType::bool_, i = DType::int64, f = DType::float32, d = DType::float64;

TEST_CASE("two dtypes promote as in numpy.promote_types", "[dtype]") {
  constexpr DType table[4][4] = {{b, i, f, d},   // bool
                                 {i, i, d, d},   // int64: float32 cannot hold it
                                 {f, d, f, d},   // float32
                                 {d, d, d, d}};  // float64
  for (DType x : {b, i, f, d}) {
    for (DType y : {b, i, f, d}) {
      INFO(name_of(x) << " with " << name_of(y));
      const DType expected = table[static_cast<int>(x)][static_cast<int>(y)];
      CHECK(promote(x, y) == expected);
      CHECK((ones({2}, x) + ones({2}, y)).dtype() == expected);
    }
  }
}

TEST_CASE("a number takes the dtype of the tensor beside it", "[dtype]") {
  CHECK((ones({2}, f) * 2).dtype() == f);
  CHECK((ones({2}, f) * 2.5).dtype() == f);
  CHECK((2.5 * ones({2}, d)).dtype() == d);
  CHECK((ones({2}, i) * 2).dtype() == i);
  CHECK((ones({2}, i) + 2.5).dtype() == f);  // a kind that the tensor cannot hold
  CHECK((ones({2}, b) + 2).dtype() == i);
}

TEST_CASE("division of whole numbers is true division", "[dtype]") {
  const Tensor half = ones({}, i) / constant(2, i);
  CHECK(half.dtype() == f);
  CHECK(half.item() == 0.5F);
}

TEST_CASE("comparisons give bool", "[dtype]") {
  const Tensor less = constant({1, 2, 3}) < 2;
  CHECK(less.dtype() == b);
  CHECK(less.to_vector<bool>() == std::vector<bool>{true, false, false});
}

TEST_CASE("casts convert as C++ does, and never into undefined behaviour", "[dtype]") {
  const Tensor x = constant(std::vector<double>{1.9, -1.9, 0, std::nan(""), 1e300, -1e300});
  constexpr Index high = std::numeric_limits<Index>::max(), low = std::numeric_limits<Index>::min();
  CHECK(cast(x, i).to_vector<Index>() == std::vector<Index>{1, -1, 0, 0, high, low});
  CHECK(cast(x, b).to_vector<bool>() == std::vector<bool>{true, true, false, true, true, true});
  CHECK(is_same(cast(x, d), x));
}

TEST_CASE("an op on elements it has no kernel for, and that do not promote, says so", "[dtype]") {
  CHECK_THROWS_AS(variable({1, 2}, i), DTypeError);
  CHECK_THROWS_AS(where(ones({2}, f), 1.0, ones({2}, f)), DTypeError);  // the condition must be bool
  CHECK_THROWS_AS(take(ones({2}, f), ones({1}, f)), DTypeError);        // indices are whole
  const Tensor x = ones({2}, f);
  CHECK_THROWS_AS(x.data<double>(), DTypeError);
}

}  // namespace
}  // namespace gradweave
