"""What kind of model each `model_type` of transformers is: attnviz/models/build/model_types.json.

    pip install torch==2.13.0 transformers==5.23.0
    python tests/golden/published/make_model_types.py

The kinds say why attnviz refuses a type that it has no family for. transformers' own lists say which
types do what (detect objects, transcribe speech, …); that all or some layers of a type have no
attention is read off the names of its classes, and looked up in its code for the lists below.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import transformers
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import (
    CONFIG_MAPPING_NAMES,
    model_type_to_module_name,
)

TABLE = Path(__file__).parents[3] / "attnviz" / "models" / "build" / "model_types.json"

NO_ATTENTION = """bit convnext convnextv2 dac dinov3_convnext efficientnet encodec falcon_mamba fnet
    focalnet hgnet_v2 mamba mamba2 mobilenet_v1 mobilenet_v2 poolformer pp_lcnet pp_lcnet_v3
    pp_lcnet_v4 regnet resnet rwkv superpoint textnet univnet xlstm""".split()  # noqa: SIM905
"""State spaces, recurrences, convolutions, pooling, Fourier transforms."""

SOME_LAYERS = """bailing_hybrid bamba convbert falcon_h1 granitemoehybrid jamba kimi_linear lfm2 lfm2_moe lfm3 minimax
    nemotron_h olmo_hybrid qwen3_5_moe_text qwen3_5_text qwen3_next qwen4_exp_text recurrent_gemma
    zamba zamba2 zaya glm5_next_text inkling_text inkling2_text""".split()  # noqa: SIM905
"""Some or all of their layers mix tokens with something else as well as with attention."""

SEVERAL_STREAMS = ("gemma3n", "gemma3n_text")
"""Layers share keys and values, and carry several residual streams."""

OTHER_MIXERS = re.compile(
    "Mamba|Mixer|Delta(Net|Attention)|ShortConv|SSM|LinearAttention|Lightning|Rglru|Rwkv|xLSTM|Hyena"
)
"""Names of classes of what mixes tokens without weights of attention."""
NOT_MIXERS = "groupvit", "patchtsmixer", "sam3_lite_text"
"""What is called so in these mixes something else."""

TASKS = {
    "several": ("MULTIMODAL_LM", "IMAGE_TEXT_TO_TEXT", "VISUAL_QUESTION", "DOCUMENT_QUESTION",
                "ZERO_SHOT_IMAGE", "RETRIEVAL", "DECISION"),
    "series": ("TIME_SERIES",),
    "video": ("VIDEO",),
    "sound": ("AUDIO", "CTC", "RNNT", "TDT", "SPEECH", "SPECTROGRAM", "WAVEFORM"),
    "images": ("DETECTION", "SEGMENTATION", "DEPTH", "KEYPOINT", "MATTING", "NORMAL", "POINTMAP",
               "POSE", "MASK_GENERATION", "IMAGE", "BACKBONE", "RECOGNITION", "TABLE_RECOGNITION"),
    "text": ("CAUSAL_LM", "MASKED_LM", "SEQUENCE_CLASSIFICATION", "TOKEN_CLASSIFICATION",
             "QUESTION_ANSWERING", "TEXT_ENCODING", "MULTIPLE_CHOICE", "PRETRAINING"),
}  # fmt: skip
"""Parts of the names of transformers' lists, the most telling first."""

PARTS = re.compile(
    r".+_(text|vision|audio|video|encoder|decoder|model|config|backbone|head|"
    r"q?former|vqvae|codec|tokenizer|assistant|depth|talker|thinker|dit|expert)"
)
"""How the types of parts of models are named."""  # fmt: skip


def tasks(model_type: str) -> set[str]:
    """The lists of transformers that name the type, but those of all models."""
    return {
        name
        for name in dir(modeling_auto)
        if name.startswith("MODEL_FOR_")
        and name.endswith("_NAMES")
        and model_type in getattr(modeling_auto, name)
    }


def classes(model_type: str) -> list[str]:
    """Those that the code of a type defines."""
    module = model_type_to_module_name(model_type)
    folder = Path(transformers.__file__).parent / "models" / module
    named = folder / f"modeling_{module}.py"
    paths = [named] if named.exists() else [*folder.glob("modeling_*.py")]
    return [name for path in paths for name in re.findall(r"^class (\w+)", path.read_text(), re.M)]


def kind(model_type: str) -> str:
    if model_type in NO_ATTENTION:
        return "none"
    if model_type in SOME_LAYERS:
        return "some"
    if model_type in SEVERAL_STREAMS:
        return "streams"
    named = tasks(model_type)
    if not named and PARTS.fullmatch(model_type):
        return "part"
    names = classes(model_type)
    if names and not any(re.search("Attention|Attn|MLA", name) for name in names):
        return "several"  # made of other models
    for each, words in TASKS.items():
        if any(word in name for word in words for name in named):
            return each
    return "other"


def check() -> None:
    """That no type has other mixers unnoticed."""
    for model_type in CONFIG_MAPPING_NAMES:
        found = [name for name in classes(model_type) if OTHER_MIXERS.search(name)]
        if found and not model_type.startswith(NOT_MIXERS) and kind(model_type) == "text":
            print(f"{model_type} is taken for a model of attention alone, but has {found}")


def main() -> int:
    check()
    kinds: dict[str, list[str]] = {}
    for model_type in sorted(CONFIG_MAPPING_NAMES):
        kinds.setdefault(kind(model_type), []).append(model_type)
    table = {"transformers": transformers.__version__, "kinds": kinds}
    TABLE.write_text(json.dumps(table, indent=1) + "\n")
    print({name: len(found) for name, found in kinds.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
