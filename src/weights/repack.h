#pragma once
// Tensors -> the internal layouts of kernels/packed.h. Lossless: every weight keeps its exact value.

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/packed.h"
#include "weights/tensor.h"

namespace kvasir::weights {

// Repacks a matrix of shape (rows, columns) on all threads of `pool`. kUnsupported where the row length is no
// multiple of 32 (a tensor of a quantised type always is). `place`: where to, packed_bytes() of zeros; empty:
// into memory of its own.
Result<kernels::PackedMatrix> repack(const TensorInfo& tensor, ThreadPool& pool, AlignedBuffer place = {});

// What repack() will take, in bytes, without reading the tensor.
std::size_t packed_bytes(const TensorInfo& tensor);

}  // namespace kvasir::weights
