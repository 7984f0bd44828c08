"""The first stage of a port that is not ours, and what makes it so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.computation import computation
from attnviz.analysis.diagnose.facts import Facts
from attnviz.analysis.diagnose.masking import recognised
from attnviz.analysis.diagnose.noise import rounding
from attnviz.analysis.diagnose.port.dump import (
    IDS,
    TARGET_IDS,
    Given,
    givens,
    ids_of,
    padding_of,
    read_name,
)
from attnviz.analysis.diagnose.port.mistakes import PORT_MISTAKES, other_embeddings
from attnviz.analysis.diagnose.port.rounded import in_float64, in_half
from attnviz.analysis.diagnose.port.rows import (
    Fitted,
    Floor,
    Row,
    apart,
    dtype_of,
    fitted,
    floor_of,
    row,
    total,
)
from attnviz.analysis.diagnose.port.stages import (
    IN_ATTENTION,
    OF_BLOCKS,
    At,
    Place,
    Stages,
    embedded,
    places,
    stacks,
)
from attnviz.errors import AttnvizError
from attnviz.language import say, to_say
from attnviz.models.model import Model
from attnviz.models.run.prepare import prepare
from attnviz.nn.embedding import Embedding, Input
from attnviz.nn.multi_head import MultiHeadAttention, Stream
from attnviz.nn.stages import MATRICES
from attnviz.nn.transformer import Stack, attentions
from attnviz.nn.types import Array

HALVES = ("float16", "bfloat16")

SAVE = "attnviz probe transformers prints the lines that dump them"

NEARER = 0.5
"""A mistake that leaves less than this part of the deviation may be one of two."""

MOST_PAIRED = 5

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PortCause:
    """A mistake that makes the first deviating stage what the dump has."""

    id: str
    """Of the catalogue; `port` where it has none."""
    names: tuple[str, ...]
    """The functions that make it, one or two."""
    titles: tuple[str, ...]
    """What was done, as it follows `your numbers are what you get with`: to be said."""
    words: tuple[str, ...]
    """What the titles do not say."""
    rms: float
    """What is left of the difference."""
    explained: tuple[str, ...]
    """The stages of the layer that it makes right."""

    def text(self) -> str:
        """`no RoPE`, `a bias left out: query`."""
        each = zip(self.titles, self.words, strict=True)
        return " + ".join(say(title) + (f": {words}" if words else "") for title, words in each)

    def manifest(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.id,
            "name": list(self.names),
            "what": [
                f"{title}: {words}" if words else str(title)
                for title, words in zip(self.titles, self.words, strict=True)
            ],
            "parameter": {"how": list(self.words)} if any(self.words) else {},
            "rms": self.rms,
            "explains": list(self.explained),
        }


@dataclass(frozen=True, eq=False)
class PortDiagnosis:
    """A port's dump beside our forward pass of the same checkpoint."""

    model: str
    verdict: Literal["match", "differs"]
    rows: tuple[Row, ...]
    """Every stage of the dump, in the order of the forward pass."""
    first: Row | None
    """The first that is not ours."""
    causes: tuple[PortCause, ...] = ()
    """What explains it, the likeliest first: each alone."""
    case: Case | None = None
    """Where attention itself deviates from its q, k and v, or may: for the search of mistakes."""
    layers: tuple[str, ...] = ()
    """The blocks in which something deviates by itself: from what the dump has at their input."""
    notes: tuple[str, ...] = ()
    """How the dump was read."""
    unread: tuple[str, ...] = field(default=())
    """Arrays whose name says nothing."""
    dtype: str = "float32"
    """What the dump was computed in, by its numbers."""

    def manifest(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "verdict": self.verdict,
            "model": self.model,
            "dtype": self.dtype,
            "first": None if self.first is None else self.first.manifest(),
            "causes": [
                {
                    **cause.manifest(),
                    "equivalent": [each.id for each in self.causes if each is not cause],
                }
                for cause in self.causes
            ],
            "stages": [each.manifest() for each in self.rows],
            "layers": list(self.layers),
            "not_read": list(self.unread),
            "notes": list(self.notes),
        }


class _Reader(NamedTuple):
    """The dump, and which part of it is compared."""

    by_stage: Mapping[At, Sequence[Given]]
    item: int
    kept: Array
    """[n], True where a token is no padding."""
    dtype: str
    """The coarsest type of its arrays."""

    def of(self, stages: Stages) -> Iterator[tuple[Given, Fitted | None]]:
        """What the dump has of these stages."""
        seen: set[str] = set()
        for at in stages:
            for given in self.by_stage.get(at, ()):
                if given.name not in seen:
                    seen.add(given.name)
                    yield given, fitted(given, stages, self.item, self.kept)

    def hidden(self, at: At, ours: Stages) -> Array | None:
        """A hidden state of the dump, where it has it and it fits."""
        for given in self.by_stage.get(at, ()):
            fit = fitted(given, ours, self.item, self.kept)
            if fit is not None and fit.at == at and np.isfinite(fit.array).all():
                return fit.array
        return None


class _Block(NamedTuple):
    """A block that was compared: where it is, what it read, and what the dump has of it."""

    place: Place
    x: Array
    by_itself: bool
    """Whether what it read is right, or the dump's own: what deviates in it began in it."""
    ours: Stages
    floors: Mapping[At, Floor]
    found: tuple[tuple[Given, Fitted | None], ...]
    rows: tuple[Row, ...]


def diagnose_port(
    model: Model,
    arrays: Mapping[str, Array],
    *,
    ids: Sequence[int] | None = None,
    text: str | None = None,
    item: int = 0,
    progress: Progress | None = None,
) -> PortDiagnosis:
    """Every stage of a dump beside our own, and a cause for the first that deviates.

    Args:
        model: the checkpoint, as we read it.
        arrays: by the names of the dump: `hidden_states`, `attentions.3`, `layers.3.q`,
            `decoder.0.self/weights`, …, with or without [n_layer, n_batch] in front; and
            `input_ids`.
        ids: the tokens, where the dump does not have them; or a text.
        item: of the batch.
        progress: called with the number of blocks done and of all blocks.

    Raises:
        AttnvizError: the dump holds no stage of a model, or there are no tokens.
    """
    inputs, kept = _inputs(model, arrays, ids, text, item)
    n_layer = {stack.name: len(stack.blocks) for stack in stacks(model)}
    reader = _reader(arrays, n_layer, item, kept)
    found = _compared(model, arrays, inputs, reader, progress)
    computed = [each for each in found.rows if each.at[1:3] != (0, "hidden")]
    if found.first is None or found.causes or any(each.holds for each in computed):
        return found  # rounding is everywhere
    if found.dtype in HALVES:
        return found
    return next(_in_coarser(model, arrays, inputs, reader), found)


COARSER = to_say(
    "only as far as the rounding of {dtype} goes: was it computed in it, or in TF32, and kept in "
    "float32?"
)


def _in_coarser(
    model: Model, arrays: Mapping[str, Array], inputs: Mapping[str, Input], reader: _Reader
) -> Iterator[PortDiagnosis]:
    """Where the numbers are those of a type that is coarser than the one they are kept in."""
    for dtype in HALVES:
        found = _compared(model, arrays, inputs, reader._replace(dtype=dtype), None)
        if found.verdict == "match":
            yield replace(found, notes=(to_say(COARSER, dtype=dtype), *found.notes))


def _compared(
    model: Model,
    arrays: Mapping[str, Array],
    inputs: Mapping[str, Input],
    reader: _Reader,
    progress: Progress | None,
) -> PortDiagnosis:
    """Every stage of the dump beside ours, with the rounding of the reader's type."""
    blocks: list[_Block] = []
    starts: list[_Start] = []
    memory: Stream | None = None
    n_block = sum(len(stack.blocks) for stack in stacks(model))
    for stack in stacks(model):
        start = _start(model, stack, inputs, reader)
        starts.append(start)
        is_right = all(each.holds for each in start.rows)
        for block in _blocks(stack, start.stream, memory, start.x, reader):
            is_first = is_right and any(each.deviates for each in block.rows)
            is_right &= not is_first
            # the stages of one block are many numbers, and only those of the first are needed
            blocks.append(block if is_first else block._replace(ours={}, floors={}, found=()))
            if progress is not None:
                progress(len(blocks), n_block)
        last = At(stack.name, len(stack.blocks), "hidden")
        out = reader.hidden(last, block.ours)
        memory = start.stream._replace(x=block.ours[last] if out is None else out)
    return _result(model, arrays, reader, starts, blocks)


def _result(
    model: Model,
    arrays: Mapping[str, Array],
    reader: _Reader,
    starts: Sequence[_Start],
    blocks: Sequence[_Block],
) -> PortDiagnosis:
    found = [each for start in starts for each in start.rows]
    found += [each for block in blocks for each in block.rows]
    rows = sorted(found, key=lambda each: each.at.order)
    off = [each for each in rows if each.deviates]
    first = off[0] if off else None
    causes: Sequence[PortCause] = ()
    notes: list[str] = []
    case = None
    if first is not None:
        start = next((each for each in starts if first in each.rows), None)
        if start is not None:
            causes = _embedding_causes(start, first)
        else:
            block = next(each for each in blocks if first in each.rows)
            causes = _causes(block, first)
            case = _case(block, first, reader.dtype)
            if (
                not causes
                and At(block.place.stack, block.place.layer, "hidden") not in reader.by_stage
            ):
                if block.place.layer == 0:
                    begun = next(each for each in starts if each.stream is block.place.stream)
                    causes = _causes_before(begun, block, first)
                notes += [] if causes else [UNKNOWN_INPUT]
    n_layer = {stack.name: len(stack.blocks) for stack in stacks(model)}
    return PortDiagnosis(
        model=model.name,
        verdict="match" if first is None else "differs",
        rows=tuple(rows),
        first=first,
        causes=tuple(causes),
        case=case,
        layers=tuple(dict.fromkeys(f"{b.place.stack}.{b.place.layer}" for b in blocks
                                   if b.by_itself and any(r in off for r in b.rows))),
        notes=(*_notes(rows, reader), *notes),
        unread=tuple(
            name for name, x in arrays.items()
            if x.dtype.kind == "f" and read_name(name, n_layer) is None
        ),
        dtype=reader.dtype,
    )  # fmt: skip


UNKNOWN_INPUT = to_say(
    "the dump has no hidden state at the input of this block: add hidden_states to see whether "
    "that is right, and look whether the tokens are the same"
)


def _notes(rows: Sequence[Row], reader: _Reader) -> tuple[str, ...]:
    notes = []
    n_batch = {len(x) for x in (given.array for each in reader.by_stage.values() for given in each)
               if x.ndim > 3}  # fmt: skip
    if len(n_batch) == 1 and (n := n_batch.pop()) > 1:
        notes.append(to_say("item {item} of {n} of the batch is compared", item=reader.item, n=n))
    if not reader.kept.all():
        n_pad = int((~reader.kept).sum())
        notes.append(to_say("{n} tokens are padding and are left out", n=n_pad))
    moved = [each.at.name for each in rows if each.elsewhere]
    if moved:
        text = to_say(
            "{stages}: taken at another point than ours, as what follows from them is right",
            stages=", ".join(moved[:4]) + (", …" if len(moved) > 4 else ""),
        )
        notes.append(text)
    return tuple(notes)


# what is read


def _inputs(
    model: Model,
    arrays: Mapping[str, Array],
    ids: Sequence[int] | None,
    text: str | None,
    item: int,
) -> tuple[dict[str, Input], Array]:
    """What the model reads, and which tokens of the dump are no padding."""
    pixels = next((x for n, x in arrays.items() if n.endswith("pixel_values")), None)
    if pixels is not None and model.image is not None:
        prepared = prepare(model, image=pixels[item] if pixels.ndim > 3 else pixels)
        return dict(prepared.inputs), np.ones(0, bool)
    found = ids_of(arrays, IDS)
    if found is None and ids is None and text is None:
        raise AttnvizError(
            "the dump does not say which tokens were read: there is no array input_ids",
            "give them: --ids 101,1045,2387, or the text; or save input_ids beside the stages",
        )
    kept = None
    given: str | list[int] | None = text
    if ids is not None:
        given = list(ids)
    elif found is not None and text is None:
        if item >= len(found):
            raise AttnvizError(f"the batch has no item {item}: it holds {len(found)}", "item 0")
        kept = padding_of(arrays, found.shape)
        row_of = found[item] if kept is None else found[item][kept[item]]
        given = row_of.tolist()
    target = ids_of(arrays, TARGET_IDS)
    if model.kind == "encoder-decoder" and model.task == "continue" and target is None:
        raise AttnvizError(
            f"{model.name} is an encoder-decoder: the dump has no array decoder_input_ids",
            "save what its decoder read",
        )
    prepared = prepare(model, given, target=None if target is None else target[item].tolist())
    inputs = dict(prepared.inputs)
    segments = ids_of(arrays, ("token_type_ids", "segments"))
    n_token = len(prepared.streams["source"])
    mask = np.ones(n_token, bool) if kept is None else kept[item]
    if segments is not None and segments[item].size == mask.size:
        inputs["source"] = inputs["source"]._replace(segments=segments[item][mask])
    return inputs, mask


def _reader(
    arrays: Mapping[str, Array], n_layer: Mapping[str, int], item: int, kept: Array
) -> _Reader:
    by_stage: dict[At, list[Given]] = {}
    coarsest = "float32"
    order = ("float64", "float32", "float16", "bfloat16")
    for given in givens(arrays, n_layer):
        for at in given.ats:
            by_stage.setdefault(at, []).append(given)
        kind = dtype_of(given.array)
        coarsest = max(coarsest, kind, key=order.index)
    if not by_stage:
        listed = ", ".join([*arrays][:8]) or "nothing"
        raise AttnvizError(f"the dump holds no stages of a model: {listed}", SAVE)
    return _Reader(by_stage, item, kept, coarsest)


# what is compared


class _Start(NamedTuple):
    """Where a stack begins."""

    stream: Stream
    embed: Any
    inputs: Input
    x: Array
    """What its first block reads: the dump's where it has it."""
    rows: tuple[Row, ...]
    theirs: Array | None
    floor: Floor


def _start(model: Model, stack: Stack, inputs: Mapping[str, Input], reader: _Reader) -> _Start:
    stream = embedded(model, stack, inputs)
    at = At(stack.name, 0, "hidden")
    transformer = model.transformer
    embed = transformer.target if stream.name == "target" else transformer.source
    assert embed is not None
    exact = np.asarray(in_float64(embed)(inputs[stream.name]), np.float64)
    half = None
    if reader.dtype in HALVES:
        half = in_half(embed, rounding(reader.dtype))(inputs[stream.name])
    floor = floor_of(stream.x, exact, half, reader.dtype)
    found = tuple(reader.of({at: stream.x}))
    rows = tuple(row(given, fit, floor) for given, fit in found)
    theirs = reader.hidden(at, {at: stream.x})
    x = stream.x if theirs is None else theirs.astype(stream.x.dtype)
    return _Start(stream, embed, inputs[stream.name], x, rows, theirs, floor)


def _blocks(
    stack: Stack, stream: Stream, memory: Stream | None, x: Array, reader: _Reader
) -> Iterator[_Block]:
    """Every block of a stack beside what the dump has of it."""
    x64 = np.asarray(x, np.float64)
    xhalf = x
    by_itself = True

    def matrices(layer: int) -> frozenset[str]:
        kept = (at.stage for at in reader.by_stage if at[:2] == (stack.name, layer))
        return frozenset(kept).intersection(MATRICES)

    for place in places(stack, stream, memory, matrices):
        ours = place.run(x)
        exact = _exact(place).run(x64)
        half = None
        if reader.dtype in HALVES:
            rounds = rounding(reader.dtype)
            half = replace(place, block=in_half(place.block, rounds)).run(rounds(xhalf))
        floors = {
            at: floor_of(array, exact[at], None if half is None else half[at], reader.dtype)
            for at, array in ours.items()
            if array.dtype.kind == "f"
        }
        found = tuple(reader.of({at: x for at, x in ours.items() if at in floors}))
        rows = _rows(found, floors)
        after = [each.holds for each in rows if each.at.stage in OUTCOMES]
        if after and not any(after):
            # then queries that are ours before their rotation were to be those behind it
            found = tuple((given, _behind(given, fit, ours, reader)) for given, fit in found)
            rows = _rows(found, floors)
        rows = _elsewhere(rows)
        yield _Block(place, x, by_itself, ours, floors, found, rows)
        out = At(place.stack, place.layer + 1, "hidden")
        theirs = reader.hidden(out, ours)
        right = by_itself and all(each.holds or each.elsewhere for each in rows)
        by_itself = right or theirs is not None
        if theirs is None:
            x, x64, xhalf = ours[out], exact[out], ours[out] if half is None else half[out]
        else:
            x = theirs.astype(ours[out].dtype)
            x64, xhalf = x.astype(np.float64), x


def _rows(
    found: Sequence[tuple[Given, Fitted | None]], floors: Mapping[At, Floor]
) -> tuple[Row, ...]:
    return tuple(
        row(given, fit, floors[given.ats[0] if fit is None else fit.at]) for given, fit in found
    )


def _behind(given: Given, fit: Fitted | None, ours: Stages, reader: _Reader) -> Fitted | None:
    """The array as the first stage that its name says."""
    if fit is None or not fit.at.stage.endswith("_proj") or given.ats[0] == fit.at:
        return fit
    return fitted(given._replace(ats=given.ats[:1]), ours, reader.item, reader.kept)


def _exact(place: Place) -> Place:
    """The same block in float64."""
    memory = place.memory
    if memory is not None:
        memory = memory._replace(x=memory.x.astype(np.float64))
    return replace(
        place, block=in_float64(place.block), after=in_float64(place.after), memory=memory
    )


def _elsewhere(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows, of which those are marked that differ although what is computed from them in this
    block does not."""
    right = [each.at.order for each in rows if each.holds and each.at.stage in OUTCOMES]

    def moved(each: Row) -> bool:
        stage = each.at.stage
        if each.holds or stage in OF_BLOCKS or not np.isfinite(each.rms):
            return False
        later = [order for order in right if order > each.at.order]
        if stage == "v":
            later = [order for order in later if order[3] < 0 or order[3] > _WEIGHTS]
        return bool(later)

    return tuple(each._replace(elsewhere=moved(each)) for each in rows)


OUTCOMES = ("weights", "context", "attended", *OF_BLOCKS)
"""Stages that are right only if all before them are."""

_WEIGHTS = IN_ATTENTION.index("weights")


# what explains it


class _Tried(NamedTuple):
    names: tuple[str, ...]
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    words: tuple[str, ...]
    block: Any
    rms: float
    largest: float
    explained: tuple[str, ...]

    def cause(self) -> PortCause:
        id = "+".join(dict.fromkeys(self.ids))
        return PortCause(id, self.names, self.titles, self.words, self.rms, self.explained)


def _causes(block: _Block, first: Row) -> list[PortCause]:
    """Single mistakes that explain the first deviating stage; if there is none, two at once."""
    fit = next(fit for given, fit in block.found if given.name == first.name)
    if fit is None:
        return []
    floor = block.floors[fit.at]
    singles = [*_tried(block, block.place.block, fit)]
    good = [each for each in singles if each.rms <= floor.rms and each.largest <= floor.largest]
    if not good:
        near = [each for each in singles if each.rms < NEARER * first.rms]
        for one in sorted(near, key=lambda each: each.rms)[:MOST_PAIRED]:
            pairs = _tried(block, one.block, fit)
            good += [
                _both(one, other)
                for other in pairs
                if other.rms <= floor.rms and other.largest <= floor.largest
            ]
    good.sort(key=lambda each: -len(each.explained))
    most = [each for each in good if len(each.explained) == len(good[0].explained)]
    return [each.cause() for each in most]


def _both(one: _Tried, other: _Tried) -> _Tried:
    return other._replace(
        names=one.names + other.names,
        ids=one.ids + other.ids,
        titles=one.titles + other.titles,
        words=one.words + other.words,
    )


def _tried(block: _Block, start: Any, fit: Fitted) -> Iterator[_Tried]:
    """Every mistake of a port in every way: what is left of the difference."""
    for entry in PORT_MISTAKES.values():
        for change in entry.function(start):
            try:
                stages = block.place.run(block.x, change.block)
            except (AttnvizError, ValueError, IndexError):
                continue  # shapes of this model do not allow the mistake
            theirs = stages.get(fit.at)
            if theirs is None or theirs.shape != fit.array.shape:
                continue
            gap = apart(theirs, fit.array)
            explained = tuple(
                each.at.name
                for _, each in block.found
                if each is not None and each.at in stages and _holds(stages[each.at], each, block)
            )
            yield _Tried(
                (entry.name,), (change.id or entry.id,), (entry.title,), (change.words,),
                change.block, total(gap), float(gap.max(initial=0)), explained,
            )  # fmt: skip


def _holds(ours: Array, fit: Fitted, block: _Block) -> bool:
    if ours.shape != fit.array.shape:
        return False
    gap, floor = apart(ours, fit.array), block.floors[fit.at]
    return total(gap) <= floor.rms and float(gap.max(initial=0)) <= floor.largest


def _embedding_causes(start: _Start, first: Row) -> list[PortCause]:
    """What explains a hidden state that the first block reads."""
    if start.theirs is None or not isinstance(start.embed, Embedding):
        return []
    found = []
    for title, embed in other_embeddings(start.embed):
        gap = apart(embed(start.inputs), start.theirs)
        if total(gap) <= start.floor.rms and gap.max() <= start.floor.largest:
            cause = PortCause("port", ("other_embeddings",), (title,), ("",), total(gap),
                              (first.at.name,))  # fmt: skip
            found.append(cause)
    return found


def _causes_before(start: _Start, block: _Block, first: Row) -> list[PortCause]:
    """What explains the first stage of the first block by what it reads, where the dump does not
    say what that is."""
    fit = next(fit for given, fit in block.found if given.name == first.name)
    if fit is None or not isinstance(start.embed, Embedding):
        return []
    found = []
    for title, embed in other_embeddings(start.embed):
        ours = block.place.run(embed(start.inputs)).get(fit.at)
        if ours is not None and _holds(ours, fit, block):
            left = total(apart(ours, fit.array))
            found.append(PortCause("port", ("other_embeddings",), (title,), ("",), left,
                                   (first.at.name,)))  # fmt: skip
    return found


def _case(block: _Block, first: Row, dtype: str) -> Case | None:
    """The attention of a block in which scores, weights or context are the first to deviate: of the
    dump's q, k and v, where it has them and they fit, else of ours, which its inputs give."""
    if first.at.stage not in ("scores", "logits", "weights", "context"):
        return None
    kind = first.at.kind
    own = next((a for a in attentions(block.place.block) if a.kind == kind), None)
    if own is None or own.score_name.partition(":")[0] != "scaled_dot":
        return None
    at = first.at

    def stage(name: str) -> At:
        return At(at.stack, at.layer, name, kind)

    fits = {fit.at: fit.array for _, fit in block.found if fit is not None}
    rights = {each.at for each in block.rows if each.holds}
    q, k, v = (
        fits[stage(name)] if stage(name) in rights else block.ours[stage(name)] for name in "qkv"
    )
    given = {
        name: fits[stage(name)][None]
        for name in ("scores", "logits", "weights", "context")
        if stage(name) in fits
    }
    wanted = _computation(block, own, q, k, v)
    return Case(wanted=wanted, given=given, dtype=dtype, layout="bhnd")


def _computation(block: _Block, own: MultiHeadAttention, q: Array, k: Array, v: Array) -> Any:
    n_q, n_k = q.shape[-2], k.shape[-2]
    visible = block.ours.get(At(block.place.stack, block.place.layer, "mask", own.kind))
    bias = None if own.bias is None else own.bias(np.arange(n_q), np.arange(n_k))
    masking = {} if visible is None else {"masking": recognised(visible, n_q)}
    return computation(
        q[None].astype(np.float64),
        k[None].astype(np.float64),
        v[None].astype(np.float64),
        scale=q.shape[-1] ** -0.5 if own.scale is None else own.scale,
        softcap=own.softcap or 0.0,
        bias=None if bias is None else np.asarray(bias, np.float64)[None],
        sinks=own.sinks,
        facts=Facts(d_model=own.query.weight.shape[1]),
        **masking,
    )
