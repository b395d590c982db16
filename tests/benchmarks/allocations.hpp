// Counts what a benchmark takes from the system: this program's operator new is ours.
#pragma once
#include <cstddef>

/// How often this thread has called operator new.
std::size_t allocations();
