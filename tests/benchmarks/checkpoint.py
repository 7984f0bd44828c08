"""The first picture of a checkpoint, as whole processes.

MiniLM: `attnviz run TEXT -m FOLDER -o x.png` against a script that draws the same heads through
torch, transformers and matplotlib. SmolLM2: a run on ten tokens against converting the file's
weights once.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.pairs import in_turn, minilm, need, process, smollm2
from tests.benchmarks.table import Row, run_alone

ROUNDS = 3
TEXT = "I saw a saw"
PROMPT = "The capital of France is Paris, and it is"

THEIRS = """
import sys, torch, matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
from transformers import AutoModel, AutoTokenizer
folder, text, target = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
inputs = tokenizer(text, return_tensors="pt")
with torch.no_grad():
    layers = model(**inputs, output_attentions=True).attentions
tokens = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
figure, axes = plt.subplots(len(layers), layers[0].shape[1], figsize=(14, 7))
for row, layer in zip(axes, layers):
    for axis, head in zip(row, layer[0]):
        axis.imshow(head, vmin=0, vmax=1)
        axis.set_axis_off()
figure.suptitle(" ".join(tokens))
figure.savefig(target)
"""

CONVERT = """
import sys
from pathlib import Path
from attnviz.models.gguf.file import GGUFFile
file = GGUFFile(Path(sys.argv[1]))
for name in file.shapes:
    file.read(name)
"""


def rows() -> Iterator[Row]:
    need("torch", "transformers")
    run = [sys.executable, "-m", "attnviz", "run"]
    with tempfile.TemporaryDirectory() as folder:
        picture = str(Path(folder) / "x.png")
        theirs = process([sys.executable, "-c", THEIRS, minilm(), TEXT, picture])
        pair = in_turn(process([*run, TEXT, "-m", minilm(), "-o", picture]), theirs, ROUNDS)
        yield pair.time("MiniLM to PNG, whole process", "transformers, Matplotlib", 1 / 8)
        yield pair.memory("MiniLM to PNG, whole process", "transformers, Matplotlib")
        convert = process([sys.executable, "-c", CONVERT, smollm2()])
        for name, where in (("terminal", []), ("PNG", ["-o", picture])):
            pair = in_turn(process([*run, PROMPT, "-m", smollm2(), *where]), convert, ROUNDS)
            yield pair.time(f"SmolLM2 to {name}, whole process", "its dequantisation")


if __name__ == "__main__":
    run_alone(rows)
