"""What each model is given: one function for each kind of model.

Every array keeps its batch axis; `mask` is 1 where a token is no padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Case = dict[str, np.ndarray]

FIRST = 5
"""Lower ids are kept for the special tokens."""

SINGLE, LONG, SHORTER, TARGET = 11, 17, 8, 7


def decoder(config: Any, generator: np.random.Generator, n: Mapping[str, int]) -> dict[str, Case]:
    """One text, one longer than any window, and two of different length in one batch."""
    single, long = n.get("single", SINGLE), n.get("long", LONG)

    def ids(*shape: int) -> np.ndarray:
        return generator.integers(FIRST, config.vocab_size - 2, shape)

    mask = np.ones((2, single), np.int64)
    mask[1, SHORTER:] = 0
    padding = getattr(config, "pad_token_id", None) or 0
    return {
        "single": {"ids": ids(1, single)},
        "long": {"ids": ids(1, long)},
        "padded": {"ids": np.where(mask == 1, ids(2, single), padding), "mask": mask},
    }


def encoder(config: Any, generator: np.random.Generator, n: Mapping[str, int]) -> dict[str, Case]:
    """The same, where nothing depends on how long the long one is."""
    return decoder(config, generator, {"long": 13, **n})


def segments(config: Any, generator: np.random.Generator, n: Mapping[str, int]) -> dict[str, Case]:
    """The same, and a pair of texts."""
    cases = encoder(config, generator, n)
    ids = generator.integers(FIRST, config.vocab_size - 2, (1, 10))
    return cases | {"pair": {"ids": ids, "segments": np.array([[0] * 6 + [1] * 4])}}


def roberta(config: Any, generator: np.random.Generator, n: Mapping[str, int]) -> dict[str, Case]:
    """The same as for an encoder, and a text with the padding's id inside: it gets no position."""
    cases = encoder(config, generator, n)
    ids = generator.integers(FIRST, config.vocab_size - 2, (1, 9))
    ids[0, 3] = ids[0, 5] = config.pad_token_id
    return cases | {"inside": {"ids": ids}}


def esm(config: Any, generator: np.random.Generator, n: Mapping[str, int]) -> dict[str, Case]:
    """The same, and a text of which some tokens are masked, alone and beside padding."""
    cases = roberta(config, generator, n)
    ids = generator.integers(FIRST + 2, config.vocab_size - 2, (2, 12))
    ids[:, 2] = ids[0, 7] = config.mask_token_id
    mask = np.ones((2, 12), np.int64)
    mask[1, 9:] = 0
    return cases | {"masked": {"ids": np.where(mask == 1, ids, config.pad_token_id), "mask": mask}}


def seq2seq(config: Any, generator: np.random.Generator, n: Mapping[str, int]) -> dict[str, Case]:
    """The same as for an encoder, each with what the decoder has so far."""
    cases = encoder(config, generator, n)
    for name, case in cases.items():
        n_target = 13 if name == "long" else TARGET
        shape = (len(case["ids"]), n_target)
        last = getattr(config, "decoder_vocab_size", None) or config.vocab_size
        case["target"] = generator.integers(FIRST, last - 2, shape)
        case["target"][:, 0] = config.decoder_start_token_id
    return cases


def padded_inside(
    config: Any, generator: np.random.Generator, n: Mapping[str, int]
) -> dict[str, Case]:
    """The same, and both texts with the padding's id inside, where it is no padding."""
    cases = seq2seq(config, generator, n)
    ids, target = (cases["single"][key].copy() for key in ("ids", "target"))
    ids[0, [3, 5]] = target[0, 2] = config.pad_token_id
    return cases | {"inside": {"ids": ids, "target": target}}


def classified(
    config: Any, generator: np.random.Generator, n: Mapping[str, int]
) -> dict[str, Case]:
    """The same as for an encoder, each ending in the end's token: what the decoder reads is made
    of it."""
    cases = encoder(config, generator, n)
    for case in cases.values():
        lengths = case["mask"].sum(1) if "mask" in case else [case["ids"].shape[1]]
        for row, length in enumerate(lengths):
            case["ids"][row, length - 1] = config.eos_token_id
    return cases


def vit(config: Any, generator: np.random.Generator, n: Mapping[str, int]) -> dict[str, Case]:
    """An image of the size that the model is made for."""
    sides = config.image_size
    height, width = sides if isinstance(sides, list | tuple) else (sides, sides)
    return {"single": {"pixels": _pixels(generator, height, width)}}


def dinov2(config: Any, generator: np.random.Generator, n: Mapping[str, int]) -> dict[str, Case]:
    """That, and images smaller and larger, for which the table of positions is resized."""
    return vit(config, generator, n) | {
        "smaller": {"pixels": _pixels(generator, 12, 9)},
        "larger": {"pixels": _pixels(generator, 9, 18)},
    }


def dinov2_square(
    config: Any, generator: np.random.Generator, n: Mapping[str, int]
) -> dict[str, Case]:
    """The same, where positions are smoothed as their table is made smaller."""
    return dinov2(config, generator, n) | {
        "smallest": {"pixels": _pixels(generator, 6, 24)},
    }


def clip_image(
    config: Any, generator: np.random.Generator, n: Mapping[str, int]
) -> dict[str, Case]:
    """An image for a model that reads texts as well."""
    return vit(config.vision_config, generator, n)


def clip_text(config: Any, generator: np.random.Generator, n: Mapping[str, int]) -> dict[str, Case]:
    """Texts for a model that reads images as well."""
    return decoder(config.text_config, generator, n)


def whisper(config: Any, generator: np.random.Generator, n: Mapping[str, int]) -> dict[str, Case]:
    """Spectrograms, and what the decoder has so far."""
    shape = (1, config.num_mel_bins, 2 * config.max_source_positions)

    def case(n_target: int) -> Case:
        target = generator.integers(FIRST, config.vocab_size - 2, (1, n_target))
        target[:, 0] = config.decoder_start_token_id
        sound = generator.standard_normal(shape).astype(np.float32)
        return {"sound": sound, "target": target}

    return {"single": case(TARGET), "long": case(13)}


def sound(config: Any, generator: np.random.Generator, n: Mapping[str, int]) -> dict[str, Case]:
    """The same for an encoder alone."""
    cases = whisper(config, generator, n)
    return {name: {"sound": case["sound"]} for name, case in cases.items()}


def _pixels(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """[1, channel, height, width]"""
    return generator.standard_normal((1, 3, height, width)).astype(np.float32)
