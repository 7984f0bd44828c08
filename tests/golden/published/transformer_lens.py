"""How many of the checkpoints that TransformerLens lists have an architecture that attnviz reads.

    pip download --no-deps transformer-lens==4.3.0
    python tests/golden/published/transformer_lens.py transformer_lens-4.3.0-py3-none-any.whl

By the class of each checkpoint, as its list of tested and of supported models has it: no weights
are downloaded, so a config with an option that is refused counts as read.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections import Counter

from attnviz.models.build.families import FAMILIES
from attnviz.models.build.read_names import TABLE

LIST = "transformer_lens/tools/model_registry/data/supported_models.json"


def classes() -> set[str]:
    """The classes of transformers of all families."""
    found = json.loads(TABLE.read_text())["classes"]
    return {name for family, names in found.items() if family in FAMILIES for name in names}


def main() -> int:
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        models = json.loads(wheel.read(LIST))["models"]
    known = classes()
    counts = Counter(model["architecture_id"] for model in models)
    read = sum(n for name, n in counts.items() if name in known)
    print(f"{read} of {len(models)} checkpoints: {read / len(models):.1%}")
    print(f"{len(known & {*counts})} of {len(counts)} classes")
    others = ", ".join(f"{name} {n}" for name, n in counts.most_common() if name not in known)
    print(f"not read: {others}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
