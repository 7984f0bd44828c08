"""The lines that dump attention from other people's code, run as they are printed."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from attnviz.analysis.diagnose.port import diagnose_port
from attnviz.analysis.diagnose.snippets import SNIPPETS
from attnviz.models import load_model
from attnviz.trace.projections import read_arrays
from tests.conftest import HERE

FAMILIES = HERE / "golden" / "families"
IDS = [7, 9, 21, 33, 12, 40, 8]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def run(code, **names):
    exec(compile(code, "snippet", "exec"), names)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_snippet_is_short_and_says_what_reads_its_dump():
    for name, snippet in SNIPPETS.items():
        lines = [line for line in snippet.code.splitlines() if line.strip()]
        assert len(lines) <= (40 if name == "llama.cpp" else 20)
        assert max(map(len, lines)) <= 100
        assert snippet.then.startswith("attnviz diagnose ")


@pytest.mark.parametrize("family", ["llama-3", "qwen3", "bert", "gpt2"])
def test_transformers(here, torch, monkeypatch, family):
    transformers = pytest.importorskip("transformers")

    class Tokenizer:
        """Stands in for that of a checkpoint that has none."""

        @classmethod
        def from_pretrained(cls, name):
            return cls()

        def __call__(self, text, return_tensors):
            return {"input_ids": torch.tensor([IDS])}

    monkeypatch.setattr(transformers, "AutoTokenizer", Tokenizer)
    code = SNIPPETS["transformers"].code.replace('"FOLDER"', repr(str(FAMILIES / family)))
    run(code)
    dump = read_arrays(here / "dump.npz")[1]
    found = diagnose_port(load_model(str(FAMILIES / family)), dump)
    assert found.verdict == "match"
    stages = {each.at.stage for each in found.rows}
    assert stages == {"hidden", "weights"} | (
        {"q_proj", "k_proj", "v"} if family != "gpt2" else set()
    )
    assert found.unread == ()


def test_hooks_of_pytorch(here, torch):
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModel.from_pretrained(FAMILIES / "llama-3").eval()
    run(SNIPPETS["pytorch"].code, model=model, ids=torch.tensor([IDS]))
    dump = read_arrays(here / "dump.npz")[1]
    found = diagnose_port(load_model(str(FAMILIES / "llama-3")), dump)
    stages = [each.at.stage for each in found.rows if each.at.layer == 0]
    assert stages == ["q_proj", "k_proj", "v", "attended"]
    assert found.verdict == "match"
    assert found.rows[-1].at.name == "decoder/hidden_states[2] before the norm"


@pytest.mark.parametrize("masked", [False, True])
def test_a_call_of_scaled_dot_product_attention(here, torch, masked):
    functional = torch.nn.functional
    real = functional.scaled_dot_product_attention

    def model(ids):
        q, k, v = (torch.randn(2, 3, 5, 7) for _ in range(3))
        mask = torch.rand(2, 1, 5, 5) < 0.7
        mask |= torch.eye(5, dtype=bool)
        return functional.scaled_dot_product_attention(
            q, k, v, mask if masked else None, is_causal=not masked
        )

    try:
        run(SNIPPETS["sdpa"].code, model=model, ids=None)
    finally:
        functional.scaled_dot_product_attention = real
    from attnviz.analysis.diagnose.api import diagnose

    assert diagnose(here / "dump.npz", spec="torch").verdict == "match"
    dump = dict(np.load("dump.npz"))
    np.savez("dump.npz", **{**dump, "out": dump["out"] * 1.5})
    assert diagnose(here / "dump.npz", spec="torch").verdict == "differs"


def test_a_call_of_jax(here):
    jax = pytest.importorskip("jax")

    def run_jax():
        keys = jax.random.split(jax.random.key(0), 3)
        q, k, v = (jax.random.normal(key, (2, 5, 3, 7)) for key in keys)
        jax.jit(lambda *x: jax.nn.dot_product_attention(*x, is_causal=True, scale=0.3))(q, k, v)

    real = jax.nn.dot_product_attention
    try:
        run(SNIPPETS["jax"].code, run=run_jax)
    finally:
        jax.nn.dot_product_attention = real
    from attnviz.analysis.diagnose.api import diagnose

    assert diagnose(here / "dump.npz", layout="bnhd").verdict == "match"


GGML = """
#pragma once
#include <cstdint>
#include <cstring>
enum ggml_type { GGML_TYPE_F32 };
struct ggml_tensor { ggml_type type; int64_t ne[4]; char name[64]; void * data; };
inline size_t ggml_nbytes(ggml_tensor * t) {
    return 4 * t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
}
inline bool ggml_is_contiguous(ggml_tensor *) { return true; }
inline int ggml_n_dims(ggml_tensor * t) {
    for (int i = 3; i > 0; i--) if (t->ne[i] > 1) return i + 1;
    return 1;
}
inline void ggml_backend_tensor_get(ggml_tensor * t, void * to, size_t from, size_t n) {
    memcpy(to, (char *) t->data + from, n);
}
"""

MAIN = """
int main() {
    float x[30];
    for (int i = 0; i < 30; i++) x[i] = i;
    ggml_tensor wanted = {GGML_TYPE_F32, {5, 3, 2, 1}, "Qcur-7", x};
    ggml_tensor other = {GGML_TYPE_F32, {5, 3, 2, 1}, "ffn_norm-7", x};
    if (dump(&other, true, nullptr) || !dump(&wanted, true, nullptr)) return 1;
    return !dump(&wanted, false, nullptr);
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")
def test_the_callback_of_llama_cpp_writes_files_that_are_read(here):
    """With stand-ins for the few functions of ggml that it calls."""
    (here / "ggml.h").write_text(GGML)
    (here / "ggml-backend.h").write_text('#include "ggml.h"')
    (here / "main.cpp").write_text(SNIPPETS["llama.cpp"].code + MAIN)
    command = ["g++", "-Wall", "-Werror", "-Wno-misleading-indentation", "-I.", "main.cpp"]
    subprocess.run([*command, "-o", "main"], check=True, cwd=here)
    subprocess.run(["./main"], check=True, cwd=here)
    arrays = read_arrays(here)[1]
    assert list(arrays) == ["Qcur-7"]
    np.testing.assert_array_equal(arrays["Qcur-7"], np.arange(30, dtype="f4").reshape(2, 3, 5))
