"""Images: patches are tokens, and where a model looks is not what its answer depends on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attnviz.analysis.saliency import class_logit, class_probabilities, gradient
from attnviz.errors import AttnvizError
from attnviz.language import say
from attnviz.lessons.kit import DIGIT, Claim, Lesson, Try, largest_difference, prose, read_drawing
from attnviz.models import load_model
from attnviz.models.model import Model
from attnviz.models.run.forward import forward
from attnviz.models.run.prepare import prepare
from attnviz.models.vision.images import Pixels
from attnviz.nn.embedding import Embed, Input
from attnviz.nn.patches import cut
from attnviz.nn.seeded import normal
from attnviz.nn.types import Array
from attnviz.trace.record import Trace
from attnviz.views.kinds import Grid, Heatmap, Picture, Scale, Table, Text, indices

TITLE = "Images: patches as tokens"
QUESTION = "How does a transformer read an image?"
AFTER = "sequence"
GROUP = "models"
ALSO = ("vit", "vision", "patches", "pixels", "digits", "saliency")
INTUITION = (
    "Cut a picture into squares like a jigsaw, and write on the back of each piece where it "
    "belongs: now the pieces may lie in any order. That is how a transformer reads an image. "
    "Each patch is a token, and its position vector is the note on its back. One more token, the "
    "class token, looks at the pieces, and the answer is read from it."
)

ALLOWED = 1e-6
LAST = "encoder.1.self"
"""The attention whose class token is looked at: the answer is read from it."""


class Permuted(NamedTuple):
    """An embedding whose tokens, each with its position, come in another order."""

    embed: Embed
    order: Array
    """[n_token]: which token comes at each place."""

    def __call__(self, inputs: Input) -> Array:
        return self.embed(inputs)[..., self.order, :]


class Moved(NamedTuple):
    """What another order of the patches changes."""

    image: Array
    """[height, width]: patches in that order, each at a new place."""
    answer: int
    """What the model makes of it."""
    with_positions: float
    """The largest difference of the class logits where each patch keeps its position."""
    weights: float
    """And of the weights, back in the first order."""
    without: float
    """The largest difference of the class logits of `image`."""


def lesson(*, drawing: str = DIGIT, seed: int = 1) -> Lesson:
    """What does a transformer make of an image?"""
    model = load_model("digits", {"dtype": "float64"})
    prepared = prepare(model, image=read_drawing(drawing))
    trace, pixels = forward(prepared, logits=True), prepared.pixels
    probabilities = class_probabilities(trace)
    assert pixels is not None
    assert probabilities is not None
    label = int(probabilities.argmax())
    looks = trace[LAST].stage("weights")[:, 0, 1:]
    slopes = np.abs(gradient(class_logit(model.transformer, label), pixels.values)).sum(0)
    sensitivity = _by_patch(slopes, pixels)
    moved = _move(model, pixels, trace, seed)
    rows, columns = pixels.grid
    views = (
        prose(
            say(
                "The image is cut into {count} patches of {down} × {across} pixels. A linear map "
                "turns each patch into a vector, and a position vector is added to it: now it is "
                "a token. One more token, the class token, gathers what it needs from the "
                "patches, and the answer is read from it: here {answer}, with probability "
                "{probability:.2f}.",
                count=rows * columns,
                down=pixels.patch[0],
                across=pixels.patch[1],
                answer=model.labels[label],
                probability=float(probabilities[label]),
            )
        ),
        _attention_picture(pixels, looks),
        _slopes_picture(pixels, slopes),
        _patches_table(pixels, looks.mean(0), sensitivity),
        _order_text(),
        _moved_grid(pixels, moved, model.labels[label], model.labels[moved.answer]),
    )
    return Lesson(views, _claims(moved, looks, sensitivity))


def _by_patch(slopes: Array, pixels: Pixels) -> Array:
    """[height, width] -> [n_patch]: each patch's share."""
    sums = cut(slopes[None], pixels.patch).sum(-1)
    return np.asarray(sums / sums.sum())


def _move(model: Model, pixels: Pixels, trace: Trace, seed: int) -> Moved:
    rows, columns = pixels.grid
    patches = np.argsort(normal((rows * columns,), seed, "order"))
    order = np.concatenate([[0], 1 + patches])
    embed = model.transformer.source
    assert embed is not None
    transformer = model.transformer._replace(source=Permuted(embed, order))
    permuted_model = model._replace(transformer=transformer)
    permuted = forward(prepare(permuted_model, image=pixels), logits=True)
    image = pixels._replace(values=_in_order(pixels.values, pixels, patches))
    if np.array_equal(image.values, pixels.values):
        raise AttnvizError("the drawing is the same in another order", "seed=2, or draw more")
    other = forward(prepare(model, image=image), logits=True)
    assert other.logits is not None
    return Moved(
        _in_order(pixels.shown[None], pixels, patches)[0],
        int(other.logits[0].argmax()),
        largest_difference(_class_logits(permuted), _class_logits(trace)),
        max(
            largest_difference(new.stage("weights"), old.stage("weights")[:, order][:, :, order])
            for new, old in zip(permuted, trace, strict=True)
        ),
        largest_difference(_class_logits(other), _class_logits(trace)),
    )


def _in_order(values: Array, pixels: Pixels, order: Array) -> Array:
    """[channel, height, width] with its patches in another order."""
    (rows, columns), (down, across) = pixels.grid, pixels.patch
    patches = cut(values, pixels.patch)[order]
    blocks = patches.reshape(rows, columns, len(values), down, across)
    return blocks.transpose(2, 0, 3, 1, 4).reshape(values.shape)


def _attention_picture(pixels: Pixels, looks: Array) -> Picture:
    return Picture(
        say("where the class token looks in the last layer, head by head"),
        pixels.shown,
        (tuple(head.reshape(pixels.grid) for head in looks),),
        ("",),
        tuple(f"H{head}" for head in range(len(looks))),
        Scale(0.0, float(looks.max())),
        (say("the image as the model sees it: light on dark"),),
    )


def _slopes_picture(pixels: Pixels, slopes: Array) -> Picture:
    return Picture(
        say("what the answer depends on: its gradient at each pixel"),
        pixels.shown,
        ((slopes,),),
        ("",),
        (say("gradient"),),
        Scale(0.0, float(slopes.max())),
        (
            say(
                "gradient: how fast the answer's logit changes with each pixel, as an absolute "
                "value (by finite differences)"
            ),
        ),
    )


def _order_text() -> Text:
    return prose(
        say(
            "Apart from position vectors, attention does not know the order of its tokens. So the "
            "patches may swap places in the sequence as long as each keeps its own position "
            "vector. Below, the patches have moved but the position vectors have not: to the "
            "model, that is a different image."
        )
    )


def _moved_grid(pixels: Pixels, moved: Moved, answer: str, other: str) -> Grid:
    """The image beside the one whose patches are in another order."""
    titles = (
        say("in place: {answer}", answer=answer),
        say("moved: {answer}", answer=other),
    )
    panels = tuple(
        Heatmap(
            title,
            image,
            indices(say("row"), len(image)),
            indices(say("column"), len(image.T)),
            Scale(0.0, 1.0),
        )
        for title, image in zip(titles, (pixels.shown, moved.image), strict=True)
    )
    return Grid(
        say("the same patches, and what the model reads"),
        (panels,),
        ("",),
        titles,
        (say("0: background, 1: ink"),),
    )


def _patches_table(pixels: Pixels, looks: Array, sensitivity: Array) -> Table:
    """The patches that get most of one or the other."""
    largest = np.argsort(-np.maximum(looks / looks.sum(), sensitivity), kind="stable")[:8]
    names = pixels.tokens.labels[1:]
    rows = tuple((names[i], float(looks[i] / looks.sum()), float(sensitivity[i])) for i in largest)
    return Table(
        say("the two maps, patch by patch"),
        (say("patch"), say("attention"), say("gradient")),
        rows,
        (
            say(
                "each column: shares that sum to 1 over all patches; attention: mean over the "
                "heads of the last layer"
            ),
            say(
                "{shown} of {count} patches shown: those with the largest shares",
                shown=len(rows),
                count=len(names),
            ),
        ),
        decimals=3,
    )


def _claims(moved: Moved, looks: Array, sensitivity: Array) -> tuple[Claim, ...]:
    error = max(moved.with_positions, moved.weights)
    mean = looks.mean(0) / looks.mean(0).sum()
    apart = float(np.abs(mean - sensitivity).sum() / 2)
    return (
        Claim(
            say("Reordering the patches together with their positions changes nothing, to 1e-6"),
            say(
                "logits differ by {logits:.1g}, weights by {weights:.1g}",
                logits=moved.with_positions,
                weights=moved.weights,
            ),
            error <= ALLOWED,
        ),
        Claim(
            say("Reordering the patches without their positions makes a different image"),
            say("logits differ by {without:.2f}", without=moved.without),
            moved.without > ALLOWED,
        ),
        Claim(
            say("Where the model looks is not what its answer depends on"),
            say(
                "to turn one map into the other, {apart:.0%} of it must move to other patches",
                apart=apart,
            ),
            apart > 0.1,
        ),
    )


def _class_logits(trace: Trace) -> Array:
    assert trace.logits is not None
    return np.asarray(trace.logits[0])


TRY = (
    Try(
        "attnviz learn image:seed=6",
        "The patches move to other places, and the model reads a 0.",
    ),
    Try(
        "attnviz learn image:seed=2",
        "Other places again, but the model still reads a 3: another image may have the same "
        "answer.",
    ),
)
NEXT = ("cache",)
