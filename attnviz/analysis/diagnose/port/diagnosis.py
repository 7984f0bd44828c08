"""The first stage of a port that is not ours, and what makes it so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from attnviz.analysis.diagnose.case import Case
from attnviz.analysis.diagnose.port.blocks import (
    HALVES,
    Block,
    Reader,
    Start,
    compared_blocks,
    reader_of,
    started,
)
from attnviz.analysis.diagnose.port.causes import (
    PortCause,
    case_of,
    causes_before,
    causes_of,
    embedding_causes,
)
from attnviz.analysis.diagnose.port.dump import (
    IDS,
    TARGET_IDS,
    ids_of,
    padding_of,
    read_name,
)
from attnviz.analysis.diagnose.port.rows import (
    Row,
)
from attnviz.analysis.diagnose.port.stages import (
    At,
    stacks,
)
from attnviz.errors import AttnvizError
from attnviz.language import to_say
from attnviz.models.model import Model
from attnviz.models.run.prepare import prepare
from attnviz.nn.embedding import Input
from attnviz.nn.multi_head import Stream
from attnviz.nn.types import Array

Progress = Callable[[int, int], None]


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
    if model.vision is not None and _array(arrays, PIXELS) is not None:
        model = model.vision.model
    inputs, kept = _inputs(model, arrays, ids, text, item)
    arrays = {name: x for name, x in arrays.items() if not name.endswith((PIXELS, SOUND))}
    n_layer = {stack.name: len(stack.blocks) for stack in stacks(model)}
    reader = reader_of(arrays, n_layer, item, kept)
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
    model: Model, arrays: Mapping[str, Array], inputs: Mapping[str, Input], reader: Reader
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
    reader: Reader,
    progress: Progress | None,
) -> PortDiagnosis:
    """Every stage of the dump beside ours, with the rounding of the reader's type."""
    blocks: list[Block] = []
    starts: list[Start] = []
    memory: Stream | None = None
    n_block = sum(len(stack.blocks) for stack in stacks(model))
    for stack in stacks(model):
        start = started(model, stack, inputs, reader)
        starts.append(start)
        is_right = all(each.holds for each in start.rows)
        for block in compared_blocks(stack, start.stream, memory, start.x, reader):
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
    reader: Reader,
    starts: Sequence[Start],
    blocks: Sequence[Block],
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
            causes = embedding_causes(start, first)
        else:
            block = next(each for each in blocks if first in each.rows)
            causes = causes_of(block, first)
            case = case_of(block, first, reader.dtype)
            if (
                not causes
                and At(block.place.stack, block.place.layer, "hidden") not in reader.by_stage
            ):
                if block.place.layer == 0:
                    begun = next(each for each in starts if each.stream is block.place.stream)
                    causes = causes_before(begun, block, first)
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


def _notes(rows: Sequence[Row], reader: Reader) -> tuple[str, ...]:
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

PIXELS, SOUND = "pixel_values", "input_features"
"""How arrays of images and sounds are named."""


def _array(arrays: Mapping[str, Array], name: str) -> Array | None:
    """The first array whose name ends so."""
    return next((x for n, x in arrays.items() if n.endswith(name)), None)


def _inputs(
    model: Model,
    arrays: Mapping[str, Array],
    ids: Sequence[int] | None,
    text: str | None,
    item: int,
) -> tuple[dict[str, Input], Array]:
    """What the model reads, and which tokens of the dump are no padding."""
    pixels, sound = _array(arrays, PIXELS), _array(arrays, SOUND)
    target = ids_of(arrays, TARGET_IDS)
    given_target = None if target is None else target[item].tolist()
    if pixels is not None and model.image is not None:
        prepared = prepare(model, image=pixels[item] if pixels.ndim > 3 else pixels)
        return dict(prepared.inputs), np.ones(0, bool)
    if sound is not None and model.sound is not None:
        heard = sound[item] if sound.ndim > 2 else sound
        return dict(prepare(model, sound=heard, target=given_target).inputs), np.ones(0, bool)
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
    if model.kind == "encoder-decoder" and model.task == "continue" and target is None:
        raise AttnvizError(
            f"{model.name} is an encoder-decoder: the dump has no array decoder_input_ids",
            "save what its decoder read",
        )
    prepared = prepare(model, given, target=given_target)
    inputs = dict(prepared.inputs)
    segments = ids_of(arrays, ("token_type_ids", "segments"))
    n_token = len(prepared.streams["source"])
    mask = np.ones(n_token, bool) if kept is None else kept[item]
    if segments is not None and segments[item].size == mask.size:
        inputs["source"] = inputs["source"]._replace(segments=segments[item][mask])
    return inputs, mask
