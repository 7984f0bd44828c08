"""What several commands read: texts, ids, a pair; and the run that they show."""

from __future__ import annotations

import os
import stat
import sys
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnviz.cli.current import current, is_new, set_stopped
from attnviz.cli.emit import talk
from attnviz.cli.options import ChatInput, FileInput, LookOptions, TextInput
from attnviz.cli.progress import estimating, in_words, progress
from attnviz.cli.spread import one_of, whole_numbers
from attnviz.errors import AttnvizError
from attnviz.files import DATA_FORMATS, MAX_BYTES, read_file
from attnviz.parse import decoded

if TYPE_CHECKING:
    from attnviz.models.chat.messages import Chat
    from attnviz.models.model import Model
    from attnviz.models.run.memory import Plan
    from attnviz.models.run.prepare import Prepared
    from attnviz.nn.masks import Mask
    from attnviz.nn.multi_head import Recorder
    from attnviz.nn.types import Array
    from attnviz.tokens import Tokens
    from attnviz.trace.record import Record, Trace
    from attnviz.trace.selection import Selection
    from attnviz.trace.summary import PlanSummaries, SummaryPlan

LARGE = 1 << 30
"""Bytes of memory that are announced before the work."""

STDIN = "-"
"""What stands for the text on stdin."""

SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".npy")

IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".avif")

MANY, LONGEST_SHOWN = 4, 60
"""Texts, and characters of one, that are quoted when it is said what was read."""

PATIENCE = 1.0
"""Seconds after which it is said that a text is awaited."""


def read_inputs(
    texts: Sequence[str] | None,
    ids: str | None,
    chat: ChatInput | None = None,
    *,
    only_texts: bool = False,
) -> list[str | list[int] | Chat]:
    """The texts of the command line, with - read from stdin, or the one list of ids.

    Several bare words are one text; without a text, what is piped in.

    Args:
        chat: with --chat, a text is what a user says, and a JSON file holds messages.
        only_texts: the command reads no files: the name of one is a slip, unless it may be that
            of a sound.
    """
    if chat is not None and chat.is_chat:
        return _read_chats(texts, ids, chat)
    if ids is not None:
        if texts:
            raise AttnvizError("give a text or --ids, not both", f"{current().path} --ids 1,2,3")
        return [whole_numbers("ids", ids)]
    if not texts:
        texts = [STDIN] if is_piped() else []
    if not texts:
        raise AttnvizError("there is no text", current().example)
    if only_texts and len(texts) == 1 and not texts[0].lower().endswith(SOUNDS):
        _check_no_file(texts[0])
    return [read_stdin() if text == STDIN else _checked(text) for text in joined(texts)]


def _read_chats(
    texts: Sequence[str] | None, ids: str | None, options: ChatInput
) -> list[str | list[int] | Chat]:
    from attnviz.models.chat.messages import as_chat, read_chat

    if ids is not None:
        raise AttnvizError("--chat is for texts, not for --ids", "leave out --chat, or --ids")
    chats: list[str | list[int] | Chat] = []
    said: list[str | None] = [*joined(texts or ())]
    for text in said or [None]:
        file = None if text is None else named_file(text)
        if file is not None and file.suffix.lower() == ".json":
            chats.append(read_chat(file, options.system))
        else:
            (words,) = read_inputs(None if text is None else [text], None, only_texts=True)
            chats.append(as_chat(str(words), options.system))
    return chats


def _check_no_file(text: str) -> None:
    """Raise AttnvizError for the name of a file: its letters are not the text that was meant."""
    if _has_space(text) or not os.path.splitext(text)[1] or not os.path.isfile(text):
        return
    if text.lower().endswith(SOUNDS) and not text.lower().endswith(".npy"):
        hint = "a model of speech hears it: -m WHISPER_FOLDER"
    elif text.lower().endswith((*DATA_FORMATS, ".npy")):
        hint = f"attnviz show {text}"
        if text.lower().endswith(".json"):
            hint += f"; if it holds messages: {current().path} --chat {text} -m MODEL"
    elif text.lower().endswith(IMAGES):
        hint = f"attnviz image {text}"
    else:
        hint = f"{current().path} - < {text} reads what is in it"
    raise AttnvizError(f"{text} is a file, and {current().path} reads a text", hint)


def read_input(
    texts: Sequence[str] | None,
    ids: str | None,
    chat: ChatInput | None = None,
    *,
    only_texts: bool = False,
) -> str | list[int] | Chat:
    """The one text, of a command that reads one."""
    inputs = read_inputs(texts, ids, chat, only_texts=only_texts)
    if len(inputs) > 1:
        raise AttnvizError(
            f"expected one text, got {len(inputs)}",
            "put all of it in quotes; attnviz run shows several, attnviz diff compares two",
        )
    return inputs[0]


def one_source(words: Sequence[str] | None) -> str | None:
    """The one text or file, of a command that reads either; None for stdin or ids."""
    sources = joined(words or ())
    if len(sources) > 1:
        raise AttnvizError(
            f"expected one text or file, got {len(sources)}",
            "put a text in quotes; attnviz diff compares two",
        )
    return sources[0] if sources else None


def joined(words: Sequence[str]) -> list[str]:
    """The texts that were meant: bare words are one, of which the shell made several. Where one
    has a space it was quoted, and so each is a text."""
    if len(words) < 2 or STDIN in words or any(map(_has_space, words)):
        if len(words) > 1 and not all(word == STDIN or _has_space(word) for word in words):
            shown = ", ".join(f'"{word}"' for word in words[:MANY])
            more = ", …" if len(words) > MANY else ""
            talk(f"reading {len(words)} texts: {shown}{more}; quotes around all of it make it one")
        return list(words)
    text = " ".join(words)
    shown = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
    talk(f'reading one text: "{shown}"')
    return [text]


def _has_space(word: str) -> bool:
    return any(map(str.isspace, word))


def is_piped() -> bool:
    """Whether something was piped or redirected into the command: no terminal, no /dev/null."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # closed, or a stand-in
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def named_file(source: str | None) -> Path | None:
    """The file that a source names, of which it could also be a text: by its suffix, and by being
    there or one word."""
    if source is None or not source.lower().endswith((*DATA_FORMATS, ".npy")):
        return None
    is_one = os.path.exists(source) or len(source.split()) == 1  # a long text is no error there
    return Path(source) if is_one else None


def load_file(
    file: Path,
    options: FileInput,
    mask: Mask | None = None,
    memory: int | None = None,
    summaries: PlanSummaries | None = None,
    selection: Selection | None = None,
) -> Trace:
    """A trace, or plain weights under a mask.

    Args:
        memory: bytes that weights may take; of more, a summary of the selected heads is made. None
            for a command that needs the matrices themselves.
        summaries: what is kept then; by default what the views of `run` are made of.
    """
    from attnviz.trace.arrays import NAN
    from attnviz.trace.file import load

    return load(
        file,
        array=options.array,
        batch=options.batch,
        tokens=token_words("tokens", options.tokens),
        key_tokens=token_words("key-tokens", options.key_tokens),
        nan=None if options.nan is None else one_of("nan", options.nan, NAN),
        mask=mask,
        memory=memory,
        summaries=summaries or usual_summary,
        select=selection,
    )


def token_words(option: str, text: str | None) -> list[str] | None:
    """The lines of a file, if there is one of this name, else the words of the text itself."""
    if text is None:
        return None
    if not os.path.exists(text) or os.path.isdir(text):  # which no text is too long for
        return text.split()
    try:
        return decoded(read_file(Path(text), "check who may read it")).splitlines()
    except AttnvizError as error:
        raise AttnvizError(f"--{option}: {error.message}", error.hint) from error
    except ValueError as error:
        raise AttnvizError(f"--{option} {text}: not UTF-8: {error}", "iconv -t utf-8") from error


def record(
    model: Model,
    text: str | list[int] | Chat,
    texts: TextInput,
    stages: tuple[str, ...],
    selection: Selection,
    *,
    mask: Array | None = None,
    memory: int | None = None,
    summaries: PlanSummaries | None = None,
    times: int = 1,
    **how: Any,
) -> Trace:
    """Run a model on a text; `how` is for `run_prepared`.

    Args:
        memory: bytes that the record may take; one that would take more is summarised. None for a
            command that needs the matrices themselves.
        summaries: what is kept then; by default what the views of `run` are made of.
        times: how much memory the command takes in all, in such records: one of two sides is 2.
    """
    prepared = prepare_text(
        model, text, texts, stages, selection, mask=mask, memory=memory, summaries=summaries
    )
    _check_times(prepared, times)
    return run_prepared(prepared, **how)


def _check_times(prepared: Prepared, times: int) -> None:
    """Raise AttnvizError, before the work, if so many records are more than there is memory for."""
    from attnviz.models.run.memory import check_memory

    if times > 1:
        plan = prepared.plan
        check_memory(plan._replace(n_byte=plan.n_byte * times))


def prepare_text(
    model: Model,
    text: str | list[int] | Chat,
    texts: TextInput,
    stages: tuple[str, ...],
    selection: Selection,
    *,
    mask: Array | None = None,
    memory: int | None = None,
    summaries: PlanSummaries | None = None,
) -> Prepared:
    """What `record` runs."""
    from attnviz.models.run.prepare import prepare

    sound = sound_file(model, text, texts.pair)
    prepared = prepare(
        model,
        text if sound is None else None,
        sound=sound,
        pair=texts.second,
        target=texts.target,
        mask=mask,
        stages=stages,
        select=selection,
        memory=memory,
        summaries=summaries or usual_summary,
    )
    check_known(model, prepared.streams["source"])
    suggest_chat(model, text)
    return prepared


def suggest_chat(model: Model, text: str | list[int] | Chat) -> None:
    """Say of a text without its chat template, which a model for conversations reads, how it gets
    one."""
    if model.chat is None or not isinstance(text, str):
        return
    hint = (
        f"hint: {model.name} has a chat template, and this text is read without it: "
        f"{current().again} --chat"
    )
    if is_new(hint):
        talk(hint)


def sound_file(model: Model, text: str | list[int] | Chat, pair: str | None = None) -> str | None:
    """The file that a model of speech hears; None for a model of texts.

    Raises:
        AttnvizError: it hears no ids and no second text; or a model of texts is given a sound.
    """
    if model.sound is None:
        if isinstance(text, str) and text.lower().endswith(SOUNDS):
            _check_no_file(text)
        return None
    if not isinstance(text, str) or pair is not None:
        raise AttnvizError(
            f"{model.name} hears sounds, not ids or a second text", "give a WAV file"
        )
    return text


def usual_summary(streams: Mapping[str, Tokens]) -> SummaryPlan:
    """What is kept of a record that would be too large, where nothing else is asked for."""
    from attnviz.analysis import summaries

    return summaries.usual_summary(streams)


def about(content: str | list[int] | Chat) -> str:
    """What tells one of several inputs from the others."""
    return content if isinstance(content, str) else getattr(content, "about", "ids")


def check_known(model: Model, tokens: Tokens) -> None:
    """Say that most of a text is unknown to the model.

    Raises:
        AttnvizError: all of it is: its attention would be that of so many equal tokens.
    """
    ordinary = set(range(len(tokens))) - set(tokens.special)
    unknown = ordinary & set(tokens.unknown)
    if 2 * len(unknown) <= len(ordinary) or model.tokenizer.n_piece:  # which reads parts of words
        return
    reads = reads_of(model)
    if unknown != ordinary:
        known = len(ordinary) - len(unknown)
        talk(
            f"warning: {model.name} knows {known} of these {len(ordinary)} tokens"
            + (f"; it reads {reads}" if reads else "")
        )
        return
    if reads:
        what, hint = f"it reads {reads}", "use another model: attnviz models lists what is here"
    else:
        what = f"every token is {tokens.labels[min(ordinary)]}"
        hint = "use a model for this language, or give token ids: --ids"
    raise AttnvizError(f"the tokenizer of {model.name} knows none of this text: {what}", hint)


def reads_of(model: Model) -> str:
    """What a packaged model reads, in words; empty where nobody wrote it down."""
    from attnviz.models import PACKAGED, is_packaged
    from attnviz.models.sources.card import read_card

    card = read_card(PACKAGED / model.name) if is_packaged(model.name) else None
    return str((card or {}).get("reads", ""))


def record_source(
    model: Model,
    source: str | list[int] | Chat,
    texts: TextInput,
    stages: tuple[str, ...],
    selection: Selection,
    *,
    memory: int | None = None,
    summaries: PlanSummaries | None = None,
    times: int = 1,
    **how: Any,
) -> Trace:
    """Run a model on a text, or if it reads images on the file of one; for the arguments see
    `record`."""
    prepared = prepare_source(
        model, source, texts, stages, selection, memory=memory, summaries=summaries
    )
    _check_times(prepared, times)
    return run_prepared(prepared, **how)


def prepare_source(
    model: Model,
    source: str | list[int] | Chat,
    texts: TextInput,
    stages: tuple[str, ...],
    selection: Selection,
    *,
    memory: int | None = None,
    summaries: PlanSummaries | None = None,
) -> Prepared:
    """What `record_source` runs."""
    if model.image is None:
        return prepare_text(
            model, source, texts, stages, selection, memory=memory, summaries=summaries
        )
    if not isinstance(source, str) or texts.pair is not None or texts.target is not None:
        raise AttnvizError(
            f"{model.name} reads images, not ids or a second text", "give the file of an image"
        )
    from attnviz.models.run.prepare import prepare

    return prepare(
        model,
        image=source,
        stages=stages,
        select=selection,
        memory=memory,
        summaries=summaries or usual_summary,
    )


def run_prepared(
    prepared: Prepared,
    *,
    hidden_states: bool = False,
    logits: bool = False,
    fingerprint: bool,
    recorder: Recorder | None = None,
    may_stop: bool = False,
) -> Trace:
    """The run, with what the command line owes its user: a word about memory, a bar. With
    `may_stop`, Ctrl-C leaves the layers that were finished, and the command goes on with these."""
    from attnviz.models.run.forward import Interrupted, forward

    if prepared.summaries is None:
        announce(prepared.plan, f"{len(prepared.streams['source'])} tokens")
    try:
        with progress("attention") as bar:
            return forward(
                prepared,
                hidden_states=hidden_states,
                logits=logits,
                fingerprint=fingerprint,
                progress=estimating(bar, partial(announce_time, prepared)),
                recorder=recorder,
            )
    except Interrupted as interrupted:
        if not may_stop:
            raise
        talk(f"warning: {interrupted}")
        set_stopped()
        return interrupted.trace


def announce(plan: Plan, what: str) -> None:
    """Say how much memory the work will need, if that is much."""
    from attnviz.memory import in_bytes

    if plan.n_byte > LARGE:
        talk(f"{what}: this needs about {in_bytes(plan.n_byte)} of memory")


def announce_time(prepared: Prepared, seconds: float) -> None:
    """Say how long the run will take, of how much, and what it needs."""
    from attnviz.memory import in_bytes

    sites = prepared.plan.sites
    n_head = max(site.n_head for site in sites)
    n_token = max(len(tokens) for tokens in prepared.streams.values())
    text = (
        f"{n_head} heads × {n_token:,} tokens in {len(sites)} layers: about {in_words(seconds)}, "
        f"{in_bytes(prepared.plan.n_byte)}"
    )
    if prepared.summaries is not None:
        size = prepared.summaries.map_size
        text += "; weights are summarised"
        if size is not None and size > 1:
            text += f", pooled to {size} × {size}"
    talk(text)


def as_shown(trace: Trace, show: LookOptions) -> Trace:
    """The trace of tokens, or with --words that of words."""
    if not show.words:
        return trace
    from attnviz.analysis.words import merge_words

    return merge_words(trace)


def best_head(trace: Trace, selection: Selection) -> tuple[Record, int, bool]:
    """The most informative selected head, for views of one, and whether there was a choice."""
    from attnviz.analysis.informative import choose_heads

    first, number = first_head(trace, selection)
    chosen = choose_heads([each for each in trace if selection.covers(each)], selection, 1)
    if chosen.are_all or not chosen.heads:
        return first, number, False
    return trace[chosen.heads[0].id], chosen.heads[0].head, True


def first_head(trace: Trace, selection: Selection, masked: bool = False) -> tuple[Record, int]:
    """The first selected head, for views of one; with `masked`, the first that has a mask."""
    if not trace.records:
        raise AttnvizError(f"{trace.model.name} has no attention", "try `-m tagger`")
    selection.check(list(trace))
    covered = [record for record in trace if selection.covers(record)]
    masked_ones = [record for record in covered if record.site.mask]
    chosen = (masked_ones if masked and masked_ones else covered)[0]
    return chosen, selection.heads(chosen)[0]


def read_stdin() -> str:
    """All of stdin as one text.

    Raises:
        AttnvizError: it is closed, empty, too long or not UTF-8.
    """
    _announce_waiting()
    try:
        content = sys.stdin.buffer.read(MAX_BYTES + 1).removeprefix(BOM_UTF8)
    except OSError as error:
        raise AttnvizError(
            f"cannot read stdin: {error.strerror}", "give the text itself, or pipe it in"
        ) from error
    if not content:
        raise AttnvizError("there is no text: stdin is empty", current().example)
    if len(content) > MAX_BYTES:
        raise AttnvizError(
            f"stdin has more than {MAX_BYTES:,} bytes, which is not one text",
            "attnviz scan - reads a corpus, line by line",
        )
    try:
        return _checked(content.decode("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError as error:
        raise AttnvizError(
            f"stdin is not UTF-8: byte {error.start} is {content[error.start]:#04x}",
            "convert it: iconv -t utf-8",
        ) from error


def _announce_waiting() -> None:
    """Say that stdin is read, where nothing comes: a pipe that nobody writes to never ends."""
    import select

    try:
        is_ready = bool(select.select([sys.stdin], [], [], PATIENCE)[0])
    except (OSError, ValueError, TypeError):  # closed, a stand-in, or Windows
        return
    if not is_ready:
        talk("reading the text from stdin; Ctrl-D ends it")


def _checked(text: str) -> str:
    if not text.strip():
        raise AttnvizError("the text is empty", "give at least one word")
    return text
