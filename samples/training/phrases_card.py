"""What the card of `phrases` says beside its figures."""

from __future__ import annotations

FIGURES_TEXT = {
    "exact": "share of phrases translated exactly (every word and sign), greedy decoding; "
    "unseen(2000, seed=1) of phrases_grammar.py: no clause of them was trained on",
    "alignment": "on the same phrases, given the true words: share of the aligned English words "
    "and signs for which the greatest weight of decoder.1.cross H0, in the row that predicts the "
    "word (the row of the word before it, or of [BOS]), is on a character that the word comes "
    "from by the grammar; this head was trained to",
    "alignment_mass": "the same head's mean weight on those characters",
    "alignment_decoded": "as alignment, in greedy decoding, over the phrases translated exactly",
    "exact_short": "exact on the phrases of up to 8 characters",
    "exact_middle": "exact on those of 9 to 16 characters",
    "exact_long": "exact on those of 17 to 40 characters",
    "alignment_diagonal": "what no model at all reaches: word i of n with the character i / n of "
    "the way along",
    "exact_without_loss": "exact, of the same recipe trained without the alignment loss (that "
    "model is not shipped)",
}
for _name in ("exact", "alignment", "alignment_mass"):
    FIGURES_TEXT[f"sample_{_name}"] = f"{_name} on the first 200 of the phrases"
    FIGURES_TEXT[f"pairs_{_name}"] = (
        f"{_name} on unseen_pairs(2000, seed=1): each has a verb with a noun that it never had in "
        "training"
    )
for _head in (f"decoder.{layer}.cross.H{head}" for layer in range(2) for head in range(4)):
    _told = "was told the alignment" if _head == "decoder.1.cross.H0" else "had no alignment loss"
    FIGURES_TEXT[f"alignment.{_head}"] = f"alignment of this head, which {_told}"
    FIGURES_TEXT[f"alignment_without_loss.{_head}"] = (
        "alignment of this head in the same recipe without the alignment loss (not shipped)"
    )
LIMITS = [
    "It knows only the grammar and the words of its lexicon: some 290 words and set phrases, two "
    "clauses at most, up to 40 characters. It is no translator for other Chinese.",
    "The unseen phrases are new as wholes and clause by clause, but made of known words and "
    "constructions, and near neighbours (the question to a statement) may have been trained on.",
    "A character that it does not know becomes [UNK], and the word made from it usually [UNK] too.",
    "What it gets wrong within the grammar are mostly long phrases, of two clauses or with a "
    "relative clause: a word left out, repeated or taken from the other clause.",
    "Known words in constructions outside the grammar give fluent English that may be wrong.",
    "The phrases are grammatical, but many mean little (a blue apple, a cow that cannot find you): "
    "nothing about the world is learned from them.",
    "Where Chinese leaves number, article or tense open the grammar fixes one reading: a bare "
    "object is plural (喜欢猫, like cats) or definite (看见猫, see the cat) by its verb, a bare "
    "verb is in the present, 会 is will and never can.",
    "One head (decoder.1.cross H0) looks where a word comes from because an alignment loss made "
    "it; the other heads were left alone. That it does is no evidence that attention explains a "
    "translation.",
    "了, 把, 的 and measure words that English has no word for count as the source of no word, "
    "though tense and order come from them.",
]
CARD = {
    "name": "phrases",
    "title": "Short Chinese phrases into English: an encoder-decoder with cross-attention",
    "task_text": "Translates short Chinese phrases, read character by character, into English "
    "words. Cross-attention shows which characters a word is made from, across the different word "
    "order: head 0 of decoder.1.cross was trained with an alignment loss, the other heads are as "
    "training left them. The encoder has real self-attention, which mixes the characters.",
    "reads": "short Chinese phrases, such as 早上好！",
    "data": "Drawn from the synchronous grammar in samples/training/phrases_grammar.py, which "
    "knows the alignment of each word by construction. Held out: every phrase with a clause whose "
    "crc32 is divisible by 10, and every pair of verb and noun whose crc32 is divisible by 20; "
    "greetings and single words are always trained on.",
    "data_licence": "MIT (written for attnviz)",
    "licence": "MIT",
    "limits": LIMITS,
}
