#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/kernels.h"
#include "kernels/simd_avx512.h"

#define KVASIR_SIMD avx512vnni
#include "kernels/generic/rows.h"
// rows.h first: attention uses its exp.
#include "kernels/generic/attention.h"
#include "kernels/generic/limits.h"
#include "kernels/generic/matmul.h"
#include "kernels/generic/table.h"
