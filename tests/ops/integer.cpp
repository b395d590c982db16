// Bits, shifts and division with a remainder: results of NumPy 2.4.
#include <gradweave/ops/integer.hpp>

#include <cmath>

#include <gradweave/ops/ops.hpp>

#include "catch.hpp"
#include "gradcheck_matcher.hpp"

namespace gradweave {
namespace {

template <class T>
Tensor whole(std::vector<T> values) {
  return constant(values);
}

TEST_CASE("bits of whole numbers", "[ops]") {
  const Tensor a = whole<std::uint8_t>({12, 255, 0}), b = whole<std::uint8_t>({10, 15, 7});
  CHECK((a & b).to_vector<int>() == std::vector<int>{8, 15, 0});
  CHECK((a | b).to_vector<int>() == std::vector<int>{14, 255, 7});
  CHECK((a ^ b).to_vector<int>() == std::vector<int>{6, 240, 7});
  CHECK((~a).to_vector<int>() == std::vector<int>{243, 0, 255});
  CHECK((a & b).dtype() == DType::uint8);
  CHECK((~whole<std::int8_t>({5})).to_vector<int>() == std::vector<int>{-6});
  CHECK((whole<std::int16_t>({-1}) & 255).to_vector<int>() == std::vector<int>{255});
  CHECK((whole<std::uint8_t>({1}) | whole<std::int8_t>({-1})).dtype() == DType::int16);
}

TEST_CASE("bits of bools are truths", "[ops]") {
  const Tensor a = constant({1, 1, 0, 0}) > 0, b = constant({1, 0, 1, 0}) > 0;
  CHECK((a & b).to_vector<bool>() == std::vector<bool>{true, false, false, false});
  CHECK((a | b).to_vector<bool>() == std::vector<bool>{true, true, true, false});
  CHECK((a ^ b).to_vector<bool>() == std::vector<bool>{false, true, true, false});
  CHECK((~a).to_vector<bool>() == std::vector<bool>{false, false, true, true});
  CHECK((~a).dtype() == DType::bool_);
}

TEST_CASE("floating operands have no bits", "[ops]") {
  CHECK_THROWS_AS(bitwise_and(ones({2}), ones({2})), DTypeError);
  CHECK_THROWS_AS(ones({2}) << 1, DTypeError);
}

TEST_CASE("shifts", "[ops]") {
  CHECK((whole<std::uint8_t>({200, 1}) << 1).to_vector<int>() == std::vector<int>{144, 2});
  CHECK((whole<std::int8_t>({1, 1, -1}) << whole<std::int8_t>({7, 8, 1})).to_vector<int>() ==
        std::vector<int>{-128, 0, -2});
  CHECK((whole<std::int8_t>({-5, 5, -5}) >> whole<std::int8_t>({1, 1, 9})).to_vector<int>() ==
        std::vector<int>{-3, 2, -1});
  CHECK((whole<std::uint64_t>({(std::uint64_t{1} << 63U) + 5}) >> 60).to_vector<int>() ==
        std::vector<int>{8});
  CHECK((whole<Index>({1, -1}) << 64).to_vector<int>() == std::vector<int>{0, 0});
  CHECK((whole<Index>({1, -1}) >> 64).to_vector<int>() == std::vector<int>{0, -1});
  CHECK(left_shift(1, whole<std::int32_t>({4})).dtype() == DType::int32);
}

TEST_CASE("whole quotients and remainders", "[ops]") {
  const Tensor a = whole<Index>({7, -7, 7, -7, 0, 5}), b = whole<Index>({3, 3, -3, -3, 3, 0});
  CHECK(floor_divide(a, b).to_vector<int>() == std::vector<int>{2, -3, -3, 2, 0, 0});
  CHECK((a % b).to_vector<int>() == std::vector<int>{1, 2, -2, -1, 0, 0});
  constexpr Index low = std::numeric_limits<Index>::min();
  CHECK(floor_divide(whole<Index>({low}), -1).to_vector<Index>() == std::vector<Index>{low});
  CHECK(floor_divide(whole<std::int8_t>({-128}), -1).to_vector<int>() == std::vector<int>{-128});
  constexpr std::uint64_t top = std::numeric_limits<std::uint64_t>::max();
  CHECK(floor_divide(whole<std::uint64_t>({top, 9}), whole<std::uint64_t>({10, top}))
            .to_vector<std::uint64_t>() == std::vector<std::uint64_t>{1844674407370955161U, 0});
  CHECK((whole<std::uint64_t>({top}) % 10).to_vector<int>() == std::vector<int>{5});
}

TEST_CASE("quotients and remainders of reals", "[ops]") {
  constexpr double inf = INFINITY;
  const std::vector<double> x{7, -7, 7, -7, 0, 5, -1, 1, 0.7}, y{3, 3, -3, -3, 3, 0, inf, -inf, 0.1};
  const std::vector<double> q{2, -3, -3, 2, 0, inf, -1, -1, 6};
  const std::vector<double> r{1, 2, -2, -1, 0, NAN, inf, -inf, 0.09999999999999992};
  const std::vector<double> found_q = floor_divide(whole(x), whole(y)).to_vector<double>(),
                            found_r = remainder(whole(x), whole(y)).to_vector<double>();
  for (std::size_t i = 0; i < x.size(); ++i) {
    INFO(x[i] << " by " << y[i]);
    CHECK(found_q[i] == q[i]);
    if (std::isnan(r[i])) {
      CHECK(std::isnan(found_r[i]));
    } else {
      CHECK(found_r[i] == r[i]);
    }
  }
  CHECK(std::signbit(remainder(whole<double>({6}), -3.0).item<double>()));  // the sign of the divisor
}

TEST_CASE("the remainder's slope is 1, and minus the quotient", "[ops]") {
  const Tensor a = variable({7.5}, DType::float64), b = variable({2.0}, DType::float64);
  const auto [da, db] = gradients(sum(a % b), {a, b});
  CHECK(da.item() == 1);
  CHECK(db.item() == -3);
}

}  // namespace
}  // namespace gradweave
