"""The model that a command names with `-m`, fetched first if `--download` allows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attnviz.cli.progress import progress
from attnviz.cli.settings import Setting, settings
from attnviz.errors import AttnvizError

if TYPE_CHECKING:
    from attnviz.cli.options import ModelInput, StackOptions
    from attnviz.models.model import Model


def load(options: ModelInput | StackOptions, default: str | None = None, **changes: Any) -> Model:
    """The model of a command's options, with further changes of the stack; without `-m`, the one
    that is set as the default (see `settings`), else the command's own."""
    model = load_named(options.model, options.download, {**options.changes, **changes}, default)
    return beyond(model, options.extrapolate)


def beyond(model: Model, extrapolate: bool) -> Model:
    """The model, with `--extrapolate` without its limit of tokens."""
    if not extrapolate:
        return model
    from attnviz.models.edit.extrapolate import extrapolate as without_limit

    return without_limit(model)


def load_named(
    name: str | None,
    download: bool = False,
    changes: Mapping[str, Any] | None = None,
    default: str | None = None,
) -> Model:
    """The model of this name, as `attnviz.models.load_model`.

    Args:
        name: None for the one that is set, then for `default`.
        download: whether the network may be used, if the name is one of the Hugging Face hub.
    """
    if name is not None:
        return _load(name, download, changes)
    setting = model_setting(changes)
    if setting is None:
        return _load(default, download, changes)
    try:
        return _load(setting.value, download, changes)
    except AttnvizError as error:
        raise AttnvizError(f"{setting.source}: {error.message}", error.hint) from error


def model_setting(changes: Mapping[str, Any] | None = None) -> Setting | None:
    """The model that is set as the default, unless the changes ask for random weights."""
    from attnviz.models import needs_other_weights

    setting = settings().get("model")
    return None if setting is None or needs_other_weights(changes or {}) else setting


def _load(name: str | None, download: bool, changes: Mapping[str, Any] | None) -> Model:
    from attnviz.models import hub_name, load_model

    hub = hub_name(name) if download and name is not None else None
    if hub is not None:
        from attnviz.models.sources.download import download as fetch

        with progress(f"fetching {hub}", patience=0) as bar:
            fetch(hub, bar)
    return load_model(name, changes)
