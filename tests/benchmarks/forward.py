"""A forward pass that keeps all weights, against transformers' eager mode.

    pip install torch==2.13.0 transformers==5.23.0 accelerate
    python tests/benchmarks/forward.py FOLDER_OF_MINILM
    python tests/benchmarks/forward.py SmolLM2-135M-Instruct.Q4_1.gguf

Each side runs in processes of its own, in turn: their thread pools would slow each other down.
Quantised weights are converted once on both sides, before the clock starts.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SIZES = (6, 32, 128, 512)
ROUNDS, REPEATS = 7, 25


def ours(folder: str, n: int) -> Callable[[], object]:
    import numpy as np

    import attnviz
    from attnviz.nn.transformer import Input
    from attnviz.trace.recorder import TraceRecorder

    model = attnviz.load_model(folder)
    model.keep_weights(1 << 40)
    transformer = model.transformer
    ids = Input(np.arange(1000, 1000 + n))

    def forward() -> object:
        recorder = TraceRecorder(("weights",))
        return transformer(ids, recorder=recorder), recorder.records()

    return forward


def theirs(folder: str, n: int) -> Callable[[], object]:
    import torch
    from transformers import AutoModel

    path = Path(folder)
    where = {"gguf_file": path.name} if path.suffix == ".gguf" else {}
    base = path.parent if where else path
    model = AutoModel.from_pretrained(base, attn_implementation="eager", **where).eval()
    ids = torch.arange(1000, 1000 + n)[None]

    def forward() -> object:
        with torch.no_grad():
            return model(ids, torch.ones_like(ids), output_attentions=True)

    return forward


def child(which: str, folder: str) -> None:
    """Prints the median milliseconds for each size."""
    found = {}
    for n in SIZES:
        forward = {"ours": ours, "theirs": theirs}[which](folder, n)
        for _ in range(3):
            forward()
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            forward()
            times.append(time.perf_counter() - start)
        found[n] = statistics.median(times) * 1000
    print(json.dumps(found))


def measure(which: str, folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, folder, which]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    folder = sys.argv[1]
    if len(sys.argv) > 2:
        child(sys.argv[2], folder)
        return
    rounds = [(measure("ours", folder), measure("theirs", folder)) for _ in range(ROUNDS)]
    for n in map(str, SIZES):
        a, b = (statistics.median(pair[i][n] for pair in rounds) for i in (0, 1))
        ratio = statistics.median(ours[n] / theirs[n] for ours, theirs in rounds)
        print(f"{n:>4} tokens  attnviz {a:6.1f} ms  transformers {b:6.1f} ms  ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
