"""`--download`: real processes against a hub on this machine."""

from __future__ import annotations

import builtins
import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from attnviz.cli import run_cli
from attnviz.errors import AttnvizError
from attnviz.models.sources.download import download
from attnviz.models.sources.hub import HubName
from tests.conftest import GOLDEN
from tests.models.sources.hub_server import COMMIT, Hub, serve

pytest.importorskip("huggingface_hub")

TINY = {file.name: file.read_bytes() for file in (GOLDEN / "bert-tiny").iterdir()}
BESIDE = {"README.md": b"#", "pytorch_model.bin": b"\x80", "onnx/model.onnx": b"o", "generation_config.json": b"{}"}  # fmt: skip
RUN = ("run", "--ids", "2,7,3", "-m")


@pytest.fixture
def hub():
    with serve() as hub:
        hub.models["some/bert"] = TINY | BESIDE
        yield hub


@pytest.fixture
def attnviz(cli, hub, tmp_path):
    """`attnviz …` with this hub and an empty cache."""

    def call(*arguments, **environment):
        place = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_CACHE": str(tmp_path / "cache")}
        done = cli(*arguments, **{"HF_ENDPOINT": hub.url, **place, **environment})
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return call


def refused(done: tuple[int, str, str], message: str) -> str:
    """The hint of an error, which is one line."""
    code, out, err = done
    assert (code, out) == (2, ""), err
    error, hint = err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert hint.startswith("hint: ")
    return hint


def test_without_it_nothing_is_asked(attnviz, hub):
    hint = refused(attnviz(*RUN, "some/bert"), "no such folder, and no such model")
    assert "--download" in hint
    assert hub.requests == []


def test_it_is_fetched_once(attnviz, hub, tmp_path):
    code, out, err = attnviz(*RUN, "some/bert", "--download", HF_TOKEN="hf_secret")
    assert (code, err) == (0, "")
    assert out.startswith("model    some/bert (bert), encoder")
    assert sorted(hub.fetched) == ["config.json", "generation_config.json", "model.safetensors"]
    assert hub.tokens == {"Bearer hf_secret"}
    hub.requests.clear()
    assert attnviz(*RUN, "some/bert") == (0, out, "")
    assert hub.requests == []
    assert attnviz(*RUN, "some/bert", "--download")[0] == 0
    assert hub.fetched == []
    found = json.loads(attnviz("models", "--json")[1])["found"]
    assert found == [{"name": "some/bert", "family": "bert", "supported": True}]


def test_the_same_numbers_as_from_the_folder(attnviz, tmp_path):
    assert attnviz(*RUN, "some/bert", "--download", "-o", "hub.npz")[0] == 0
    assert attnviz(*RUN, GOLDEN / "bert-tiny", "-o", "folder.npz")[0] == 0
    with np.load(tmp_path / "hub.npz") as one, np.load(tmp_path / "folder.npz") as other:
        assert set(one.files) == set(other.files)
        for name in set(one.files) - {"manifest"}:
            np.testing.assert_array_equal(one[name], other[name])
        manifests = [json.loads(str(file["manifest"])) for file in (one, other)]
    assert [m["model"]["name"] for m in manifests] == ["some/bert", "bert-tiny"]
    assert manifests[0]["model"]["sha256"] == manifests[1]["model"]["sha256"]


@pytest.mark.parametrize("command", [("models",), ("explain", "--ids", "2,7", "-m")], ids=str)  # fmt: skip
def test_other_commands_take_it(attnviz, hub, command):
    attnviz(*command, "some/bert", "--download")
    assert "model.safetensors" in hub.fetched


@pytest.mark.parametrize("command", [("decode", "hi"), ("image", "x.png")], ids=str)
def test_commands_with_an_m_of_their_own(attnviz, hub, command):
    refused(attnviz(*command, "-m", "no/model", "--download"), "has no model no/model")
    assert hub.requests == ["GET /api/models/no/model/revision/main"]


def test_models_that_are_here_need_no_network(attnviz, hub):
    for name in ("tagger", "random:layers=1", str(GOLDEN / "bert-tiny")):
        assert attnviz(*RUN, name, "--download")[0] == 0
    assert hub.requests == []


def test_a_commit(attnviz, hub):
    code, out, _ = attnviz(*RUN, f"some/bert@{COMMIT}", "--download")
    assert code == 0
    assert out.startswith(f"model    some/bert@{COMMIT}"[:30])
    refused(attnviz(*RUN, "some/bert"), "'main' of some/bert is not in the cache")


def test_shards(attnviz, hub):
    tensors = load_file(GOLDEN / "bert-tiny" / "model.safetensors")
    places = {name: f"model-0000{i % 2 + 1}-of-00002.safetensors" for i, name in enumerate(tensors)}
    shards = {
        shard: save({n: a for n, a in tensors.items() if places[n] == shard})
        for shard in sorted(set(places.values()))
    }
    index = json.dumps({"weight_map": places}).encode()
    files = {"config.json": TINY["config.json"], "model.safetensors.index.json": index, **shards}
    hub.models["some/bert"] = files | {"consolidated.safetensors": b"never fetched"}
    assert attnviz(*RUN, "some/bert", "--download")[0] == 0
    assert sorted(hub.fetched) == sorted(files)
    del hub.models["some/bert"]["model-00002-of-00002.safetensors"]
    refused(attnviz(*RUN, "some/bert", "--download"), "lacks model-00002-of-00002.safetensors")


def test_what_was_broken_off_is_completed(attnviz, hub, tmp_path):
    assert attnviz(*RUN, "some/bert", "--download")[0] == 0
    snapshot = tmp_path / "cache/models--some--bert/snapshots" / COMMIT
    (snapshot / "model.safetensors").unlink()
    hint = refused(attnviz(*RUN, "some/bert"), "is incomplete")
    assert "--download" in hint
    hub.requests.clear()
    assert attnviz(*RUN, "some/bert", "--download")[0] == 0
    assert set(hub.fetched) <= {"model.safetensors"}


def test_no_config(attnviz, hub):
    hub.models["some/bert"] = {"bert-q4.gguf": b"GGUF"}
    hint = refused(attnviz(*RUN, "some/bert", "--download"), "on the hub is not a checkpoint")
    assert ".gguf" in hint
    hub.models["some/bert"] = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}
    refused(
        attnviz(*RUN, "some/bert", "--download"), "an adapter (LoRA or another), not a whole model"
    )
    assert hub.fetched == []


def test_pickles_are_not_even_fetched(attnviz, hub):
    hub.models["some/bert"] = {k: v for k, v in (TINY | BESIDE).items() if "safe" not in k}
    refused(attnviz(*RUN, "some/bert", "--download"), "pytorch_model.bin only, a pickle")
    assert hub.fetched == ["config.json"]


REFUSALS = [
    ((401, "RepoNotFound"), "has no model some/bert, or it is private", "HF_TOKEN"),
    ((401, ""), "refuses some/bert: HTTP status 401", "HF_TOKEN"),
    ((403, "GatedRepo"), "some/bert is gated", "/some/bert"),
    ((403, ""), "refuses some/bert: HTTP status 403", "HF_TOKEN"),
    ((404, "RepoNotFound"), "has no model some/bert, or it is private", "check the name"),
    ((500, ""), "does not give some/bert: HTTP status 500", "later"),
]


@pytest.mark.parametrize(("refusal", "message", "hint"), REFUSALS, ids=str)
def test_a_hub_that_refuses(hub, monkeypatch, refusal, message, hint):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    hub.refusal = refusal
    with pytest.raises(AttnvizError, match=message) as error:
        download(HubName("some/bert"))
    assert hint in error.value.hint


def test_an_unknown_revision(attnviz):
    done = attnviz(*RUN, "some/bert@v9", "--download")
    assert "-m some/bert" in refused(done, "some/bert has no revision 'v9'")


def test_no_network(attnviz):
    done = attnviz(*RUN, "some/bert", "--download", HF_ENDPOINT="http://127.0.0.1:9")
    assert "HF_ENDPOINT" in refused(done, "cannot fetch some/bert from http://127.0.0.1:9: ")


def test_offline(attnviz, hub):
    done = attnviz(*RUN, "some/bert", "--download", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE=0" in refused(done, "HF_HUB_OFFLINE is set")
    assert hub.requests == []


def test_no_room(attnviz, hub):
    """The hub says how large the files are before one is fetched."""
    hub.sizes["model.safetensors"] = 1 << 60
    done = attnviz(*RUN, "some/bert", "--download")
    assert "HF_HUB_CACHE" in refused(done, "some/bert needs 1152921504.6 GB on the disk")
    assert "model.safetensors" not in hub.fetched


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "no room left for some/bert"), (errno.EROFS, "cannot write to the cache")],
)
def test_a_disk_that_takes_no_more(monkeypatch, tmp_path, number, message):
    import huggingface_hub

    def fail(*arguments, **given):
        raise OSError(number, "no")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    with pytest.raises(AttnvizError, match=message) as error:
        download(HubName("some/bert"))
    assert "HF_HUB_CACHE" in error.value.hint


def test_the_package_is_missing(capsysbinary, monkeypatch):
    original = builtins.__import__

    def without(name, *rest, **options):
        if name == "huggingface_hub":
            raise ImportError(name)
        return original(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run_cli([*RUN, "some/bert", "--download"]) == 2
    assert b"pip install 'attnviz[hub]'" in capsysbinary.readouterr().err


def test_the_bytes_are_counted(hub, tmp_path):
    """A process of its own, as the package reads its settings once."""
    code = (
        "from attnviz.models.sources.download import download; from attnviz.models.sources.hub import HubName;"
        "download(HubName('some/bert'), lambda done, total: print(done, total))"
    )
    environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    counts = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    size = len(TINY["model.safetensors"]) + len(BESIDE["generation_config.json"])
    assert counts == sorted(counts)
    assert counts[-1] == (size, size)


def test_the_server_is_what_it_should_be(hub: Hub, tmp_path: Path):
    """huggingface_hub's own download of everything understands it."""
    code = "import sys, huggingface_hub as h; print(h.hf_hub_download('some/bert', 'config.json'))"
    environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert Path(done.stdout.strip()).read_bytes() == TINY["config.json"], done.stderr
