// The network library, and all it builds upon.
#pragma once
#include <gradweave/nn/data/loader.hpp>
#include <gradweave/nn/init.hpp>
#include <gradweave/nn/layers/attention.hpp>
#include <gradweave/nn/layers/convolution.hpp>
#include <gradweave/nn/layers/layers.hpp>
#include <gradweave/nn/layers/normalization.hpp>
#include <gradweave/nn/layers/recurrent.hpp>
#include <gradweave/nn/losses.hpp>
#include <gradweave/nn/metrics.hpp>
#include <gradweave/nn/module.hpp>
#include <gradweave/nn/optimizers/optimizers.hpp>
#include <gradweave/nn/progress.hpp>
#include <gradweave/ops/ops.hpp>
