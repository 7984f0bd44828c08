"""Checkpoints from the Hugging Face hub into its cache: the only place that uses the network."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.memory import in_bytes
from attnviz.models.formats.shards import read_index
from attnviz.models.json_object import read_object
from attnviz.models.sources.adapter import CONFIG as ADAPTER
from attnviz.models.sources.folder import CONFIG, INDEX, choose_weights
from attnviz.models.sources.hub import HubName, cache_folder
from attnviz.tokens import label

EXTRA_FILES = frozenset(
    """
    config.json generation_config.json preprocessor_config.json processor_config.json
    adapter_config.json
    tokenizer.json tokenizer_config.json special_tokens_map.json added_tokens.json
    vocab.txt vocab.json merges.txt tokenizer.model spiece.model sentencepiece.bpe.model
    source.spm target.spm target_vocab.json
    """.split()  # noqa: SIM905
)
"""What a checkpoint may have besides its weights."""

TIMEOUT = 10
"""Seconds to wait for an answer of the hub."""

Progress = Callable[[int, int], None]


def download(name: HubName, progress: Progress | None = None) -> None:
    """Fetch the files of a model that attnviz reads, unless they are in the cache.

    Pickles and other formats are not fetched. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are
    respected, as by every program that uses huggingface_hub.

    Args:
        progress: called as `progress(bytes_done, bytes)`.

    Raises:
        AttnvizError: no network, no such model or revision, no permission, no space on the disk.
    """
    try:
        import huggingface_hub
    except ImportError:
        raise AttnvizError(
            "--download needs the package `huggingface_hub`", "pip install 'attnviz[hub]'"
        ) from None
    huggingface_hub.logging.set_verbosity_error()
    with _explained(name):
        info = huggingface_hub.HfApi().model_info(
            name.repository, revision=name.revision, files_metadata=True, timeout=TIMEOUT
        )
        files = [each for each in info.siblings or () if "/" not in each.rfilename]
        sizes = {each.rfilename: each.size or 0 for each in files}
        fetch = _Fetch(name, info.sha or name.revision, sizes, progress)
        fetch.all(_wanted(name, sizes, fetch))


def _wanted(name: HubName, sizes: dict[str, int], fetch: _Fetch) -> list[str]:
    """The files to fetch. Those that name others are fetched here."""
    if CONFIG not in sizes and ADAPTER not in sizes:
        raise AttnvizError(
            f"{name} on the hub is not a checkpoint: it has no {CONFIG}",
            "a GGUF file is named by its path: fetch it, then -m FILE.gguf",
        )
    # by its revision, so that the cache records which commit that is
    config = read_object(fetch.one(CONFIG, name.revision)) if CONFIG in sizes else {}
    weights = choose_weights(sizes, f"{name} on the hub", config)
    parts = set(read_index(fetch.one(INDEX)).values()) if weights == INDEX else {weights}
    absent = sorted(parts - set(sizes))
    if absent:
        raise AttnvizError(
            f"{name} on the hub lacks {label(absent[0])}", "take another revision of it"
        )
    return sorted((EXTRA_FILES & set(sizes)) | parts)


class _Fetch:
    """Fetches files of one commit into the cache."""

    def __init__(
        self, name: HubName, commit: str, sizes: dict[str, int], progress: Progress | None
    ) -> None:
        self._name, self._commit, self._sizes = name, commit, sizes
        self._progress = progress
        self._done = self._total = 0

    def one(self, file: str, revision: str | None = None) -> Path:
        """The path of a file in the cache, to which it is fetched if it is not there."""
        from huggingface_hub import hf_hub_download

        return Path(
            hf_hub_download(
                self._name.repository,
                file,
                revision=revision or self._commit,
                cache_dir=cache_folder(),
                tqdm_class=_counter(self._count),
            )
        )

    def all(self, files: list[str]) -> None:
        """Fetch those that are not there, after a check that they fit on the disk."""
        snapshot = self._name.folder / "snapshots" / self._commit
        missing = [file for file in files if not (snapshot / file).exists()]
        self._done, self._total = 0, sum(self._sizes[file] for file in missing)
        free = shutil.disk_usage(cache_folder()).free
        if self._total > free:
            raise AttnvizError(
                f"{self._name} needs {in_bytes(self._total)} on the disk, and {in_bytes(free)} of "
                f"it are free at {cache_folder()}",
                "free some space, or choose another place: HF_HUB_CACHE",
            )
        self._count(0)
        for file in missing:
            self.one(file)

    def _count(self, n_byte: float) -> None:
        self._done += int(n_byte)
        if self._progress is not None and self._total:
            self._progress(min(self._done, self._total), self._total)


def _counter(count: Callable[[float], None]) -> type[Any]:
    """A progress bar for huggingface_hub that draws nothing and counts."""
    from huggingface_hub.utils import tqdm

    class Counter(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            count(n or 0)

    return Counter


@contextlib.contextmanager
def _explained(name: HubName) -> Iterator[None]:
    """Turns whatever goes wrong into an AttnvizError."""
    try:
        yield
    except AttnvizError:
        raise
    except Exception as error:  # of the package, of the HTTP library below it, of the disk
        raise _reason(name, error) from error


def _reason(name: HubName, error: Exception) -> AttnvizError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return AttnvizError(
            f"no room left for {name} at {cache_folder()}",
            "free some space, or choose another place: HF_HUB_CACHE",
        )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return AttnvizError(
            f"cannot write to the cache {cache_folder()}: {os.strerror(error.errno)}",
            "choose another place: HF_HUB_CACHE",
        )
    return _hub_reason(name, error)


def _hub_reason(name: HubName, error: Exception) -> AttnvizError:
    from huggingface_hub import constants, errors

    hub, token = constants.ENDPOINT, "HF_TOKEN=…, or hf auth login"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return AttnvizError(
            f"HF_HUB_OFFLINE is set: {name} cannot be fetched", "HF_HUB_OFFLINE=0, for once"
        )
    if isinstance(error, errors.GatedRepoError):
        return AttnvizError(
            f"{name} is gated: its authors want to be asked first",
            f"ask on {hub}/{name.repository}, then give your token: {token}",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return AttnvizError(
            f"{hub} has no model {name.repository}, or it is private",
            f"check the name; a private model needs a token: {token}",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return AttnvizError(
            f"{name.repository} has no revision {name.revision!r}", f"-m {name.repository}"
        )
    if isinstance(error, errors.HfHubHTTPError) and error.response is not None:
        status = error.response.status_code
        refused = status in (401, 403)
        return AttnvizError(
            f"{hub} {'refuses' if refused else 'does not give'} {name}: HTTP status {status}",
            f"give a token that may read it: {token}" if refused else "try again later",
        )
    first_line = str(error).strip().splitlines()[:1] or [type(error).__name__]
    return AttnvizError(
        f"cannot fetch {name} from {hub}: {first_line[0]}",
        "is there a network? HF_ENDPOINT names a mirror; without --download the cache is used",
    )
