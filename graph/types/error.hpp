// The errors that Gradweave throws. Catch `Error` for all of them.
#pragma once
#include <stdexcept>

namespace gradweave {

/// Base of every error thrown by the library; `what()` names the op, its operands and where they come from.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Sizes, ranks or axes that do not fit together.
struct ShapeError : Error {
  using Error::Error;
};
/// An element type that the operation does not take.
struct DTypeError : Error {
  using Error::Error;
};
/// A number outside its range: a label, an index, an option.
struct ValueError : Error {
  using Error::Error;
};
/// A question the graph cannot answer: a gradient of something not connected, history that was released.
struct GraphError : Error {
  using Error::Error;
};
/// A file that cannot be read or written, or that does not hold what it claims.
struct IoError : Error {
  using Error::Error;
};

}  // namespace gradweave
