#pragma once
// The number tables of GGUF's IQ types (tools/oracle/make_iq_grids.py makes iq_grids.cpp). A row stands for 8
// values of 2 bits each, or, of IQ3, 4 values of 3 bits each: places in the type's list of magnitudes, the
// first in the lowest bits.

#include <array>
#include <cstdint>

namespace kvasir::weights {

extern const std::array<std::uint16_t, 256> kIq2XxsGrid;
extern const std::array<std::uint16_t, 512> kIq2XsGrid;
extern const std::array<std::uint16_t, 1024> kIq2SGrid;
extern const std::array<std::uint16_t, 256> kIq3XxsGrid;
extern const std::array<std::uint16_t, 512> kIq3SGrid;
extern const std::array<std::uint16_t, 2048> kIq1Grid;  // IQ1_S and IQ1_M

}  // namespace kvasir::weights
