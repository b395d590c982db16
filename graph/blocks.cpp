#include <gradweave/graph/blocks.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <boost/container/small_vector.hpp>

namespace gradweave {
namespace {

constexpr Index block_size = 512;
constexpr std::size_t block_bytes = block_size * sizeof(double);
constexpr std::size_t few = 4;  // inputs that an op usually has at most
template <class T>
using Few = boost::container::small_vector<T, few>;

template <class Word>
void gather_words(const Word* from, Dims shape, Dims strides, Index first, Index count, Word* to) {
  if (shape.empty()) {
    *to = *from;
    return;
  }
  // Where the first element is, as coordinates.
  const std::size_t inner = shape.size() - 1;
  std::array<Index, max_rank> at{};
  Index offset = 0;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    at[axis] = first % shape[axis];
    first /= shape[axis];
    offset += at[axis] * strides[axis];
  }
  const Index step = strides[inner];
  while (count > 0) {
    const Index run = std::min(count, shape[inner] - at[inner]);
    if (step == 1) {
      std::copy_n(from + offset, run, to);
    } else if (step == 0) {
      std::fill_n(to, run, from[offset]);
    } else {
      for (Index i = 0; i < run; ++i) to[i] = from[offset + i * step];
    }
    to += run;
    count -= run;
    // On to the next row.
    offset -= at[inner] * step;
    at[inner] = 0;
    for (std::size_t axis = inner; axis-- > 0;) {
      offset += strides[axis];
      if (++at[axis] < shape[axis]) break;
      offset -= at[axis] * strides[axis];
      at[axis] = 0;
    }
  }
}

// The strides with which an input runs along with an output of shape `shape`.
std::array<Index, max_rank> aligned_strides(const Array& x, Dims shape) {
  std::array<Index, max_rank> aligned{};
  const Shape packed = row_major(x.shape);
  const Dims strides = x.row_major() ? Dims(packed) : x.strides;
  const std::size_t lead = shape.size() - x.shape.size();
  for (std::size_t axis = 0; axis < x.shape.size(); ++axis)
    aligned[lead + axis] = x.shape[axis] == 1 ? 0 : strides[axis];
  return aligned;
}

// One input, block after block: where it lies if that can be read directly, else in a buffer.
class Feed {
 public:
  Feed(const Array& x, Dims shape, Index total) : x_(x) {
    if (total == 1 || (x.row_major() && x.size() == total)) return;
    if (x.size() != 1) strides_ = aligned_strides(x, shape);  // a single element stays where it is
    x_.shape = shape;
    const bool constant = std::all_of(strides_.begin(), strides_.end(), [](Index s) { return s == 0; });
    kind_ = constant ? Kind::constant : Kind::gathered;
  }
  void use_buffer(std::byte* buffer, Index count) {
    buffer_ = buffer;
    if (kind_ == Kind::constant) fill(0, count);
  }
  const void* block(Index first, Index count) {
    if (kind_ == Kind::direct)
      return x_.as<const std::byte>() + static_cast<std::size_t>(first) * size_of(x_.dtype);
    if (kind_ == Kind::gathered) fill(first, count);
    return buffer_;
  }

 private:
  enum class Kind { direct, constant, gathered };
  void fill(Index first, Index count) {
    x_.strides = Dims(strides_.data(), x_.shape.size());
    gather(x_, first, count, buffer_);
  }
  Kind kind_ = Kind::direct;
  Array x_;
  std::array<Index, max_rank> strides_{};
  std::byte* buffer_ = nullptr;
};

bool all_direct(std::span<const Array> inputs, Index total) {
  return std::all_of(inputs.begin(), inputs.end(),
                     [&](const Array& x) { return x.row_major() ? x.size() == total : total == 1; });
}

}  // namespace

void gather(const Array& from, Index first, Index count, void* to) {
  if (count == 0) return;
  switch (size_of(from.dtype)) {
    case 1:
      return gather_words(from.as<std::uint8_t>(), from.shape, from.strides, first, count,
                          static_cast<std::uint8_t*>(to));
    case 4:
      return gather_words(from.as<std::uint32_t>(), from.shape, from.strides, first, count,
                          static_cast<std::uint32_t*>(to));
    default:
      return gather_words(from.as<std::uint64_t>(), from.shape, from.strides, first, count,
                          static_cast<std::uint64_t*>(to));
  }
}

void run_elementwise(BlockKernel kernel, const void* attributes, const Array& y,
                     std::span<const Array> inputs) {
  const Index total = y.size();
  Few<const void*> pointers(inputs.size());
  if (all_direct(inputs, total)) {
    std::ranges::transform(inputs, pointers.begin(), [](const Array& x) { return x.data; });
    kernel(attributes, {pointers.data(), pointers.size()}, y.data, total);
    return;
  }
  alignas(64) std::array<std::byte, few * block_bytes> near;
  std::vector<std::byte> far(inputs.size() > few ? inputs.size() * block_bytes : 0);
  std::byte* buffer = far.empty() ? near.data() : far.data();
  Few<Feed> feeds;
  for (const Array& x : inputs) {
    feeds.emplace_back(x, y.shape, total).use_buffer(buffer, std::min(total, block_size));
    buffer += block_bytes;
  }
  const std::size_t element = size_of(y.dtype);
  for (Index first = 0; first < total; first += block_size) {
    const Index count = std::min(block_size, total - first);
    for (std::size_t i = 0; i < feeds.size(); ++i) pointers[i] = feeds[i].block(first, count);
    kernel(attributes, {pointers.data(), pointers.size()},
           y.as<std::byte>() + static_cast<std::size_t>(first) * element, count);
  }
}

}  // namespace gradweave
