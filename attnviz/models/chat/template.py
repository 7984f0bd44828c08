"""A checkpoint's chat template: messages -> a text, and which characters of it who says."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.models.chat.files import DEFAULT
from attnviz.models.chat.messages import ASSISTANT, SYSTEM, Chat, texts_of
from attnviz.models.chat.rendering import MAX_SECONDS
from attnviz.registry import nearest
from attnviz.tokens import label

TOOLS = "tool_use"
"""The name of the template that is taken unasked where there are tools."""

TODAY = "2025-01-01"
"""The date that templates are told which ask for today's, so that a command gives the same bytes
twice."""

OWN = ("chat_template", "date")
"""Variables of a file of messages that are for attnviz: which template, and the date of today."""

FIRST, CLOSE, CONTINUE = 0xF0100, "\U000f0001", "\U000f0002"
"""Private characters, which stand around each text while it is looked for in the whole: one of
their own, counted from `FIRST`, before each, `CLOSE` behind it; and where one is left open."""

PRIVATE = re.compile("[\U000f0000-\U000ffffd]")

MAX_TEMPLATE = 1 << 20
"""Characters of a template."""


class Said(NamedTuple):
    """Some characters of a text, and who says them."""

    start: int
    stop: int
    role: str


class ChatText(NamedTuple):
    """A conversation as the model reads it."""

    text: str
    said: tuple[Said, ...]
    """In order; what is between them is the template's."""
    date: str = ""
    """The date that the template was told, if it asked for today's."""
    own_system: str = ""
    """What the template says as the system by itself, if it does."""
    not_found: tuple[str, ...] = ()
    """The roles of messages that do not stand in the text as they are: the template leaves them
    out, or writes them anew."""


class ChatTemplate(NamedTuple):
    """The templates of one checkpoint."""

    sources: Mapping[str, str]
    """By name; most checkpoints have one, `default`."""
    where: str
    """The file that they stand in."""
    special: Mapping[str, str]
    """`bos_token`, `eos_token`, …: the tokens that a template may write."""
    damage: str = ""
    """What is wrong with what stands there, instead of templates."""

    def apply(self, chat: Chat) -> ChatText:
        """The text of a conversation; if the last message is not the assistant's, with what
        begins its answer.

        Raises:
            AttnvizError: a package is missing; the template is damaged, refuses these messages,
                fails, or takes too long.
        """
        today = _date(chat)
        variables = {**self.special, **{k: v for k, v in chat.variables.items() if k not in OWN}}
        source = self._chosen(chat)
        answers = chat.messages[-1]["role"] != ASSISTANT
        variables |= {"tools": variables.get("tools"), "documents": variables.get("documents")}
        variables["add_generation_prompt"] = answers
        plain = [dict(message) for message in chat.messages]
        jobs = [plain, _marked(plain)]
        if not any(message["role"] == SYSTEM for message in plain):
            jobs.append([{"role": SYSTEM, "content": chr(FIRST)}, *plain])
        if chat.continues and not answers:
            jobs = [[*each[:-1], _left_open(each[-1])] for each in jobs]
        found = self._render(
            source, [{**variables, "messages": messages} for messages in jobs], today
        )
        if "text" not in found[0]:
            raise self._error(**found[0])
        # a template may refuse a system message, or look at the letters of a text
        text, marked, with_system = (each.get("text", "") for each in (*found, {})[:3])
        last = (texts_of(chat.messages[-1]) or [""])[-1].strip()
        if chat.continues and not answers and not (CONTINUE in text and last in text):
            raise self._failed("it does not write the last message, which is to be continued")
        text, marked, with_system = _cut(text), _cut(marked), _cut(with_system)
        said = _said_between(marked, chat) if PRIVATE.sub("", marked) == text else None
        if said is None:
            said = _said_by_search(text, chat)
        wanted = Counter(role for content, role in _texts_and_roles(chat) if content.strip())
        not_found = tuple(wanted - Counter(each.role for each in said))
        own = _own_system(text, with_system)
        if own is not None:
            said = sorted((own, *said))
        return ChatText(
            text,
            tuple(said),
            today if found[0]["dated"] else "",
            "" if own is None else text[own.start : own.stop],
            not_found,
        )

    def _chosen(self, chat: Chat) -> str:
        """The template that is asked for, or taken unasked, as transformers chooses it."""
        if self.damage:
            raise AttnvizError(self.damage, "download it again")
        name = chat.variables.get("chat_template")
        if name is None:
            has_tools = chat.variables.get("tools") and TOOLS in self.sources
            name = TOOLS if has_tools else DEFAULT
            if name not in self.sources:
                raise AttnvizError(
                    f"{self.where} has several chat templates, and none is the default",
                    'a file of messages names one: {"chat_template": NAME, "messages": […]}; '
                    f"known: {label(', '.join(self.sources))}",
                )
        if not isinstance(name, str) or name not in self.sources:
            raise AttnvizError(
                f"{self.where}: there is no chat template {name!r:.60}",
                nearest(str(name), self.sources),
            )
        return self.sources[name]

    def _render(
        self, source: str, jobs: Sequence[Mapping[str, Any]], today: str
    ) -> list[dict[str, Any]]:
        """`rendering.render` in a process of its own."""
        import json
        import subprocess

        if find_spec("jinja2") is None:
            raise AttnvizError("--chat needs the package `jinja2`", "pip install 'attnviz[chat]'")
        if len(source) > MAX_TEMPLATE:
            raise self._failed(f"it has {len(source):,} characters, more than {MAX_TEMPLATE:,}")
        script = Path(__file__).with_name("rendering.py")
        asked = json.dumps({"source": source, "jobs": jobs, "today": today})
        try:
            done = subprocess.run(
                [sys.executable, "-P", str(script)],
                input=asked.encode(),
                capture_output=True,
                timeout=MAX_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise self._failed(f"it had not ended after {MAX_SECONDS} seconds") from None
        if done.returncode != 0:
            raise self._failed("it took more memory or time than a template may")
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    def _error(self, kind: str, reason: str) -> AttnvizError:
        """Why a template gave no text; the words are the template's own."""
        reason = label(" ".join(reason.split()))[:300]
        if kind == "refused":
            return AttnvizError(
                f"the chat template in {self.where} refuses these messages: {reason}",
                "without --system, or with other messages: "
                'attnviz run --chat messages.json reads [{"role": …, "content": …}, …]',
            )
        if kind == "damaged":
            return AttnvizError(
                f"the chat template in {self.where} is damaged: {reason}", "download it again"
            )
        return self._failed(reason)

    def _failed(self, reason: str) -> AttnvizError:
        return AttnvizError(
            f"the chat template in {self.where} fails: {reason}",
            "without --chat, the text is read as it is",
        )


def make_template(value: Any, where: str, special: Mapping[str, str]) -> ChatTemplate:
    """The templates of what `chat_template` of a tokenizer_config.json holds: a text, or a list of
    texts with names."""
    if isinstance(value, str):
        return ChatTemplate({DEFAULT: value}, where, special)
    entries = value if isinstance(value, list) else []
    sources = {
        entry["name"]: entry["template"]
        for entry in entries
        if isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("template"), str)
    }
    if not sources or len(sources) != len(entries):
        damage = f"{where}: chat_template = {value!r:.60}, expected a text, or texts with names"
        return ChatTemplate({}, where, special, damage)
    return ChatTemplate(sources, where, special)


def _date(chat: Chat) -> str:
    today = chat.variables.get("date", TODAY)
    try:
        return date.fromisoformat(today).isoformat()
    except (TypeError, ValueError):
        raise AttnvizError(
            f"date = {today!r:.60} of the messages is no date", f'"date": "{TODAY}"'
        ) from None


def _marked(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with marks around their texts; space at the ends, which a template may strip,
    stays outside."""
    numbers = count(FIRST)

    def between(text: str) -> str:
        inner, mark = text.strip(), chr(min(next(numbers), 0xFFFFD))
        start = text.find(inner)
        end = start + len(inner)
        return f"{text[:start]}{mark}{inner}{CLOSE}{text[end:]}" if inner else text

    def parts(content: Any) -> Any:
        if isinstance(content, str):
            return between(content)
        if not isinstance(content, list):
            return content
        return [
            {**part, "text": between(part["text"])}
            if isinstance(part, dict) and isinstance(part.get("text"), str)
            else part
            for part in content
        ]

    return [
        {**message, "content": parts(message["content"])} if "content" in message else {**message}
        for message in messages
    ]


def _left_open(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message with a mark where it is to be continued."""
    content = message.get("content")
    if isinstance(content, list):
        last = max((i for i, p in enumerate(content) if "text" in p), default=None)
        parts = [
            {**part, "text": f"{part['text']}{CONTINUE} "} if i == last else part
            for i, part in enumerate(content)
        ]
        return {**message, "content": parts}
    return {**message, "content": f"{content or ''}{CONTINUE} "}


def _cut(text: str) -> str:
    """The text up to the mark of a message that is left open; if the template strips the space
    at the end of messages, stripped."""
    at = text.rfind(CONTINUE)
    if at < 0:
        return text
    return text[:at] if text[at : at + 2] == f"{CONTINUE} " else text[:at].rstrip()


def _said_between(marked: str, chat: Chat) -> list[Said] | None:
    """Who says what, by the marks; None if they are not in pairs."""
    roles = [role for _, role in _texts_and_roles(chat)]
    said: list[Said] = []
    start, role, at = None, "", 0
    for piece in re.split(f"({PRIVATE.pattern})", marked):
        if not PRIVATE.fullmatch(piece):
            at += len(piece)
        elif piece == CLOSE and start is not None:
            said.append(Said(start, at, role))
            start = None
        elif FIRST <= ord(piece) < FIRST + len(roles) and start is None:
            start, role = at, roles[ord(piece) - FIRST]
        else:
            return None
    return said + ([Said(start, at, role)] if start is not None and start < at else [])


def _texts_and_roles(chat: Chat) -> list[tuple[str, str]]:
    return [(text, m["role"]) for m in chat.messages for text in texts_of(m)]


THOUGHT = "</think>"
"""What ends the thoughts in an answer, of which many templates leave out the thoughts."""


def _said_by_search(text: str, chat: Chat) -> list[Said]:
    """Who says what, of a template that looks at the letters of texts and so may treat those with
    marks differently: where the texts stand one behind the other."""
    said, at = [], 0
    for content, role in _texts_and_roles(chat):
        for found in (content.strip(), content.rpartition(THOUGHT)[2].strip()):
            start = text.find(found, at)
            if found and start >= 0:
                at = start + len(found)
                said.append(Said(start, at, role))
                break
    return said


def _own_system(text: str, with_system: str) -> Said | None:
    """What the template says as the system by itself: the text in the place where a message of the
    system would be, if all around it is the same."""
    if with_system.count(chr(FIRST)) != 1:
        return None
    before, after = with_system.split(chr(FIRST))
    own = text[len(before) : len(text) - len(after)]
    if len(before) + len(after) >= len(text) or before + own + after != text:
        return None
    return Said(len(before), len(before) + len(own), SYSTEM) if own.strip() else None


def roles_of(spans: Sequence[tuple[int, int]], text: ChatText) -> Iterator[str]:
    """Of every token, [n_token] pairs of the first of its characters and the one behind the last,
    who says it: of whom at least half of them are; otherwise the template."""
    said = iter((*text.said, Said(len(text.text) + 1, len(text.text) + 2, "")))
    current = next(said)
    for start, stop in spans:
        while current.stop <= start:
            current = next(said)
        inside = min(stop, current.stop) - max(start, current.start)
        is_said = 2 * inside >= stop - start if stop > start else current.start <= start
        yield current.role if is_said and inside >= 0 else "template"
