// What optimizers are made of: elementwise ops whose first input is the value that the result replaces, so
// that evaluation writes the result into its memory. What changes from step to step (learning rate `rate`,
// ...) is an input, a scalar of the same dtype; what stays is an attribute. No gradients flow through.
#pragma once
#include <vector>

#include <gradweave/graph/operation.hpp>

namespace gradweave {

/// p - rate g
Tensor sgd_update(const Tensor& p, const Tensor& g, const Tensor& rate);
/// p - rate (g + momentum velocity)
Tensor nesterov_update(const Tensor& p, const Tensor& g, const Tensor& velocity, const Tensor& rate,
                       double momentum);
/// p - rate (weight_decay p + mean / (sqrt(mean_square) + epsilon)), where both means are free of bias.
Tensor adam_update(const Tensor& p, const Tensor& mean, const Tensor& mean_square, const Tensor& rate,
                   double epsilon, double weight_decay);
/// momentum velocity + g
Tensor velocity_update(const Tensor& velocity, const Tensor& g, double momentum);
/// mean + share (g - mean)
Tensor mean_update(const Tensor& mean, const Tensor& g, const Tensor& share);
/// mean + share (g^2 - mean)
Tensor mean_square_update(const Tensor& mean, const Tensor& g, const Tensor& share);
/// sum + g^2
Tensor square_sum_update(const Tensor& sum, const Tensor& g);
/// p - rate g / (sqrt(square_sum) + epsilon)
Tensor adagrad_update(const Tensor& p, const Tensor& g, const Tensor& square_sum, const Tensor& rate,
                      double epsilon);
/// g + weight_decay p: the gradient of the loss plus weight_decay/2 |p|^2.
Tensor decayed_gradient(const Tensor& g, const Tensor& p, double weight_decay);

/// Every operation defined here.
std::vector<const Operation*> update_operations();

}  // namespace gradweave
