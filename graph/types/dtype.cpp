#include <gradweave/graph/types/dtype.hpp>

#include <utility>

namespace gradweave {
namespace {

constinit thread_local DType default_of_thread = DType::float32;

}  // namespace

DType default_dtype() noexcept { return default_of_thread; }

WithDefaultDType::WithDefaultDType(DType dtype) {
  if (!is_floating(dtype))
    throw DTypeError("the default dtype must be floating, not " + std::string(name_of(dtype)));
  outer_ = std::exchange(default_of_thread, dtype);
}
WithDefaultDType::~WithDefaultDType() { default_of_thread = outer_; }

}  // namespace gradweave
