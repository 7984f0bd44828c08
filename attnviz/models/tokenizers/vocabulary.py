"""Files of tokenizers older than `tokenizer.json`: `vocab.txt`, or `vocab.json` with `merges.txt`.

The class that `tokenizer_config.json` names decides what the files leave open; one that is not
known here may split words differently, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.build.families import FAMILIES, family_name
from attnviz.models.json_object import read_object
from attnviz.models.tokenizers.package import tokenizers_package

SETTINGS = "tokenizer_config.json"
CONVERT = (
    "write tokenizer.json where transformers is installed: "
    "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
)

NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
"""Special tokens, without `_token`."""

BERT = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
ROBERTA = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>",
           "cls": "<s>", "mask": "<mask>"}  # fmt: skip
GPT2 = {"bos": "<|endoftext|>", "eos": "<|endoftext|>", "unk": "<|endoftext|>"}


def read_settings(folder: Path) -> dict[str, Any]:
    """`special_tokens_map.json`, overridden by `tokenizer_config.json`; either may be missing."""
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", SETTINGS):
        if (folder / name).exists():
            settings |= read_object(folder / name)
    return settings


def read_vocabulary(folder: Path, settings: Mapping[str, Any], family: str) -> Any:
    """The `tokenizers.Tokenizer` of a folder that has only its vocabulary; None if attnviz does
    not know how that is read."""
    named = settings.get("tokenizer_class") or _default_class(family)
    file, build = CLASSES.get(str(named).removesuffix("Fast"), ("", None))
    if build is None or not (folder / file).exists():
        return None
    tokenizers_package(folder / file)
    return build(folder, settings)


def _default_class(family: str) -> str | None:
    """The tokenizer class of a family's checkpoints that name none."""
    name = family_name(family)
    return getattr(FAMILIES[name], "TOKENIZER", None) if name in FAMILIES else None


def _bert(folder: Path, settings: Mapping[str, Any]) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    special = _special(settings, BERT)
    vocabulary = {piece: id for id, piece in enumerate(_lines(folder / "vocab.txt"))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=special["unk"]))
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    _add(backend, folder, settings, special)
    sep, cls = _named(backend, folder, special["sep"]), _named(backend, folder, special["cls"])
    backend.post_processor = processors.BertProcessing(sep, cls)
    return backend


def _roberta(folder: Path, settings: Mapping[str, Any]) -> Any:
    from tokenizers import processors

    backend, special = _byte_level(folder, settings), _special(settings, ROBERTA)
    _add(backend, folder, settings, special)
    sep, cls = _named(backend, folder, special["sep"]), _named(backend, folder, special["cls"])
    backend.post_processor = processors.RobertaProcessing(sep, cls)
    return backend


def _gpt2(folder: Path, settings: Mapping[str, Any]) -> Any:
    from tokenizers import processors

    backend, special = _byte_level(folder, settings), _special(settings, GPT2)
    _add(backend, folder, settings, special)
    if settings.get("add_bos_token", False):
        begin = special["bos"]
        backend.post_processor = processors.TemplateProcessing(
            single=f"{begin}:0 $A:0",
            pair=f"{begin}:0 $A:0 {begin}:1 $B:1",
            special_tokens=[_named(backend, folder, begin)],
        )
    return backend


Build = Callable[[Path, Mapping[str, Any]], Any]

CLASSES: dict[str, tuple[str, Build]] = {
    "BertTokenizer": ("vocab.txt", _bert),
    "DistilBertTokenizer": ("vocab.txt", _bert),
    "ElectraTokenizer": ("vocab.txt", _bert),
    "RobertaTokenizer": ("merges.txt", _roberta),
    "BartTokenizer": ("merges.txt", _roberta),
    "GPT2Tokenizer": ("merges.txt", _gpt2),
}
"""Which file each class of transformers needs, and what reads it."""


def _byte_level(folder: Path, settings: Mapping[str, Any]) -> Any:
    """GPT-2's: words are split into bytes, and these merged into pieces."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = read_object(folder / "vocab.json")
    lines = [line for line in _lines(folder / "merges.txt") if line]
    halves = [line.partition(" ") for line in lines if not line.startswith("#version")]
    try:
        backend = Tokenizer(models.BPE(vocabulary, [(left, right) for left, _, right in halves]))
    except Exception as error:  # the package raises bare Exception
        raise AttnvizError(
            f"{folder / 'merges.txt'} does not fit vocab.json: {error}", "download both again"
        ) from error
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=settings.get("add_prefix_space", False)
    )
    backend.decoder = decoders.ByteLevel()
    return backend


def _special(settings: Mapping[str, Any], default: Mapping[str, str]) -> dict[str, str]:
    """The special tokens by name."""
    named = {name: content(settings.get(f"{name}_token")) for name in NAMES}
    return {**default, **{name: token for name, token in named.items() if token}}


def content(token: Any) -> str:
    """The text of a token, which settings write as a string or as an object."""
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def _add(
    backend: Any, folder: Path, settings: Mapping[str, Any], special: Mapping[str, str]
) -> None:
    """Add the tokens that are recognised before a text is split: added ones and special ones."""
    from tokenizers import AddedToken

    for id, token, flags in _added_tokens(folder, settings):
        backend.add_tokens([AddedToken(token, **flags)])
        if backend.token_to_id(token) != id:
            raise AttnvizError(
                f"{folder}: the added token {token!r} has the id {id}, but the vocabulary leaves "
                f"it {backend.token_to_id(token)}",
                "the vocabulary belongs to another model: download it again",
            )
    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    for name, token in special.items():
        if token not in known and backend.token_to_id(token) is not None:
            flags = {"normalized": False, **_flags(settings.get(f"{name}_token")), "special": True}
            backend.add_special_tokens([AddedToken(token, **flags)])


def _flags(token: Any) -> dict[str, bool]:
    """How a token is recognised in a text, as far as the settings say."""
    if not isinstance(token, dict):
        return {}
    return {key: bool(token[key]) for key in FLAGS if key in token}


FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")


def _added_tokens(
    folder: Path, settings: Mapping[str, Any]
) -> list[tuple[int, str, dict[str, bool]]]:
    """(id, token, how it is recognised) of what was added to the vocabulary, by id."""
    added: dict[int, tuple[str, dict[str, bool]]] = {}
    path = folder / "added_tokens.json"
    if path.exists():
        added = {id: (token, {}) for token, id in read_object(path).items()}
    for id, token in (settings.get("added_tokens_decoder") or {}).items():
        added[int(id)] = content(token), _flags(token)
    return [(id, token, flags) for id, (token, flags) in sorted(added.items())]


def _named(backend: Any, folder: Path, token: str) -> tuple[str, int]:
    """A special token with its id."""
    id = backend.token_to_id(token)
    if id is None:
        raise AttnvizError(f"{folder}: the vocabulary has no {token}", "download it again")
    return token, id


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AttnvizError(f"{path} cannot be read: {error}", "download it again") from error
    return text.removesuffix("\n").split("\n")  # not splitlines: pieces may be line separators
