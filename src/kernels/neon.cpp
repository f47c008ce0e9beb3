#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/kernels.h"
#include "kernels/simd_neon.h"

#define KVASIR_SIMD neon
#include "kernels/generic/grids.h"
#include "kernels/generic/kv_store.h"
#include "kernels/generic/rows.h"
#include "kernels/generic/segment.h"
#include "kernels/generic/unpack.h"
// Those first: attention and products use them.
#include "kernels/generic/attention.h"
#include "kernels/generic/attention_few.h"
#include "kernels/generic/limits.h"
#include "kernels/generic/matmul.h"
#include "kernels/generic/matmul_float.h"
#include "kernels/generic/recurrent.h"
#include "kernels/generic/table.h"
