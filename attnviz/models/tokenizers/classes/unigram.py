"""Classes of SentencePiece that choose the likeliest pieces."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.tokenizers.classes.languages import MBART, MBART50, language_of
from attnviz.models.tokenizers.classes.parts import (
    AFTER_SPACE,
    Class,
    Default,
    Source,
    charsmap_of,
    complete,
    metaspace,
    named_tokens,
    one_space,
    put_around,
    require,
    text_of,
    with_id,
)
from attnviz.models.tokenizers.names import SENTENCE_PIECE
from attnviz.models.tokenizers.sentence_piece import Pieces
from attnviz.models.tokenizers.settings import Settings, Token

T5 = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
ALBERT = {"bos": "[CLS]", "eos": "[SEP]", "unk": "<unk>", "sep": "[SEP]", "pad": "<pad>",
          "cls": "[CLS]", "mask": "[MASK]"}  # fmt: skip
XLM_ROBERTA = {"bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>",
               "pad": "<pad>", "mask": "<mask>"}  # fmt: skip
CAMEMBERT: Default = {**XLM_ROBERTA, "mask": Token("<mask>", AFTER_SPACE)}
MBART_TOKENS: Default = {**XLM_ROBERTA, "mask": Token("<mask>", AFTER_SPACE)}
MBART50_TOKENS: Default = {name: token for name, token in MBART_TOKENS.items() if name != "bos"}
PEGASUS = {"pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask_2>"}
DEBERTA_V2 = {"bos": "[CLS]", "eos": "[SEP]", "unk": "[UNK]", "sep": "[SEP]", "cls": "[CLS]",
              "pad": "[PAD]", "mask": "[MASK]"}  # fmt: skip

NOT_USED = ("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED")
"""Entries of CamemBERT's vocabulary that no text has."""

N_SENTINEL = 100
"""T5's `<extra_id_0>` to `<extra_id_99>`, if nothing else is said."""

N_RESERVED = 103
"""How many entries Pegasus has before its pieces, if nothing else is said."""


def _t5(source: Source, settings: Settings) -> Any:
    special = named_tokens(settings, T5)
    require(source, settings, special, "eos")
    backend = _unigram(source, 2)
    metaspace(backend, "always", cuts_at_spaces=True)
    backend.normalizer = charsmap_of(source)
    sentinels = [
        f"<extra_id_{number}>" for number in range(_count(settings, "extra_ids", N_SENTINEL))
    ]
    additional = source.additional(settings)
    if not any("<extra_id_" in token.content for token in additional):
        additional = (*additional, *map(Token, sentinels))
    complete(backend, source, settings, special, additional)
    end = ("</s>", with_id(backend, settings, special, "eos")[1])
    put_around(backend, ["$A", "</s>"], ["$A", "</s>", "$B", "</s>"], end)
    return backend


def _albert(source: Source, settings: Settings) -> Any:
    from tokenizers import normalizers

    special = named_tokens(settings, ALBERT)
    require(source, settings, special, "cls", "sep")
    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.switch("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings.switch("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    charsmap = charsmap_of(source)
    backend = _unigram(source, 1)
    metaspace(backend, _scheme(settings), cuts_at_spaces=True)
    backend.normalizer = normalizers.Sequence([*steps, *([charsmap] if charsmap else [])])
    _as_bert(backend, "[CLS]", "[SEP]", *_ends(backend, settings, special, "cls", "sep"))
    return complete(backend, source, settings, special)


def _xlm_roberta(source: Source, settings: Settings) -> Any:
    special = named_tokens(settings, XLM_ROBERTA)
    require(source, settings, special, "bos", "eos")
    backend = _unigram(source, 3)
    backend.normalizer = charsmap_of(source)
    return _as_roberta(backend, source, settings, special)


def _camembert(source: Source, settings: Settings) -> Any:
    special = named_tokens(settings, CAMEMBERT)
    backend = _unigram(source, source.model.token_to_id(text_of(settings, special, "unk")) or 0)
    backend.normalizer = charsmap_of(source)
    return _as_roberta(backend, source, settings, special, source.additional(settings, NOT_USED))


def _mbart(source: Source, settings: Settings) -> Any:
    special = named_tokens(settings, MBART_TOKENS)
    backend = _unigram(source, 3)
    metaspace(backend, "always", cuts_at_spaces=True)
    codes = [Token(code) for code in MBART]
    more = [token for token in source.additional(settings) if token.content not in MBART]
    complete(backend, source, settings, special, (*codes, *more))
    end = with_id(backend, settings, special, "eos")
    language = language_of(backend, settings, special, "en_XX")
    name = backend.id_to_token(language[1])
    around = [end[0], name]
    put_around(backend, ["$A", *around], ["$A", "$B", *around], end, (name, language[1]))
    return backend


def _mbart50(source: Source, settings: Settings) -> Any:
    from tokenizers import Tokenizer, models, normalizers

    special = named_tokens(settings, MBART50_TOKENS)
    backend = _unigram(source, 3)
    if source.own is None and not any(source.model.token_to_id(code) for code in MBART50):
        pieces = _pieces_of_mbart50(json.loads(source.model.__getstate__())["vocab"], settings)
        backend = Tokenizer(models.Unigram([(text, score) for text, score in pieces], 3, False))
    metaspace(backend, "always", cuts_at_spaces=False)
    charsmap = charsmap_of(source)
    steps = [charsmap, one_space()] if charsmap else [one_space()]
    backend.normalizer = normalizers.Sequence(steps)
    codes = [Token(code) for code in MBART50]
    complete(backend, source, settings, special, (*source.additional(settings), *codes))
    end = with_id(backend, settings, special, "eos")
    language = language_of(backend, settings, special, "en_XX")
    name = backend.id_to_token(language[1])
    put_around(backend, [name, "$A", end[0]], [name, "$A", "$B", end[0]], end, (name, language[1]))
    return backend


def _pegasus(source: Source, settings: Settings) -> Any:
    from tokenizers import normalizers

    special = named_tokens(settings, PEGASUS)
    sentence = settings.values.get("mask_token_sent", "<mask_1>")
    require(source, settings, special, "eos")
    unknown = source.model.token_to_id(text_of(settings, special, "unk"))
    if not unknown:  # the first entry does not count
        return None
    backend = _unigram(source, unknown)
    metaspace(backend, "always", cuts_at_spaces=False)
    charsmap = charsmap_of(source)
    first = charsmap or normalizers.Replace("\n", " ")
    backend.normalizer = normalizers.Sequence([first, one_space()])
    is_listed = sentence in {token.content for token in source.additional(settings)}
    additional = [] if sentence is None or is_listed else [Token(str(sentence))]
    additional += [Token(f"<unk_{i}>") for i in range(2, _count(settings, "offset", N_RESERVED))]
    complete(backend, source, settings, special, tuple(additional))
    end = with_id(backend, settings, special, "eos")
    put_around(backend, ["$A", end[0]], ["$A", "$B", end[0]], end)
    return backend


def _deberta_v2(source: Source, settings: Settings) -> Any:
    from tokenizers import normalizers, pre_tokenizers

    special = named_tokens(settings, DEBERTA_V2)
    require(source, settings, special, "cls", "sep")
    backend = _unigram(source, _unknown_of_deberta(source, settings, special))
    lower = [normalizers.Lowercase()] if settings.switch("do_lower_case", False) else []
    spaces = one_space(r"\s{2,}|[\n\r\t]")
    strip = normalizers.Strip(left=False, right=True)
    backend.normalizer = normalizers.Sequence([*lower, spaces, normalizers.NFC(), strip])
    metaspace(backend, _scheme(settings, without="first"), cuts_at_spaces=False)
    if settings.switch("split_by_punct", False):
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Punctuation("isolated"), backend.pre_tokenizer]
        )
    complete(backend, source, settings, special)
    cls, sep = (with_id(backend, settings, special, name) for name in ("cls", "sep"))
    _as_bert(backend, cls[0], sep[0], cls, sep)
    return backend


def _unknown_of_deberta(source: Source, settings: Settings, special: Any) -> int:
    entry = [text_of(settings, special, "unk"), 0.0]
    vocabulary = json.loads(source.model.__getstate__())["vocab"]
    if entry in vocabulary:
        return int(vocabulary.index(entry))
    return _count(settings, "unk_id", 1) if source.own is None else source.own.special["unk"][0]


def _unigram(source: Source, unknown: int) -> Any:
    """A tokenizer of these pieces, with the unknown token's id that the class expects."""
    from tokenizers import Tokenizer, models

    state = source.model.__getstate__()
    is_so = state.startswith(b'{"type":"Unigram","unk_id":%d,' % unknown)
    if is_so and state.endswith(b'"byte_fallback":false}'):
        return Tokenizer(source.model)
    entries = json.loads(state)["vocab"]  # takes long: a vocabulary may have 250 000
    return Tokenizer(models.Unigram([tuple(entry) for entry in entries], unknown, False))


def _scheme(settings: Settings, without: str = "never") -> str:
    return "always" if settings.switch("add_prefix_space", True) else without


def _ends(
    backend: Any, settings: Settings, special: Any, first: str, last: str
) -> list[tuple[str, int]]:
    """`[CLS]` and `[SEP]`, as the class spells them whatever the settings call them."""
    ids = [with_id(backend, settings, special, name)[1] for name in (first, last)]
    return list(zip(("[CLS]", "[SEP]"), ids, strict=True))


def _as_bert(backend: Any, cls: str, sep: str, *tokens: tuple[str, int]) -> None:
    single = [f"{cls}:0", "$A:0", f"{sep}:0"]
    put_around(backend, single, [*single, "$B:1", f"{sep}:1"], *tokens)


def _as_roberta(
    backend: Any,
    source: Source,
    settings: Settings,
    special: Any,
    additional: tuple[Token, ...] | None = None,
) -> Any:
    metaspace(backend, _scheme(settings), cuts_at_spaces=True)
    complete(backend, source, settings, special, additional)
    begin = with_id(backend, settings, special, "bos")
    end = with_id(backend, settings, special, "eos")
    single = [begin[0], "$A", end[0]]
    put_around(backend, single, [*single, end[0], "$B", end[0]], begin, end)
    return backend


def _count(settings: Settings, key: str, default: int) -> int:
    count = settings.values.get(key, default)
    if type(count) is not int or not 0 <= count <= 10_000:
        raise AttnvizError(f"{settings.where}: {key} = {count!r:.60}", f"{key} = {default}")
    return count


def _spelled(settings: Settings, key: str, default: str) -> str:
    token = settings.special.get(key, Token(default))
    return "None" if token is None else token.content


def _fairseq(
    first: Sequence[tuple[str, str]], drop: int, codes: Sequence[str] = ()
) -> Callable[[Pieces, Settings], Pieces]:
    """The order of fairseq: other pieces before those of the file, which has some of them, and
    language codes and a mask after them.

    Args:
        first: name and usual text of a special token; without a name, an entry that is not used.
        drop: how many pieces of the file are left out.
    """

    def pieces(found: Pieces, settings: Settings) -> Pieces:
        before = [
            (_spelled(settings, f"{name}_token", text) if name else text) for name, text in first
        ]
        scored = [(text, -100.0 if text == "<unk>NOTUSED" else 0.0) for text in before]
        mask = _spelled(settings, "mask_token", "<mask>")
        return [*scored, *found[drop:], *((code, 0.0) for code in (*codes, mask))]

    return pieces


def _with_sentinels(found: Pieces, settings: Settings) -> Pieces:
    count = _count(settings, "extra_ids", N_SENTINEL)
    return [*found, *((f"<extra_id_{number}>", 0.0) for number in reversed(range(count)))]


def _with_reserved(found: Pieces, settings: Settings) -> Pieces:
    first = [_spelled(settings, "pad_token", "<pad>"), _spelled(settings, "eos_token", "</s>")]
    masks = [_spelled(settings, "mask_token", "<mask_1>")]
    sentence = str(settings.values.get("mask_token_sent", "<mask_2>"))
    masks += [sentence] if sentence != masks[0] else []
    first += [mask for mask in masks if mask != "None"]
    reserved = range(2, _count(settings, "offset", N_RESERVED))
    unused = [(f"<unk_{number}>", -100.0) for number in reserved]
    return [*((text, 0.0) for text in first), *unused, *found[2:]]


_ROBERTA_FIRST = (("bos", "<s>"), ("pad", "<pad>"), ("eos", "</s>"), ("unk", "<unk>"))
_pieces_of_mbart50 = _fairseq((("cls", "<s>"), *_ROBERTA_FIRST[1:]), 3, MBART50)
_CAMEMBERT_FIRST = (("", "<s>NOTUSED"), ("pad", "<pad>"), ("", "</s>NOTUSED"), ("unk", "<unk>"),
                    ("", "<unk>NOTUSED"))  # fmt: skip

SPIECE, BPE_MODEL, SPM = SENTENCE_PIECE[1:]

CLASSES = {
    "T5Tokenizer": Class("Unigram", _t5, (SPIECE,), _with_sentinels),
    "AlbertTokenizer": Class("Unigram", _albert, (SPIECE,)),
    "XLMRobertaTokenizer": Class(
        "Unigram", _xlm_roberta, (BPE_MODEL,), _fairseq(_ROBERTA_FIRST, 3)
    ),
    "CamembertTokenizer": Class("Unigram", _camembert, (BPE_MODEL,), _fairseq(_CAMEMBERT_FIRST, 1)),
    "MBartTokenizer": Class(
        "Unigram",
        _mbart,
        (BPE_MODEL,),
        _fairseq(_ROBERTA_FIRST, 3, MBART),
        languages=MBART,
        speaks="en_XX",
    ),
    "MBart50Tokenizer": Class(
        "Unigram", _mbart50, (BPE_MODEL,), _pieces_of_mbart50, languages=MBART50, speaks="en_XX"
    ),
    "PegasusTokenizer": Class("Unigram", _pegasus, (SPIECE,), _with_reserved),
    "DebertaV2Tokenizer": Class("Unigram", _deberta_v2, (SPM,)),
}
