"""One file a command. Its first line is the short help, its ORDER the place in the list, its `app`
what runs."""

from __future__ import annotations

from attnviz.registry import ModuleRegistry

COMMANDS = ModuleRegistry("command", "attnviz.cli.commands")
