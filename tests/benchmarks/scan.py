"""`attnviz scan` on MiniLM, against a straightforward script with transformers.

The script computes the same means: eager attention, batches of 32 with padding, two threads. Ours
is timed as a whole command on two cores, with its start; theirs from its first batch on. What they
find is compared. Memory is that of the largest process.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.pairs import minilm, need, process
from tests.benchmarks.table import Row, run_alone

BATCH, N_LINE = 32, 300


def write_corpus(path: Path, folder: str, n_line: int) -> None:
    """Lines of 10 to 60 tokens: words that are one token each."""
    vocabulary = Path(folder, "vocab.txt").read_text("utf-8").split()
    words = [word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 3]
    draw = random.Random(20261121)
    lines = (" ".join(draw.choices(words, k=draw.randint(7, 57))) + " ." for _ in range(n_line))
    path.write_text("\n".join(lines) + "\n")


def theirs(folder: str, corpus: Path) -> None:
    """Prints the means of every head by metric, and the seconds."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(2)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    marks = [i for word, i in tokenizer.vocab.items() if word in "!\"#%&'()*,-./:;?@[\\]_{}"]
    values: dict[int, torch.Tensor] = {}
    for number, layer in enumerate(model.encoder.layer):
        layer.attention.self.value.register_forward_hook(
            lambda _module, _given, out, number=number: values.__setitem__(number, out)
        )
    totals: dict[str, torch.Tensor] = {}
    counts: dict[str, torch.Tensor] = {}

    def add(name: str, number: int, found: torch.Tensor) -> None:
        """found [text, head]"""
        for table, what in ((totals, found.nan_to_num(0)), (counts, ~found.isnan())):
            table.setdefault(name, torch.zeros(len(model.encoder.layer), found.shape[1]).double())
            table[name][number] += what.double().sum(0)

    lines = corpus.read_text("utf-8").splitlines()
    start, used = time.perf_counter(), time.process_time()
    with torch.no_grad():
        for first in range(0, len(lines), BATCH):
            given = tokenizer(lines[first : first + BATCH], padding=True, return_tensors="pt")
            ids, real = given["input_ids"], given["attention_mask"].bool()
            n = ids.shape[1]
            place = torch.arange(n)
            offset = place - place[:, None]
            cells = real[:, None, :, None] & real[:, None, None, :]
            length = real.sum(1).double()[:, None]
            special = ((ids == tokenizer.cls_token_id) | (ids == tokenizer.sep_token_id)) & real
            mark = torch.isin(ids, torch.tensor(marks)) & real
            earlier = (ids[:, :, None] == ids[:, None, :]) & (offset < 0)
            copies = (earlier & ~special[:, :, None] & real[:, :, None])[:, None]
            behind = torch.zeros_like(copies)
            behind[..., 1:] = copies[..., :-1]
            behind = behind & (offset < 0)
            farthest = torch.maximum(place, length.long() - 1 - place)[:, None, :, None]
            nearness = 1 - offset.abs() / farthest.clamp(min=1)
            seen = {
                "previous_token": (offset == -1) & cells,
                "next_token": (offset == 1) & cells,
                "self_token": (offset == 0) & cells,
                "first_token": (place == 0) & cells,
                "special_tokens": special[:, None, None] & cells,
                "punctuation": mark[:, None, None] & cells,
                "duplicate_token": copies & cells,
                "induction": behind & cells,
            }
            output = model(**given, output_attentions=True)
            for number, weights in enumerate(output.attentions):
                weights = weights * cells
                rows = real[:, None, :]

                def mean(per_row: torch.Tensor) -> torch.Tensor:
                    return (per_row * rows).sum(-1) / length  # noqa: B023

                entropies = -(weights * weights.clamp(min=1e-38).log()).sum(-1)
                entropy = mean(entropies)
                add("entropy", number, entropy)
                add("normalised_entropy", number, entropy / length.log())
                add("effective_tokens", number, entropy.exp())
                ordinary = weights.masked_fill(special[:, None, None], 0)
                add("confidence", number, mean(ordinary.amax(-1)))
                distance = (weights * offset.abs()).sum((-2, -1)) / weights.sum((-2, -1))
                add("mean_distance", number, distance)
                add("diagonality", number, mean((weights * nearness).sum(-1)))
                for name, which in seen.items():
                    asking = which.any(-1)
                    got = (weights * which).sum(-1) * asking
                    add(name, number, got.sum(-1) / asking.sum(-1))
                found = (weights * seen["induction"]).sum((-2, -1))
                add("prefix_matching", number, found / seen["induction"].sum((-2, -1)))
                columns = weights.sum(-2) / length[..., None]
                add("sink_share", number, columns.amax(-1))
                add("verticality", number, (columns * columns.clamp(min=1e-38).log()).sum(-1))
                best = (weights == weights.amax(-1, keepdim=True)) & cells
                share = best / best.sum(-1, keepdim=True).clamp(min=1)
                where = (offset + n - 1).expand_as(share).reshape(*share.shape[:2], -1)
                shares = torch.zeros(*share.shape[:2], 2 * n - 1)
                shares.scatter_add_(2, where, share.reshape(*share.shape[:2], -1))
                add("positional", number, shares.amax(-1) / length)
                n_head = weights.shape[1]
                v = values[number].unflatten(-1, (n_head, -1)).transpose(1, 2)
                w_o = model.encoder.layer[number].attention.output.dense.weight
                moved = (v @ w_o.unflatten(1, (n_head, -1)).permute(1, 2, 0)).norm(dim=-1)
                whole = (weights * moved[:, :, None]).sum(-1)
                add("value_norm", number, mean(whole))
                part = weights[..., 0] * moved[..., :1] / whole.clamp(min=1e-38)
                add("first_token_moved", number, mean(part))
    used_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    times = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - used}
    means = {name: (totals[name] / counts[name]).flatten().tolist() for name in totals}
    print(json.dumps({**times, "mb": used_mb, "means": means}))


def largest_difference(output: Path, means: dict[str, list[float]]) -> float:
    """Between the two sides' means, over all heads and metrics, against the size of the metric."""
    with np.load(output, allow_pickle=False) as file:
        names = [name.removeprefix("value/") for name in file.files if name.startswith("value/")]
        assert set(names) == set(means), set(names) ^ set(means)
        return max(
            float(np.abs(file[f"value/{name}"] - means[name]).max() / max(1, *np.abs(means[name])))
            for name in names
        )


def of_script(folder: str, corpus: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.scan", folder, str(corpus)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows() -> Iterator[Row]:
    need("torch", "transformers")
    folder = minilm()
    with tempfile.TemporaryDirectory() as place:
        corpus, output = Path(place, "corpus.txt"), Path(place, "stats.npz")
        write_corpus(corpus, folder, N_LINE)
        order = ["scan", str(corpus), "-m", folder, "-o", str(output), "--workers", "2"]
        ours = process([sys.executable, "-m", "attnviz", *order])()
        theirs = of_script(folder, corpus)
        what, than = f"scan of {N_LINE} sentences with MiniLM", "transformers"
        yield Row(what, ours.seconds, theirs["seconds"], than, ours.seconds / theirs["seconds"])
        yield Row(f"{what}: memory", ours.mb, theirs["mb"], than, ours.mb / theirs["mb"], unit="MB")
        largest = largest_difference(output, theirs["means"])
        yield Row(f"{what}: largest difference", largest, 1e-4, "limit", largest / 1e-4, 1, "")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        theirs(sys.argv[1], Path(sys.argv[2]))
    else:
        run_alone(rows)
