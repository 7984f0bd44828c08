"""The logits of a pass -> what the model answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from attnviz.language import to_say
from attnviz.models.model import Model
from attnviz.models.run.inputs import as_input
from attnviz.models.run.prepare import Prepared
from attnviz.nn.activations import sigmoid
from attnviz.nn.softmax import softmax
from attnviz.nn.transformer import Output
from attnviz.nn.types import Array
from attnviz.tokens import Tokens, label
from attnviz.trace.answer import Answer, Option, best_options
from attnviz.trace.record import read_only

N_EXPECTED = 5
"""How many tokens are named for a masked or the next one, and how many spans."""

N_SPAN = 12
"""How many spans are looked at, as in transformers' pipeline."""

LONGEST_SPAN = 15
"""Tokens of an answer at most, as in transformers' pipeline."""


def needs_logits(model: Model, source: Tokens) -> bool:
    """Whether an answer takes the logits of all tokens."""
    return model.task in ("tag", "classify", "span", "embed") or bool(masks_of(model, source))


def masks_of(model: Model, source: Tokens) -> list[int]:
    """Where the text has the mask's token, for a model that fills it."""
    mask = model.tokenizer.mask if model.task == "fill" else None
    return [i for i, id in enumerate(source.ids) if id == mask and mask is not None]


def answer_of(prepared: Prepared, output: Output) -> Answer | None:
    """What the model answers; None where it has no known output, or none of this text."""
    model, source = prepared.model, prepared.streams["source"]
    if model.task == "continue":
        return _next(prepared, output)
    if output.logits is None or not len(output.logits) or not np.isfinite(output.logits).any():
        return None
    logits = output.logits.astype(np.float64)
    if model.task == "classify":
        return _classify(model, logits[0])
    if model.task == "tag":
        return _tag(model, source, logits)
    if model.task == "span":  # of what a decoder was given instead there is none
        return _span(prepared, logits) if len(logits) == len(source) else None
    if model.task == "fill" and (positions := masks_of(model, source)):
        options = [
            option for i in positions for option in _tokens(model, logits[i], (i,), source=True)
        ]
        return Answer("fill", tuple(options))
    return _embed(prepared, output.logits[0]) if model.task == "embed" else None


def unanswered(prepared: Prepared, output: Output) -> tuple[str, ...]:
    """Why a model that answers has no answer to this text, or what is to be known of it."""
    if prepared.model.task == "classify" and output.logits is not None and not len(output.logits):
        return (to_say("it answers at the token that ends a text, which is not there"),)
    notes: tuple[str, ...] = ()
    n, most = len(prepared.streams["source"]), prepared.model.cut_tokens
    if most is not None and n > most:
        notes = (
            to_say("{n} tokens: sentence-transformers cuts a text after {most}", n=n, most=most),
        )
    if prepared.apart is None:
        return notes
    together = to_say("the attention is of both texts as one; for their cosine each is read alone")
    return (*notes, together)


def _classify(model: Model, logits: Array) -> Answer:
    """Of logits [n_label]."""
    names = [label(name) for name in model.labels]
    if model.problem == "number":
        values = zip(names, logits, strict=True)
        return Answer("classify", tuple(Option(name, value=float(x)) for name, x in values))
    if model.problem == "several":
        return Answer("classify", best_options(names, sigmoid(logits)), several=True)
    return Answer("classify", best_options(names, softmax(logits)))


def _embed(prepared: Prepared, vector: Array) -> Answer:
    """The vector of the text; of a pair those of both, each read by itself, and their cosine."""
    if prepared.apart is None:
        return Answer("embed", (), embedding=read_only(vector))
    first, second = (embed(prepared.model, tokens) for tokens in prepared.apart)
    return first.compared({PAIR: second})


def embed(model: Model, tokens: Tokens) -> Answer:
    """The vector that a model of the task `embed` makes of a text."""
    logits = model.transformer(as_input(model, tokens), logits=True).logits
    return Answer("embed", (), embedding=None if logits is None else read_only(logits[0]))


PAIR = "--pair"
"""What the second of two texts is called."""


def _tag(model: Model, source: Tokens, logits: Array) -> Answer:
    """The most probable label of every token that is not special; logits [n_token, n_label]."""
    shares = softmax(logits)
    best = shares.argmax(-1)
    return Answer(
        "tag",
        tuple(
            Option(label(model.labels[best[i]]), float(shares[i, best[i]]), positions=(i,))
            for i in range(len(source))
            if i not in source.special
        ),
    )


def _next(prepared: Prepared, output: Output) -> Answer | None:
    """The token that follows what the decoder read, unless it wrote that itself."""
    model, streams = prepared.model, prepared.streams
    read = streams.get("target", streams["source"])
    if read.generated or model.transformer.unembed is None:
        return None
    logits = output.logits
    row = (model.transformer.unembed(output.last[-1:]) if logits is None else logits[-1:])[0]
    if not np.isfinite(row).any():
        return None
    return Answer("continue", tuple(_tokens(model, row.astype(np.float64), (len(read) - 1,))))


def _tokens(
    model: Model, logits: Array, positions: tuple[int, ...], *, source: bool = False
) -> tuple[Option, ...]:
    """The most probable tokens of logits [n_vocabulary]."""
    shares = softmax(logits)
    n = min(N_EXPECTED, len(shares))
    best = np.sort(np.argpartition(-shares, n - 1)[:n])
    reader = model.tokenizer if source else model.output_tokenizer
    return best_options(reader.take(best.tolist()).labels, shares[best], positions)


def _span(prepared: Prepared, logits: Array) -> Answer:
    """The best spans of the second text, or of the only one; logits [n_token, 2].

    As transformers' pipeline has it: shares among the tokens that may be part of an answer and the
    first token, whose span means that there is none; spans of the same words count together.
    """
    source = prepared.streams["source"]
    n, may = len(source), _may_answer(source)
    says_none = 0 in source.special
    counted = may | (says_none & (np.arange(n) == 0))
    start, end = (softmax(np.where(counted, x, -np.inf)) for x in logits.T)
    spans = np.tril(np.triu(np.outer(start * may, end * may)), LONGEST_SPAN - 1)
    found: dict[str, Option] = {}
    for cell in np.argsort(-spans, axis=None, kind="stable")[:N_SPAN]:
        option = _span_option(source, *divmod(int(cell), n), spans)
        if option.probability:
            known = found.setdefault(option.text.lower(), option)
            if known is not option:
                both = (known.probability or 0) + option.probability
                found[option.text.lower()] = replace(known, probability=both)
    options = list(found.values())
    if says_none:
        options.append(Option("", float(start[0] * end[0]), positions=(0,)))
    options.sort(key=lambda option: -(option.probability or 0))
    return Answer("span", tuple(options[:N_EXPECTED]))


def _may_answer(source: Tokens) -> Array:
    """[n_token]: whether a token may be part of an answer: those of the second text, or of the only
    one. A model that does not tell texts apart by segments has special tokens between them."""
    ordinary = [i for i in range(len(source)) if i not in source.special]
    if len(set(source.segments)) > 1:
        last = max(source.segments)
        ordinary = [i for i in ordinary if source.segments[i] == last]
    else:
        gaps = [i for i in source.special if ordinary and i < ordinary[-1]]
        ordinary = [i for i in ordinary if i > max(gaps, default=-1)]
    may = np.zeros(len(source), bool)
    may[ordinary] = True
    return may


def _span_option(source: Tokens, start: int, end: int, spans: Array) -> Option:
    positions = tuple(range(start, end + 1))
    text = " ".join(source.labels[i] for i in positions)
    if source.words:
        words = range(source.words[start], source.words[end] + 1)
        text = " ".join(source.word_labels[word] for word in words)
    return Option(text, float(spans[start, end]), positions=positions)
