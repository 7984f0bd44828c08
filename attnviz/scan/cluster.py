"""The workers of a Dask cluster that is running already."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from attnviz.errors import AttnvizError
from attnviz.scan.corpus import Chunk
from attnviz.scan.tally import Job, Tally, check_worker, tally
from attnviz.scan.workers import Crew

PATIENCE = 10
"""Seconds in which a scheduler answers, and has a worker; also when all of them were lost."""

RESUME = "--resume goes on from what is counted"


@contextlib.contextmanager
def cluster(address: str, job: Job) -> Iterator[Crew]:
    """The workers of the scheduler at `address`; they need attnviz and the model's files.

    A chunk whose worker is lost goes to another one.

    Raises:
        AttnvizError: no scheduler, no workers, or workers that cannot run the job.
    """
    try:
        import distributed
    except ImportError as error:
        raise AttnvizError(
            "--dask needs the package distributed", "pip install 'attnviz[dask]'"
        ) from error
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is said here
    with contextlib.ExitStack() as stack:
        try:
            asyncio.run(_connect_once(address))
            connect: Any = distributed.Client
            client = stack.enter_context(connect(address, timeout=PATIENCE, set_as_default=False))
        except Exception as error:  # each kind of address fails in its own way
            raise AttnvizError(
                f"no Dask scheduler answers at {address or 'an empty address'}: {error}",
                "dask scheduler starts one and says its address: tcp://HOST:8786",
            ) from error
        n_thread = _wait_for_workers(client, address)
        job = job._replace(sharing=n_thread)
        with _explained(address):
            client.run(check_worker, job)

        def submit(chunk: Chunk) -> _Remote:
            def send() -> Any:
                return client.submit(tally_alone, job, chunk, pure=False)

            with _explained(address):
                return _Remote(send(), send, client, address)

        yield Crew(submit, n_thread)


async def _connect_once(address: str) -> None:
    """A client that fails to connect waits for itself on its way out; this does not."""
    import distributed
    from distributed.comm import core

    security: Any = distributed.Security
    connect: Any = core.connect
    arguments = security().get_connection_args("client")
    comm = await connect(address, timeout=PATIENCE, **arguments)
    await comm.close()


def tally_alone(job: Job, chunk: Chunk) -> Tally:
    """What a chunk gives, computed with one thread, as by the processes of one machine: a cluster
    has as many tasks at once as its workers have cores."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return tally(job, chunk)


ATTEMPTS = 3
"""Times that a chunk is sent whose result was lost with its worker."""


class _Remote(NamedTuple):
    """A result whose failures are explained in our words."""

    future: Any
    again: Callable[[], Any]
    """Sends the chunk once more."""
    client: Any
    address: str

    def result(self) -> Tally:
        from distributed import CancelledError

        future, attempt = self.future, 1
        with _explained(self.address):
            while True:
                try:
                    tally: Tally = future.result(timeout=PATIENCE)
                    return tally
                except TimeoutError:
                    if future.done():  # that of the worker itself
                        raise
                    _wait_for_workers(self.client, self.address, ": all were lost", RESUME)
                except (CancelledError, OSError):
                    # a result that was lost while it was fetched: the scheduler may be well
                    if attempt == ATTEMPTS or self.client.status != "running":
                        raise
                    attempt += 1
                    future = self.again()


def _wait_for_workers(client: Any, address: str, reason: str = "", hint: str | None = None) -> int:
    """How many threads there are together."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        raise AttnvizError(
            f"the Dask scheduler at {address} has no workers{reason}",
            hint or f"dask worker {address} starts one",
        ) from error
    return sum(client.nthreads().values())


@contextlib.contextmanager
def _explained(address: str) -> Iterator[None]:
    """Every failure of a cluster as an AttnvizError; those of attnviz itself as they are."""
    from distributed import CancelledError, KilledWorker

    try:
        yield
    except AttnvizError:
        raise
    except KilledWorker as error:
        raise AttnvizError(
            f"the Dask workers at {address} die of a chunk: {error}",
            "more memory for each, or a smaller --longest",
        ) from error
    except (CancelledError, OSError) as error:
        raise AttnvizError(
            f"the Dask scheduler at {address} is gone: {error}",
            RESUME,
        ) from error
    except Exception as error:
        raise AttnvizError(
            f"a Dask worker of {address} cannot run attnviz: {type(error).__name__}: {error}",
            "install the same attnviz on every worker",
        ) from error
