"""A diagnosis: the verdict, the cause, where it shows, and what the numbers say by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from attnviz.analysis.diagnose.apart import Suggestion
from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.diagnosis import Cause, Diagnosis
from attnviz.analysis.diagnose.recover import Bias, Recovered, SeenKeys
from attnviz.analysis.diagnose.registry import MistakeEntry, Variant, filled
from attnviz.analysis.diagnose.survey import Survey
from attnviz.analysis.diagnose.where import orders, ranges, where
from attnviz.language import say, to_say
from attnviz.views.kinds import Axis, Heatmap, Line, Scale, Text, View

MOST_THREADS = 3
MOST_OTHERS = 4

FEATURES = {
    "sizes": to_say("sizes that all differ, with more keys than queries and grouped heads"),
    "causal": to_say("a causal mask"),
    "padding": to_say("a batch whose texts are padded differently"),
    "window": to_say("a sliding window"),
    "segments": to_say("packed texts"),
    "softcap": to_say("a softcap"),
    "norm": to_say("queries and keys before their norm"),
    "rotary": to_say("queries and keys before RoPE"),
    "bias": to_say("a bias"),
    "alibi": to_say("ALiBi"),
    "sinks": to_say("sinks"),
    "paged": to_say("the paged cache and its block tables"),
}
"""What a further dump should have, by the name of the probe's feature."""


def diagnosis_views(found: Diagnosis) -> list[View]:
    """Everything about a dump: the verdict, the cause and its remedy first."""
    lines = [_verdict(found)]
    for cause in found.causes:
        lines += _cause(cause, found.case)
    if found.verdict == "differs":
        if not found.causes:
            text = say(
                "no known mistake explains these numbers, alone or two together ({n} tried)",
                n=found.n_tried,
            )
            lines.append(Line(text, say("cause"), "warning"))
        lines.append(Line(_place(found.reference), say("where")))
    if found.recovered is not None:
        lines += _recovered(found.recovered)
    lines += [
        Line(thread, "" if number else say("others too"), whole=True)
        for number, thread in enumerate(_threads(found.causes))
    ]
    lines += [
        Line(sentence, "" if number else say("read as"))
        for number, sentence in enumerate(found.case.reading)
    ]
    views: list[View] = [Text(tuple(lines))]
    if found.verdict == "differs" and not where(found.reference).off.all():
        views.append(_map(found.reference))
    return views


def diagnosis_picture(found: Diagnosis) -> list[View]:
    """Where a dump is off, also if it is off everywhere or nowhere."""
    return [_map(found.reference)]


def _verdict(found: Diagnosis) -> Line:
    survey = found.reference
    numbers = {
        "stage": survey.stage,
        "max": f"{survey.largest:.2g}",
        "rms": f"{survey.rms:.2g}",
        "noise": f"{survey.noise_rms:.2g}",
        "dtype": found.case.dtype,
    }
    if found.verdict == "match":
        text = say(
            "{stage} is what q, k and v give: max {max}, rms {rms}, as expected of {dtype} "
            "(rms {noise})",
            **numbers,
        )
        return Line(text, say("matches"), "head")
    broken = int(survey.broken.sum())
    if broken:
        text = say(
            "{stage} is not what q, k and v give: {n} numbers are NaN or infinite that should not "
            "be, or the other way round",
            stage=survey.stage,
            n=broken,
        )
    else:
        text = say(
            "{stage} is not what q, k and v give: max {max}, rms {rms}; rounding of {dtype} "
            "explains rms {noise}",
            **numbers,
        )
    return Line(text, say("differs"), "head")


def _place(survey: Survey) -> str:
    """Which stages, items, heads and queries are off, in a sentence."""
    place = where(survey)
    n_batch, n_head, n_row = place.off.shape
    parts = []
    if len(survey.ratios) > 1 and place.first_stage:
        parts.append(say("first in {stage}", stage=place.first_stage))
    for name, numbers, count in (
        (say("items"), place.items, n_batch),
        (say("heads"), place.heads, n_head),
        (say("queries"), place.queries, n_row),
    ):
        if count > 1:
            which = say("all") if len(numbers) == count else ranges(numbers)
            parts.append(say("{name}: {which}", name=name, which=which))
    if place.keys is not None:
        n_k = len(survey.keys[place.first_stage])
        which = say("all") if len(place.keys) == n_k else ranges(place.keys)
        parts.append(say("{name}: {which}", name=say("keys"), which=which))
    return "; ".join(parts) or say("everywhere")


def _cause(cause: Cause, case: Case) -> Iterator[Line]:
    """What was done, what should have been done, and what else explains it."""
    hypothesis = cause.best.hypothesis
    pairs = list(zip(hypothesis.entries, hypothesis.variants, strict=True))
    what = say("; and with ").join(_filled(*pair) for pair in pairs)
    text = (
        say("your output is what you get with {what}", what=what)
        if cause.explains
        else say("nearest to your output, but not it: {what}", what=what)
    )
    yield Line(f"{text} ({cause.id})", say("cause"), "head")
    left = say(
        "what is left: max {max}, rms {rms}",
        max=f"{cause.survey.largest:.2g}",
        rms=f"{cause.survey.rms:.2g}",
    )
    if cause.dtype != case.dtype:
        left = f"{left} ({say('rounding of {dtype}', dtype=cause.dtype)})"
    yield Line(left, "")
    for entry, variant in pairs:
        yield from _formulas(entry, variant, case.fixes.get(entry.name, entry.fix))
    if cause.equivalent:
        yield from _others(cause)


def _formulas(entry: MistakeEntry, variant: Variant, fix: str) -> Iterator[Line]:
    for term, text in (
        (say("computed"), entry.computed),
        (say("wanted"), entry.wanted),
        (say("fix"), say(fix)),
    ):
        if text:
            yield Line(filled(text, variant.parameter), term, whole=True)


def _threads(causes: Sequence[Cause]) -> Iterator[str]:
    """Where others did the same, a line for each mistake."""
    for cause in causes:
        for entry in cause.best.hypothesis.entries:
            more = len(entry.threads) - MOST_THREADS
            text = ", ".join(entry.threads[:MOST_THREADS])
            if text:
                yield say("{items} and {more} more", items=text, more=more) if more > 0 else text


def _others(cause: Cause) -> Iterator[Line]:
    """The explanations that fit as well, and how to tell."""
    others: dict[str, str] = {}
    for each in cause.equivalent:
        name = "+".join(each.hypothesis.ids)
        titles = zip(each.hypothesis.entries, each.hypothesis.variants, strict=True)
        others.setdefault(name, say("; and with ").join(_filled(*pair) for pair in titles))
    others.pop(cause.id, None)
    shown = [f"{text} ({name})" for name, text in others.items()][:MOST_OTHERS]
    if not shown:
        return
    more = len(others) - len(shown)
    text = "; ".join(shown)
    text = say("{items} and {more} more", items=text, more=more) if more > 0 else text
    yield Line(text, say("as well"))
    if cause.suggestion is not None:
        yield Line(_suggested(cause.suggestion), say("to tell"))


def _suggested(suggestion: Suggestion) -> str:
    if not suggestion.told_apart:
        return say("no probe tells them apart: look at the code")
    names = ", ".join(dict.fromkeys(entry.id for entry in suggestion.told_apart))
    what = say(" and ").join(say(FEATURES[name]) for name in suggestion.features)
    return say("a dump with {what} tells it from {names}: attnviz probe", what=what, names=names)


def _recovered(found: Recovered) -> Iterator[Line]:
    if found.scale is not None:
        numbers = {"scale": f"{found.scale:.5g}", "square": f"{found.scale**-2:.5g}"}
        text = (
            say("the scale is {scale}: {name}", name=found.scale_name, **numbers)
            if found.scale_name
            else say("the scale is {scale} = 1/√{square}, no usual one", **numbers)
        )
        yield Line(text, say("recovered"))
    if found.row_sums is not None and found.weights is not None:
        low, high = (f"{each:.4g}" for each in found.row_sums)
        sums = (
            say("rows sum to {low}", low=low)
            if low == high
            else say("rows sum to {low} to {high}", low=low, high=high)
        )
        source = say("they follow from the output") if found.weights.recovered else ""
        yield Line("; ".join(filter(None, (sums, source))), say("weights"))
    if found.keys is not None and (found.keys.n_leaking or found.keys.n_missing):
        yield Line(_seen(found.keys), say("mask"))
    if found.bias is not None:
        yield Line(_added(found.bias), say("bias"))


def _seen(keys: SeenKeys) -> str:
    """How the keys that have a weight differ from those that should."""
    parts = []
    if keys.n_leaking:
        parts.append(say("{n} of {all} cells have a weight that should have none",
                         n=keys.n_leaking, all=keys.n_cell))  # fmt: skip
    if keys.n_missing:
        parts.append(say("{n} of {all} cells have no weight that should have one",
                         n=keys.n_missing, all=keys.n_cell))  # fmt: skip
    if keys.masking is not None and keys.masking.parts != ("custom",):
        rules = ", ".join(part for part in keys.masking.parts if part != "custom")
        parts.append(
            say("what has a weight is: {rules}", rules=rules)
            if rules
            else say("every key has a weight")
        )
    return "; ".join(parts)


def _added(bias: Bias) -> str:
    """What the scores have beside q · k and the bias that is wanted."""
    if bias.slopes is None:
        return say("beside scale · q·k the scores have something else: rms {rms}",
                   rms=f"{bias.rms:.2g}")  # fmt: skip
    slopes = ", ".join(f"{slope:.4g}" for slope in bias.slopes[:MOST_OTHERS])
    return say("to the scores is added -m · distance, m = {slopes}", slopes=slopes)


def _map(survey: Survey) -> Heatmap:
    """Each head of each item beside each query."""
    values = np.round(orders(survey), 1)
    n_batch, n_head, n_row = values.shape
    labels = [say("item {b}", b=b) + f" H{h}" if n_batch > 1 else f"H{h}" for b in range(n_batch)
              for h in range(n_head)]  # fmt: skip
    high = max(1.0, float(values[values == values].max(initial=1.0)))
    return Heatmap(
        say("where: powers of ten above rounding"),
        values.reshape(-1, n_row),
        Axis(say("head"), tuple(labels)),
        _queries(survey),
        Scale(0.0, high),
        pooling="largest",
        what=say("powers of ten"),
        name="diagnosis",
    )


def _queries(survey: Survey) -> Axis:
    """The queries of a survey, which are all or evenly spaced."""
    rows = survey.rows
    step = int(rows[1] - rows[0]) if len(rows) > 1 else 1
    return Axis(say("query"), ("",) * len(rows), int(rows[0]), step, end=int(rows[-1]) + 1)


def _filled(entry: MistakeEntry, variant: Variant) -> str:
    """The title with its parameters, and the variant in words."""
    text = filled(say(entry.title), variant.parameter)
    words = say(variant.words)
    return f"{text}: {words}" if words and words not in text else text
