"""The files of tokenizers in a folder, as transformers names them; and what may be asked of one."""

SERIALIZED = "tokenizer.json"
WORDS, PIECES, MERGES = "vocab.txt", "vocab.json", "merges.txt"
SENTENCE_PIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model")

CONFIG = "tokenizer_config.json"
SPECIAL = "special_tokens_map.json"
ADDED = "added_tokens.json"

LANGUAGES = ("source_lang", "target_lang")
"""What a translator of many languages may be told: what a text is in, and what it is to write."""

CONVERT = (
    "write tokenizer.json where transformers is installed: "
    "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
)
