"""`attnviz diagnose`: which mistake a dump shows."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attnviz

N_Q, N_K = 7, 11


@pytest.fixture
def dump(tmp_path, generator):
    """Writes dump.npz: q, k, v and what a function makes of them."""
    q = generator.normal(size=(2, 3, N_Q, 5)).astype(np.float32)
    k, v = generator.normal(size=(2, 2, 3, N_K, 5)).astype(np.float32)

    def write(make, **others):
        np.savez(tmp_path / "dump.npz", q=q, k=k, v=v, out=make(q, k, v), **others)

    return write


def attended(**options):
    return lambda q, k, v: attnviz.attend(q, k, v, **options).context


def words(text):
    return " ".join(text.split())


def test_what_is_right(call, dump):
    dump(attended())
    done = call("diagnose", "dump.npz")
    assert (done.code, done.err) == (0, "")
    assert words(done.out).startswith("matches context is what q, k and v give: max ")
    assert "as expected of float32" in words(done.out)
    assert json.loads(call("diagnose", "dump.npz", "--json").out)["verdict"] == "match"


def test_a_mistake_is_named_with_its_remedy(call, dump):
    dump(attended(scale=15**-0.5))
    done = call("diagnose", "dump.npz")
    assert done.code == 1
    text = words(done.out)
    assert "cause your output is what you get with scores divided by √15" in text
    assert "computed softmax(QKᵀ/√15)" in text
    assert "wanted softmax(QKᵀ/√5)" in text
    assert "fix scores / math.sqrt(q.shape[-1])" in text
    assert "lucidrains/vit-pytorch#65" in text
    assert "1/√15 (d_model)" in text
    found = json.loads(call("diagnose", "dump.npz", "--json").out)
    assert [cause["id"] for cause in found["causes"]] == ["S2"]
    assert found["recovered"]["one_over_scale_squared"] == pytest.approx(15, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--causal",), {"causal": True}),
        (("--causal", "--align", "upper_left"), {"causal": "upper_left"}),
        (("--causal", "--window", "4"), {"causal": True, "window": 4}),
        (("--scale", "1/3"), {"scale": 1 / 3}),
        (("--softcap", "2"), {"softcap": 2.0}),
        (("--spec", "torch", "--causal"), {"causal": "upper_left"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_say_what_is_wanted(call, dump, options, wanted):
    dump(attended(**wanted))
    assert call("diagnose", "dump.npz", *options).code == 0
    assert call("diagnose", "dump.npz", "--no-causal").code == 1


def test_where_it_is_off(call, dump):
    def make(q, k, v):
        out = attended()(q, k, v)
        out[1, 2, 4] += 1
        return out

    dump(make)
    done = call("diagnose", "dump.npz", "--width", "100")
    assert "items: 1; heads: 2; queries: 4" in words(done.out)
    assert "where: powers of ten above rounding" in done.out
    found = json.loads(call("diagnose", "dump.npz", "--json").out)
    assert found["where"]["items"] == [1]
    assert found["where"]["heads"] == [2]
    assert found["where"]["queries"] == [4]


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_types(call, tmp_path, generator, dtype):
    q, k, v = (generator.normal(size=(2, 3, n, 8)).astype(dtype) for n in (5, 7, 7))
    out = attnviz.attend(q, k, v).context.astype(dtype)
    np.savez(tmp_path / "dump.npz", q=q, k=k, v=v, out=out)
    done = call("diagnose", "dump.npz")
    assert done.code == 0
    assert f"as expected of {np.dtype(dtype)}" in words(done.out)


def test_bits_of_bfloat16(call, tmp_path, generator):
    arrays = {}
    for name, n in (("q", 5), ("k", 7), ("v", 7)):
        x = generator.normal(size=(2, 3, n, 8)).astype(np.float32)
        arrays[name] = (x.view(np.uint32) >> 16 << 16).view(np.float32)
    out = attnviz.attend(*arrays.values()).context.astype(np.float32)
    arrays["out"] = (out.view(np.uint32) >> 16 << 16).view(np.float32)
    bits = {name: (x.view(np.uint32) >> 16).astype(np.uint16) for name, x in arrays.items()}
    np.savez(tmp_path / "dump.npz", **bits)
    done = call("diagnose", "dump.npz", "--dtype", "bfloat16")
    assert done.code == 0
    assert "as expected of bfloat16" in words(done.out)
    found = call("diagnose", "dump.npz", "--dtype", "q=bfloat32")
    assert found.code == 2
    assert found.err.startswith("error: ")


def test_the_picture(call, dump, tmp_path):
    def make(q, k, v):
        out = attended()(q, k, v)
        out[:, 1] *= 2
        return out

    dump(make)
    assert call("diagnose", "dump.npz", "-o", "page.html", "-o", "report.md").code == 1
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert "differs" in (tmp_path / "report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"out": (2, 3, 7, 5)}, "there is no q and no k"),
        ({"q": (2, 3, 7, 5), "k": (2, 3, 11, 5), "v": (2, 3, 11, 5)}, "no output and no weights"),
        (
            {"q": (2, 3, 7, 5), "k": (2, 3, 11, 4), "v": (2, 3, 11, 5), "out": (2, 3, 7, 5)},
            "fit together in no order of axes",
        ),
    ],
    ids=["output alone", "nothing to compare", "widths"],
)
def test_bad_dumps(call, tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **{name: np.ones(shape) for name, shape in arrays.items()})
    done = call("diagnose", "bad.npz")
    assert (done.code, done.out) == (2, "")
    error, hint = done.err.splitlines()[:2]
    assert error.startswith("error: ")
    assert message in words(done.err)
    assert "hint: " in done.err
    assert hint


def test_pickles_are_not_read(call, tmp_path):
    np.savez(tmp_path / "object.npz", q=np.array([{}], dtype=object))
    (tmp_path / "dump.pt").write_bytes(b"PK\x03\x04")
    for name in ("object.npz", "dump.pt"):
        done = call("diagnose", name)
        assert done.code == 2
        assert done.err.startswith("error: ")


def test_nan_is_named(call, dump):
    def make(q, k, v):
        out = attended()(q, k, v)
        out[1, 0, 3, 2] = np.nan
        return out

    dump(make)
    done = call("diagnose", "dump.npz")
    assert done.code == 1
    assert "1 numbers are NaN" in words(done.out)
    assert "[1, 0, 3, 2]" in words(done.out)


def test_chinese(call, dump):
    dump(attended(scale=1.0))
    done = call("diagnose", "dump.npz", "--lang", "zh")
    assert done.code == 1
    assert "原因" in done.out
    assert "修正" in done.out


@pytest.mark.parametrize(
    "option", [("--window", "0"), ("--softcap", "-1"), ("--heads", "0"), ("--d-model", "0")]
)
def test_values_that_mean_nothing_are_refused(call, dump, option):
    dump(attended())
    done = call("diagnose", "dump.npz", *option)
    assert (done.code, done.out) == (2, "")
    assert option[0] in done.err


def test_a_file_that_is_not_there(call):
    done = call("diagnose", "nothing.npz")
    assert done.code == 2
    assert done.err == "error: no such file: nothing.npz\nhint: attnviz probe NAME saves one\n"


@pytest.mark.parametrize("scale", [1.0, None])
def test_plot_draws_where_it_is_off(call, dump, tmp_path, scale):
    """Also if all is off, or nothing."""
    dump(attended(scale=scale))
    assert call("diagnose", "dump.npz", "--plot", "where.png").code == (scale is not None)
    assert (tmp_path / "where.png").stat().st_size > 5_000


def test_names_of_threads_are_whole_on_a_narrow_screen(call, dump):
    dump(attended(scale=1.0))
    text = call("diagnose", "dump.npz", "--width", "40").out
    assert "…" not in text
    assert "Project-MONAI/GenerativeModels#146" in "".join(text.split())


@pytest.mark.parametrize("command", ["diagnose", "check"])
def test_names_of_arrays_are_hostile_text(call, dump, tmp_path, command):
    """They never style the screen, break its lines or end a page's script."""
    hostile = {name: np.full((2, 3), 0.5, np.float32) for name in ("a\nb\x1b[31m", "[/INST]")}
    if command == "diagnose":
        dump(attended(), **hostile)
    else:
        np.savez(tmp_path / "dump.npz", **hostile)
    done = call(command, "dump.npz", "-o", "page.html", "-o", "report.md", "-o", "text.txt")
    pages = [(tmp_path / name).read_text("utf-8") for name in ("report.md", "text.txt")]
    for text in (done.out, done.err, *pages):
        assert "\x1b" not in text
        assert "a\nb" not in text
    assert "[/INST]" in call(command, "dump.npz").out
