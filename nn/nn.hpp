// The network library, and all it builds upon.
#pragma once
#include <gradweave/nn/attention.hpp>
#include <gradweave/nn/convolution.hpp>
#include <gradweave/nn/data.hpp>
#include <gradweave/nn/init.hpp>
#include <gradweave/nn/layers.hpp>
#include <gradweave/nn/losses.hpp>
#include <gradweave/nn/metrics.hpp>
#include <gradweave/nn/module.hpp>
#include <gradweave/nn/normalization.hpp>
#include <gradweave/nn/optimizers.hpp>
#include <gradweave/nn/progress.hpp>
#include <gradweave/nn/recurrent.hpp>
#include <gradweave/ops/ops.hpp>
