"""Which layers slide, as transformers reads it."""

from __future__ import annotations

import pytest

import attnviz
from attnviz.errors import AttnvizError
from tests.models.build.families import checkpoints, goldens

SLIDING, FULL = "sliding_attention", "full_attention"


def masks(variant, tmp_path, drop=(), **changes):
    """The mask of each layer with some fields of the config changed or left out."""
    config, tensors = checkpoints.read(goldens.FAMILIES / variant)
    changed = {name: value for name, value in (config | changes).items() if name not in drop}
    folder = checkpoints.write(tmp_path / variant, changed, tensors)
    return [record.site.mask for record in attnviz.run([7, 9, 21], model=str(folder))]


@pytest.mark.parametrize("kinds", [[SLIDING, FULL], [FULL, FULL]])
def test_a_mistral_whose_layers_two_classes_read_in_two_ways_is_refused(kinds, tmp_path):
    """MistralForCausalLM ignores `layer_types`; AutoModel makes a Ministral of it."""
    with pytest.raises(AttnvizError, match="layer_types and sliding_window disagree"):
        masks("mistral", tmp_path, layer_types=kinds)


def test_a_mistral_whose_layers_both_read_alike(tmp_path):
    window = ("causal", "window:size=5")
    assert masks("mistral", tmp_path, layer_types=[SLIDING, SLIDING]) == [window] * 2
    full = masks("mistral", tmp_path, layer_types=[FULL, FULL], sliding_window=None)
    assert full == [("causal",)] * 2


def test_phi3_reads_no_kinds(tmp_path):
    window = ("causal", "window:size=5")
    assert masks("phi3", tmp_path, layer_types=[SLIDING, FULL]) == [window] * 2


@pytest.mark.parametrize(
    ("variant", "mask"),
    [
        ("mistral", ("causal", "window:size=4096")),
        ("qwen2-window", ("causal", "window:size=4096")),
        ("phi3", ("causal",)),
    ],
)
def test_a_window_that_is_not_given_is_that_of_the_family(variant, mask, tmp_path):
    assert masks(variant, tmp_path, drop=("sliding_window",))[-1] == mask


@pytest.mark.parametrize("variant", ["gemma2", "gemma3_text"])
@pytest.mark.parametrize("drop", [(), ("layer_types",)])
def test_a_gemma_slides(variant, drop, tmp_path):
    """transformers fails with a TypeError."""
    with pytest.raises(AttnvizError, match="sliding_window is null, but some layers slide"):
        masks(variant, tmp_path, drop, sliding_window=None)


@pytest.mark.parametrize("variant", ["qwen2-window", "qwen3-window"])
def test_a_window_of_zero_that_is_not_used(variant, tmp_path):
    full = masks(
        variant, tmp_path, drop=("layer_types",), use_sliding_window=False, sliding_window=0
    )
    assert set(full) == {("causal",)}


@pytest.mark.parametrize("variant", ["mistral", "qwen2-window"])
def test_a_window_of_zero_that_is_used(variant, tmp_path):
    with pytest.raises(AttnvizError, match="sliding_window = 0 leaves every query without a key"):
        masks(variant, tmp_path, sliding_window=0)
