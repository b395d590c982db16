#include <gradweave/ops/ops.hpp>

namespace gradweave {

std::vector<const Operation*> all_operations() {
  std::vector<const Operation*> all;
  for (const auto& family : {algebra_operations(),     elementwise_operations(),   integer_operations(),
                             matmul_operations(),      reduction_operations(),     shape_operations(),
                             index_operations(),       embedding_operations(),     ctc_operations(),
                             attention_operations(),   random_operations(),        activation_operations(),
                             convolution_operations(), unfold_operations(),        axis_map_operations(),
                             pooling_operations(),     normalization_operations(), softmax_operations(),
                             scalar_math_operations(), special_operations(),       scan_operations(),
                             scatter_operations(),     sort_operations(),          control_operations(),
                             custom_vjp_operations(),  linalg_operations(),        decomposition_operations(),
                             fft_operations(),         distribution_operations(),  update_operations()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  return all;
}

Registry builtin_operations() {
  Registry registry;
  for (const Operation* operation : all_operations()) registry.add(*operation);
  return registry;
}

}  // namespace gradweave
