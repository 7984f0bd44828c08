"""The conventions of specifications and libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attnviz.analysis.diagnose.case import Request
from attnviz.analysis.diagnose.computation import compute
from attnviz.analysis.diagnose.diagnosis import diagnose
from attnviz.analysis.diagnose.reading.readings import readings
from attnviz.analysis.diagnose.registry import MISTAKES
from attnviz.analysis.diagnose.specs import DEFAULT, SPECS, conventions, filled
from attnviz.analysis.diagnose.specs.params import read_params
from attnviz.errors import AttnvizError
from attnviz.trace.dump import read_dump
from tests.analysis.diagnose.dumps import dump_of
from tests.conftest import HERE


@pytest.mark.parametrize("name", SPECS)
def test_every_specification_says_what_it_is(name):
    entry = SPECS[name]
    made = conventions(name)
    assert made.name == name
    assert made.words
    assert entry.summary
    assert entry.title
    assert entry.source.startswith("https://")


def test_what_is_unknown_is_named():
    with pytest.raises(AttnvizError, match="unknown specification: 'tensorflow'"):
        conventions("tensorflow")
    with pytest.raises(AttnvizError, match="torch has no parameter 'is_casual'") as error:
        conventions("torch", {"is_casual": True})
    assert "`is_causal`" in error.value.hint
    with pytest.raises(AttnvizError, match="'torch' has no option 'order'"):
        conventions("torch:order=kernel")


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"scale": "0.1"}, 'torch: scale is "0.1"; expected a number'),
        ({"scale": True}, "torch: scale is true; expected a number"),
        ({"scale": float("nan")}, "torch: scale is NaN; expected a number"),
        ({"is_causal": "yes"}, 'torch: is_causal is "yes"; expected true or false'),
    ],
)
def test_values_of_another_type_are_named(params, found):
    with pytest.raises(AttnvizError) as error:
        conventions("torch", params)
    assert error.value.message == found


def test_parameters_are_read_from_a_file_or_as_they_are(tmp_path):
    path = tmp_path / "params.json"
    path.write_text('{"scale": 0.3}')
    assert read_params(str(path)) == read_params(' {"scale": 0.3}') == {"scale": 0.3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"scale": }', "--params: this is no JSON: Expecting value"),
        ('{"scale": 1, "scale": 2}', "--params: this is no JSON: "),
        ("[1]", "FILE: expected an object of parameters, got list"),
        ("", "FILE: this is no JSON: "),
    ],
)
def test_what_is_no_object_of_parameters_is_named(tmp_path, text, message):
    path = tmp_path / "params.json"
    path.write_text(text)
    given = text if text.startswith("{") else str(path)
    with pytest.raises(AttnvizError) as error:
        read_params(given)
    assert error.value.message.startswith(message.replace("FILE", f"--params {path}"))


def test_parameters_fill_in_what_the_user_does_not_say():
    made = conventions("flash", {"causal": True, "softmax_scale": 0.3, "softcap": 7})
    request = filled(Request(scale=0.2, conventions=made))
    assert request.scale == 0.2
    assert request.causal
    assert request.softcap == 7
    empty = filled(Request(conventions=DEFAULT))
    assert (empty.scale, empty.causal, empty.softcap) == (None, None, None)


ATB = {"headNum": 4, "calcType": "PA_ENCODER"}


@pytest.mark.parametrize("name", SPECS)
def test_fixes_are_those_of_known_mistakes(name):
    fixes = conventions(name, ATB if name == "atb" else None).fixes
    assert set(fixes) <= set(MISTAKES)


def test_a_fix_is_said_in_the_words_of_the_specification(tmp_path):
    found = judged(torch_dump(tmp_path, "mha_mask"), "torch", n_head=3, layout="nbd")
    own = "attn_mask=~mask: True = visible in scaled_dot_product_attention"
    text = found.text(width=200)
    assert own in text
    assert MISTAKES["inverted_mask"].fix not in text
    assert found.manifest()["causes"][0]["fix"] == [own]


# PyTorch's own attention


TORCH = np.load(HERE / "golden" / "torch-attention.npz")
TORCH_CASES = sorted({name.partition("/")[0] for name in TORCH.files if "/" in name})


def torch_dump(folder, case):
    """A dump of what PyTorch computed, with the names that its users give."""
    arrays = {n.partition("/")[2]: TORCH[n] for n in TORCH.files if n.startswith(f"{case}/")}
    np.savez(folder / "dump.npz", **arrays)
    return read_dump([folder / "dump.npz"])


def judged(dump, spec, params=None, **request):
    made = conventions(spec, params)
    return diagnose(readings(dump, Request(conventions=made, **request)))


@pytest.mark.parametrize("case", [name for name in TORCH_CASES if name.startswith("sdpa")])
def test_what_sdpa_computes_is_right(tmp_path, case):
    params = {"sdpa_causal": {"is_causal": True}, "sdpa_grouped": {"scale": 0.3}}.get(case)
    found = judged(torch_dump(tmp_path, case), "torch", params)
    assert found.verdict == "match"
    assert found.case.reading[0].startswith("PyTorch's scaled_dot_product_attention: ")


@pytest.mark.parametrize("case", [name for name in TORCH_CASES if name.startswith("mha")])
def test_what_multihead_attention_computes_is_right(tmp_path, case):
    params = {"num_heads": 3, "embed_dim": 21, "batch_first": case == "mha_batch_first"}
    found = judged(torch_dump(tmp_path, case), "torch-mha", params)
    assert found.verdict == "match"


def test_other_conventions_than_pytorchs_are_told(tmp_path):
    """SDPA aligns causal masks with the first key, other libraries with the last: C3."""
    dump = torch_dump(tmp_path, "sdpa_causal")
    found = judged(dump, "flash", {"causal": True}, layout="bhnd")
    assert (found.verdict, found.causes[0].best.hypothesis.ids[0]) == ("differs", "C3")
    dump = torch_dump(tmp_path, "mha_mask")
    found = judged(dump, "torch", n_head=3, layout="nbd")
    assert (found.verdict, found.causes[0].best.hypothesis.ids[0]) == ("differs", "M1")


# flash-attn


@pytest.mark.parametrize("window", [(-1, -1), (2, 1), (3, -1), (-1, 0)])
@pytest.mark.parametrize("causal", [True, False])
def test_flash_attention_stands_at_the_last_key(tmp_path, window, causal):
    """Windows count the keys beside the query's own, on each side."""
    rng = np.random.default_rng(3)
    q, k, v = (rng.standard_normal((1, n, h, 7)) for n, h in ((5, 6), (11, 2), (11, 2)))
    out = np.zeros((1, 5, 6, 7))
    left, right = window[0], 0 if causal else window[1]
    for h in range(6):
        for i in range(5):
            at = i + 6
            seen = [
                j
                for j in range(11)
                if (left < 0 or j >= at - left) and (right < 0 or j <= at + right)
            ]
            powers = np.array([math.exp(0.4 * q[0, i, h] @ k[0, j, h // 3]) for j in seen])
            out[0, i, h] = (powers / powers.sum()) @ v[0, seen, h // 3]
    np.savez(tmp_path / "dump.npz", q=q, k=k, v=v, out=out)
    params = {"causal": causal, "window_size": list(window), "softmax_scale": 0.4}
    found = judged(read_dump([tmp_path / "dump.npz"]), "flash", params)
    assert found.verdict == "match"


# ONNX: with its errata it is held to ONNX's own cases, in tests/conformance


def onnx_by_loops(q, k, v, *, softcap, visible, bias, errata):
    """[n_head, n_q, d]: the logits that enter the softmax, and the output."""
    group = len(q) // len(k)
    logits = np.full((len(q), q.shape[1], k.shape[1]), -math.inf)
    out = np.zeros((*q.shape[:2], v.shape[2]))
    for h in range(len(q)):
        for i in range(q.shape[1]):
            for j in range(k.shape[1]):
                x = float(q[h, i] @ k[h // group, j]) * q.shape[2] ** -0.5
                if errata:
                    x = softcap * math.tanh(x / softcap)
                x = x + bias[i, j] if visible(i, j) else -math.inf
                logits[h, i, j] = x if errata else softcap * math.tanh(x / softcap)
            powers = np.exp(logits[h, i])
            out[h, i] = (powers / powers.sum()) @ v[h // group]
    return logits, out


@pytest.mark.parametrize("errata", [True, False])
def test_onnx_before_and_after_its_errata(errata):
    """The softcap comes before or after the mask; the first query stands after the cache or at the
    first key; the modes 1 and 2 of the fourth output are swapped."""
    rng = np.random.default_rng(0)
    q, k, v, past_k, past_v = (
        rng.standard_normal(shape)
        for shape in ((1, 6, 5, 7), (1, 2, 5, 7), (1, 2, 5, 11), (1, 2, 3, 7), (1, 2, 3, 11))
    )
    bias = rng.standard_normal((5, 8))
    past = 3 if errata else 0
    logits, out = onnx_by_loops(
        q[0], np.concatenate([past_k, k], 2)[0], np.concatenate([past_v, v], 2)[0],
        softcap=0.7, visible=lambda i, j: j <= i + past, bias=bias, errata=errata,
    )  # fmt: skip
    arrays = {"q": q, "k": k, "v": v, "past_k": past_k, "past_v": past_v, "mask": bias,
              "context": out[None], "qk_output": logits[None]}  # fmt: skip
    made = conventions(
        "onnx" if errata else "onnx-pre",
        {"is_causal": 1, "softcap": 0.7, "qk_matmul_output_mode": 2},
    )
    (case,) = made.read(dump_of(arrays, {}), filled(Request(conventions=made)))
    found = compute(case.wanted)
    np.testing.assert_allclose(found.context, case.given["context"], atol=1e-12)
    np.testing.assert_allclose(found.logits, case.given["logits"], atol=1e-12)


def test_onnx_before_its_errata_gives_nan_where_no_key_is_seen():
    rng = np.random.default_rng(1)
    arrays = {"q": rng.standard_normal((1, 2, 3, 5)), "k": rng.standard_normal((1, 2, 7, 5)),
              "v": rng.standard_normal((1, 2, 7, 5)), "mask": np.arange(3)[:, None] > np.arange(7)}  # fmt: skip
    for name, expected in (("onnx", 0.0), ("onnx-pre", np.nan)):
        made = conventions(name)
        (case,) = made.read(dump_of(arrays, {}), filled(Request(conventions=made)))
        context = compute(case.wanted).context
        np.testing.assert_array_equal(context[:, :, 0], np.full((1, 2, 5), expected))
        assert np.isfinite(context[:, :, 1:]).all()


def test_onnx_reads_the_modes_of_its_fourth_output():
    rng = np.random.default_rng(2)
    arrays = {name: rng.standard_normal((1, 2, 3, 5)) for name in "qkv"}
    arrays["qk_output"] = rng.standard_normal((1, 2, 3, 3))

    def stages(name, mode, softcap):
        made = conventions(name, {"qk_matmul_output_mode": mode, "softcap": softcap})
        cases = made.read(dump_of(arrays, {}), filled(Request(conventions=made)))
        return [list(case.given) for case in cases], cases[0].reading[-1]

    assert [stages("onnx", mode, 0)[0] for mode in range(4)] == [
        [["scores"]],
        [["capped"]],
        [["logits"]],
        [["weights"]],
    ]
    assert stages("onnx", 0, 3)[0] == [["scores"], ["capped"]]
    assert [stages("onnx-pre", mode, 3)[0][0] for mode in (1, 2, 3)] == [
        [],
        ["logits"],
        ["weights"],
    ]
    assert stages("onnx-pre", 1, 0)[0] == [["logits"]]
    assert (
        stages("onnx-pre", 1, 3)[1] == "qk_output is not compared: it is masked, but not capped yet"
    )


@pytest.mark.parametrize(
    ("params", "change", "message"),
    [
        ({"qk_matmul_output_mode": 4}, {}, "onnx: qk_matmul_output_mode is 4; expected 0, 1, 2 or 3"),
        ({"left_window_size": -2}, {}, "onnx: left_window_size is -2; expected -1, which means all, or more"),
        ({"softmax_precision": 2}, {}, "onnx: softmax_precision is 2; expected 1, 10, 11 or 16"),
        ({}, {"past_k": np.zeros((1, 2, 4, 5))}, "ONNX's Attention needs past_v"),
        ({}, {"past_k": np.zeros((1, 2, 4, 6)), "past_v": np.zeros((1, 2, 4, 5))}, "past_k has the shape [1, 2, 4, 6]; expected [1, 2, past, 5]"),
        ({}, {"k_lengths": np.array([4])}, "nonpad_kv_seqlen is [4]; expected 1 numbers up to 3"),
        ({}, {"mask": np.zeros((2, 3))}, "mask has the shape [2, 3]; expected one that broadcasts to [1, 2, 3, 3], or has fewer keys"),
        ({}, {"mask": np.zeros((3, 4))}, "mask has the shape [3, 4]"),
        ({}, {"context": np.zeros((1, 2, 4, 5))}, "Y has the shape [1, 2, 4, 5]; expected [1, 2, 3, 5]"),
    ],
)  # fmt: skip
def test_onnx_names_what_does_not_fit(params, change, message):
    arrays = {name: np.zeros((1, 2, 3, 5)) for name in "qkv"} | change
    dump = dump_of(arrays, {"k_lengths": "nonpad_kv_seqlen", "context": "Y"})
    with pytest.raises(AttnvizError) as error:
        conventions("onnx", params).read(dump, Request())
    assert message in error.value.message


def test_onnx_finds_its_inputs_in_a_file(tmp_path):
    rng = np.random.default_rng(4)
    arrays = {name: rng.standard_normal((1, 2, n, 5)) for name, n in (("Q", 3), ("K", 4), ("V", 4))}
    arrays |= {name: rng.standard_normal((1, 2, 2, 5)) for name in ("past_key", "past_value")}
    arrays |= {"attn_mask": np.ones((3, 6), bool), "Y": np.zeros((1, 2, 3, 5))}
    arrays |= {"present_key": np.zeros((1, 2, 6, 5)), "present_value": np.zeros((1, 2, 6, 5))}
    np.savez(tmp_path / "dump.npz", **arrays, qk_matmul_output=np.zeros((1, 2, 3, 6)))
    made = conventions("onnx", {"is_causal": True})
    (case,) = readings(read_dump([tmp_path / "dump.npz"]), Request(conventions=made))
    assert case.wanted.masking.offset == 2
    assert case.wanted.k.shape == (1, 2, 6, 5)
    assert set(case.given) == {"context", "scores"}


def test_onnx_leaves_other_layouts_to_the_usual_reading():
    arrays = {"q": np.zeros((1, 3, 2, 5)), "k": np.zeros((1, 7, 2, 5)), "v": np.zeros((1, 7, 2, 5))}
    made = conventions("onnx")
    assert made.read(dump_of(arrays, {}), Request(conventions=made)) == ()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_onnx_scores_without_a_mask_are_not_taken_for_masked_ones(tmp_path, dtype):
    """Mode 0 with a cache that the query sees in part; in half precision √scale, Q and K are
    rounded before the product."""
    rng = np.random.default_rng(5)
    q, k, v, past_k, past_v = (
        rng.standard_normal((3, h, n, 20)).astype(dtype)
        for h, n in ((2, 1), (1, 4), (1, 4), (1, 5), (1, 5))
    )
    keys = np.concatenate([past_k, k], 2)
    root = np.array(20**-0.25).astype(dtype)
    scores = (q * root).astype(np.float64) @ np.swapaxes(keys * root, 2, 3).astype(np.float64)
    powers = np.where(np.arange(9) <= 5, np.exp(scores), 0)
    out = powers / powers.sum(-1, keepdims=True) @ np.concatenate([past_v, v], 2).astype(np.float64)
    np.savez(tmp_path / "dump.npz", Q=q, K=k, V=v, past_key=past_k, past_value=past_v,
             qk_matmul_output=scores.astype(dtype), Y=out.astype(dtype))  # fmt: skip
    found = judged(read_dump([tmp_path / "dump.npz"]), "onnx", {"is_causal": True})
    assert found.verdict == "match"
