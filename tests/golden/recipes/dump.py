"""What a misuse is made of: random tensors, the function that saves them, and what is right."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

N_BATCH, N_HEAD, N_Q, N_K, WIDTH = 2, 3, 7, 11, 5
"""All primes, so that no axis fits in another's place by chance."""


@dataclass(frozen=True)
class Saved:
    """What somebody saves to ask what is wrong with it."""

    right: Tensor
    """What the output (`out`, or what stands for it) should have been; not saved."""
    arrays: dict[str, Tensor]

    @property
    def got(self) -> Tensor:
        """The last array, which is the one that is wrong."""
        return list(self.arrays.values())[-1]


@dataclass(frozen=True)
class Misuse:
    """One dump: how it is made, and which answers to it are right."""

    ids: tuple[str, ...]
    """Of the catalogue, any of which names the mistake; of a pair `C3+S2`."""
    thread: str
    """Where somebody did this."""
    options: dict[str, Any]
    """What its author says of the attention that was wanted, as options of `diagnose`."""
    make: Callable[[Draw], Saved]

    @property
    def name(self) -> str:
        return self.make.__name__

    @property
    def what(self) -> str:
        return (self.make.__doc__ or "").strip()


class Draw:
    """Random tensors that are the same every time for one name."""

    def __init__(self, name: str) -> None:
        self.generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))

    def __call__(self, *shape: int, size: float = 1.0) -> Tensor:
        return size * torch.randn(*shape, generator=self.generator) + 0.1

    def heads(
        self, n_q: int = N_Q, n_k: int = N_K, *, n_head: int = N_HEAD, n_kv_head: int | None = None,
        d: int = WIDTH, d_v: int | None = None, n_batch: int = N_BATCH,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """q [b, h, n_q, d], k [b, h_kv, n_k, d], v [b, h_kv, n_k, d_v]"""
        n_kv_head = n_kv_head or n_head
        return (
            self(n_batch, n_head, n_q, d, size=1.5),
            self(n_batch, n_kv_head, n_k, d),
            self(n_batch, n_kv_head, n_k, d_v or d),
        )

    def padding(self, n_k: int = N_K, n_batch: int = N_BATCH, *, left: bool = False) -> Tensor:
        """[b, n_k], True = a token; every item of the batch has another length, the first all."""
        length = n_k - 3 * torch.arange(n_batch)
        real = torch.arange(n_k) < length[:, None]
        return real.flip(1) if left else real


MISUSES: list[Misuse] = []


def misuse(*ids: str, thread: str = "", **options: Any) -> Callable[[Any], Any]:
    """Register a function that makes a dump: its name is the file's, its docstring says what was
    done."""

    def register(make: Callable[[Draw], Saved]) -> Callable[[Draw], Saved]:
        MISUSES.append(Misuse(ids, thread, options, make))
        return make

    return register


def saved(right: Tensor, **arrays: Tensor) -> Saved:
    return Saved(right, arrays)


def softmax_of(scores: Tensor, v: Tensor) -> Tensor:
    """softmax(scores) v, as everybody writes it."""
    return torch.softmax(scores, dim=-1) @ v
