"""Train the small vocabularies of this folder and write what transformers reads with them.

    pip install transformers==5.23.0 tokenizers sentencepiece
    python tests/golden/tokenizers/make_tokenizers.py           # train, and write ids.json
    python tests/golden/tokenizers/make_tokenizers.py --check   # compare with transformers live

Every folder has the files of a tokenizer older than `tokenizer.json`, as checkpoints have them;
`serialized/` has a `tokenizer.json` of each kind, which `variants.py` puts beside settings.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import kinds
import variants
from nasty import NASTY, PAIRS
from texts import random_texts
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

HERE = Path(__file__).parent

CORPUS = [
    "I saw a saw. The keys to the cabinet are on the table; they aren't in the shed.",
    "Where is the saw? It is on the bench, said the man who saw it in 2026 for 3.14 euros.",
    "Élan, naïve, Ångström, crème brûlée, résumé, façade, über, señor",
    "我看见了一把锯子 早上好 我在这里 你好",
    "ひらがな カタカナ 한국어 שלום مرحبا नमस्ते 😀 👍",
] * 4

CLASSES = {
    "bert": "BertTokenizer",
    "bert-cased": "BertTokenizer",
    "gpt2": "GPT2Tokenizer",
    "opt": "GPT2Tokenizer",
    "roberta": "RobertaTokenizer",
    "marian": "MarianTokenizer",
}


def make_bert(folder: Path, settings: dict[str, Any], lower: bool) -> None:
    """Written, not trained: the trainer breaks ties in another order each time."""
    text = normalizers.BertNormalizer(lowercase=lower).normalize_str(" ".join(CORPUS))
    words = {word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)}
    letters = {char for word in words for char in word}
    halves = {word[: len(word) // 2] for word in words if len(word) > 4}
    endings = {f"##{word[-2:]}" for word in words if len(word) > 5}
    some = {word for word in words if len(word) % 2}
    pieces = some | letters | {f"##{char}" for char in letters} | halves | endings
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join(special + sorted(pieces)) + "\n", "utf-8")
    write(folder / "tokenizer_config.json", settings)


def make_byte_level(folder: Path, settings: dict[str, Any], special: list[str]) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.model.save(str(folder))
    write(folder / "tokenizer_config.json", settings)


def make_clip() -> None:
    """Byte-level pieces, of which the last of a word has `</w>`."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<|startoftext|>", "<|endoftext|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, end_of_word_suffix="</w>", special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator([line.replace(" ", "") for line in CORPUS], trainer)
    (HERE / "clip").mkdir(exist_ok=True)
    tokenizer.model.save(str(HERE / "clip"))


def make_marian(folder: Path) -> None:
    import sentencepiece

    pieces: dict[str, int] = {"</s>": 0, "<unk>": 1}
    for side, lines in (("source", CORPUS[:3] * 4), ("target", CORPUS[1:] * 4)):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_prefix=str(folder / side),
            vocab_size=150,
            normalization_rule_name="identity",  # the others weigh 240 kB
            model_type="bpe",
            minloglevel=2,
        )
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
        for line in (folder / f"{side}.vocab").read_text("utf-8").splitlines():
            piece = line.partition("\t")[0]
            if piece not in ("<s>", "▁Élan"):  # what vocab.json lacks is unknown
                pieces.setdefault(piece, len(pieces))
        (folder / f"{side}.vocab").unlink()
    pieces |= {">>fra<<": len(pieces), "<pad>": len(pieces) + 1}
    write(folder / "vocab.json", pieces)
    write(folder / "tokenizer_config.json", {"source_lang": "eng", "target_lang": "fra"})


SENTENCE_PIECE: dict[str, dict[str, Any]] = {
    "unigram": {"model_type": "unigram", "vocab_size": 105},
    "t5": {"model_type": "unigram", "vocab_size": 105, "pad_id": 0, "eos_id": 1, "unk_id": 2,
           "bos_id": -1},
    "albert": {"model_type": "unigram", "vocab_size": 105, "pad_id": 0, "unk_id": 1, "bos_id": -1,
               "eos_id": -1, "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]},
    "deberta": {"model_type": "unigram", "vocab_size": 105, "pad_id": 0, "bos_id": 1, "eos_id": 2,
                "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]",
                "unk_piece": "[UNK]"},
    "llama": {"model_type": "bpe", "vocab_size": 450, "byte_fallback": True,
              "user_defined_symbols": ["<user>"]},
    "gemma": {"model_type": "bpe", "vocab_size": 450, "byte_fallback": True, "pad_id": 0,
              "eos_id": 1, "bos_id": 2, "unk_id": 3, "bos_piece": "<bos>", "eos_piece": "<eos>",
              "user_defined_symbols": ["<mask>", "\n", "\n\n"]},
    "bpe": {"model_type": "bpe", "vocab_size": 190},
}  # fmt: skip
"""How SentencePiece's models are trained."""

NORMAL = (
    ("\ufb01", "fi"), ("\u00bd", "1/2"), ("\u2167", "VIII"), ("\u2460", "1"), ("\u00a0", " "),
    ("\u3000", " "), ("\t", " "), ("\n", " "), ("\r", " "), ("\u200b", ""), ("e\u0301", "\u00e9"),
    ("\uff01", "!"), ("\ufeff", ""), ("\uff0e", "."),
)  # fmt: skip
"""What their normaliser writes for what."""


def make_sentence_piece() -> None:
    import sentencepiece

    folder = HERE / "sentencepiece"
    folder.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for pair in NORMAL:
            rules.write("\t".join(" ".join(f"{ord(c):X}" for c in text) for text in pair) + "\n")
        rules.flush()
        for name, options in SENTENCE_PIECE.items():
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(CORPUS),
                model_prefix=str(folder / name),
                normalization_rule_tsv=rules.name,
                num_threads=1,
                minloglevel=2,
                **options,
            )
            (folder / f"{name}.vocab").unlink()
            _without_paths(folder / f"{name}.model")


def _without_paths(path: Path) -> None:
    """Leave out where a model was trained."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
    model.trainer_spec.ClearField("model_prefix")
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    path.write_bytes(model.SerializeToString())


def make_serialized() -> None:
    """A `tokenizer.json` of every kind, as transformers saves it."""
    import transformers

    folder = HERE / "serialized"
    folder.mkdir(exist_ok=True)
    older = {"bert": "BertTokenizer", "gpt2": "GPT2Tokenizer", "roberta": "RobertaTokenizer"}
    made = {
        name: getattr(transformers, cls).from_pretrained(HERE / name) for name, cls in older.items()
    }
    bytes_ = json.loads(made["gpt2"].backend_tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in bytes_["merges"]]
    made["gpt_neox"] = transformers.GPTNeoXTokenizer(vocab=bytes_["vocab"], merges=merges)
    made["qwen2"] = transformers.Qwen2Tokenizer(vocab=bytes_["vocab"], merges=merges)
    pieces, merges = sentence_pieces()
    made["llama"] = transformers.LlamaTokenizer(vocab=pieces, merges=merges)
    made["gemma"] = transformers.GemmaTokenizer(vocab=pieces, merges=merges)
    for name, cls, special in (
        ("t5", "T5Tokenizer", ["<pad>", "</s>", "<unk>"]),
        ("albert", "AlbertTokenizer", ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]),
        ("xlm_roberta", "XLMRobertaTokenizer", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]),
    ):
        options = {"extra_ids": 0} if name == "t5" else {}
        made[name] = getattr(transformers, cls)(vocab=unigram(special), **options)
    for name, tokenizer in made.items():
        write(folder / f"{name}.json", json.loads(tokenizer.backend_tokenizer.to_str()))


def sentence_pieces() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """SentencePiece's BPE: pieces with ▁ for a space, and every byte."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=200, show_progress=False))
    state = json.loads(tokenizer.to_str())["model"]
    special = ["<pad>", "<unk>", "<s>", "</s>", "<bos>", "<eos>", "<mask>"]
    names = special + [f"<0x{byte:02X}>" for byte in range(256)] + list(state["vocab"])
    vocabulary = {piece: id for id, piece in enumerate(dict.fromkeys(names))}
    return vocabulary, [tuple(pair) for pair in state["merges"]]


def unigram(special: list[str]) -> list[tuple[str, float]]:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=180, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return [tuple(entry) for entry in json.loads(tokenizer.to_str())["model"]["vocab"]]


def make_all() -> None:
    for name in CLASSES:
        (HERE / name).mkdir(exist_ok=True)
    make_bert(HERE / "bert", {"tokenizer_class": "BertTokenizer"}, lower=True)
    make_bert(HERE / "bert-cased", {"do_lower_case": False}, lower=False)
    make_byte_level(HERE / "gpt2", {}, ["<|endoftext|>"])
    opt = {"add_bos_token": True, "bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>",
           "pad_token": "<pad>", "tokenizer_class": "GPT2Tokenizer"}  # fmt: skip
    make_byte_level(HERE / "opt", opt, ["<s>", "<pad>", "</s>", "<unk>"])
    mask = {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": True,
            "rstrip": False, "single_word": False}  # fmt: skip
    roberta = {"tokenizer_class": "RobertaTokenizerFast", "mask_token": mask}
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    make_byte_level(HERE / "roberta", roberta, special)
    make_marian(HERE / "marian")
    make_sentence_piece()
    make_clip()
    make_serialized()


def reference(name: str) -> dict[str, list[list[int]]]:
    """The ids of NASTY and PAIRS; of Marian, of the decoder's side too."""
    import transformers

    tokenizer = getattr(transformers, CLASSES[name]).from_pretrained(HERE / name)
    ids = {
        "texts": [tokenizer(text)["input_ids"] for text in NASTY],
        "pairs": [tokenizer([text], [pair])["input_ids"][0] for text, pair in PAIRS],
    }
    if name == "marian":
        ids["targets"] = [tokenizer(text_target=text)["input_ids"] for text in NASTY]
        ids["languages"] = [tokenizer(">>fra<< I saw a saw</s> saw")["input_ids"]]
    return ids


def reference_of_variant(variant: variants.Variant) -> dict[str, list[list[int]]]:
    """What `AutoTokenizer` reads of a folder with settings: texts, and a pair of which the second
    may be empty."""
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        variants.write(variant, Path(folder))
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text, pair = variants.PAIR
    texts = [tokenizer(each)["input_ids"] for each in variants.TEXTS]
    return {
        "texts": texts,
        "pairs": [tokenizer(text, pair)["input_ids"], tokenizer(text, "")["input_ids"]],
    }


def reference_of_kind(name: str, settings: dict[str, Any], given: list[str]) -> list[list[int]]:
    """Texts, and the first two as a pair."""
    import transformers

    kind = kinds.KINDS[name]
    with tempfile.TemporaryDirectory() as folder:
        kinds.write(Path(folder), kind, kinds.settings_of(kind, settings))
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    pair = [tokenizer(given[0], given[1])["input_ids"]] if len(given) > 1 else []
    return [*tokenizer(given)["input_ids"], *pair]


def references() -> dict[str, Any]:
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    older = {name: reference(name) for name in CLASSES}
    given = [kinds.SENTENCE, *random_texts(7, 5)]
    return {
        **older,
        "variants": {n: reference_of_variant(v) for n, v in variants.VARIANTS.items()},
        "kinds": {n: [reference_of_kind(n, s, given) for s in kinds.SAMPLES] for n in kinds.KINDS},
        "cases": {
            n: [reference_of_kind(n, s, [kinds.SENTENCE])[0] for s in kinds.CASES]
            for n in kinds.BERTS
        },
        "classes": dict(TOKENIZER_MAPPING_NAMES),
    }


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        golden = json.loads((HERE / "ids.json").read_text("utf-8"))
        return int(references() != golden)
    make_all()
    write(HERE / "ids.json", references())
    return 0


if __name__ == "__main__":
    sys.exit(main())
