"""What the card of `phrases` says beside its figures."""

from __future__ import annotations

FIGURES_TEXT = {
    "exact": "share of phrases translated exactly (every word and punctuation mark), greedy "
    "decoding; unseen(2000, seed=1) of phrases_grammar.py: none of their clauses was "
    "trained on",
    "alignment": "on the same phrases, given the true words: share of the aligned English words "
    "and punctuation marks for which the largest weight of decoder.1.cross H0, in "
    "the row that predicts the word (the row of the word before it, or of [BOS]), is "
    "on a character that the word comes from according to the grammar; this head "
    "was trained to do so",
    "alignment_mass": "the same head's mean weight on those characters",
    "alignment_decoded": "as alignment, during greedy decoding, over the phrases translated "
    "exactly",
    "exact_short": "exact on the phrases of up to 8 characters",
    "exact_middle": "exact on those of 9 to 16 characters",
    "exact_long": "exact on those of 17 to 40 characters",
    "alignment_diagonal": "without any model: word i of n is matched with the character i / n of "
    "the way along",
    "exact_without_loss": "exact, for the same recipe without the alignment loss (not shipped)",
}
for _name in ("exact", "alignment", "alignment_mass"):
    FIGURES_TEXT[f"sample_{_name}"] = f"{_name} on the first 200 of the phrases"
    FIGURES_TEXT[f"pairs_{_name}"] = (
        f"{_name} on unseen_pairs(2000, seed=1): each has a verb with a noun that never went "
        "together in training"
    )
for _head in (f"decoder.{layer}.cross.H{head}" for layer in range(2) for head in range(4)):
    _told = (
        "was trained with the alignment loss"
        if _head == "decoder.1.cross.H0"
        else "had no alignment loss"
    )
    FIGURES_TEXT[f"alignment.{_head}"] = f"alignment of this head, which {_told}"
    FIGURES_TEXT[f"alignment_without_loss.{_head}"] = (
        "alignment of this head in the same recipe without the alignment loss (not shipped)"
    )
LIMITS = [
    "It knows only the grammar and the words of its lexicon: some 290 words and set phrases, two "
    "clauses at most, up to 40 characters. It cannot translate any other Chinese.",
    "The unseen phrases are new as a whole and clause by clause, but consist of known words and "
    "constructions, and close variants (such as the question for a statement) may have been "
    "trained on.",
    "A character that it does not know becomes [UNK], and usually so does the word translated "
    "from it.",
    "Within the grammar, its mistakes are mostly in long phrases, with two clauses or a relative "
    "clause: a word left out, repeated or taken from the other clause.",
    "Known words in constructions outside the grammar give fluent English that may be wrong.",
    "The phrases are grammatical, but many make little sense (a blue apple, a cow that cannot "
    "find you): they teach nothing about the world.",
    "Where Chinese leaves number, article or tense open, the grammar fixes one reading: a bare "
    "object is plural (喜欢猫, like cats) or definite (看见猫, see the cat) depending on its verb, "
    "a bare verb is in the present tense, and 会 is will, never can.",
    "One head (decoder.1.cross H0) looks at the source of each word because an alignment loss "
    "trained it to; the other heads had no such loss. This is no evidence that attention explains "
    "a translation.",
    "了, 把, 的 and measure words that English has no word for count as the source of no word, "
    "although tense and order depend on them.",
]
CARD = {
    "name": "phrases",
    "title": "Short Chinese phrases into English: an encoder-decoder with cross-attention",
    "task_text": "Translates short Chinese phrases, read character by character, into English "
    "words. Cross-attention shows which characters a word is made from, across the "
    "different word order: head 0 of decoder.1.cross was trained with an alignment "
    "loss, the other heads were not. The encoder uses self-attention, so the vector "
    "of each character also reflects the others.",
    "reads": "short Chinese phrases, such as 早上好！",
    "data": "Drawn from the synchronous grammar in samples/training/phrases_grammar.py, which "
    "knows by construction how the words align. Held out: every phrase with a clause "
    "whose crc32 is divisible by 10, and every pair of verb and noun whose crc32 is "
    "divisible by 20; greetings and single words are always trained on.",
    "data_licence": "MIT (written for attnviz)",
    "licence": "MIT",
    "limits": LIMITS,
}
