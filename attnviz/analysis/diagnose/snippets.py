"""The lines that dump attention from other people's code, to be pasted into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from attnviz.language import to_say


class Snippet(NamedTuple):
    """A few lines of code."""

    about: str
    """What they dump: to be said."""
    code: str
    then: str
    """What reads the dump."""


PORT = "attnviz diagnose --model FOLDER --dump dump.npz"
ONE = "attnviz diagnose dump.npz"

TRANSFORMERS = """\
import numpy as np, torch
from transformers import AutoModel, AutoTokenizer

NAME, TEXT = "FOLDER", "I saw a saw"
model = AutoModel.from_pretrained(NAME, attn_implementation="eager").eval()
dump = dict(AutoTokenizer.from_pretrained(NAME)(TEXT, return_tensors="pt"))
inputs = dict(dump)
for path, module in model.named_modules():
    if path.endswith(("q_proj", "k_proj", "v_proj", "query", "key", "value")):
        module.register_forward_hook(lambda m, x, y, path=path: dump.update({path: y}))
with torch.no_grad():
    output = model(**inputs, output_attentions=True, output_hidden_states=True)
dump |= {f"hidden_states.{i}": x for i, x in enumerate(output.hidden_states)}
dump |= {f"attentions.{i}": x for i, x in enumerate(output.attentions)}
numbers = {k: x.float() if x.is_floating_point() else x for k, x in dump.items()}
np.savez("dump.npz", **{k: x.cpu().numpy() for k, x in numbers.items()})
"""

PYTORCH = """\
import numpy as np, torch

dump = {"input_ids": ids}  # ids, model: your own; model.layers: its blocks
def keep(name):
    def hook(module, inputs, output):
        dump[name] = output[0] if isinstance(output, tuple) else output
    return hook
for i, layer in enumerate(model.layers):
    layer.register_forward_hook(keep(f"layers.{i}.hidden_out"))
    for path, module in layer.named_modules():
        if path.endswith(("q_proj", "k_proj", "v_proj", "o_proj")):  # as you call them
            module.register_forward_hook(keep(f"layers.{i}.{path}"))
with torch.no_grad():
    model(ids)
numbers = {k: x.float() if x.is_floating_point() else x for k, x in dump.items()}
np.savez("dump.npz", **{k: x.cpu().numpy() for k, x in numbers.items()})
"""

SDPA = """\
import numpy as np, torch
import torch.nn.functional as F

real, calls = F.scaled_dot_product_attention, []
def kept(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, **options):
    out = real(query, key, value, attn_mask, dropout_p, is_causal, **options)
    call = {"q": query, "k": key, "v": value, "mask": attn_mask, "out": out}
    calls.append({**call, "is_causal": torch.tensor(is_causal)})
    return out
F.scaled_dot_product_attention = kept
with torch.no_grad():
    model(ids)  # your own
call = {k: x for k, x in calls[0].items() if x is not None}  # 0: the first attention
numbers = {k: x.float() if x.is_floating_point() else x for k, x in call.items()}
np.savez("dump.npz", **{k: x.cpu().numpy() for k, x in numbers.items()})
"""

JAX = """\
import jax, numpy as np

real, calls = jax.nn.dot_product_attention, []
def kept(query, key, value, bias=None, mask=None, **options):
    out = real(query, key, value, bias, mask, **options)
    call = {"q": query, "k": key, "v": value, "bias": bias, "mask": mask, "out": out}
    call = {k: x for k, x in call.items() if x is not None}
    said = {k: np.array(options[k]) for k in ("scale", "is_causal") if options.get(k) is not None}
    jax.debug.callback(lambda **arrays: calls.append(arrays | said), **call, ordered=True)
    return out
jax.nn.dot_product_attention = kept  # before your code is traced
run()  # your own
jax.effects_barrier()
wide = {k: x if x.dtype == bool else x.astype("float32") for k, x in calls[0].items()}
np.savez("dump.npz", **{k: np.asarray(x) for k, x in wide.items()})  # 0: the first attention
"""

MLX = """\
import mlx.core as mx, numpy as np

real, calls = mx.fast.scaled_dot_product_attention, []
def kept(q, k, v, *, scale, mask=None, **options):
    out = real(q, k, v, scale=scale, mask=mask, **options)
    call = {"q": q, "k": k, "v": v, "out": out, "scale": mx.array(scale)}
    call["is_causal"] = mx.array(isinstance(mask, str))  # mask="causal"
    calls.append(call | ({"mask": mask} if isinstance(mask, mx.array) else {}))
    return out
mx.fast.scaled_dot_product_attention = kept
mx.eval(model(ids))  # your own
wide = {k: x if x.dtype == mx.bool_ else x.astype(mx.float32) for k, x in calls[0].items()}
np.savez("dump.npz", **{k: np.array(x) for k, x in wide.items()})  # 0: the first attention
"""

LLAMA_CPP = r"""
#include "ggml.h"
#include "ggml-backend.h"
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

static bool dump(ggml_tensor * t, bool ask, void *) {  // each stage as NAME-LAYER.npy
    const char * names[] = {"Qcur-", "Kcur-", "Vcur-", "kq_soft_max-", "kqv_out-", "l_out-"};
    bool wanted = false;
    for (const char * name : names) wanted |= strncmp(t->name, name, strlen(name)) == 0;
    if (ask || !wanted) return wanted;
    if (t->type != GGML_TYPE_F32 || !ggml_is_contiguous(t)) return true;
    std::vector<uint8_t> data(ggml_nbytes(t));
    ggml_backend_tensor_get(t, data.data(), 0, data.size());
    std::string shape, head;
    for (int i = ggml_n_dims(t) - 1; i >= 0; i--) shape += std::to_string(t->ne[i]) + ",";
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + ")}";
    head.resize((head.size() + 10 + 64) / 64 * 64 - 10, ' ');
    head.back() = '\n';
    const uint16_t length = (uint16_t) head.size();
    FILE * file = fopen((std::string(t->name) + ".npy").c_str(), "wb");
    fwrite("\x93NUMPY\x01\x00", 1, 8, file);
    fwrite(&length, 2, 1, file);
    fwrite(head.data(), 1, head.size(), file);
    fwrite(data.data(), 1, data.size(), file);
    fclose(file);
    return true;
}
// llama_context_params params = llama_context_default_params();
// params.cb_eval = dump;
// params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;  // else there are no weights
// one llama_decode, with the logits of all tokens, so that the last layer has them all
""".lstrip()

SNIPPETS: Mapping[str, Snippet] = {
    "transformers": Snippet(
        to_say(
            "queries, keys, values, weights and hidden states of every layer of a model of "
            "Hugging Face transformers, or of your own model in its place"
        ),
        TRANSFORMERS,
        PORT,
    ),
    "pytorch": Snippet(
        to_say(
            "projections and what every block gives, by hooks on the modules of a model of "
            "your own in PyTorch"
        ),
        PYTORCH,
        PORT,
    ),
    "sdpa": Snippet(
        to_say("what one call of PyTorch's scaled_dot_product_attention gets and gives"),
        SDPA,
        f"{ONE} --spec torch",
    ),
    "jax": Snippet(
        to_say("what one call of jax.nn.dot_product_attention gets and gives, also inside jit"),
        JAX,
        f"{ONE} --layout bnhd",
    ),
    "llama.cpp": Snippet(
        to_say("the stages of every layer, by llama.cpp's callback, each as a file of its own"),
        LLAMA_CPP,
        "attnviz diagnose --model FILE.gguf --dump FOLDER --ids 1,2,3",
    ),
    "mlx": Snippet(
        to_say("what one call of mx.fast.scaled_dot_product_attention gets and gives"),
        MLX,
        ONE,
    ),
}
"""By what the code is written with, the most common first."""
