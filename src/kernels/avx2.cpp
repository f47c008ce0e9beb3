#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/kernels.h"

#define KVASIR_AVX_NAMESPACE avx2

#include "kernels/simd_avx2.h"

#define KVASIR_SIMD avx2
#include "kernels/generic/rows.h"
// rows.h first: attention uses its exp.
#include "kernels/generic/attention.h"
#include "kernels/generic/limits.h"
#include "kernels/generic/matmul.h"
#include "kernels/generic/table.h"
