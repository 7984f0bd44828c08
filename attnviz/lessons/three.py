"""Three attentions of one translation: who asks whom?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.analysis.decoding import alignment_head
from attnviz.analysis.effects import Outcome
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.lessons.kit import Claim, Lesson, Try, check_count, largest_difference, prose
from attnviz.models import load_model
from attnviz.models.model import Model
from attnviz.models.run.forward import forward
from attnviz.models.run.generate import generate
from attnviz.models.run.inputs import as_input, read_text
from attnviz.models.run.prepare import prepare_tokens
from attnviz.models.tokenizers.readers import Reader
from attnviz.nn.heads import split_heads
from attnviz.nn.transformer import attentions
from attnviz.nn.types import Array
from attnviz.tokens import Tokens
from attnviz.trace.generation import Generated
from attnviz.trace.record import Record, Trace
from attnviz.trace.selection import Selection
from attnviz.views.attention import head_heatmap
from attnviz.views.kinds import WEIGHTS, Axis, Grid, Links, Table, Text
from attnviz.views.matrices import token_axis

TITLE = "Three attentions in one translation"
QUESTION = "Encoder and decoder: who looks at whom?"
INTUITION = (
    "Picture a translator. She reads the whole phrase, back and forth: self-attention in the "
    "encoder. While she writes, she looks back at her own words, never at those still to come: "
    "masked self-attention in the decoder. For each new word she glances at the phrase again: "
    "cross-attention. The three differ only in where queries, keys and values come from."
)
AFTER = "block"
GROUP = "models"
ALSO = (
    "cross-attention",
    "cross",
    "encoder-decoder",
    "encoder",
    "decoder",
    "translation",
    "alignment",
)

MODEL = "phrases"
MIN_LENGTH, MAX_LENGTH = 2, 20
"""Characters of the text."""
ROUNDING = 1e-5
"""Of float32, in numbers of size 1."""


class Translated(NamedTuple):
    """A phrase, what the model made of it, and its attention."""

    model: Model
    source: Tokens
    generated: Generated
    trace: Trace
    """Of one pass over all that the decoder read."""
    records: tuple[Record, Record, Record]
    """The last layer's: the encoder's, the decoder's own, cross-attention."""
    head: int
    """The one that was trained to align."""


class Hidden(NamedTuple):
    """What it costs each word if a character becomes unknown, in nats of its probability."""

    characters: Array
    """[n_word]: the character that the head looks at most."""
    it: Array
    """[n_word]: if that one is hidden."""
    others: Array
    """[n_word]: if one of the others is, on average."""


def lesson(*, text: str = "昨天我们在公园里看书") -> Lesson:
    """Which attention reads the phrase, which the translation so far, which both?"""
    translated = _translate(text)
    hidden = _hide(translated)
    views = (
        _explanation(translated),
        _links(translated),
        _weights_grid(translated),
        _who_table(translated),
        _hidden_table(translated, hidden),
    )
    return Lesson(
        views,
        (
            _claim_of_keys(translated),
            _claim_of_sight(translated),
            _claim_of_alignment(hidden),
        ),
    )


def _translate(text: str) -> Translated:
    model = load_model(MODEL)
    source = read_text(model, text)
    check_count("text", len(source) - len(source.special), "characters", MIN_LENGTH, MAX_LENGTH)
    if source.unknown:
        strange = " ".join(source.labels[i] for i in source.unknown)
        raise AttnvizError(
            f"text: the model does not know {strange}",
            f"short Chinese phrases: attnviz models {MODEL} tells which",
        )
    generated = generate(model, source)
    streams = {"source": source, "target": generated.read}
    prepared = prepare_tokens(model, streams, stages=("k", "v", "weights"))
    trace = forward(prepared, hidden_states=True, fingerprint=False)
    alignment = alignment_head(trace, Selection())
    assert alignment is not None
    cross, head = alignment
    records = (trace[f"encoder.{cross.layer}.self"], trace[f"decoder.{cross.layer}.self"], cross)
    return Translated(model, source, generated, trace, records, head)


def _hide(translated: Translated) -> Hidden:
    source = translated.source
    characters = np.array([i for i in range(len(source)) if i not in source.special])
    costs = _costs(translated, characters.tolist())
    weights = translated.records[2].stage("weights")[translated.head]
    largest = weights[: len(costs), characters].argmax(-1)
    it = costs[np.arange(len(costs)), largest]
    return Hidden(characters[largest], it, (costs.sum(-1) - it) / (len(characters) - 1))


def _costs(translated: Translated, characters: list[int]) -> Array:
    """How far ln p of every word falls as each of these characters is made unknown, while the
    translation stays what it was: [n_word, n_character]."""
    model, source, generated = translated[:3]
    reader = model.tokenizer
    assert isinstance(reader, Reader)
    words = np.array(generated.written.ids[: _n_word(generated)])
    target = as_input(model, generated.read, target=True)

    def log_probabilities(ids: tuple[int, ...]) -> Array:
        logits = model.transformer(as_input(model, reader.take(ids)), target, logits=True).logits
        assert logits is not None
        return np.asarray(Outcome(logits).log_shares[np.arange(len(words)), words])

    intact = log_probabilities(source.ids)
    hidden = [(*source.ids[:i], reader.unknown, *source.ids[i + 1 :]) for i in characters]
    return np.stack([intact - log_probabilities(ids) for ids in hidden], -1)


def _n_word(generated: Generated) -> int:
    """How many words were written, without the end."""
    return len(generated.written) - generated.ended


def _explanation(translated: Translated) -> Text:
    written = translated.generated.written
    return prose(
        say(
            "The model `{name}` reads {source} and writes: {target}",
            name=MODEL,
            source="".join(
                label
                for i, label in enumerate(translated.source.labels)
                if i not in translated.source.special
            ),
            target=" ".join(written.labels[: _n_word(translated.generated)]),
        ),
    )


def _who_table(translated: Translated) -> Table:
    encoder, decoder, cross = translated.records
    written, phrase = say("the words written so far"), say("the phrase")
    asks = (
        (encoder, say("encoder self-attention"), phrase, phrase),
        (decoder, say("decoder self-attention, masked"), written, written),
        (cross, say("cross-attention"), written, say("the phrase, as the encoder's output")),
    )
    rows = tuple(
        (
            name,
            queries,
            keys,
            "{} × {}".format(*record.stage("weights").shape[1:]),
            int((~record.stage("mask")).sum()),
        )
        for record, name, queries, keys in asks
    )
    return Table(
        say("who looks at whom"),
        (say("attention"), say("queries"), say("keys and values"), say("cells"), say("masked")),
        rows,
    )


def _weights_grid(translated: Translated) -> Grid:
    trace, head = translated.trace, translated.head
    layer = translated.records[2].layer
    panels = tuple(
        head_heatmap(trace, record, head, "weights", WEIGHTS) for record in translated.records
    )
    return Grid(
        say("the three attentions, in head {head} of layer {layer}", head=head, layer=layer),
        (panels,),
        ("",),
        (say("encoder"), say("decoder"), say("cross")),
        notes=(say("In the decoder, the cells above the diagonal are masked: later words."),),
    )


def _links(translated: Translated) -> Links:
    generated, cross = translated.generated, translated.records[2]
    n_word = _n_word(generated)
    return Links(
        say("alignment: where cross-attention looks as each word is written"),
        cross.stage("weights")[translated.head, :n_word],
        Axis(say("written"), generated.written.labels[:n_word]),
        token_axis(say("phrase"), translated.source),
        notes=(
            say("This head was trained to look where a word comes from; the other heads were not."),
        ),
    )


def _hidden_table(translated: Translated, hidden: Hidden) -> Table:
    weights = translated.records[2].stage("weights")[translated.head]
    rows = tuple(
        (
            word,
            translated.source.labels[character],
            float(weights[i, character]),
            float(it),
            float(others),
        )
        for i, (word, character, it, others) in enumerate(
            zip(translated.generated.written.labels, *hidden, strict=False)
        )
    )
    return Table(
        say("does the word depend on the character it looks at?"),
        (
            say("word"),
            say("looks at"),
            say("weight"),
            say("without it"),
            say("without another"),
        ),
        rows,
        (
            say(
                "in nats: how far the log-probability of the word falls if that character, or "
                "another (mean over all others), becomes unknown"
            ),
            say("A word may look at a character and hardly depend on it: lesson `caveats`."),
        ),
        decimals=2,
    )


def _claim_of_keys(translated: Translated) -> Claim:
    states = translated.trace.hidden_states["encoder"]
    off = _mismatch(translated, states[-1])
    before = _mismatch(translated, states[0])
    return Claim(
        say("The keys and values of cross-attention come from the encoder's output"),
        say(
            "off by {off:.1g}; had they come from its input, by {before:.2g}",
            off=off,
            before=before,
        ),
        off < ROUNDING < before,
    )


def _mismatch(translated: Translated, states: Array) -> float:
    """How far keys and values of all cross-attentions are from those made of these states."""
    decoder = translated.model.transformer.decoder
    assert decoder is not None
    pairs = [
        (linear(states), translated.trace[f"decoder.{layer}.cross"].stage(stage))
        for layer, block in enumerate(decoder.blocks)
        for attention in attentions(block)
        if attention.kind == "cross"
        for stage, linear in (("k", attention.key), ("v", attention.value))
    ]
    return max(largest_difference(split_heads(x, len(recorded)), recorded) for x, recorded in pairs)


def _claim_of_sight(translated: Translated) -> Claim:
    encoder, decoder, _ = (
        float(np.triu(record.stage("weights"), 1).max()) for record in translated.records
    )
    return Claim(
        say("The encoder looks ahead; the decoder never sees words that come later"),
        say(
            "largest weight on what comes later: encoder {encoder:.2f}, decoder {own:g}",
            encoder=encoder,
            own=decoder,
        ),
        decoder == 0 < encoder,
    )


def _claim_of_alignment(hidden: Hidden) -> Claim:
    it, others = float(hidden.it.mean()), float(hidden.others.mean())
    return Claim(
        say("A word depends more on the character this head looks at than on the others"),
        say(
            "log-probability falls by {it:.1f} without it, by {others:.1f} without another",
            it=it,
            others=others,
        ),
        it > others,
    )


TRY = (
    Try(
        "attnviz learn three --text 早上好",
        "The lines cross: Good looks at 好, the last character, and morning at 早, the first.",
    ),
    Try(
        "attnviz decode 早上好",
        "The same translation word by word, with the probability of each word.",
    ),
)
NEXT = ("cost",)
