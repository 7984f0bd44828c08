"""Whole stacks against torch.nn's layers (goldens), and the laws of attention."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.nn import threads, tiled
from attnviz.nn.activations import relu
from attnviz.nn.embedding import Embedding, Input
from attnviz.nn.feed_forward import FeedForward
from attnviz.nn.linear import Linear
from attnviz.nn.masks import CAUSAL, NONE, parse
from attnviz.nn.multi_head import MultiHeadAttention, RecordNothing
from attnviz.nn.norms import LayerNorm
from attnviz.nn.stages import STAGES
from attnviz.nn.transformer import Parallel, ResidualOfNorm, Stack, Sublayer, Transformer
from attnviz.trace.recorder import TraceRecorder
from tests.conftest import GOLDEN

N_HEAD = 3


@pytest.fixture(scope="module")
def torch_arrays():
    with np.load(GOLDEN / "torch-transformer.npz") as file:
        return dict(file)


def attention(arrays, name, kind, mask):
    weight, bias = arrays[f"{name}.in_proj_weight"], arrays[f"{name}.in_proj_bias"]
    projections = [
        Linear(w, b) for w, b in zip(np.split(weight, 3), np.split(bias, 3), strict=True)
    ]
    output = Linear(arrays[f"{name}.out_proj.weight"], arrays[f"{name}.out_proj.bias"])
    return MultiHeadAttention(*projections, output, N_HEAD, N_HEAD, kind=kind, mask=mask)


def stack(arrays, prefix, name, place, mask, cross):
    linear = {n: Linear(arrays[f"{prefix}/{n}.weight"], arrays[f"{prefix}/{n}.bias"])
              for n in ("linear1", "linear2")}  # fmt: skip
    parts = [attention(arrays, f"{prefix}/self_attn", "self", mask)]
    if cross:
        parts.append(attention(arrays, f"{prefix}/multihead_attn", "cross", NONE))
    parts.append(FeedForward(linear["linear1"], linear["linear2"], relu))
    norms = [
        LayerNorm(arrays[f"{prefix}/norm{i}.weight"], arrays[f"{prefix}/norm{i}.bias"])
        for i in range(1, len(parts) + 1)
    ]
    where = "before" if place == "pre" else "after"
    block = tuple(Sublayer(part, **{where: norm}) for part, norm in zip(parts, norms, strict=True))
    return Stack(name, (block,))


def as_input(x):
    """An embedding that gives the vectors x, whatever the ids."""
    return Embedding(tokens=lambda ids: x), Input(np.arange(len(x)))


@pytest.mark.parametrize("place", ["post", "pre"])
def test_encoder_decoder_of_torch(torch_arrays, place):
    source, ids = as_input(torch_arrays["source"])
    target, target_ids = as_input(torch_arrays["target"])
    model = Transformer(
        encoder=stack(torch_arrays, f"{place}/encoder", "encoder", place, NONE, False),
        decoder=stack(torch_arrays, f"{place}/decoder", "decoder", place, CAUSAL, True),
        source=source,
        target=target,
    )
    hidden = model(ids, target_ids, hidden_states=True).hidden_states
    np.testing.assert_allclose(hidden["encoder"][-1], torch_arrays[f"{place}/memory"], atol=1e-5)
    output = torch_arrays[f"{place}/output"]  # up to 30, so float32 rounds at 2e-6
    np.testing.assert_allclose(hidden["decoder"][-1], output, rtol=2e-6, atol=1e-5)
    assert [site.id for site in model.sites()] == [
        "encoder.0.self", "decoder.0.self", "decoder.0.cross",
    ]  # fmt: skip


@pytest.fixture
def encoder(torch_arrays):
    return stack(torch_arrays, "post/encoder", "encoder", "post", NONE, False)


def test_permuting_tokens_permutes_outputs_when_there_are_no_positions(encoder, generator):
    x = generator.normal(size=(7, 15)).astype(np.float32)
    order = generator.permutation(7)

    def output(vectors):
        embedding, ids = as_input(vectors)
        model = Transformer(encoder=encoder, source=embedding)
        return model(ids, hidden_states=True).hidden_states["encoder"][-1]

    np.testing.assert_allclose(output(x[order]), output(x)[order], atol=2e-5)


def test_a_batch_is_its_texts_one_by_one(encoder, generator):
    x = generator.normal(size=(2, 7, 15)).astype(np.float32)
    embedding = Embedding(tokens=lambda ids: x[ids[..., 0]] if ids.ndim == 2 else x[ids[0]])
    model = Transformer(encoder=encoder, source=embedding)
    both = model(Input(np.array([[0] * 7, [1] * 7])), hidden_states=True).hidden_states["encoder"][
        -1
    ]
    for item in (0, 1):
        one = model(Input(np.full(7, item)), hidden_states=True).hidden_states["encoder"][-1]
        np.testing.assert_allclose(both[item], one, atol=2e-5)


def test_padding_of_the_text_is_the_same_as_a_shorter_text(encoder, generator):
    x = generator.normal(size=(7, 15)).astype(np.float32)
    embedding, ids = as_input(x)
    padded = Transformer(encoder=encoder, source=embedding)(
        ids._replace(mask=parse("padding:lengths=4")), hidden_states=True
    )
    short_embedding, short_ids = as_input(x[:4])
    short = Transformer(encoder=encoder, source=short_embedding)(short_ids, hidden_states=True)
    np.testing.assert_allclose(
        padded.hidden_states["encoder"][-1][:4], short.hidden_states["encoder"][-1], atol=2e-5
    )


def test_parallel_parts_add_up(torch_arrays, generator):
    part = attention(torch_arrays, "post/encoder/self_attn", "self", NONE)
    x = generator.normal(size=(5, 15)).astype(np.float32)
    embedding, ids = as_input(x)

    def output(f):
        model = Transformer(encoder=Stack("encoder", ((Sublayer(f),),)), source=embedding)
        return model(ids, hidden_states=True).hidden_states["encoder"][-1]

    np.testing.assert_allclose(
        output(Parallel((part, part))) - x, 2 * (output(part) - x), atol=1e-4
    )


def test_recording_changes_nothing_and_keeps_what_was_asked_for(encoder, generator):
    x = generator.normal(size=(5, 15)).astype(np.float32)
    embedding, ids = as_input(x)
    model = Transformer(encoder=encoder, source=embedding)
    recorder = TraceRecorder(("weights", "q"))
    recorded = model(ids, recorder=recorder, hidden_states=True).hidden_states["encoder"]
    bare = model(ids, hidden_states=True).hidden_states["encoder"]
    for one, other in zip(recorded, bare, strict=True):
        np.testing.assert_array_equal(one, other)
    (record,) = recorder.records()
    assert set(record.kept()) == {"weights", "q"}
    with pytest.raises(ValueError, match="read-only"):
        record.weights[0, 0, 0] = 1


def test_kept_queries_are_not_overwritten_by_the_next_layer(torch_arrays, generator):
    block = stack(torch_arrays, "post/encoder", "encoder", "post", NONE, False).blocks[0]
    embedding, ids = as_input(generator.normal(size=(5, 15)).astype(np.float32))

    def queries(n_layer):
        recorder = TraceRecorder(("q", "k", "v"))
        Transformer(encoder=Stack("encoder", (block,) * n_layer), source=embedding)(
            ids, recorder=recorder
        )
        return recorder.records()[0]

    for stage in ("q", "k", "v"):
        np.testing.assert_array_equal(queries(1).stage(stage), queries(3).stage(stage))


def test_scale_segments_and_positions_of_an_embedding(generator):
    table = generator.normal(size=(4, 6))
    segments = generator.normal(size=(2, 6))
    embedding = Embedding(
        tokens=partial(np.take, table, axis=0),
        positions=lambda p: np.repeat(p[:, None], 6, 1),
        segments=segments,
        scale=3.0,
    )
    ids = np.array([2, 0, 3])
    found = embedding(Input(ids, segments=np.array([0, 1, 1])))
    np.testing.assert_allclose(found, 3 * table[ids] + segments[[0, 1, 1]] + np.arange(3)[:, None])


def test_cross_attention_without_an_encoder(torch_arrays):
    embedding, ids = as_input(torch_arrays["target"])
    decoder = stack(torch_arrays, "post/decoder", "decoder", "post", CAUSAL, True)
    with pytest.raises(AttnvizError, match="encoder's output"):
        Transformer(decoder=decoder, source=embedding)(ids)


def test_an_encoder_decoder_needs_a_target(torch_arrays, encoder):
    embedding, ids = as_input(torch_arrays["source"])
    decoder = stack(torch_arrays, "post/decoder", "decoder", "post", CAUSAL, True)
    with pytest.raises(AttnvizError, match="needs a target"):
        Transformer(encoder=encoder, decoder=decoder, source=embedding)(ids)


STACKS = (
    "heads=6,kv_heads=2,kind=decoder,positions=rope,d_model=36,gated=true",
    "heads=3,d_model=18,norm_place=pre",
    "kind=encoder-decoder,heads=4,kv_heads=2,d_model=20,positions=alibi",
    "norm=batch",
)


@pytest.mark.parametrize("is_batch", [False, True])
@pytest.mark.parametrize("spec", STACKS)
def test_rows_on_several_cores_are_the_same_rows(spec, is_batch, monkeypatch):
    """Every stage and hidden state, also where a core has one row."""
    transformer = load_model(f"random:layers=3,{spec}").transformer
    source, target = (Input(ids) for ids in (np.arange(7), np.arange(3, 8)))
    if is_batch:
        source, target = (Input(np.stack([x.ids, x.ids + 1])) for x in (source, target))
    second = (target,) if transformer.encoder and transformer.decoder else ()

    def passed(n, stages):
        monkeypatch.setattr(threads, "_most", [n])
        recorder = TraceRecorder(stages)
        output = transformer(source, *second, recorder=recorder, hidden_states=True)
        arrays = {f"{r.id} {s}": getattr(r, s) for r in recorder.records() for s in stages}
        hidden = {f"{k} {i}": x for k, v in output.hidden_states.items() for i, x in enumerate(v)}
        return arrays | hidden | {"last": output.last}

    monkeypatch.setattr(threads, "ENOUGH", 0)
    monkeypatch.setattr(threads, "ROWS_OF_PART", 1)
    monkeypatch.setattr(tiled, "SKIPPING_ROWS", 2)
    for stages in (STAGES, ("weights",)):
        whole = passed(1, stages)
        for n in (2, 5):
            parts = passed(n, stages)
            assert parts.keys() == whole.keys()
            for name, array in parts.items():
                np.testing.assert_allclose(array, whole[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_an_error_of_one_core_ends_the_pass(monkeypatch):
    monkeypatch.setattr(threads, "_most", [3])
    monkeypatch.setattr(threads, "ENOUGH", 0)
    monkeypatch.setattr(threads, "ROWS_OF_PART", 1)
    transformer = load_model("random").transformer

    class Failing(RecordNothing):
        def open(self, site):
            if site.layer:
                raise AttnvizError("full", "less")
            return super().open(site)

    with pytest.raises(AttnvizError, match="full"):
        transformer(Input(np.arange(7)), recorder=Failing())


def test_a_residual_from_behind_the_norm(generator):
    """norm(x) + f(norm(x)), also where another part stands in its place."""
    x, norm = generator.normal(size=(5, 7)), LayerNorm(generator.normal(size=7))

    def double(y, context):
        return 2 * y

    sublayer = ResidualOfNorm(None, before=norm)._replace(f=double)
    np.testing.assert_allclose(sublayer(x, None), 3 * norm(x))
    np.testing.assert_array_equal(sublayer.residual(x), norm(x))
    np.testing.assert_allclose(Sublayer(*sublayer)(x, None), x + 2 * norm(x))
