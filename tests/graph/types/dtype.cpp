#include <gradweave/graph/types/dtype.hpp>

#include <cmath>
#include <limits>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"

namespace gradweave {
namespace {

constexpr DType b = DType::bool_, i = DType::int64, f = DType::float32, d = DType::float64;

// By the names of NumPy 2.4: `numpy.promote_types(row, column)`.
TEST_CASE("two dtypes promote as in numpy.promote_types", "[dtype]") {
  constexpr DType order[] = {DType::bool_, DType::uint8,   DType::int8,    DType::uint16,
                             DType::int16, DType::uint32,  DType::int32,   DType::uint64,
                             DType::int64, DType::float16, DType::float32, DType::float64};
  constexpr int count = 12;
  constexpr int table[count][count] = {
      {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11},           {1, 1, 4, 3, 4, 5, 6, 7, 8, 9, 10, 11},
      {2, 4, 2, 6, 4, 8, 6, 11, 8, 9, 10, 11},          {3, 3, 6, 3, 6, 5, 6, 7, 8, 10, 10, 11},
      {4, 4, 4, 6, 4, 8, 6, 11, 8, 10, 10, 11},         {5, 5, 8, 5, 8, 5, 8, 7, 8, 11, 11, 11},
      {6, 6, 6, 6, 6, 8, 6, 11, 8, 11, 11, 11},         {7, 7, 11, 7, 11, 7, 11, 7, 11, 11, 11, 11},
      {8, 8, 8, 8, 8, 8, 8, 11, 8, 11, 11, 11},         {9, 9, 9, 10, 10, 11, 11, 11, 11, 9, 10, 11},
      {10, 10, 10, 10, 10, 11, 11, 11, 11, 10, 10, 11}, {11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11}};
  for (int x = 0; x < count; ++x) {
    for (int y = 0; y < count; ++y) {
      INFO(name_of(order[x]) << " with " << name_of(order[y]));
      const DType expected = order[table[x][y]];
      CHECK(promote(order[x], order[y]) == expected);
      CHECK((ones({2}, order[x]) + ones({2}, order[y])).dtype() == expected);
    }
  }
}

TEST_CASE("bfloat16 promotes as float16 does, and the two give float32", "[dtype]") {
  constexpr DType bf = DType::bfloat16;
  CHECK(promote(bf, DType::float16) == f);
  CHECK(promote(DType::float16, bf) == f);
  for (const DType narrow : {b, DType::int8, DType::uint8, bf}) CHECK(promote(narrow, bf) == bf);
  for (const DType middle : {DType::int16, DType::uint16, f}) CHECK(promote(bf, middle) == f);
  for (const DType wide : {DType::int32, DType::uint32, i, DType::uint64, d}) CHECK(promote(wide, bf) == d);
}

TEST_CASE("the table names every dtype", "[dtype]") {
  CHECK(name_of(DType::bool_) == "bool");
  CHECK(name_of(DType::uint64) == "uint64");
  CHECK(name_of(DType::bfloat16) == "bfloat16");
  CHECK(size_of(DType::float16) == 2);
  CHECK(dtype_of<float16> == DType::float16);
  CHECK(dtype_of<std::uint32_t> == DType::uint32);
  CHECK(contains(integral, DType::uint8));
  CHECK_FALSE(contains(floating, DType::int8));
  CHECK(computed_as(floating) == (only(f) | only(d)));
}

TEST_CASE("a default dtype holds for its scope", "[dtype]") {
  CHECK(constant(9.81).dtype() == f);
  {
    const WithDefaultDType doubles(d);
    CHECK(constant(9.81).item<double>() == 9.81);
    CHECK(variable({1, 2}).dtype() == d);
    CHECK(zeros({2}).dtype() == d);
    CHECK((ones({2}, i) / 3).dtype() == d);
    CHECK(exp(ones({2}, i)).dtype() == d);
    CHECK(mean(ones({2}, i)).dtype() == d);
    CHECK((ones({2}, i) + 0.5).dtype() == d);
    CHECK((ones({2}, f) + 0.5).dtype() == f);  // a tensor's own dtype stays
    {
      const WithDefaultDType halves(DType::bfloat16);
      CHECK(ones({2}).dtype() == DType::bfloat16);
    }
    CHECK(default_dtype() == d);
    CHECK_THROWS_AS(WithDefaultDType(i), DTypeError);
  }
  CHECK(default_dtype() == f);
}

TEST_CASE("a number beside a float64 tensor is that number to the last bit", "[dtype]") {
  CHECK((ones({}, d) * 0.1).item<double>() == 0.1);
  CHECK((zeros({}, d) + 9.81).item<double>() == 9.81);
  CHECK(where(zeros({}, b), ones({}, d), 0.1).item<double>() == 0.1);
}

TEST_CASE("a number takes the dtype of the tensor beside it", "[dtype]") {
  CHECK((ones({2}, f) * 2).dtype() == f);
  CHECK((ones({2}, f) * 2.5).dtype() == f);
  CHECK((2.5 * ones({2}, d)).dtype() == d);
  CHECK((ones({2}, i) * 2).dtype() == i);
  CHECK((ones({2}, i) + 2.5).dtype() == f);  // a kind that the tensor cannot hold
  CHECK((ones({2}, b) + 2).dtype() == i);
  CHECK((ones({2}, DType::int8) + 2).dtype() == DType::int8);
  CHECK((ones({2}, DType::uint16) * 0.5).dtype() == f);
  CHECK((ones({2}, DType::float16) * 0.5).dtype() == DType::float16);
  CHECK((ones({2}, DType::bfloat16) + 1).dtype() == DType::bfloat16);
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
