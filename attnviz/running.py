"""`attnviz.run`: from a text to its trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from attnviz.analysis.summaries import plan_summary
from attnviz.errors import AttnvizError
from attnviz.memory import parse_size
from attnviz.models import load_model
from attnviz.models.model import Model
from attnviz.models.run.forward import forward
from attnviz.models.run.inputs import Text
from attnviz.models.run.prepare import prepare
from attnviz.models.run.work import Progress
from attnviz.nn.masks import Mask
from attnviz.nn.types import Array
from attnviz.trace.record import Trace
from attnviz.trace.selection import Selection
from attnviz.trace.spans import Zoom, parse_span


def run(
    text: Text | Sequence[Mapping[str, Any]] | None = None,
    *,
    chat: bool = False,
    system: str | None = None,
    pair: Text | None = None,
    target: Text | None = None,
    image: str | Path | Array | None = None,
    sound: str | Path | Array | None = None,
    model: str | PathLike[str] | Model | None = None,
    stages: Sequence[str] = ("weights",),
    select: Selection | None = None,
    hidden_states: bool = False,
    logits: bool = False,
    mask: str | Mask | Array | None = None,
    extrapolate: bool = False,
    memory: str | int | None = None,
    rows: str | None = None,
    keys: str | None = None,
    fingerprint: bool = True,
    progress: Progress | None = None,
    **changes: Any,
) -> Trace:
    """Run a model on a text, an image or a sound and record its attention.

    Args:
        text: a string; token ids, which are taken as they are; or the messages of a conversation,
            [{"role": "user", "content": "Who are you?"}], in the model's own chat template.
        chat: read a string as what a user says in a conversation.
        system: what the system says first in it.
        pair: a second text for models that read two; ids follow `text` as the second segment.
        target: what the decoder of an encoder-decoder has so far; by default what the model
            writes when it decodes greedily, or the text itself if it has no output.
        image: instead of a text: a path, or an array [height, width(, channel)], of bytes or of
            numbers from 0 to 1; or, prepared as a checkpoint wants it, [channel, height, width].
        sound: instead of a text: a WAV file, a `.npy`, or an array: samples from -1 to 1 at the
            model's rate, [n], or its spectrogram, [n_mel, n_frame].
        model: a name or path as for `-m`, or a loaded model; by default `tagger`.
        stages: which stages to keep; the mask is kept with any of them.
        select: keep only these layers.
        hidden_states: keep the residual stream, as transformers' `output_hidden_states` has it:
            before the first block and after each; the last is after the stack's final norm, if
            it has one (a ViT's norm belongs to its output, and is in none of them). All are
            [n_token, d_model]: an OPT's last too, which transformers gives as it is projected.
        logits: compute the output, where the model has one.
        mask: a name replaces the model's own mask: "causal+window:size=3"; a Mask, or a boolean
            array [n_q, n_k] with True = visible, hides cells besides those that it hides.
        extrapolate: read more tokens than the model was trained for, where its positions have a
            value for any number of them; a note says so.
        memory: what the record may take, "1GB", "500MB" or bytes: where all matrices would take
            more, `record.summary` is kept instead of them. None: the matrices, whatever they take.
        rows: of a summary, the queries whose weights are kept as they are, in `summary.block`:
            "-1", "4-9,last", "^special", as `--rows`.
        keys: the same of keys.
        fingerprint: put the SHA-256 of the weights into the trace (reads the whole file).
        progress: called as `progress(done, total)`, in about as many weights as are computed.
        changes: fields of the stack, as in `load_model`.

    Raises:
        AttnvizError: an unknown model, a text the model cannot read, too little memory, rows or
            keys that the text does not have.
        Interrupted: Ctrl-C, when some layers were finished; its `trace` holds them.
    """
    asked = ((rows, "rows"), (keys, "keys"))
    zoom = Zoom(*(None if each is None else parse_span(each, name) for each, name in asked))
    budget = None if memory is None else parse_size(memory, "memory")
    if isinstance(mask, str):
        changes["mask"], mask = mask, None
    if not isinstance(model, Model):
        model = load_model(model, changes)
    elif changes:
        raise AttnvizError(
            "changes are for models given by name: load_model(name, changes)", "give the name"
        )
    if extrapolate:
        from attnviz.models.edit.extrapolate import extrapolate as without_limit

        model = without_limit(model)
    prepared = prepare(
        model,
        _as_chat(text, chat, system),
        pair=pair,
        target=target,
        image=image,
        sound=sound,
        mask=mask,
        stages=stages,
        select=select,
        memory=budget,
        summaries=plan_summary(zoom),
    )
    whole = [stage for stage in stages if stage in ("scores", "logits")]
    if prepared.summaries is not None and whole:
        raise AttnvizError(
            f"stages: {whole[0]} are kept as whole matrices only; these take more than "
            f"memory={memory!r}",
            'memory=None keeps them; stages=("weights",) a summary of the weights',
        )
    zoom.check(filter(prepared.select.covers, prepared.plan.sites), prepared.streams)
    return forward(
        prepared,
        hidden_states=hidden_states,
        logits=logits,
        fingerprint=fingerprint,
        progress=progress,
    )


def _as_chat(
    text: Text | Sequence[Mapping[str, Any]] | None, chat: bool, system: str | None
) -> Text | None:
    """The conversation that a text or messages are; anything else as it is."""
    from attnviz.models.chat.messages import as_chat, make_chat

    is_chat = chat or system is not None
    if isinstance(text, str) and is_chat:
        return as_chat(text, system)
    if isinstance(text, Sequence) and not isinstance(text, str) and text:
        messages = [each for each in text if isinstance(each, Mapping)]
        if messages or is_chat:
            return make_chat(list(text), system=system)
    return text  # type: ignore[return-value]
