"""Remakes src/weights/iq_grids.cpp: the number tables that are part of GGUF's IQ1, IQ2 and IQ3 formats, as the `gguf` package
publishes them. A row holds the places of 8 (IQ1, IQ2: 2 bits each) or 4 (IQ3: 3 bits each) values in the type's list of
magnitudes, the first in the lowest bits."""

from pathlib import Path

import numpy as np
from gguf import quants

TABLES = [("kIq2XxsGrid", quants.IQ2_XXS, 2), ("kIq2XsGrid", quants.IQ2_XS, 2), ("kIq2SGrid", quants.IQ2_S, 2),
          ("kIq3XxsGrid", quants.IQ3_XXS, 3), ("kIq3SGrid", quants.IQ3_S, 3), ("kIq1Grid", quants.IQ1_S, 2)]


def main():
    text = "// Made by tools/oracle/make_iq_grids.py, which says what these are.\n\n"
    text += '#include "weights/iq_grids.h"\n\nnamespace kvasir::weights {\n\n// clang-format off\n'
    for name, kind, bits in TABLES:
        kind.init_grid()
        places = np.searchsorted(np.array(kind.grid_map), kind.grid.reshape(kind.grid_shape))
        assert (np.array(kind.grid_map)[places] == kind.grid.reshape(kind.grid_shape)).all()
        rows = (places << (bits * np.arange(places.shape[1]))).sum(axis=1)
        text += f"const std::array<std::uint16_t, {len(rows)}> {name} = {{\n"
        for at in range(0, len(rows), 16):
            text += "    " + " ".join(f"{row:#06x}," for row in rows[at:at + 16]) + "\n"
        text += "};\n\n"
    text += "// clang-format on\n}  // namespace kvasir::weights\n"
    (Path(__file__).resolve().parents[2] / "src/weights/iq_grids.cpp").write_text(text)


if __name__ == "__main__":
    main()
