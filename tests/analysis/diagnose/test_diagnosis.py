"""From a dump to a cause."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import attnviz
from attnviz.analysis.diagnose.apart import features_of
from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.diagnosis import diagnose
from attnviz.analysis.diagnose.noise import rounded_stages, rounding
from attnviz.analysis.diagnose.probe import USUAL, probe
from attnviz.analysis.diagnose.registry import MISTAKES
from attnviz.errors import AttnvizError


def planted(name, dtype="float32", features=USUAL):
    """The probe in a type, and what the likeliest way of a mistake gives on it."""
    c = probe(features)
    once = rounding(dtype)
    c = replace(c, q=once(c.q), k=once(c.k), v=once(c.v))
    variant = next(MISTAKES[name].variants(c))
    out = rounded_stages(variant.computation, dtype).context
    return Case(c, {"context": np.asarray(out, np.float64)}, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "name", ["no_scale", "causal_dropped", "aligned_upper_left", "heads_tiled", "filled_with_zero"]
)
def test_a_planted_mistake_is_named(name, dtype):
    found = diagnose([planted(name, dtype)])
    assert found.verdict == "differs"
    (cause,) = found.causes
    assert cause.best.hypothesis.entries[0].name == name
    assert cause.explains
    assert cause.survey.rms < 3 * found.reference.noise_rms


def test_two_mistakes_of_which_one_mixes_rows_in_larger_dumps():
    """More than are small enough to try every pair on all rows."""
    rng = np.random.default_rng(7)
    q, k, v = (rng.normal(size=(1, 5, 67, 61)).astype(np.float32) for _ in range(3))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(5 * 61)  # the width of the model
    weights = np.exp(scores)
    right = weights / weights.sum(-1, keepdims=True) @ v
    out = right.reshape(1, 67, 5 * 61)  # and no transpose
    found = attnviz.diagnose(q, k, v, out, causal=False)
    assert (found.causes[0].id, found.causes[0].explains) == ("L2+S2", True)
    over_queries = weights / weights.sum(-2, keepdims=True) @ v
    found = attnviz.diagnose(q, k, v, over_queries, causal=False)
    assert (found.causes[0].id, found.causes[0].explains) == ("S2+X1", True)


def test_what_no_mistake_explains():
    c = probe(USUAL)
    out = np.sort(compute(c).context, axis=-1)
    found = diagnose([Case(c, {"context": out}, "float32")])
    assert found.verdict == "differs"
    assert found.causes == ()
    assert found.n_tried > 500
    assert "known mistake explains these numbers" in found.text()


def test_the_first_reading_that_fits_is_taken():
    c = probe(USUAL)
    right = Case(c, {"context": compute(c).context}, "float32", rank=1)
    wrong = replace(right, wanted=replace(c, q=c.q[:, ::-1]), rank=0)
    found = diagnose([wrong, right])
    assert found.verdict == "match"
    assert found.case.rank == 1


def test_an_unlikely_reading_that_fits_is_better_than_two_mistakes():
    c = probe(USUAL)
    right = Case(c, {"context": compute(c).context}, "float32", rank=6)
    wrong = replace(right, wanted=replace(c, q=np.sort(c.q)), rank=0)
    assert diagnose([wrong, right]).case.rank == 6


def test_the_manifest_is_json():
    text = json.dumps(diagnose([planted("scale_twice")]).manifest(), allow_nan=False)
    manifest = json.loads(text)
    (cause,) = manifest["causes"]
    assert (manifest["verdict"], cause["id"], cause["equivalent"]) == ("differs", "S4", ["S3"])
    assert manifest["recovered"]["scale"] == pytest.approx(1 / 20, rel=1e-4)
    assert "{" not in "".join(cause["computed"] + cause["wanted"] + cause["fix"])


def test_an_explanation_of_several_says_how_to_tell():
    found = diagnose([planted("scale_twice")])
    assert found.causes[0].suggestion.told_apart == ()  # the same on every input
    square = ("square", "causal")
    found = diagnose([planted("causal_dropped", features=square)])
    suggestion = found.causes[0].suggestion
    assert suggestion is None or suggestion.told_apart


def test_features_of_a_probe_are_those_it_was_made_with():
    for features in (("causal",), ("causal", "padding", "window"), ("rotary", "sinks", "softcap")):
        assert features_of(probe(features)) == set(features)


# from Python


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(2, 3, n, 8)).astype(np.float32) for n in (5, 7, 7)]


def test_arrays():
    q, k, v = arrays()
    done = attnviz.attend(q, k, v, causal=True)
    assert attnviz.diagnose(q, k, v, done.context, causal=True).verdict == "match"
    assert attnviz.diagnose(q, k, v, weights=done.weights, causal=True).verdict == "match"
    found = attnviz.diagnose(q, k, v, done.context, causal=False)
    assert found.verdict == "differs"
    assert repr(found).startswith("<Diagnosis: differs, ")


def test_files(tmp_path):
    q, k, v = arrays()
    out = attnviz.attend(q, k, v, scale=1.0).context
    np.savez(tmp_path / "dump.npz", q=q, k=k, v=v, out=out)
    for name, x in (("q", q), ("k", k), ("v", v), ("out", out)):
        np.save(tmp_path / f"{name}.npy", x)
    one = attnviz.diagnose(tmp_path / "dump.npz")
    several = attnviz.diagnose([tmp_path / f"{name}.npy" for name in ("q", "k", "v", "out")])
    assert [cause.id for cause in one.causes] == [cause.id for cause in several.causes] == ["S1"]
    assert attnviz.diagnose(tmp_path / "dump.npz", scale=1.0).verdict == "match"


def test_what_does_not_fit_is_refused():
    q, k, v = arrays()
    with pytest.raises(AttnvizError, match=r"q \[2, 3, 5, 8\]"):
        attnviz.diagnose(q, k[..., :5], v, q)


@pytest.mark.parametrize("spec", ["torch", "flash"])
def test_conventions_decide_where_the_queries_stand(spec):
    q, k, v = arrays()
    out = attnviz.attend(q, k, v, causal="upper_left").context
    found = attnviz.diagnose(q, k, v, out, causal=True, spec=spec, layout="bhnd")
    assert found.verdict == ("match" if spec == "torch" else "differs")
