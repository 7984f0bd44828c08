"""What MLX makes of a matrix when it quantises it: tests/golden/mlx.npz.

pip install mlx mlx-cpu numpy
python tests/golden/make_mlx.py
"""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np

HERE = Path(__file__).parent


def main() -> None:
    generator = np.random.default_rng(17)
    arrays: dict[str, np.ndarray] = {}
    for bits in (2, 3, 4, 5, 6, 8):
        matrix = mx.array(generator.standard_normal((3, 128)).astype(np.float32))
        parts = mx.quantize(matrix, group_size=32, bits=bits)
        for name, part in zip(("weight", "scales", "biases"), parts, strict=True):
            arrays[f"{bits}/{name}"] = np.array(part)
        arrays[f"{bits}/numbers"] = np.array(mx.dequantize(*parts, group_size=32, bits=bits))
    np.savez_compressed(HERE / "mlx.npz", **arrays)


if __name__ == "__main__":
    main()
