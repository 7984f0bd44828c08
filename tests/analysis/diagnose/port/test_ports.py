"""Ports that are right, and ports with a mistake: what transformers computes of the tiny
checkpoints, and what it computes when one of its functions is broken on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from attnviz.analysis.diagnose.port import diagnose_port
from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.nn.transformer import attentions
from tests.conftest import HERE

FAMILIES = HERE / "golden" / "families"

BROKEN = {
    "rope-interleaved": ("llama", "decoder.0.self/weights", "O1", "interleaved"),
    "rope-interleaved-hidden": ("qwen2", "decoder/hidden_states[1]", "O1", "interleaved"),
    "rope-none": ("qwen3", "decoder.0.self/weights", "O3", ""),
    "rope-base": ("llama-3", "decoder/hidden_states[1]", "O2", "base 10000"),
    "heads-tiled": ("llama-3", "decoder.0.self/weights", "G1", ""),
    "scale-none": ("llama", "decoder.0.self/weights", "S1", "1"),
    "scale-none-hidden": ("qwen2", "decoder/hidden_states[1]", "S1", "1"),
    "mask-dropped": ("llama", "decoder.0.self/weights", "M6", "without causal"),
    "heads-not-transposed": ("llama", "decoder.0.self/attended", "L1", "output"),
    "bias-of-queries": ("qwen2", "decoder.0.self/weights", "L6", "query"),
    "norms-of-one-layer": ("qwen3", "decoder.1.self/weights", "N1", "left out"),
    "key-transposed": ("gpt2", "decoder/hidden_states[1]", "L6", "key"),
    "relu": ("gpt2", "decoder/hidden_states[1]", "port", "relu"),
    "embedding-unscaled": ("gemma2", "decoder/hidden_states[0]", "port", ""),
    "gain-without-one": (
        "gemma2",
        "decoder/hidden_states[1]",
        "port",
        "before attention: gain - 1",
    ),
}
"""Port -> checkpoint, the first stage that deviates, the mistake and what is said of it."""

WITH_GOLDENS = sorted(path.parent.name for path in FAMILIES.glob("*/golden.npz"))


@pytest.fixture(scope="module")
def ports():
    return np.load(HERE / "golden" / "ports.npz")


def dump_of(ports, name):
    return {key.split("/", 1)[1]: ports[key] for key in ports if key.startswith(f"{name}/")}


def golden_dump(family, case):
    """What transformers computes of a checkpoint, under the names that a user gives it."""
    stored = np.load(FAMILIES / family / "golden.npz")
    renamed = {"ids": "input_ids", "target": "decoder_input_ids", "mask": "attention_mask",
               "segments": "token_type_ids", "pixels": "pixel_values", "sound": "input_features"}  # fmt: skip
    dump = {}
    for key in (key for key in stored if key.startswith(f"{case}/") and "logits" not in key):
        name, array = key.split("/", 1)[1], stored[key]
        if name.endswith(".hidden"):
            dump[f"{name[:-7]}_hidden_states"] = np.moveaxis(array, 1, 0)
        else:
            dump[renamed.get(name, f"{name}/weights")] = array
    return dump


@pytest.mark.parametrize("family", WITH_GOLDENS)
def test_no_right_port_is_blamed(family):
    model = load_model(str(FAMILIES / family))
    cases = {key.split("/")[0] for key in np.load(FAMILIES / family / "golden.npz")}
    for case in cases:
        found = diagnose_port(model, golden_dump(family, case))
        assert found.first is None, (case, found.first)
        assert len(found.rows) >= 2


@pytest.mark.parametrize("item", [0, 1])
def test_every_item_of_a_batch_is_compared_without_its_padding(item):
    dump = golden_dump("mistral", "padded")
    found = diagnose_port(load_model(str(FAMILIES / "mistral")), dump, item=item)
    assert found.verdict == "match"
    notes = " ".join(found.notes)
    assert f"item {item} of 2" in notes
    assert ("3 tokens are padding" in notes) == (item == 1)


@pytest.mark.parametrize(("name", "family"), [("right", "llama"), ("right-hidden", "qwen3")])
def test_real_code_that_is_right_matches(ports, name, family):
    found = diagnose_port(load_model(str(FAMILIES / family)), dump_of(ports, name))
    assert (found.verdict, found.first, found.causes, found.layers) == ("match", None, (), ())


@pytest.mark.parametrize("name", BROKEN)
def test_real_code_with_a_mistake_is_explained(ports, name):
    family, first, id, words = BROKEN[name]
    found = diagnose_port(load_model(str(FAMILIES / family)), dump_of(ports, name))
    assert found.verdict == "differs"
    assert found.first.at.name == first
    assert [(cause.id, cause.words) for cause in found.causes] == [(id, (words,))]
    assert found.causes[0].rms <= found.first.floor.rms < found.first.rms
    assert first in found.causes[0].explained


def test_only_the_block_that_is_wrong_is_named(ports):
    dump = dump_of(ports, "norms-of-one-layer")
    found = diagnose_port(load_model(str(FAMILIES / "qwen3")), dump)
    assert found.layers == ("decoder.1",)
    dump = {name: x for name, x in dump.items() if "hidden" not in name}  # now errors go on
    assert diagnose_port(load_model(str(FAMILIES / "qwen3")), dump).layers == ("decoder.1",)


def test_what_attention_itself_does_wrong_is_a_case_for_the_search(ports):
    from attnviz.analysis.diagnose.diagnosis import diagnose

    dump = dump_of(ports, "softmax-over-queries")
    found = diagnose_port(load_model(str(FAMILIES / "llama")), dump)
    assert found.first.at.name == "decoder.0.self/weights"
    assert found.causes == ()
    assert found.case.wanted.q.shape == (1, 4, 11, 6)
    causes = diagnose([found.case]).causes
    assert causes[0].id == "X1"


def traced(family, ids, **changes):
    """A dump under the names of a trace, of a model whose attentions are changed."""
    import attnviz

    model = load_model(str(FAMILIES / family))
    changed = model.transformer.change_attention(lambda _, a: a._replace(**changes))
    trace = attnviz.run(
        ids,
        model=model._replace(transformer=changed),
        stages=("q", "k", "v", "scores", "logits", "weights", "context"),
        hidden_states=True,
    )
    return model, {**trace.arrays(), "input_ids": np.array(ids)}


def test_a_trace_of_our_own_matches_in_all_stages():
    model, dump = traced("llama-3", [7, 9, 21, 33, 12])
    found = diagnose_port(model, dump)
    assert found.verdict == "match"
    stages = {each.at.stage for each in found.rows}
    assert stages == {"hidden", "q", "k", "v", "scores", "logits", "weights", "context"}
    assert len(found.rows) == 3 + 2 * 7


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"rotary": None}, "q"),
        ({"scale": 1.0}, "scores"),
        ({"softcap": 0.5}, "logits"),
        ({}, None),
    ],
)
def test_the_first_stage_is_the_one_that_computes_the_mistake(changes, first):
    model, dump = traced("llama-3", [7, 9, 21, 33, 12], **changes)
    found = diagnose_port(model, dump)
    assert (found.first and found.first.at.stage) == first


def test_queries_kept_before_their_rotation_are_no_mistake():
    model, dump = traced("llama-3", [7, 9, 21, 33, 12])
    _, unrotated = traced("llama-3", [7, 9, 21, 33, 12], rotary=None)
    for name in "qk":
        dump[f"decoder.0.self/{name}"] = unrotated[f"decoder.0.self/{name}"]
    found = diagnose_port(model, dump)
    assert found.verdict == "match"
    stages = [each.at.stage for each in found.rows if each.at.layer == 0]
    assert stages[1:4] == ["q_proj", "k_proj", "v"]


def test_keys_kept_in_a_way_of_their_own_are_no_mistake(generator):
    """Scaled by something that the queries take back: all that follows is right."""
    model, dump = traced("llama-3", [7, 9, 21, 33, 12])
    dump["decoder.0.self/k"] = dump["decoder.0.self/k"] * 2
    found = diagnose_port(model, dump)
    assert found.verdict == "match"
    assert [each.at.name for each in found.rows if each.elsewhere] == ["decoder.0.self/k"]
    assert any("decoder.0.self/k: taken at another point" in note for note in found.notes)


def test_two_mistakes_at_once():
    model = load_model(str(FAMILIES / "qwen2"))
    own = next(attentions(model.transformer.decoder.blocks[0]))
    _, dump = traced("qwen2", [7, 9, 21, 33, 12, 40], rotary=None, scale=1.0)
    only = {name: x for name, x in dump.items() if "hidden" in name or name == "input_ids"}
    found = diagnose_port(model, only)
    assert own.rotary is not None
    assert found.first.at.name == "decoder/hidden_states[1]"
    assert {cause.id for cause in found.causes} == {"O3+S1"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_judged_by_its_own_rounding(dtype):
    """All numbers rounded to it; and a mistake that is larger than that."""
    from attnviz.analysis.diagnose.noise import rounding

    ids = [7, 9, 21, 33, 12, 40, 8]
    for changes, verdict in (({}, "match"), ({"scale": 1.0}, "differs")):
        model, dump = traced("qwen3", ids, **changes)
        rounds = rounding(dtype)
        dump = {n: rounds(x) if x.dtype.kind == "f" else x for n, x in dump.items()}
        found = diagnose_port(model, dump)
        assert (found.dtype, found.verdict) == (dtype, verdict)


def test_a_deviation_everywhere_that_half_precision_explains(generator):
    """As with TF32: kept in float32, and exact to ten bits only."""
    model, dump = traced("llama", [7, 9, 21, 33, 12, 40, 8])
    noisy = {
        name: x * (1 + generator.normal(size=x.shape) * 2e-4).astype(np.float32)
        if x.dtype.kind == "f"
        else x
        for name, x in dump.items()
        if "hidden" in name or "context" in name or x.dtype.kind == "i"
    }
    found = diagnose_port(model, noisy)
    assert found.verdict == "match"
    assert any("TF32" in note for note in found.notes)


def test_an_array_of_another_shape_is_named():
    model, dump = traced("llama", [7, 9, 21, 33, 12])
    dump["decoder.1.self/weights"] = dump["decoder.1.self/weights"][:, :4]
    found = diagnose_port(model, dump)
    assert found.first.at.name == "decoder.1.self/weights"
    assert found.first.shape == (4, 4, 5)


def test_what_is_missing_is_an_error():
    model, dump = traced("llama", [7, 9, 21, 33, 12])
    del dump["input_ids"]
    with pytest.raises(AttnvizError, match="no array input_ids"):
        diagnose_port(model, dump)
    assert diagnose_port(model, dump, ids=[7, 9, 21, 33, 12]).verdict == "match"
    assert (
        diagnose_port(model, dump, ids=[7, 9, 21, 33, 13]).first.at.name
        == "decoder/hidden_states[0]"
    )
    with pytest.raises(AttnvizError, match="holds no stages of a model: input_ids"):
        diagnose_port(model, {"input_ids": np.arange(5)})


def test_the_manifest_is_json(ports):
    import json

    found = diagnose_port(load_model(str(FAMILIES / "qwen2")), dump_of(ports, "bias-of-queries"))
    content = json.loads(json.dumps(found.manifest(), allow_nan=False))
    assert content["first"]["stage"] == "decoder.0.self/weights"
    assert content["causes"][0]["what"] == ["a bias left out: query"]


def test_what_follows_from_a_mistake_is_not_taken_for_another(ports):
    dump = dump_of(ports, "scale-none")
    model = load_model(str(FAMILIES / "llama"))
    assert diagnose_port(model, dump).layers == ("decoder.0", "decoder.1")
    del dump["hidden_states"]  # the second block reads what the first one spoilt
    found = diagnose_port(model, dump)
    assert found.layers == ("decoder.0",)
    assert [each.at.name for each in found.rows if not each.holds][-1] == "decoder.1.self/attended"


def test_embeddings_are_blamed_by_what_the_first_block_makes_of_them(ports):
    dump = dump_of(ports, "embedding-unscaled")
    model = load_model(str(FAMILIES / "gemma2"))
    only = {"input_ids": dump["input_ids"], "hidden_states.1": dump["hidden_states"][1]}
    found = diagnose_port(model, only)
    assert [cause.text() for cause in found.causes] == ["embeddings that are not scaled"]
    assert found.notes == ()
    found = diagnose_port(model, {**only, "input_ids": only["input_ids"] + 1})
    assert found.causes == ()
    assert any("whether the tokens are the same" in note for note in found.notes)


@pytest.mark.parametrize(
    ("changes", "first", "id"),
    [
        ({}, None, None),
        ({"scale": 1.0}, "encoder/hidden_states[1]", "S1"),
    ],
)
def test_a_checkpoint_of_twenty_million_parameters(minilm, changes, first, id):
    import attnviz

    model = load_model(str(minilm))
    changed = model.transformer.change_attention(lambda _, a: a._replace(**changes))
    ids = [101, 1045, 2387, 1037, 2387, 102]
    trace = attnviz.run(ids, model=model._replace(transformer=changed), hidden_states=True)
    dump = {n: x for n, x in trace.arrays().items() if "hidden_states" in n}
    found = diagnose_port(model, dump, ids=ids)
    assert (found.first and found.first.at.name) == first
    assert [cause.id for cause in found.causes] == ([] if id is None else [id])
    assert len(found.rows) == 7
