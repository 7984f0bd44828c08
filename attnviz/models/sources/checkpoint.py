"""A folder -> a model."""

from __future__ import annotations

from pathlib import Path

from attnviz.models.build.checkpoint import Checkpoint, build_model
from attnviz.models.build.config import Config
from attnviz.models.json_object import read_object
from attnviz.models.model import Model
from attnviz.models.sources.card import check_card
from attnviz.models.sources.folder import CONFIG, INDEX, WEIGHTS, open_weights, read_config
from attnviz.models.tokenizers.files import read_tokenizers
from attnviz.models.vision.preprocessor import HINT
from attnviz.tokens import label

PREPROCESSOR = "preprocessor_config.json"


def load_checkpoint(folder: Path, dtype: str = "float32", name: str | None = None) -> Model:
    """The model in a folder, named by it unless `name` says otherwise."""
    config = read_config(folder)
    weights = open_weights(folder, config)
    tokenizers = read_tokenizers(folder, config)
    preprocessor = folder / PREPROCESSOR
    checkpoint = Checkpoint(
        name or folder.resolve().name,
        Config(config, str(folder / CONFIG)),
        weights,
        tokenizers.source,
        tokenizers.target,
        Config(read_object(preprocessor), str(preprocessor), HINT)
        if preprocessor.exists()
        else None,
        dtype,
    )
    model = build_model(checkpoint)
    check_card(folder, weights)
    file_name = Path(weights.path).name
    if file_name not in (WEIGHTS, INDEX):
        note = f"its weights are those in {label(file_name)}"
        model = model._replace(notes=(*model.notes, note))
    return model
