"""Arrays of weights with values that are no weights: said in words, never a Python warning, never
a traceback, and no statistics of what is no distribution."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

N_HEAD, N = 3, 5

STATISTICS = re.compile(r"entropy -?\d|as if on|takes -?\d|most telling")


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


SCORES = np.random.default_rng(0).normal(size=(N_HEAD, N, N)) * 5
WEIGHTS = softmax(SCORES)
ABOVE = np.where(
    np.tri(N, dtype=bool), softmax(np.where(np.tri(N, dtype=bool), SCORES, -np.inf)), np.nan
)
LARGE = WEIGHTS > 0.3


def bits(pattern, unsigned, floating):
    return np.full(WEIGHTS.shape, pattern, unsigned).view(floating)


NO_WEIGHTS = {
    "raw scores": SCORES,
    "large scores": np.abs(SCORES) * 100,
    "nan": WEIGHTS * np.nan,
    "nan above the diagonal": ABOVE,
    "infinite": np.where(LARGE, np.inf, WEIGHTS),
    "infinities of both signs": np.where(LARGE, np.inf, -np.inf),
    "masked scores": np.where(np.tri(N, dtype=bool), SCORES, -np.inf),
    "largest float64": np.full_like(WEIGHTS, np.finfo(float).max),
    "ends of float64": np.where(LARGE, 1, -1) * np.finfo(float).max,
    "ends of float32": np.where(LARGE, 1, -1).astype(np.float32) * np.finfo(np.float32).max,
    "ends of float16": np.where(LARGE, 1, -1).astype(np.float16) * np.finfo(np.float16).max,
    "smallest float64": np.full_like(WEIGHTS, 5e-324),
    "large longdouble": WEIGHTS.astype(np.longdouble) * 1e300,
    "signalling float16": bits(0x7C01, np.uint16, np.float16),
    "signalling float32": bits(0x7F800001, np.uint32, np.float32),
    "signalling float64": bits(0x7FF0000000000001, np.uint64, np.float64),
    "negative": -WEIGHTS,
    "bytes": np.full(WEIGHTS.shape, 255, np.uint8),
    "large integers": np.full(WEIGHTS.shape, 2**62),
}  # fmt: skip

COMMANDS = [
    ("show", "w.npy"),
    ("show", "w.npy", "--scale", "row"),
    ("show", "w.npy", "--scale", "head"),
    ("show", "w.npy", "--scale", "log"),
    ("show", "w.npy", "--nan", "masked"),
    ("show", "w.npy", "--json"),
    *(("show", "w.npy", "-o", f"x.{s}") for s in ("png", "html", "csv", "json", "md", "npz")),
    ("heads", "w.npy"),
    ("heads", "w.npy", "--columns", "all", "--sort", "entropy"),
    ("heads", "w.npy", "--similarity"),
    ("heads", "w.npy", "--map", "verticality"),
    *(("heads", "w.npy", "-o", f"x.{s}") for s in ("csv", "json", "npz")),
    ("diff", "w.npy", "ok.npy"),
    ("diff", "ok.npy", "w.npy", "--fail-above", "0.1"),
    ("diff", "w.npy", "w.npy", "--with", "select=L0.H0"),
    *(("diff", "w.npy", "ok.npy", "-o", f"x.{s}") for s in ("html", "json")),
    ("flow", "w.npy"),
]


@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_every_command(call, tmp_path, name):
    """A warning of Python's fails the test, as anywhere in these tests."""
    np.save(tmp_path / "ok.npy", WEIGHTS)
    np.save(tmp_path / "w.npy", NO_WEIGHTS[name])
    for command in COMMANDS:
        done = call(*command)
        assert done.code in (0, 1, 2), command
        assert "internal" not in done.err, (command, done.err)
        assert "Traceback" not in done.err, command


@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_no_statistics_are_given(call, tmp_path, name):
    np.save(tmp_path / "w.npy", NO_WEIGHTS[name])
    shown = " ".join(call("show", "w.npy").out.split())
    assert not STATISTICS.search(shown)
    assert "no statistics are given for these heads: L0.H0, L0.H1, L0.H2" in shown
    content = json.loads(call("heads", "w.npy", "--json").out)
    assert content["roles"] == ["undefined"] * N_HEAD
    assert all(
        value is None
        for metric, values in content["arrays"].items()
        if metric.startswith("value/")
        for value in values
    )


def test_nan_that_means_masked(call, tmp_path):
    np.save(tmp_path / "w.npy", ABOVE)
    assert "if NaN stands for masked cells: --nan masked" in " ".join(
        call("show", "w.npy").out.split()
    )
    shown = call("show", "w.npy", "--nan", "masked", "-s", "L0.H0", "--stats").out
    assert "╳ masked (nan)" in shown
    assert "entropy" in shown
    assert "warning" not in shown
    (tmp_path / "zero.npy").write_bytes(b"")
    np.save(tmp_path / "zero.npy", np.nan_to_num(ABOVE))
    by_nan = json.loads(call("heads", "w.npy", "--nan", "masked", "--json").out)["arrays"]
    by_zero = json.loads(call("heads", "zero.npy", "--json").out)["arrays"]
    assert by_nan == by_zero  # which is taken for causal
    same = call("diff", "w.npy", "zero.npy", "--nan", "masked").out
    assert "no difference" in same
    assert call("diff", "zero.npy", "w.npy", "--with", "nan=masked").out.count("warning") == 0


def test_other_meanings_of_nan(call, tmp_path):
    np.save(tmp_path / "w.npy", WEIGHTS)
    done = call("show", "w.npy", "--nan", "mask")
    assert (done.code, done.err.splitlines()[0]) == (2, "error: --nan: unknown value 'mask'")
    assert call("run", "I saw", "-o", "t.npz").code == 0
    done = call("show", "t.npz", "--nan", "masked")
    assert done.code == 2
    assert "is a trace" in done.err


def test_two_commands_give_one_number(call, tmp_path):
    """Half precision over many keys: `heads` summed otherwise than `show`."""
    logits = np.random.default_rng(0).normal(size=(1, 3, 4000))
    weights = softmax(logits).astype(np.float16)
    np.save(tmp_path / "w.npy", weights)
    wide = weights.astype(np.float64)
    exact = np.exp(-(wide * np.log(np.where(wide > 0, wide, 1))).sum(-1).mean())
    text = " ".join(call("show", "w.npy", "--stats").out.split())
    (shown,) = set(re.findall(r"effectively (?:over )?([\d.]+) of", text))
    (measured,) = json.loads(call("heads", "w.npy", "--json").out)["arrays"][
        "value/effective_tokens"
    ]
    assert float(shown) == pytest.approx(exact, abs=0.51)  # shown as a whole number
    assert measured == pytest.approx(exact, rel=1e-6)


def test_attentions_as_pytorch_gives_them(call, tmp_path):
    layers = np.repeat(WEIGHTS[None, None], 12, axis=0).astype(np.float32)
    np.savez(tmp_path / "w.npz", *layers)
    for batch in ((), ("--batch", "0")):
        assert "12 layers × 3 heads" in call("show", "w.npz", *batch).out
    np.savez(tmp_path / "w.npz", *np.repeat(layers, 2, axis=1))
    done = call("show", "w.npz")
    assert done.code == 2
    assert "arr_7 and 4 more" in done.err
    assert "--batch 0:0" in done.err
    assert "12 layers × 3 heads" in call("show", "w.npz", "--batch", "0:0").out


ANY = st.one_of(
    st.floats(0, 1),
    st.floats(),
    st.sampled_from([np.finfo(float).max, -np.finfo(float).max, np.inf, -np.inf, 5e-324]),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([np.float16, np.float32, np.float64, np.longdouble]),
    hnp.arrays(np.float64, (2, 3, 3), elements=ANY),
    st.sampled_from(COMMANDS),
)
def test_any_values(call, tmp_path, dtype, array, command):
    with np.errstate(all="ignore"):
        np.save(tmp_path / "w.npy", array.astype(dtype))
    np.save(tmp_path / "ok.npy", np.full((2, 3, 3), 1 / 3))
    done = call(*command)
    assert done.code in (0, 1, 2)
    assert "internal" not in done.err, done.err
    for name in ("x.png", "x.html", "x.csv", "x.json", "x.md", "x.npz"):
        (tmp_path / name).unlink(missing_ok=True)
