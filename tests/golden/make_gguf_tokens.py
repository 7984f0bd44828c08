"""Make the goldens of GGUF's tokenizers: the token ids that llama.cpp gives hostile strings.

    pip install tokenizers gguf xllamacpp==2026.10.11549
    python tests/golden/make_gguf_tokens.py     # write gguf-tokens.npz

The vocabularies are trained on random strings without any cutting, so that a text cut at another
place gets other ids: a byte-level one, which is tried with every `pre`, and SentencePiece's kind.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from llama_cpp import token_ids
from prompts import NASTY
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

HERE = Path(__file__).parent
PARTS = [
    *"aB c 1 2  3\n\t\r'stllrevem.,!?-_$+<=>^~|/()éÉßıſ我看見了😀👍🏽\u200d\u0301\u00a0\u3000\u2028\u0085\x1cⅧ½²٣०àªжΩאب한カ𝔸",
    *("don't", "'S", "'LL", " the", "The ", "123", " 4567", "1234567", "ABCdef", "\r\n", "//\n"),
]
PRES = ("default", "gpt-2", "phi-2", "mpt", "olmo", "smollm", "starcoder", "refact", "command-r",
        "codeshell", "llama3", "llama-v3", "llama-bpe", "falcon3", "dbrx", "smaug-bpe", "qwen2",
        "deepseek-r1-qwen", "stablelm2", "tekken", "gpt-4o")  # fmt: skip
N_STRING, N_CORPUS, N_TOKEN, WIDTH = 60, 6000, 900, 32
RARE = frozenset("Ω𝔸한")
"""Characters that the second vocabulary lacks: they become bytes."""


def strings(seed: int, n: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(PARTS, k=draw.randint(1, 12))) for _ in range(n)]


def byte_level(corpus: list[str]) -> dict[str, Any]:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=N_TOKEN, initial_alphabet=alphabet, show_progress=False
    )
    trained.train_from_iterator(corpus, trainer)
    model = json.loads(trained.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    return {
        "tokens": [*tokens, "<|begin|>", "<|user|>"],
        "merges": [" ".join(merge) for merge in model["merges"]],
        "token_type": [1] * len(tokens) + [3, 4],
    }


def sentence_piece(corpus: list[str]) -> dict[str, Any]:
    trained = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=N_TOKEN, show_progress=False)
    trained.train_from_iterator([f"▁{text}".replace(" ", "▁") for text in corpus], trainer)
    vocabulary = json.loads(trained.to_str())["model"]["vocab"]
    words = [w for w in sorted(vocabulary, key=vocabulary.get) if not RARE & set(w)]
    letters, pieces = [w for w in words if len(w) == 1], [w for w in words if len(w) > 1]
    n_byte = 256
    return {
        "tokens": ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(n_byte)), *pieces,
                   *letters, "<|user|>", "  x"],
        "scores": [0.0] * (3 + n_byte) + [-float(rank) for rank in range(len(pieces))]
        + [-1e4 - rank for rank in range(len(letters))] + [0.0, 0.0],
        "token_type": [2, 3, 3] + [6] * n_byte + [1] * len(words) + [4, 4],
    }  # fmt: skip


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{pre: ("gpt2", {"pre": pre, "bos_token_id": N_TOKEN}) for pre in PRES},
    "gpt-2, marked": (
        "gpt2",
        {"pre": "gpt-2", "bos_token_id": 3, "eos_token_id": 5}
        | {"add_bos_token": True, "add_eos_token": True},
    ),
    "sentences": ("llama", {}),
    "sentences without space": ("llama", {"add_space_prefix": False, "add_bos_token": False}),
    "sentences with end": ("llama", {"add_eos_token": True, "bos_token_id": 2, "eos_token_id": 1}),
}
"""(tokenizer.ggml.model, fields besides the vocabulary)"""


def write(path: Path, fields: dict[str, Any]) -> Path:
    """A Llama of one layer without a thought, so that llama.cpp loads it, with a tokenizer."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    for key, value in fields.items():
        kind = gguf.GGUFValueType.get_type(value)
        kind = gguf.GGUFValueType.UINT32 if kind == gguf.GGUFValueType.INT32 else kind
        writer.add_key_value(f"tokenizer.ggml.{key}", value, kind)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((WIDTH, WIDTH), np.float32))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.zeros(WIDTH, np.float32))
    table = np.zeros((len(fields["tokens"]), WIDTH), np.float32)
    writer.add_tensor("token_embd.weight", table)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def main() -> None:
    corpus = strings(1, N_CORPUS)
    texts = [*NASTY, "<s><|user|>x <|begin|></s> <unk>  x", *strings(2, N_STRING)]
    vocabularies = {"gpt2": byte_level(corpus), "llama": sentence_piece(corpus)}
    ids: dict[str, list[list[int]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (model, fields)) in enumerate(CASES.items()):
            given = {"model": model} | fields | vocabularies[model]
            cut = token_ids(write(Path(folder) / f"{number}.gguf", given))
            ids[name] = [cut(text) for text in texts]
    golden = {"vocabularies": vocabularies, "cases": CASES, "texts": texts, "ids": ids}
    packed = np.frombuffer(json.dumps(golden).encode(), np.uint8)
    np.savez_compressed(HERE / "gguf-tokens.npz", json=packed)


if __name__ == "__main__":
    main()
