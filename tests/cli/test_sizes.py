"""Numbers that no command can take are refused before any work, by the option's name."""

from __future__ import annotations

import time

import pytest

import attnviz

HUGE = "1" * 30
WIDTHS = ",".join(["4096"] * 50)

BAD = [
    (("run", "hi", "--d-k", HUGE), f"--d-k: {HUGE} is too large"),
    (("run", "hi", "--d-k", "1" * 5000), "--d-k"),
    (("run", "hi", "--seed", HUGE), f"--seed: {HUGE} is too large"),
    (("run", "hi", "--top", HUGE), f"--top: {HUGE} is too large"),
    (("run", "hi", "--width", HUGE), f"--width: {HUGE} is too large"),
    (("run", "hi", "-m", f"random:layers={HUGE}"), f"random: layers: {HUGE} is too large"),
    (("run", "hi", "--layers", "1000000000"), "layers: expected a whole number of at most 10000"),
    (("run", "hi", "--heads", "99999999999"), "heads: expected a whole number of at most"),
    (("run", "hi", "--d-model", "999999937"), "4 heads do not divide d_model = 999999937"),
    (("run", "hi", "-m", "random:d_model=999999937,heads=1"), "a stack with heads = 1, d_model = 999999937"),
    (("run", "hi", "--d-k", "100000000"), "a stack with d_k = 100000000"),
    (("run", "hi", "--d-ff", "2147483647"), "a stack with d_ff = 2147483647"),
    (("run", "hi", "--mix", "none", "--d-ff", "0", "--norm", "none", "--d-model", "2147483644"), "a stack with"),
    (("run", "hi", "--score", "additive", "--d-k", "100000"), "a stack with d_k = 100000"),
    (("run", "hi", "--positions", "learned:length=2147483647"), "a stack with positions"),
    (("run", "hi", "--positions", "learned:length=0"), "learned: length: expected a whole number from 1"),
    (("run", "hi", "--positions", "learned:length=-1"), "learned: length: expected a whole number from 1"),
    (("run", "hi", "--positions", "learned:length=9999999999"), "learned: length: 9999999999 is too large"),
    (("run", "hi", "--positions", "rope:base=0"), "rope: base: expected a number from 1e-12"),
    (("run", "hi", "--positions", "rope:base=-1"), "rope: base: expected a number from 1e-12"),
    (("run", "hi", "--positions", "rope:base=nan"), "rope: base: expected a number from 1e-12"),
    (("run", "hi", "--positions", "rope:base=inf"), "rope: base: inf is too large"),
    (("run", "hi", "--positions", "rope:fraction=0"), "rope: fraction: expected a number from 1e-12"),
    (("run", "hi", "--positions", f"rope:offset={HUGE}"), f"rope: offset: {HUGE} is too large"),
    (("run", "hi", "--positions", "sinusoidal:base=0"), "sinusoidal: base: expected a number from 1e-12"),
    (("run", "hi", "--positions", "t5:buckets=0"), "t5: buckets: expected a whole number from 1"),
    (("run", "hi", "--positions", "t5:buckets=1"), "at least 2 buckets in each direction, got 1 in all"),
    (("run", "hi", "--positions", "t5:buckets=3"), "at least 2 buckets in each direction, got 3 in all"),
    (("run", "hi", "--positions", "t5:buckets=1", "--kind", "decoder"), "at least 2 buckets, got 1 in all"),
    (("run", "hi", "--positions", "t5:distance=0"), "t5: distance: expected a whole number from 1"),
    (("run", "hi", "--positions", "t5:distance=8"), "maximum distance must be above 8"),
    (("run", "hi", "--score", "gaussian:sigma=0"), "gaussian: sigma: expected a number from 1e-12"),
    (("run", "hi", "--score", "gaussian:sigma=1e-200"), "gaussian: sigma: expected a number from 1e-12"),
    (("run", "hi", "--score", "gaussian:sigma=nan"), "gaussian: sigma: expected a number from 1e-12"),
    (("run", "hi", "--softcap", "5e-324"), "softcap: expected a number above 0, from 1e-12"),
    (("run", "hi", "--softcap", "inf"), "softcap: expected a number above 0, from 1e-12"),
    (("run", "hi", "--softcap", "nan"), "softcap: expected a number above 0"),
    (("run", "hi", "--temperature", "5e-324"), "temperature: expected a number above 0, from 1e-12"),
    (("run", "hi", "-m", "tagger", "--temperature", "1e-300"), "temperature: expected a number above 0"),
    (("run", "hi", "--mask", "window:size=0"), "window: size: expected a whole number from 1"),
    (("run", "hi", "--mask", "window:size=-1"), "window: size: expected a whole number from 1"),
    (("run", "hi", "--mask", "band:left=-1"), "band: left: expected a whole number from 0"),
    (("run", "hi", "--mask", "prefix:length=-1"), "prefix: length: expected a whole number from 0"),
    (("run", "hi", "--mask", "documents:lengths=-1"), "documents: lengths: expected whole numbers from 0"),
    (("run", "hi", "--mask", "padding:lengths=9999999999"), "padding: lengths: 9999999999 is too large"),
    (("run", "--ids", HUGE), "--ids: a number is too large"),
    (("explain", "hi", "--cell", f"{HUGE},0"), "--cell: there is no query 111111111111111111111111111111"),
    (("compare", "dot", "cosine", "--widths", WIDTHS), "--widths: expected at most 8192 in all"),
    (("encode", "positions", "--offset", HUGE), f"--offset: {HUGE} is too large"),
    (("encode", "positions", "--offset", "99999999999"), "--offset: 99999999999 is too large"),
    (("encode", "positions", "-n", HUGE), f"--count: {HUGE} is too large"),
    (("encode", "positions", "-n", "4096", "--d-model", "4096"), "would take minutes"),
    (("encode", "positions", "-n", "4096", "--heads", "4096", "--scheme", "alibi"), "of memory"),
    (("decode", "abab", "-m", "induction", "-n", HUGE), f"-n: {HUGE} is too large"),
    (("decode", "abab", "-m", "induction", "--cache", "paged", "--block-size", "9" * 18), "there is no memory for 64 blocks of"),
    (("scan", "c.txt", "--workers", "4000000000"), "--workers: expected at most 1024, got 4000000000"),
    (("scan", "c.txt", "--longest", HUGE), f"--longest: {HUGE} is too large"),
    (("models", "tagger", "-n", HUGE), f"--tokens: {HUGE} is too large"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"), BAD, ids=lambda v: None if isinstance(v, str) else " ".join(v)[:60]
)
def test_numbers_out_of_range(call, arguments, message):
    start = time.monotonic()
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    error, hint = done.err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert hint.startswith("hint: ")
    assert "internal" not in error
    assert len(error) < 1400
    assert time.monotonic() - start < 10


def test_three_hundred_masks(call, tmp_path):
    """The number of a cell's reason may be above 255, also in a file."""
    masks = "+".join([*["window:size=9"] * 299, "causal"])
    shown = call("run", "I saw a saw", "--mask", masks, "-s", "L0.H0")
    assert (shown.code, shown.err) == (0, "")
    for name in ("x.npz", "x.json"):
        assert call("run", "I saw a saw", "--mask", masks, "-s", "L0.H0", "-o", name).code == 0
        trace = attnviz.load(tmp_path / name)
        assert trace["L0"].reasons()[0].tolist() == [0, 300, 300, 300, 300, 300]
        again = call("show", name, "-s", "L0.H0")
        assert (again.code, again.err) == (0, "")
        matrix = [text.partition("rows: query")[0] for text in (shown.out, again.out)]
        assert matrix[0] == matrix[1]


def test_large_numbers_that_are_fine(call):
    for arguments in (
        ("run", "hi", "--seed", str(2**63 - 1)),
        ("run", "hi", "-m", "random:seed=12345678901234567"),
        ("run", "hi", "--vocabulary", "2147483647"),
        ("run", "hi", "--mask", "padding:lengths=2147483647"),
        ("run", "hi", "--temperature", "1e-6"),
        ("encode", "positions", "--offset", "2147483647"),
        ("models", "induction", "-n", "9999999999"),
        ("decode", "abab", "-m", "induction", "-n", "3", "--kv-blocks", "1000"),
    ):
        done = call(*arguments)
        assert (done.code, done.err) == (0, ""), arguments
