"""The tokenizer in the metadata of a GGUF file.

Where llama.cpp and transformers read such a file differently, this follows llama.cpp: SmolLM2's
digits, say, which transformers does not cut apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.build.config import Config
from attnviz.models.gguf.splits import SPLITS
from attnviz.models.tokenizers.hugging_face import HFTokenizer, NoTokenizer, tokenizers_package
from attnviz.models.tokenizers.spelling import SPACE
from attnviz.models.tokenizers.tokenizer import Tokenizer

PREFIX = "tokenizer.ggml."
UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4
"""Of `token_type`: such tokens stand for themselves wherever a text has them."""


def read_tokenizer(metadata: Mapping[str, Any], path: Path) -> Tokenizer:
    """The tokenizer; if the file has none, one that takes token ids only."""
    fields = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
    given = Config(fields, f"{path}: {PREFIX}*", "download it again")
    kind = given.text("model", "none")
    problem = _problem(kind, given.text("pre", "default"))
    if problem:
        return NoTokenizer(f"{path} {problem}", "give token ids: --ids 1,2,3")
    tokens = _list(given, "tokens", str)
    tokenizers = tokenizers_package(path)
    read, bos, eos = (_byte_level, None, None) if kind == "gpt2" else (_sentence_piece, 1, 2)
    try:
        backend, begins = read(tokenizers, given, tokens)
        _add_special(tokenizers, backend, given, tokens)
        begin = _id(given, "bos_token_id", tokens, bos)
        end = _id(given, "eos_token_id", tokens, eos)
        _surround(
            tokenizers,
            backend,
            begin if given.switch("add_bos_token", begins) else None,
            end if given.switch("add_eos_token") else None,
        )
    except AttnvizError:
        raise
    except Exception as error:  # the package raises bare Exception
        raise AttnvizError(
            f"{path}: its tokenizer is damaged: {error}", "download it again"
        ) from error
    turn = _id(given, "eot_token_id", tokens)
    return HFTokenizer(backend, begin, end, str(path), [] if turn is None else [turn])


def _problem(kind: str, pre: str) -> str:
    """Why such a tokenizer cannot read text; nothing if it can."""
    if kind in ("none", "no_vocab"):
        return "holds no tokenizer, so it cannot read text"
    if kind not in ("gpt2", "llama"):
        return f"has the tokenizer {kind!r}, which is not supported, so it cannot read text"
    if kind == "gpt2" and pre not in SPLITS:
        return f"cuts text by the rule {pre!r}, which is not known here: ids would be wrong"
    return ""


def _byte_level(tokenizers: Any, given: Config, tokens: Sequence[str]) -> tuple[Any, bool]:
    """BPE over bytes, and whether a text begins with BOS if nothing else is said."""
    split = SPLITS[given.text("pre", "default")]
    merges = _list(given, "merges", str)
    cuts = [merge.find(" ", 1) for merge in merges]
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            vocab={token: id for id, token in enumerate(tokens)},
            merges=[(m[:cut], m[cut + 1 :]) for m, cut in zip(merges, cuts, strict=True)],
            ignore_merges=split.keeps,
        )
    )
    cutters = [
        tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
        for pattern in split.patterns
    ]
    alphabet = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([*cutters, alphabet])
    backend.decoder = tokenizers.decoders.ByteLevel()
    return backend, split.begins


def _sentence_piece(tokenizers: Any, given: Config, tokens: Sequence[str]) -> tuple[Any, bool]:
    """SentencePiece's BPE: the pair whose token has the highest score is merged first."""
    scores = _list(given, "scores", float, len(tokens))
    unknown = _id(given, "unknown_token_id", tokens, 0)
    vocabulary = {token: id for id, token in enumerate(tokens)}
    merges = [
        (-scores[id], id, token[:cut], token[cut:])
        for token, id in vocabulary.items()
        for cut in range(1, len(token))
        if token[:cut] in vocabulary and token[cut:] in vocabulary
    ]
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            vocab=vocabulary,
            merges=[(left, right) for _, _, left, right in sorted(merges)],
            unk_token=None if unknown is None else tokens[unknown],
            byte_fallback=True,
        )
    )
    spaces = [tokenizers.normalizers.Replace(" ", SPACE)]
    back = [
        tokenizers.decoders.Replace(SPACE, " "),
        tokenizers.decoders.ByteFallback(),
        tokenizers.decoders.Fuse(),
    ]
    if given.switch("add_space_prefix", True):
        spaces.insert(0, tokenizers.normalizers.Prepend(SPACE))
        back.append(tokenizers.decoders.Strip(" ", 1, 0))
    backend.normalizer = tokenizers.normalizers.Sequence(spaces)
    backend.decoder = tokenizers.decoders.Sequence(back)
    return backend, True


def _add_special(tokenizers: Any, backend: Any, given: Config, tokens: Sequence[str]) -> None:
    """Tokens that are looked for in the text before it is cut."""
    if not given.has("token_type"):
        return
    kinds = _list(given, "token_type", int, len(tokens))
    backend.add_tokens(
        [
            tokenizers.AddedToken(token, normalized=False, special=kind != USER_DEFINED)
            for token, kind in zip(tokens, kinds, strict=True)
            if token and kind in (UNKNOWN, CONTROL, USER_DEFINED)
        ]
    )


def _surround(tokenizers: Any, backend: Any, begin: int | None, end: int | None) -> None:
    """Let every text begin and end with these tokens; of two, each does."""
    around = {"begin": begin, "end": end}
    ids = {name: id for name, id in around.items() if id is not None}

    def template(*texts: str) -> list[str]:
        return [
            part
            for text in texts
            for part in ("begin" + text[2:], text, "end" + text[2:])
            if part in texts or part.partition(":")[0] in ids
        ]

    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single=template("$A:0"),
        pair=template("$A:0", "$B:1"),
        special_tokens=[
            {"id": name, "ids": [id], "tokens": [backend.id_to_token(id)]}
            for name, id in ids.items()
        ],
    )


def _id(given: Config, key: str, tokens: Sequence[str], default: int | None = None) -> int | None:
    """A token id of the vocabulary; `default` where the file names none."""
    id = given.whole(key) if given.has(key) else default
    if id is not None and id >= len(tokens):
        raise given.error(f"{key} is {id}, but there are {len(tokens)} tokens")
    return id


def _list(given: Config, key: str, kind: type, n: int | None = None) -> list[Any]:
    """A list of values of one kind, n of them."""
    value = given.get(key)
    if not isinstance(value, list) or not all(isinstance(entry, kind) for entry in value):
        raise given.error(f"{key} is not a list of {kind.__name__}")
    if n is not None and len(value) != n:
        raise given.error(f"{key} has {len(value)} entries for {n} tokens")
    return value
