// IDX, the file format of MNIST (Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits"):
// two zero bytes, a type, the number of axes, the big-endian sizes, then the elements in row-major order,
// big-endian too.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gradweave/graph/tensor.hpp>

namespace gradweave::nn {

/// The element types of the format, by the code in the file's third byte.
enum class IdxType : std::uint8_t { u8 = 0x08, i8 = 0x09, i16 = 0x0B, i32 = 0x0C, f32 = 0x0D, f64 = 0x0E };

/// What a file holds, as it lies there: images of bytes stay bytes until someone asks for numbers.
struct Idx {
  IdxType type = IdxType::u8;
  Shape shape;
  std::vector<std::byte> bytes;  ///< the elements, row-major and big-endian

  /// The elements as a constant, each divided by `divisor` (as a number of `dtype`).
  Tensor tensor(DType dtype = default_dtype(), double divisor = 1) const;
};

/// Reads a file, plain or compressed by gzip: its content tells which. Throws IoError, naming the file, when
/// it cannot be read, is not IDX, is shorter or longer than its header claims, or fails gzip's checksum.
/// Memory grows with what the file holds, never with what its header claims.
Idx read_idx(const std::string& path);

}  // namespace gradweave::nn
