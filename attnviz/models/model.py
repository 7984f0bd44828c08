"""A model: a transformer with what reads its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from attnviz.models.generation import Generation
from attnviz.models.tokenizers.tokenizer import Tokenizer
from attnviz.nn.embedding import Unembed
from attnviz.nn.transformer import Transformer

if TYPE_CHECKING:
    from attnviz.models.chat.template import ChatTemplate
    from attnviz.models.sound.reader import SoundReader
    from attnviz.models.vision.images import ImageReader


class Vision(NamedTuple):
    """The tower of a model for images, whose other one reads texts (CLIP)."""

    model: Model
    embed: Unembed
    """[n_token, d_model] -> [1, d]: the image as a vector that can be compared with a text's."""
    scale: float
    """What the cosine of the angle between them is multiplied by."""
    bias: float = 0.0
    independent: bool = False
    """Whether each text is right or wrong by itself, not one of them right."""


class Model(NamedTuple):
    """What `-m` names."""

    name: str
    transformer: Transformer
    tokenizer: Tokenizer
    trained: bool
    shape: Mapping[str, Any]
    """n_layer, n_head, d_model, …: what the screen and the manifest say about it."""
    n_parameter: int
    max_tokens: int | None = None
    """How many tokens it can read; None for no limit."""
    trained_tokens: int | None = None
    """How many tokens it was trained on; it reads more, with a note."""
    cut_tokens: int | None = None
    """After how many tokens its own software cuts a text, which attnviz does not; None for none."""
    n_vocabulary: int | None = None
    """Token ids lie below it; None for no limit."""
    n_target: int | None = None
    """The same of what the decoder of an encoder-decoder reads and writes."""
    dtype: str = "float32"
    """What it computes in."""
    n_disk: int = 0
    """Bytes of its weights on disk; 0 for seeded weights."""
    fingerprint: Callable[[], str | None] = lambda: None
    """The SHA-256 of the weights, read when asked for; None for seeded weights."""
    keep_weights: Callable[[int], None] = lambda n_byte: None
    """Convert half-precision and quantised weights once, up to so many bytes of them: for many
    passes with few tokens each."""
    check_weights: Callable[[], None] = lambda: None
    """Raises AttnvizError that names a tensor with NaN or infinity. It reads all weights: for runs
    that gave NaN or infinity."""
    target_tokenizer: Tokenizer | None = None
    """Of what the decoder of an encoder-decoder writes, where that is not `tokenizer`."""
    wraps: int | None = None
    """The padding's id, where the decoder of an encoder-decoder that predicts no tokens reads the
    text behind its last token that is no padding, not behind the first one of targets (mBART)."""
    task: str = ""
    """What the output is: `tag` (of every token), `classify` (of the whole), `span` (where an
    answer starts and ends), `continue` (the next token), `fill` (masked tokens), `embed` (a vector
    of the whole text); empty where nothing is known."""
    labels: tuple[str, ...] = ()
    """The names of the outputs, for `tag`, `classify` and `span`."""
    problem: str = ""
    """Of `classify`: empty where one label is right, `several` where any number of them may be,
    `number` where the outputs are numbers and no labels."""
    image: ImageReader | None = None
    """What reads images; None for a model that reads none."""
    vision: Vision | None = None
    """What reads images, for a model that compares them with texts."""
    sound: SoundReader | None = None
    """What reads sounds; None for a model that reads none."""
    chat: ChatTemplate | None = None
    """How it reads conversations; None for a model that has no template of its own."""
    generation: Callable[[], Generation] = Generation
    """How its checkpoint wants it to write, read when asked for."""
    notes: tuple[str, ...] = ()
    """What a user has to know about it, a sentence each."""

    @property
    def kind(self) -> str:
        return self.transformer.kind

    @property
    def output_tokenizer(self) -> Tokenizer:
        """Of what a decoder writes."""
        return self.target_tokenizer or self.tokenizer
