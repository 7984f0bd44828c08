"""The tokenizer in the metadata of a GGUF file.

Where llama.cpp and transformers read such a file differently, this follows llama.cpp: it splits
the digits of SmolLM2, for example, which transformers does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attnviz.models.build.config import Config
from attnviz.models.gguf.splits import SPLITS
from attnviz.models.tokenizers.hugging_face import HFTokenizer
from attnviz.models.tokenizers.package import package_errors, tokenizers_package
from attnviz.models.tokenizers.spelling import SPACE
from attnviz.models.tokenizers.tokenizer import NoTokenizer, Tokenizer

PREFIX = "tokenizer.ggml."
MAX_LENGTH = 4096
"""Characters of a token: far more than real ones have."""

USUAL_LENGTH = 64
"""Of longer tokens only cuts into lengths that there are are tried."""

MAX_CHARACTERS = 1 << 26
"""Of the halves of all tokens: for a quarter of a million real ones they have some 4 million."""

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4
"""Values of `token_type` whose tokens are recognised anywhere in a text."""


def read_tokenizer(metadata: Mapping[str, Any], path: Path) -> Tokenizer:
    """The tokenizer; if the file has none, one that takes token ids only."""
    values = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
    fields = Config(values, f"{path}: {PREFIX}*", "download it again")
    kind = fields.text("model", "none")
    problem = _problem(kind, fields.text("pre", "default"))
    if problem:
        begin, end, end_of_turn = (
            fields.whole(f"{name}_token_id") if fields.has(f"{name}_token_id") else None
            for name in ("bos", "eos", "eot")
        )
        other_ends = [] if end_of_turn is None else [end_of_turn]
        hint = "give token ids: --ids 1,2,3"
        return NoTokenizer(f"{path} {problem}", hint, begin, end, other_ends)
    tokens = _list(fields, "tokens", str)
    longest = max(map(len, tokens), default=0)
    if longest > MAX_LENGTH:
        raise fields.error(f"a token has {longest} characters, more than {MAX_LENGTH}")
    tokenizers, reader = tokenizers_package(path), READERS[kind]
    with package_errors(f"{path}: its tokenizer is damaged", "download it again"):
        backend, begins = reader.read(tokenizers, fields, tokens)
        _add_special(tokenizers, backend, fields, tokens)
        begin = _first_id(fields, tokens, reader.begin)
        end = _first_id(fields, tokens, reader.end)
        _surround(
            tokenizers,
            backend,
            begin if fields.switch("add_bos_token", begins) else None,
            end if fields.switch("add_eos_token", reader.ends) else None,
            begins_again=kind != "bert",
        )
    end_of_turn = _id(fields, "eot_token_id", tokens)
    other_ends = [] if end_of_turn is None else [end_of_turn]
    return HFTokenizer(backend, begin, end, str(path), other_ends)


def _problem(kind: str, pre: str) -> str:
    """Why such a tokenizer cannot read text; empty if it can."""
    if kind in ("none", "no_vocab"):
        return "holds no tokenizer, so it cannot read text"
    if kind not in READERS:
        return f"has the tokenizer {kind!r:.60}, which is not supported, so it cannot read text"
    if kind == "gpt2" and pre not in SPLITS:
        return (
            f"splits text by the rule {pre!r:.60}, which is not known here, so ids would be wrong"
        )
    return ""


def _byte_level(tokenizers: Any, fields: Config, tokens: Sequence[str]) -> tuple[Any, bool]:
    """BPE over bytes, and whether a text begins with BOS where the file does not say."""
    split = SPLITS[fields.text("pre", "default")]
    merges = _list(fields, "merges", str)
    spaces = [merge.find(" ", 1) for merge in merges]
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            vocab={token: id for id, token in enumerate(tokens)},
            merges=[(m[:at], m[at + 1 :]) for m, at in zip(merges, spaces, strict=True)],
            ignore_merges=split.keeps_tokens,
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


def _sentence_piece(tokenizers: Any, fields: Config, tokens: Sequence[str]) -> tuple[Any, bool]:
    """SentencePiece's BPE, which merges the pair whose token has the highest score first."""
    scores = _list(fields, "scores", float, len(tokens))
    unknown = _id(fields, "unknown_token_id", tokens, 0)
    vocabulary = {token: id for id, token in enumerate(tokens)}
    merges = _possible_merges(fields, vocabulary, scores)
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            vocab=vocabulary,
            merges=[(left, right) for _, _, left, right in sorted(merges)],
            unk_token=None if unknown is None else tokens[unknown],
            byte_fallback=True,
        )
    )
    normalizers = [tokenizers.normalizers.Replace(" ", SPACE)]
    decoders = [
        tokenizers.decoders.Replace(SPACE, " "),
        tokenizers.decoders.ByteFallback(),
        tokenizers.decoders.Fuse(),
    ]
    if fields.switch("add_space_prefix", True):
        normalizers.insert(0, tokenizers.normalizers.Prepend(SPACE))
        decoders.append(tokenizers.decoders.Strip(" ", 1, 0))
    backend.normalizer = tokenizers.normalizers.Sequence(normalizers)
    backend.decoder = tokenizers.decoders.Sequence(decoders)
    return backend, True


def _word_piece(tokenizers: Any, fields: Config, tokens: Sequence[str]) -> tuple[Any, bool]:
    """BERT's pieces of words, in files spelled with ▁ before a word's first one. Whether case
    matters no file says, but a vocabulary without capitals does."""
    kinds = _list(fields, "token_type", int, len(tokens)) if fields.has("token_type") else []
    special = {id for id, kind in enumerate(kinds) if kind == CONTROL}

    def spelled(id: int, token: str) -> str:
        if id in special or not token:
            return token
        return token[1:] if token.startswith(SPACE) else f"##{token}"

    unknown = _id(fields, "unknown_token_id", tokens, 100)
    has_capitals = any(
        any("A" <= letter <= "Z" for letter in token) and token[1:2] != "["
        for id, token in enumerate(tokens)
        if id not in special
    )
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            vocab={spelled(id, token): id for id, token in enumerate(tokens)},
            unk_token=None if unknown is None else spelled(unknown, tokens[unknown]),
            max_input_chars_per_word=100,
            continuing_subword_prefix="##",
        )
    )
    backend.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=not has_capitals)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    backend.decoder = tokenizers.decoders.WordPiece(prefix="##")
    return backend, True


def _unigram(tokenizers: Any, fields: Config, tokens: Sequence[str]) -> tuple[Any, bool]:
    """SentencePiece's likeliest pieces: those of T5, and of XLM-RoBERTa."""
    scores = _list(fields, "scores", float, len(tokens))
    unknown = _id(fields, "unknown_token_id", tokens, 2)
    pieces = list(zip(tokens, scores, strict=True))
    backend = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unknown, False))
    steps = []
    if fields.has("precompiled_charsmap"):
        charsmap = bytes(_list(fields, "precompiled_charsmap", int))
        steps.append(tokenizers.normalizers.Precompiled(charsmap))
    if fields.switch("remove_extra_whitespaces"):
        for pattern, rest in (("^ +| +$", ""), (" {2,}", " ")):
            steps.append(tokenizers.normalizers.Replace(tokenizers.Regex(pattern), rest))
    decoders = [tokenizers.decoders.Replace(SPACE, " "), tokenizers.decoders.Fuse()]
    if fields.switch("add_space_prefix", True):
        steps.append(tokenizers.normalizers.Prepend(SPACE))
        decoders.append(tokenizers.decoders.Strip(" ", 1, 0))
    steps.append(tokenizers.normalizers.Replace(" ", SPACE))
    backend.normalizer = tokenizers.normalizers.Sequence(steps)
    backend.decoder = tokenizers.decoders.Sequence(decoders)
    return backend, False


class Reader(NamedTuple):
    """How a kind of vocabulary is read."""

    read: Callable[[Any, Config, Sequence[str]], tuple[Any, bool]]
    """The package, the fields, the tokens -> the tokenizer, and whether a text begins with a token
    where the file does not say."""
    begin: tuple[tuple[str, ...], int | None]
    """The fields that name that token, and the id that is meant where there are none."""
    end: tuple[tuple[str, ...], int | None]
    ends: bool = False
    """Whether a text ends with a token where the file does not say."""


READERS = {
    "gpt2": Reader(_byte_level, (("bos_token_id",), None), (("eos_token_id",), None)),
    "llama": Reader(_sentence_piece, (("bos_token_id",), 1), (("eos_token_id",), 2)),
    "bert": Reader(
        _word_piece,
        (("cls_token_id", "bos_token_id"), 101),
        (("seperator_token_id", "eos_token_id"), 102),  # as files spell it
        ends=True,
    ),
    "t5": Reader(_unigram, (("bos_token_id",), None), (("eos_token_id",), 1), ends=True),
}
"""By `tokenizer.ggml.model`; ids as llama.cpp has them."""


def _first_id(
    fields: Config, tokens: Sequence[str], named: tuple[tuple[str, ...], int | None]
) -> int | None:
    keys, default = named
    return _id(fields, next(filter(fields.has, keys), keys[0]), tokens, default)


def _possible_merges(
    fields: Config, vocabulary: Mapping[str, int], scores: Sequence[float]
) -> list[tuple[float, int, str, str]]:
    """(what the merge is sorted by, the id of its token, left, right) of every way to cut a token
    into two others."""
    lengths = {len(token) for token in vocabulary}
    merges = []
    n_character = 0
    for token, id in vocabulary.items():
        n = len(token)
        every = range(1, n) if n <= USUAL_LENGTH else (c for c in lengths if n - c in lengths)
        for cut in every:
            if (left := token[:cut]) in vocabulary and (right := token[cut:]) in vocabulary:
                merges.append((-scores[id], id, left, right))
                n_character += n
        if n_character > MAX_CHARACTERS:
            raise fields.error("its tokens can be cut in too many ways")
    return merges


def _add_special(tokenizers: Any, backend: Any, fields: Config, tokens: Sequence[str]) -> None:
    """Tokens that are recognised in the text before it is split."""
    if not fields.has("token_type"):
        return
    kinds = _list(fields, "token_type", int, len(tokens))
    backend.add_tokens(
        [
            tokenizers.AddedToken(token, normalized=False, special=kind != USER_DEFINED)
            for token, kind in zip(tokens, kinds, strict=True)
            if token and kind in (UNKNOWN, CONTROL, USER_DEFINED)
        ]
    )


def _surround(
    tokenizers: Any, backend: Any, begin: int | None, end: int | None, *, begins_again: bool
) -> None:
    """Make every text begin and end with these tokens; and each text of a pair, but for the
    beginning of the second if it does not begin again."""
    ids = {name: id for name, id in (("begin", begin), ("end", end)) if id is not None}

    def template(*texts: str) -> list[str]:
        return [
            part
            for text in texts
            for part in ("begin" + text[2:], text, "end" + text[2:])
            if part in texts or part.partition(":")[0] in ids
            if begins_again or part != "begin:1"
        ]

    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single=template("$A:0"),
        pair=template("$A:0", "$B:1"),
        special_tokens=[
            {"id": name, "ids": [id], "tokens": [backend.id_to_token(id)]}
            for name, id in ids.items()
        ],
    )


def _id(fields: Config, key: str, tokens: Sequence[str], default: int | None = None) -> int | None:
    """A token id of the vocabulary; `default` where the file does not name one."""
    id = fields.whole(key) if fields.has(key) else default
    if id is not None and id >= len(tokens):
        raise fields.error(f"{key} is {id}, but there are {len(tokens)} tokens")
    return id


def _list(fields: Config, key: str, kind: type, n: int | None = None) -> list[Any]:
    """A list of n values of one kind."""
    value = fields.get(key)
    if not isinstance(value, list) or not all(isinstance(entry, kind) for entry in value):
        raise fields.error(f"{key} is not a list of {kind.__name__}")
    if n is not None and len(value) != n:
        raise fields.error(f"{key} has {len(value)} entries for {n} tokens")
    return value
