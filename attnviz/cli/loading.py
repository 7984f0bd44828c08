"""The model that a command names with `-m`, fetched first if `--download` allows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attnviz.cli.progress import progress

if TYPE_CHECKING:
    from attnviz.cli.options import ModelInput, StackOptions
    from attnviz.models.model import Model


def load(options: ModelInput | StackOptions, **changes: Any) -> Model:
    """The model of a command's options, with further changes of the stack."""
    stack = getattr(options, "changes", {})
    return load_named(options.model, options.download, {**stack, **changes})


def load_named(
    name: str | None, download: bool = False, changes: Mapping[str, Any] | None = None
) -> Model:
    """The model of this name, as `attnviz.models.load_model`.

    Args:
        download: whether the network may be used, if the name is one of the Hugging Face hub.
    """
    from attnviz.models import hub_name, load_model

    hub = hub_name(name) if download and name is not None else None
    if hub is not None:
        from attnviz.models.sources.download import download as fetch

        with progress(f"fetching {hub}", patience=0) as bar:
            fetch(hub, bar)
    return load_model(name, changes)
