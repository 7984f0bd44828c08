"""How long a diagnosis takes and how much memory, of (2, 8, 512, 512, 64) by default.

python tests/benchmarks/diagnose.py [N_TOKEN]

Each line is a process of its own; times are also given as multiples of one reference computation
in NumPy (float32, all weights kept), measured in the same run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

N_BATCH, N_HEAD, N_TOKEN, WIDTH = 2, 8, 512, 64

PROCESS = """
import resource, sys
from attnviz.cli import run_cli
try:
    run_cli(["diagnose", sys.argv[1], "--causal", "-q", "--json", *sys.argv[2:]])
finally:
    import json
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak, file=sys.stderr)
"""


def attention(q, k, v, scale, hidden):
    """softmax(scale QKᵀ, hidden cells -inf) V, in the type of q."""
    scores = np.float32(scale) * (q @ k.swapaxes(-1, -2))
    scores = np.where(hidden, np.float32(-np.inf), scores)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)) @ v


def dumps(n: int) -> dict[str, dict[str, np.ndarray]]:
    """By what is wrong with them."""
    random = np.random.default_rng(0)
    q, k, v = random.standard_normal((3, N_BATCH, N_HEAD, n, WIDTH), np.float32)
    later = ~np.tri(n, dtype=bool)
    far = later | np.tri(n, k=-n // 4, dtype=bool)
    scale = WIDTH**-0.5
    outs = {
        "nothing": attention(q, k, v, scale, later),
        "the scale": attention(q, k, v, (N_HEAD * WIDTH) ** -0.5, later),
        "scale and mask": attention(q, k, v, 1.0, np.zeros_like(later)),
        "nothing known": attention(q, k, v, scale, far)[..., ::-1] ** 2,
    }
    return {name: {"q": q, "k": k, "v": v, "out": out} for name, out in outs.items()}


def measured(path: Path) -> tuple[float, float, str]:
    """Seconds, MiB and the causes."""
    import json

    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(path)], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    found = json.loads(done.stdout)
    causes = ", ".join(cause["id"] for cause in found["causes"]) or found["verdict"]
    return seconds, int(done.stderr.split()[-1]) / 1024, f"{causes} ({found['tried']} tried)"


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else N_TOKEN
    made = dumps(n)
    q, k, v, _ = made["nothing"].values()
    start = time.perf_counter()
    for _ in range(3):
        attention(q, k, v, 0.125, ~np.tri(n, dtype=bool))
    once = (time.perf_counter() - start) / 3
    print(f"one computation of {list(q.shape)}: {once:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        for name, arrays in made.items():
            path = Path(folder) / "dump.npz"
            np.savez(path, **arrays)
            seconds, mib, causes = measured(path)
            ratio = seconds / once
            print(f"{name:<15} {seconds:6.2f} s  {ratio:5.1f} x  {mib:5.0f} MiB  {causes}")


if __name__ == "__main__":
    main()
