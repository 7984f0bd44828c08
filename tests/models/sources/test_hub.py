"""Names of the Hugging Face hub, and what its cache holds of them; no network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attnviz.errors import AttnvizError
from attnviz.models import load_model
from attnviz.models.sources import hub
from attnviz.models.sources.hub import HubName, cache_folder, cached, find, parse_name
from tests.conftest import GOLDEN

COMMIT, OTHER = "0123456789abcdef0123456789abcdef01234567", "f" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put(cache: Path, name: str, commit: str = COMMIT, **refs: str) -> Path:
    """The tiny BERT in a cache, laid out as huggingface_hub does: links to blobs."""
    folder = cache / ("models--" + name.replace("/", "--"))
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (folder / "blobs").mkdir(exist_ok=True)
    for file in (GOLDEN / "bert-tiny").iterdir():
        blob = folder / "blobs" / f"{commit[:4]}-{file.name}"
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(f"../../blobs/{blob.name}")
    for ref, target in refs.items():
        path = folder / "refs" / ref.replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(target)
    return snapshot


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("org/name", HubName("org/name")),
        ("Qwen/Qwen2.5-0.5B_x", HubName("Qwen/Qwen2.5-0.5B_x")),
        ("gpt2", HubName("gpt2")),
        ("org/name@v1.0", HubName("org/name", "v1.0")),
        ("org/name@refs/pr/3", HubName("org/name", "refs/pr/3")),
        ("org/name@main", HubName("org/name")),
    ],
)
def test_names(text, name):
    assert parse_name(text) == name
    assert parse_name(str(name)) == name


NO_NAMES = [
    "", "/", "a/", "/a", "a/b/c", "./a", "../a", "a/..", "~/a", "a\\b", "a b/c", "a/b@", "a/b@../c", "a--b/c",
    "a/b@c d", "a/-b", "a/b-", ".a/b", "a/b@c@d", "ä/b", "x" * 97, "a/b\n", "random:layers=2",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_NAMES)
def test_what_is_no_name(text):
    assert parse_name(text) is None


PLACES = [
    {},
    {"XDG_CACHE_HOME": "/x/cache"},
    {"HF_HOME": "/x/home"},
    {"HF_HOME": "~/home", "XDG_CACHE_HOME": "/x/cache"},
    {"HUGGINGFACE_HUB_CACHE": "/x/old"},
    {"HF_HUB_CACHE": "/x/hub", "HF_HOME": "/x/home", "HUGGINGFACE_HUB_CACHE": "/x/old"},
    {"HF_HUB_CACHE": "$PLACE/hub", "PLACE": "/x"},
    {"HF_HOME": "$PLACE/home", "PLACE": "/x"},
    {"HF_HUB_CACHE": "~/hub"},
]


@pytest.mark.parametrize("environment", PLACES, ids=lambda e: " ".join(e) or "nothing")
def test_the_cache_is_where_huggingface_hub_has_it(environment, monkeypatch):
    pytest.importorskip("huggingface_hub")
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert str(cache_folder()) == done.stdout.strip()


class TestFind:
    def test_by_branch_tag_and_commit(self, cache):
        one = put(cache, "org/bert", main=COMMIT, v1=COMMIT, refs_pr_3=COMMIT)
        two = put(cache, "org/bert", OTHER)
        assert find(HubName("org/bert")) == one
        for revision in ("v1", "refs/pr/3", COMMIT):
            assert find(HubName("org/bert", revision)) == one
        assert find(HubName("org/bert", OTHER)) == two

    def test_as_huggingface_hub_finds_it(self, cache):
        download = pytest.importorskip("huggingface_hub").snapshot_download
        put(cache, "org/bert", main=OTHER)
        put(cache, "org/bert", OTHER)
        found = download("org/bert", cache_dir=cache, local_files_only=True)
        assert find(HubName("org/bert")) == Path(found)

    def test_nothing(self, cache):
        assert find(HubName("org/bert")) is None
        put(cache, "org/bert", main=COMMIT)
        assert find(HubName("org/other")) is None

    def test_a_revision_that_is_not_there(self, cache):
        put(cache, "org/bert", v1=COMMIT)
        with pytest.raises(AttnvizError, match="'main' of org/bert is not in the cache") as error:
            find(HubName("org/bert"))
        assert "--download" in error.value.hint
        assert "org/bert@v1" in error.value.hint

    def test_files_that_are_missing(self, cache):
        snapshot = put(cache, "org/bert", main=COMMIT)
        (snapshot / "model.safetensors").resolve().unlink()  # what the link leads to
        with pytest.raises(
            AttnvizError, match=r"is incomplete .* it lacks model\.safetensors"
        ) as e:
            find(HubName("org/bert"))
        assert "--download" in e.value.hint
        (snapshot / "config.json").unlink()
        with pytest.raises(AttnvizError, match=r"it lacks config\.json"):
            find(HubName("org/bert"))

    @pytest.mark.parametrize("ref", ["", "../../../secret", "/etc", "\x00", "g" * 1000, "é"])
    def test_a_ref_that_is_garbage(self, cache, ref):
        put(cache, "org/bert", main=ref)
        (cache / "secret").mkdir()
        with pytest.raises(AttnvizError, match="'main' of org/bert is not in the cache"):
            find(HubName("org/bert"))

    def test_a_line_end_in_a_ref(self, cache):
        snapshot = put(cache, "org/bert", main=f"{COMMIT}\n")
        assert find(HubName("org/bert")) == snapshot


class TestLoading:
    def test_the_name_is_the_one_that_was_given(self, cache):
        put(cache, "org/bert", main=COMMIT, v1=COMMIT)
        assert load_model("org/bert").name == "org/bert"
        assert load_model("org/bert@v1").name == "org/bert@v1"

    def test_models_without_an_organisation(self, cache):
        put(cache, "bert-old", main=COMMIT)
        assert load_model("bert-old").name == "bert-old"

    def test_a_packaged_model_comes_first(self, cache):
        put(cache, "tagger", main=COMMIT)
        assert load_model("tagger").task == "tag"

    def test_a_folder_comes_first(self, cache, tmp_path, monkeypatch):
        put(cache, "org/bert", main=COMMIT)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "org/bert").mkdir(parents=True)
        with pytest.raises(
            AttnvizError, match=r"org/bert is not a checkpoint: it has no config\.json"
        ):
            load_model("org/bert")

    def test_what_is_nowhere(self, cache):
        with pytest.raises(AttnvizError, match="no such folder, and no such model") as error:
            load_model("org/bert")
        assert "--download" in error.value.hint
        with pytest.raises(AttnvizError, match="no such model: 'tager'") as error:
            load_model("tager")
        assert "tagger" in error.value.hint

    def test_nothing_of_the_network_is_imported(self, cache):
        put(cache, "org/bert", main=COMMIT)
        code = (
            "import sys; from attnviz.models import load_model; load_model('org/bert');"
            "print(*(m for m in sys.modules if 'huggingface' in m or m in ('socket', 'httpx')))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_everything_in_the_cache(cache):
    one = put(cache, "org/bert", main=COMMIT, v1=COMMIT)
    two = put(cache, "org/bert", OTHER)
    three = put(cache, "gpt", v2=COMMIT)
    assert list(cached()) == [
        (HubName("gpt", "v2"), three),
        (HubName("org/bert"), one),
        (HubName("org/bert", OTHER), two),
    ]


def test_the_catalogue_lists_what_m_takes(cache):
    from attnviz.models.sources.catalogue import cached_entries

    put(cache, "org/bert", main=COMMIT)
    gpt = put(cache, "org/other", main=COMMIT)
    (gpt / "config.json").unlink()
    (gpt / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    found = [(entry.name, entry.family, entry.supported) for entry in cached_entries()]
    assert found == [("org/bert", "bert", True), ("org/other", "mamba", False)]
    assert hub.find(HubName("org/bert")) is not None
