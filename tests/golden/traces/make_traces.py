"""Writes the trace files of this folder: small ones, with everything that a trace can hold.

They were written by attnviz at commit fbabb84 and stay as they are: a later attnviz has to read
what an earlier one wrote. From the root of a checkout of that commit, with this script's path:

    PYTHONPATH=. python tests/golden/traces/make_traces.py FOLDER
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import attnviz
from attnviz.analysis.words import merge_words
from attnviz.nn.stages import STAGES

DIGIT = Path(__file__).parents[3] / "samples" / "digits" / "7.png"
TINY = "layers=1,heads=2,d_model=8,d_ff=8"


def write_traces(folder: Path) -> None:
    attnviz.run(
        "I saw",
        model=f"random:kind=encoder-decoder,kv_heads=1,vocabulary=11,softcap=5,{TINY}",
        mask="causal+window:size=2",
        target="Ich sah es",
        stages=STAGES,
        hidden_states=True,
        logits=True,
    ).save(folder / "everything.npz")
    decoder = attnviz.run(
        "I saw a saw",
        model=f"random:kind=decoder,positions=alibi,score=dot,{TINY}",
        stages=("scores", "bias"),
    )
    replace(decoder, command=("run", "I saw a saw")).save(folder / "decoder.safetensors")
    attnviz.run("I saw a \x1b[31m saw", model="tagger", mask="causal").save(folder / "tagger.json")
    attnviz.run(model="digits", image=DIGIT, stages=()).save(folder / "image.json")
    pieces = attnviz.run("un aff able", model=f"random:{TINY}", stages=("logits", "weights"))
    source = replace(pieces.streams["source"], words=(0, 0, 1), word_labels=("unaff", "able"))
    pieces = replace(pieces, streams={"source": source})
    pieces.save(folder / "pieces.json")
    merge_words(pieces).save(folder / "words.json")
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "weights.json"
        path.write_text("[[[1, 0], [0.5, 0.5]]]")
        attnviz.load(path, tokens=["I", "saw"]).save(folder / "plain.json")


if __name__ == "__main__":
    write_traces(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
