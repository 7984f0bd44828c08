"""Runs a chat template, the program that a checkpoint brings along, as transformers runs it.

A template is somebody else's code. So it runs in Jinja2's sandbox, and the sandbox in a process of
its own, this file as a script, that may take neither much time nor much memory; it has nothing of
attnviz in it. JSON comes in on stdin and goes out on stdout.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

MAX_MEMORY = 1 << 30
"""Bytes that the process may take."""

MAX_SECONDS = 10

MAX_LENGTH = 1 << 24
"""Characters of a conversation."""

REASONING = ("reasoning_content", "thinking", "reasoning")
"""Names that a message's reasoning goes by; templates know the first, or the second."""


def render(source: str, jobs: Sequence[Mapping[str, Any]], today: str) -> list[dict[str, Any]]:
    """What a template makes of several sets of variables: for each its `text`, and whether it is
    `dated`, by today's date, for which the template is told `today`; or why there is none: its
    `kind`, `damaged`, `refused` or `failed`, and the `reason`."""
    return [_answer(source, job, today) for job in jobs]


def _answer(source: str, job: Mapping[str, Any], today: str) -> dict[str, Any]:
    import jinja2

    asked: list[str] = []

    def strftime_now(form: str) -> str:
        asked.append(form)
        return date.fromisoformat(today).strftime(form)

    try:
        template = _environment(strftime_now).from_string(source)
        text = template.render(**_with_reasoning(job))
    except jinja2.TemplateSyntaxError as error:
        return {"kind": "damaged", "reason": f"line {error.lineno}: {error.message}"}
    except Refusal as error:
        return {"kind": "refused", "reason": str(error)[:1000]}
    except (Exception, RecursionError, MemoryError) as error:
        return {"kind": "failed", "reason": f"{type(error).__name__}: {error}"[:1000]}
    if len(text) > MAX_LENGTH:
        return {"kind": "failed", "reason": f"it writes more than {MAX_LENGTH:,} characters"}
    return {"text": text, "dated": bool(asked)}


class Refusal(Exception):
    """What `raise_exception` of a template says."""


def _environment(strftime_now: Any) -> Any:
    """Jinja2 as transformers sets it up (`_compile_jinja_template` in its chat_template_utils)."""
    from jinja2 import nodes
    from jinja2.exceptions import SecurityError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Generation(Extension):
        """`{% generation %}` marks what the assistant says; it writes nothing of its own."""

        tags = {"generation"}  # noqa: RUF012 (so Jinja2 wants it)

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    class Names(Namespace):  # type: ignore[misc, unused-ignore]
        """A namespace without names that begin with an underscore."""

        def __init__(*arguments: Any, **names: Any) -> None:
            self, rest = arguments[0], arguments[1:]
            names = dict(*rest, **names)
            for name in names:
                check(name)
            Namespace.__init__(self, names)

        def __setitem__(self, name: str, value: Any) -> None:
            check(name)
            super().__setitem__(name, value)

    def check(name: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise SecurityError(f"a namespace takes no name like {name!r}")

    def raise_exception(message: Any) -> None:
        raise Refusal(str(message))

    def to_json(
        value: Any,
        ensure_ascii: bool = False,
        indent: Any = None,
        separators: Any = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(
            value,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals.update(
        raise_exception=raise_exception,
        strftime_now=strftime_now,
        namespace=Names,
        dict=lambda *pairs, **names: dict(*pairs, **names),  # without what a class has
    )
    environment.filters.pop("random")  # the same command gives the same bytes
    environment.globals.pop("lipsum")
    return environment


def _with_reasoning(job: Mapping[str, Any]) -> dict[str, Any]:
    """The variables, with each message's reasoning under the names that templates read."""
    messages = []
    for message in job["messages"]:
        said = next((message[name] for name in REASONING if message.get(name) is not None), None)
        if said is not None:
            message = {"thinking": said, **message, "reasoning_content": said}
        messages.append(message)
    return {**job, "messages": messages}


def _limit() -> None:
    """Take no more than is allowed; where a system has no such limits, the parent ends it."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in (
        (resource.RLIMIT_AS, MAX_MEMORY),
        (resource.RLIMIT_CPU, MAX_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        try:
            resource.setrlimit(kind, (min(most, hard) if hard >= 0 else most, hard))
        except (ValueError, OSError):
            continue


def main() -> None:
    """Read what to render from stdin, write what came out to stdout."""
    asked = json.load(sys.stdin.buffer)
    _limit()
    sys.stdout.write(json.dumps(render(asked["source"], asked["jobs"], asked["today"])))


if __name__ == "__main__":
    main()
