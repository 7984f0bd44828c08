"""The first picture of a checkpoint, as whole processes.

    pip install torch==2.13.0 transformers==5.23.0 '.[models]'
    python tests/benchmarks/checkpoint.py FOLDER_OF_MINILM SmolLM2-135M-Instruct.Q4_1.gguf

MiniLM: `attnviz run TEXT -m FOLDER -o x.png` against a script that draws the same heads through
torch, transformers and matplotlib, in turn. SmolLM2: the time of a run on ten tokens against that of
converting the file's weights once, and the peak memory of the whole process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from pairs import in_turn, process

ROUNDS = 7
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


def peak(command: list[str]) -> float:
    """MB of memory that a process takes at most."""
    watched = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
        "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", watched, *command], capture_output=True, text=True, check=True
    )
    return int(done.stdout) * 1024 / 1e6 if sys.platform != "darwin" else int(done.stdout) / 1e6


def main() -> None:
    minilm, smollm2 = sys.argv[1:]
    attnviz = [sys.executable, "-m", "attnviz", "run"]
    with tempfile.TemporaryDirectory() as folder:
        picture = str(Path(folder) / "x.png")
        ours = [*attnviz, TEXT, "-m", minilm, "-o", picture]
        theirs = [sys.executable, "-c", THEIRS, minilm, TEXT, picture]
        a, b, ratio = in_turn(process(theirs), process(ours), ROUNDS)
        print(
            f"MiniLM to PNG: attnviz {b:.2f} s, transformers {a:.2f} s: {ratio:.1f} times as fast"
        )
        print(f"peak memory: attnviz {peak(ours):.0f} MB, transformers {peak(theirs):.0f} MB")
        convert = [sys.executable, "-c", CONVERT, smollm2]
        for name, where in (("terminal", []), ("PNG", ["-o", picture])):
            command = [*attnviz, PROMPT, "-m", smollm2, *where]
            a, b, ratio = in_turn(process(command), process(convert), ROUNDS)
            print(f"SmolLM2, {name}: {a:.2f} s, {ratio:.2f} times its dequantisation ({b:.2f} s)")
            print(f"peak memory: {peak(command):.0f} MB")


if __name__ == "__main__":
    main()
