#include <gradweave/nn/data/idx.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <zlib.h>

#include <gradweave/graph/algebra.hpp>

namespace gradweave::nn {
namespace {

std::size_t element_size(IdxType type) {
  switch (type) {
    case IdxType::i16:
      return 2;
    case IdxType::i32:
    case IdxType::f32:
      return 4;
    case IdxType::f64:
      return 8;
    default:
      return 1;
  }
}

// zlib's gz functions read plain files as they are and compressed ones unpacked.
class Reader {
 public:
  explicit Reader(std::string path) : name_(std::move(path)) {
    errno = 0;
    file_.reset(gzopen(name_.c_str(), "rb"));
    if (file_ == nullptr) {
      throw IoError(
          fmt::format("{}: cannot open: {}", name_, errno != 0 ? std::strerror(errno) : "out of memory"));
    }
  }

  /// Reads until `into` is full or the file ends; what it returns is how much there was.
  std::size_t read(std::span<std::byte> into) {
    std::size_t done = 0;
    while (done < into.size()) {
      const auto piece = static_cast<unsigned>(std::min<std::size_t>(into.size() - done, 1U << 30));
      const int got = gzread(file_.get(), into.data() + done, piece);
      int error = Z_OK;
      const char* why = gzerror(file_.get(), &error);
      // A compressed file that breaks off is an end of file with a reason.
      if (error == Z_BUF_ERROR) fail("the compressed data break off: the file is truncated");
      if (error == Z_ERRNO) fail(fmt::format("cannot read: {}", std::strerror(errno)));
      if (got < 0 || error != Z_OK) fail(fmt::format("the compressed data are corrupt: {}", why));
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  [[noreturn]] void fail(const std::string& what) const { throw IoError(fmt::format("{}: {}", name_, what)); }

 private:
  struct Close {
    void operator()(gzFile_s* file) const { gzclose(file); }
  };
  std::string name_;
  std::unique_ptr<gzFile_s, Close> file_;
};

IdxType read_type(Reader& file, std::span<std::byte, 4> magic) {
  const std::size_t got = file.read(magic);
  if (got == 0) file.fail("the file is empty");
  if (got < magic.size()) file.fail(fmt::format("not an IDX file: only {} bytes long", got));
  const auto code = std::to_integer<unsigned>(magic[2]);
  const bool is_known = code == 8 || code == 9 || (code >= 0x0B && code <= 0x0E);
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0} || !is_known) {
    file.fail(fmt::format(
        "not an IDX file: it begins with {:02x} {:02x} {:02x} {:02x}; expected 00 00, a type from 08 to 0e "
        "(08 for unsigned bytes) and the number of axes",
        magic[0], magic[1], magic[2], magic[3]));
  }
  return static_cast<IdxType>(code);
}

Shape read_shape(Reader& file, std::size_t rank) {
  if (rank > max_rank) file.fail(fmt::format("it claims {} axes; at most {} are supported", rank, max_rank));
  std::array<std::byte, 4 * max_rank> raw{};
  const std::size_t got = file.read(std::span(raw).first(4 * rank));
  if (got < 4 * rank) {
    file.fail(fmt::format("the header is truncated: {} axes take {} bytes of sizes, {} are there", rank,
                          4 * rank, got));
  }
  std::array<Index, max_rank> sizes{};
  for (std::size_t i = 0; i < 4 * rank; ++i)
    sizes[i / 4] = sizes[i / 4] * 256 + std::to_integer<Index>(raw[i]);
  try {
    return Shape(Dims(sizes.data(), rank));  // which leaves room for elements of eight bytes
  } catch (const ShapeError& error) {
    file.fail(fmt::format("the sizes in its header are absurd: {}", error.what()));
  }
}

std::vector<std::byte> read_elements(Reader& file, const Shape& shape, std::size_t element) {
  const std::size_t bytes = static_cast<std::size_t>(numel(shape)) * element;
  constexpr std::size_t piece = std::size_t{1} << 20;
  std::vector<std::byte> elements;
  while (elements.size() < bytes) {
    const std::size_t before = elements.size();
    elements.resize(before + std::min(bytes - before, std::max(piece, before)));
    const std::size_t got = file.read(std::span(elements).subspan(before));
    if (before + got < elements.size()) {
      file.fail(fmt::format("truncated: the header says {}, {} bytes of elements, and {} are there",
                            to_string(shape), bytes, before + got));
    }
  }
  std::byte beyond{};  // also makes zlib compare the checksum
  if (file.read({&beyond, 1}) != 0) {
    file.fail(fmt::format("it goes on after the {} bytes of elements of shape {}", bytes, to_string(shape)));
  }
  return elements;
}

template <class T>
T big_endian(const std::byte* bytes) {
  std::array<std::byte, sizeof(T)> raw{};
  std::memcpy(raw.data(), bytes, sizeof(T));
  if constexpr (std::endian::native == std::endian::little) std::ranges::reverse(raw);
  return std::bit_cast<T>(raw);
}

template <class From, class To>
std::vector<To> decode(const Idx& idx, double divisor) {
  std::vector<To> values(idx.bytes.size() / sizeof(From));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] =
        static_cast<To>(static_cast<double>(big_endian<From>(&idx.bytes[i * sizeof(From)])) / divisor);
  }
  return values;
}

template <class To>
std::vector<To> decode(const Idx& idx, double divisor) {
  switch (idx.type) {
    case IdxType::u8:
      return decode<std::uint8_t, To>(idx, divisor);
    case IdxType::i8:
      return decode<std::int8_t, To>(idx, divisor);
    case IdxType::i16:
      return decode<std::int16_t, To>(idx, divisor);
    case IdxType::i32:
      return decode<std::int32_t, To>(idx, divisor);
    case IdxType::f32:
      return decode<float, To>(idx, divisor);
    case IdxType::f64:
      return decode<double, To>(idx, divisor);
  }
  throw ValueError(fmt::format("Idx: no element type has the code {}", static_cast<int>(idx.type)));
}

}  // namespace

Tensor Idx::tensor(DType dtype, double divisor) const {
  if (dtype == DType::int64)
    return cast(tensor(DType::float64, divisor), dtype);  // NaN and infinity are defined there
  if (computed_as(dtype) != dtype) return cast(tensor(computed_as(dtype), divisor), dtype);
  return dispatch<numeric>(dtype, [&]<class T>() { return constant(decode<T>(*this, divisor), shape); });
}

Idx read_idx(const std::string& path) {
  Reader file(path);
  std::array<std::byte, 4> magic{};
  Idx idx;
  idx.type = read_type(file, magic);
  idx.shape = read_shape(file, std::to_integer<std::size_t>(magic[3]));
  idx.bytes = read_elements(file, idx.shape, element_size(idx.type));
  return idx;
}

}  // namespace gradweave::nn
