"""The dumps of `samples/diagnose`: each is what its script writes, and what its README says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[3] / "samples" / "diagnose"

LINE = re.compile(r"^\| `attnviz (diagnose (\S+)\.npz.*?)` \| (.*?) ?\|", re.MULTILINE)

LINES = LINE.findall((FOLDER / "README.md").read_text("utf-8"))


def test_every_sample_is_in_the_readme_and_is_what_its_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FOLDER / "make.py", tmp_path], check=True)
    names = {path.stem for path in FOLDER.glob("*.npz")}
    assert names == {name for _, name, _ in LINES} == {path.stem for path in tmp_path.iterdir()}
    for name in names:
        kept, made = np.load(FOLDER / f"{name}.npz"), np.load(tmp_path / f"{name}.npz")
        assert kept.files == made.files
        for each in kept.files:
            np.testing.assert_allclose(kept[each], made[each], atol=1e-6)


@pytest.mark.parametrize(("command", "name", "mistake"), LINES, ids=[name for _, name, _ in LINES])
def test_what_the_readme_says_of_a_sample(cli, command, name, mistake) -> None:
    verb, file, *options = command.split()
    done = cli(verb, FOLDER / file, *options, "--json")
    said = json.loads(done.stdout)
    assert done.returncode == (1 if mistake else 0)
    assert said["verdict"] == ("differs" if mistake else "match")
    if mistake:
        cause = said["causes"][0]
        right = {frozenset(mistake.split("+"))}
        assert cause["explains"]
        assert {frozenset(each.split("+")) for each in (cause["id"], *cause["equivalent"])} & right
