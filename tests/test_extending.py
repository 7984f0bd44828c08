"""What attnviz can be given from outside its package, run in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest


def run_with(folder, name, source, *arguments):
    """The `attnviz` command line after the module `name` of that source was imported."""
    (folder / f"{name}.py").write_text(source)
    code = f"import sys, {name}; from attnviz.cli import run_cli; sys.exit(run_cli(sys.argv[1:]))"
    paths = os.pathsep.join([str(folder), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "COLUMNS": "120"},
        capture_output=True,
        text=True,
    )


LESSON = '''
"""A lesson of somebody else's."""

import sys

from attnviz.language import say
from attnviz.lessons import LESSONS
from attnviz.lessons.kit import Claim, Lesson, check_size, prose

TITLE = "Ones: they add up"
AFTER = "scaling"


def lesson(*, n: int = 3) -> Lesson:
    check_size("n", n, 1, 9)
    claim = Claim(say("{n} ones are {n}", n=n), say("{sum} counted", sum=sum([1] * n)), True)
    return Lesson((prose(say("What do {n} ones come to?", n=n)),), (claim,))


LESSONS.add(sys.modules[__name__])
'''


def test_a_lesson(tmp_path):
    done = run_with(tmp_path, "ones", LESSON, "learn", "ones:n=7")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Ones: they add up\n\nWhat do 7 ones come to?\n")
    assert "7 counted" in done.stdout

    listed = json.loads(run_with(tmp_path, "ones", LESSON, "learn", "--json").stdout)["lessons"]
    names = list(listed)
    assert listed["ones"] == "Ones: they add up"
    assert names[names.index("scaling") :][:3] == ["scaling", "ones", "masks"]

    refused = run_with(tmp_path, "ones", LESSON, "learn", "ones:n=10")
    assert refused.returncode == 2
    assert "error: n: expected 1 to 9, got 10" in refused.stderr
    unknown = run_with(tmp_path, "ones", LESSON, "learn", "onse")
    assert "unknown lesson: 'onse'" in unknown.stderr
    assert "did you mean `ones`?" in unknown.stderr


TITLES = '''
"""The titles of the views, one a line."""

import sys

from attnviz.render import FORMATS


def render(views):
    return "\\n".join(getattr(view, "title", "-") for view in views).encode(), ("titles only",)


FORMATS.add(sys.modules[__name__])
'''


def test_a_format(tmp_path):
    done = run_with(tmp_path, "titles", TITLES, "run", "I saw", "-o", "x.titles")
    assert done.returncode == 0, done.stderr
    assert "warning: titles only\nwrote x.titles" in done.stderr
    assert "all heads" in (tmp_path / "x.titles").read_text()
    assert ".titles" in run_with(tmp_path, "titles", TITLES, "run", "--help").stdout


TEXTS = ["a " * n for n in range(1, 60)]

SEEN = '''
import numpy as np

from attnviz.analysis.metrics import METRICS, Measure


@METRICS.add
def seen(pattern):
    """How many keys the last query sees, and a little more for later heads."""
    n_head = pattern.weights.shape[-3]
    count = pattern.context.n_visible[..., -1] + np.arange(n_head) / 8
    shape = pattern.weights.shape[:-2]
    return Measure(np.broadcast_to(count, shape).astype(float), np.ones(shape, int))
'''


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_metric_counted_in_tokens_has_quantiles_in_tokens(tmp_path, workers):
    """Nothing says that it is no share of 1, nor where it ends."""
    (tmp_path / "corpus.txt").write_text("\n".join(TEXTS))
    found = run_with(
        tmp_path, "seen", SEEN, "scan", "corpus.txt", "--workers", workers, "-o", "stats.json"
    )
    assert found.returncode == 0, found.stderr
    arrays = json.loads((tmp_path / "stats.json").read_text())["arrays"]
    low, *_, median, _, high = arrays["quantiles/seen"][0]
    assert low == pytest.approx(5, abs=2)
    assert median == pytest.approx(32, abs=2)
    assert high == pytest.approx(58, abs=2)
    assert arrays["least/seen"][0] < low < arrays["value/seen"][0] < high < arrays["most/seen"][0]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["I saw a saw", "--columns", "seen,entropy"], "seen  entropy"),
        (["I saw a saw", "--map", "seen"], "seen by layer and head"),
        (["--explain"], "How many keys the last query sees"),
    ],
)
def test_a_metric_is_a_column_a_map_and_explained(tmp_path, options, shown):
    assert shown in run_with(tmp_path, "seen", SEEN, "heads", *options).stdout


def test_a_metric_outside_the_range_that_it_names_is_an_error(tmp_path):
    share = SEEN.replace("@METRICS.add", "@METRICS.add(range=(0, 1))")
    (tmp_path / "corpus.txt").write_text("\n".join(TEXTS))
    found = run_with(tmp_path, "seen", share, "scan", "corpus.txt", "--workers", "2")
    assert found.returncode == 2
    assert "the metric seen is" in found.stderr
    assert "expected 0 to 1" in found.stderr


GREET = '''
"""Greet a model by its name."""

import sys

import typer

from attnviz.cli.command import Command
from attnviz.cli.commands import COMMANDS
from attnviz.cli.emit import Report, emit
from attnviz.cli.loading import load
from attnviz.cli.options import ModelInput, OutputOptions
from attnviz.cli.spread import spread
from attnviz.views.kinds import Line, Text

app = typer.Typer()


@app.command(cls=Command)
@spread
def greet(model: ModelInput, out: OutputOptions):
    """Say hello to a model."""
    hello = f"hello, {load(model).name}"
    emit([Report([Text((Line(hello),))], {"hello": hello}, {})], out)


COMMANDS.add(sys.modules[__name__])
'''


def test_a_command(tmp_path):
    done = run_with(tmp_path, "greet", GREET, "greet", "-m", "induction")
    assert (done.returncode, done.stderr) == (0, "")
    assert "hello, induction" in done.stdout
    names = run_with(tmp_path, "greet", GREET, "--help").stdout
    assert names.index("models    List") < names.index("greet     Greet a model by its name")
    assert "-m" in run_with(tmp_path, "greet", GREET, "greet", "--help").stdout
    refused = run_with(tmp_path, "greet", GREET, "greet", "-o", "x.doc")
    assert refused.returncode == 2
    assert "unknown format '.doc'" in refused.stderr


PARTS = """
from attnviz.nn.masks import MASKS
from attnviz.nn.scores import SCORES


@SCORES.add
def negative_dot(q, k, scale=1.0):
    return -(q @ k.swapaxes(-1, -2))


@MASKS.add
def every_other(q_pos, k_pos, *, step: int):
    return k_pos % step == q_pos[:, None] % step
"""


def test_help_names_scores_and_masks_from_outside(tmp_path):
    text = run_with(tmp_path, "parts", PARTS, "compare", "--help").stdout
    assert "gaussian, negative_dot" in text
    assert "every_other:step=…" in " ".join(text.replace("│", " ").split())


FAMILY = '''
"""A family of decoders, and the weights of checkpoints as NumPy's archives."""

import hashlib
import sys

import numpy as np

from attnviz.models.build.checkpoint import trained_model
from attnviz.models.build.families import FAMILIES
from attnviz.models.build.layers import attention, layer_norm
from attnviz.models.formats import MODEL_FORMATS
from attnviz.nn import masks
from attnviz.nn.embedding import Embedding
from attnviz.nn.transformer import Stack, Sublayer, Transformer

SUFFIX = ".npz"


class open_weights:
    def __init__(self, path):
        self.path, self.n_byte = str(path), path.stat().st_size
        self._arrays = dict(np.load(path))
        self.shapes = {name: array.shape for name, array in self._arrays.items()}

    def copies(self, name):
        return False

    def read(self, name, rows=None):
        return self._arrays[name] if rows is None else self._arrays[name][rows]

    def sha256(self):
        return hashlib.sha256(open(self.path, "rb").read()).hexdigest()


def build(checkpoint):
    config, tensors = checkpoint.config, checkpoint.tensors()
    n_head, d_model = config.count("n_head"), config.count("d_model")
    n_vocabulary = config.count("vocab_size")
    config.finish()
    table = tensors.take("table", n_vocabulary, d_model)
    heads = attention(tensors, "heads", ("q", "k", "v", "o"), d_model, n_head, mask=masks.CAUSAL)
    block = (Sublayer(heads, before=layer_norm(tensors, "norm", d_model, 1e-5)),)
    return trained_model(
        checkpoint,
        tensors,
        Transformer(
            decoder=Stack("decoder", (block,)), source=Embedding(tokens=table.__getitem__)
        ),
        {"n_layer": 1, "n_head": n_head, "d_model": d_model, "positions": "none"},
        n_vocabulary=n_vocabulary,
    )


FAMILIES.add(sys.modules[__name__])
MODEL_FORMATS.add(sys.modules[__name__])
'''


def test_a_family_and_a_file_format_of_checkpoints(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    config = {"model_type": "minimal", "n_head": 3, "d_model": 6, "vocab_size": 5}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {"table": (5, 6), "norm.weight": (6,), "norm.bias": (6,)}
    for name in "qkvo":
        tensors |= {f"heads.{name}.weight": (6, 6), f"heads.{name}.bias": (6,)}
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape).astype("f4") for name, shape in tensors.items()}
    np.savez(folder / "weights.npz", **arrays)

    done = run_with(tmp_path, "minimal", FAMILY, "run", "--ids", "4,0,3", "-m", "model", "--json")
    assert done.returncode == 0, done.stderr
    trace = json.loads(done.stdout)
    assert trace["model"]["family"] == "minimal"
    assert trace["records"][0]["n_head"] == 3
    # softmax(q kᵀ / √d_k) of the middle head, by hand
    x = arrays["table"][[4, 0, 3]].astype(float)
    x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    x = x * arrays["norm.weight"] + arrays["norm.bias"]
    q, k = (x @ arrays[f"heads.{n}.weight"].T + arrays[f"heads.{n}.bias"] for n in "qk")
    scores = np.exp(np.where(np.tri(3), q[:, 2:4] @ k[:, 2:4].T / np.sqrt(2), -np.inf))
    expected = scores / scores.sum(1, keepdims=True)
    weights = trace["arrays"]["decoder.0.self/weights"][1]
    assert np.allclose(weights, expected, atol=1e-6)

    done = run_with(tmp_path, "minimal", FAMILY, "models", ".")
    assert "minimal" in done.stdout
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "minimall"}))
    done = run_with(tmp_path, "minimal", FAMILY, "run", "--ids", "4", "-m", "model")
    assert done.returncode == 2
    assert "did you mean `minimal`?" in done.stderr


NN = '''
from __future__ import annotations

import numpy as np

from attnviz.nn.activations import ACTIVATIONS
from attnviz.nn.masks import MASKS
from attnviz.nn.positions import rope
from attnviz.nn.schemes import SCHEMES, Scheme
from attnviz.nn.scores import SCORES


@SCORES.add(formula="-Σ|q - k|")
def manhattan(q, k, scale=1.0):
    """The distance along the axes."""
    return -scale * np.abs(q[..., :, None, :] - k[..., None, :, :]).sum(-1)


@SCORES.add
def unscaled(q, k):
    return q @ k.mT


@SCORES.add(arrays={"w": ("d_q", "d_k"), "b": ("d_hidden",)})
def biased(q, k, w, b, *, power: int = 1):
    return (q @ w @ k.mT) ** power + b.sum()


@MASKS.add(hatch="dotted")
def every(q_pos, k_pos, *, step: int):
    """One key in `step`."""
    return (q_pos[:, None] - k_pos) % step == 0


@MASKS.add
def near(q_pos, k_pos):
    return abs(q_pos[:, None] - k_pos) < 2


@ACTIVATIONS.add(formula="x²")
def square(x):
    return x * x


@SCHEMES.add
def ramp(setting, *, slope: float = 1.0):
    return Scheme(add=lambda positions: slope * np.repeat(positions[:, None], setting.d_model, 1))


@SCHEMES.add
def drawn(setting):
    table = setting.draw("table", (99, setting.d_model))
    return Scheme(add=lambda positions: table[positions])


@SCHEMES.add
def reversed_rope(setting):
    return Scheme(rotary=lambda x, positions: rope(x, -positions))


@SCHEMES.add
def flat(setting):
    return Scheme(bias=lambda q_pos, k_pos: np.zeros((setting.n_head, len(q_pos), len(k_pos))))
'''


def parts(tmp_path, *arguments):
    done = run_with(tmp_path, "parts_of_nn", NN, *arguments)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def weights(tmp_path, *arguments):
    shown = json.loads(parts(tmp_path, "run", "I saw a saw", *arguments, "--json"))
    record = shown["records"][0]
    return record, np.array(shown["arrays"][record["id"] + "/weights"])


@pytest.mark.parametrize("score", ["manhattan", "unscaled", "biased", "biased:power=2"])
def test_a_score(tmp_path, score):
    """With `scale` and without, with learned arrays and options; none of them takes `out`."""
    record, found = weights(tmp_path, "-m", "random", "--score", score)
    assert record["score"] == score
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-6)
    _, cold = weights(tmp_path, "-m", "random", "--score", score, "--temperature", "100")
    np.testing.assert_allclose(cold, 1 / 4, atol=0.1)
    formula = {"manhattan": "-Σ|q - k|"}.get(score, score.partition(":")[0] + "(q, k)")
    assert formula in parts(tmp_path, "run", "I saw", "-m", "random", "--score", score, "--steps")


def test_a_score_of_a_trained_model_and_beside_others(tmp_path):
    assert "manhattan" in parts(tmp_path, "run", "I saw", "--score", "manhattan")
    assert "manhattan" in parts(tmp_path, "compare", "dot", "manhattan")


def test_a_mask(tmp_path):
    _, found = weights(tmp_path, "--mask", "every:step=2+near")
    for head in found:
        np.testing.assert_array_equal(head != 0, np.eye(len(head), dtype=bool))
    shown = parts(tmp_path, "run", "I saw a saw", "--mask", "every:step=2", "--top", "1")
    assert "┆ masked (every:step=2)" in shown
    assert "┼ masked (near)" in parts(tmp_path, "run", "I saw a saw", "--mask", "near")
    assert "every" in parts(tmp_path, "compare", "none", "every:step=2")


def test_an_activation(tmp_path):
    _, found = weights(tmp_path, "-m", "random", "--activation", "square")
    _, gated = weights(tmp_path, "-m", "random", "--activation", "square", "--gated")
    assert found.shape == gated.shape


def test_a_position_scheme(tmp_path):
    assert "ramp:slope=3" in parts(tmp_path, "encode", "positions", "--scheme", "ramp:slope=3")
    weights(tmp_path, "-m", "random", "--positions", "ramp:slope=0.5")
    for name in ("ramp", "reversed_rope", "flat"):
        shown = parts(tmp_path, "encode", "positions", "--scheme", name)
        assert name in shown
        assert "seeded" not in shown
        assert "slopes" not in shown
        assert "wavelengths" not in shown
    assert "seeded" in parts(tmp_path, "encode", "positions", "--scheme", "drawn")


def test_help_lists_what_was_added(tmp_path):
    """And says of a wrong name what there is."""
    shown = " ".join(parts(tmp_path, "run", "--help-all").split())
    for name in ("manhattan", "every:step=…", "square", "ramp"):
        assert name in shown
    assert "ramp" in parts(tmp_path, "encode", "positions", "--help")
    assert "manhattan" in parts(tmp_path, "compare", "--help")
    done = run_with(tmp_path, "parts_of_nn", NN, "run", "I saw", "--score", "manhatan")
    assert done.returncode == 2
    assert "did you mean `manhattan`?" in done.stderr
