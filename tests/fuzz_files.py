"""Read models and data from files that are damaged, cut, spliced or made up.

    python tests/fuzz_files.py --calls 100000 --seed 0

A model that is read is one that was written, to the bit; data are an array, the same by either of
the readers of text. Or reading comes to an error that users are told of, with a message. Anything
else is a finding: another error, a crash, a hang, a model that nobody saved.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import warnings
import zipfile
from functools import cache, partial
from pathlib import Path
from unittest import mock

import numpy as np
import safetensors
from fuzzing import MEMORY_DISK, Finding, main, outcome_of, short
from hypothesis import strategies as st

import dsmfast
from dsmfast import data
from dsmfast._system.files import write
from dsmfast.model import FORMAT

REFUSALS = (ValueError, OSError, MemoryError)
RNG = np.random.default_rng(0)
DIRECTORY = tempfile.TemporaryDirectory(dir=MEMORY_DISK)
PLACE = Path(DIRECTORY.name)
one_of = st.sampled_from


def _model(h, d, dtype, training=None):
    W, b, c = (RNG.standard_normal(s).astype(dtype) for s in ((h, d), (h,), (d,)))
    return dsmfast.ScoreModel(W, b, c, 0.5, training=training)


MODELS = (
    _model(1, 1, "float32"),
    _model(2, 3, "float32", {"objective": "dsm", "epochs": 3, "range": [0, 1.5], "path": None}),
    _model(3, 2, "float64", {"objective": "ism", "text": "x é \n\0"}),
    _model(9, 5, "float64"),
)


def _saved(model):
    model.save(PLACE / "saved")
    return (PLACE / "saved").read_bytes()


def _npy(array, version=(1, 0)):
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # version 2 is for large headers
        np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


def _zipped(members, method):
    """Return what numpy.savez writes, with a date that is always the same."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")  # of names that appear twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


@cache
def whole():
    """Files that nothing is wrong with, by ending."""
    numbers = RNG.standard_normal((4, 3))
    arrays = [numbers, numbers.astype("f4"), np.arange(6).reshape(2, 3), numbers.T, numbers[0]]
    arrays += [numbers.astype(">f8"), numbers.astype("f2"), np.zeros((0, 3)), np.array(3.0)]
    arrays += [np.array(["a", "bc"])]
    npy = [*map(_npy, arrays), _npy(numbers, (2, 0)), _npy(numbers, (3, 0))]
    members = [("X.npy", npy[0]), ("y.npy", npy[2])]
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    csv = [
        b"1,2,3\n4,5,6\n",
        b"a,b\r\n1.5,-2e3\r\n3,4\r\n",
        b"\xef\xbb\xbfx\n1\n2\n",
        b"1;2\n3;4\n",
    ]
    return {
        ".safetensors": [_saved(model) for model in MODELS],
        ".npy": npy,
        ".npz": [_zipped(members[:n], method) for method in methods for n in (1, 2)],
        ".csv": [*csv, b'"1","2"\n\n 3, nan\n', b"inf,1e400\n0x1,1_0\n", b""],
    }


WORDS = b"""{ } [ " ' , ; ,, "a"" 1,2 -1 0 1 99 4294967296 18446744073709551615 1e999 1_0 nan NaN
    null None True F32 F64 BF16 F8_E4M3 I64 BOOL U8 <f8 >f4 |O <U9 |V0 <m8[s] |S0 <f16 <c16 shape
    fortran_order descr data_offsets __metadata__ dsmfast sha256 sigma PK""".split()
WORDS += [b"(" * 300, b"[" * 3000, b"9" * 50, b"\xef\xbb\xbf", "é".encode(), b"\0", b"\xff"]
words = one_of(WORDS) | st.binary(min_size=1, max_size=20)
lengths = st.builds(
    lambda value, size: (value % 2 ** (8 * size)).to_bytes(size, "little"),
    one_of((0, 1, 127, 255, 10**4, 2**15, 2**31, 2**63, -1)),
    one_of((2, 4, 8)),
)


@st.composite
def changes(draw, content):
    """Content that was cut, flipped, overwritten, spliced, or has other numbers in its header."""
    at = draw(st.integers(0, len(content)))
    end = draw(st.integers(at, len(content)))
    how = draw(
        one_of(("cut", "flip", "overwrite", "insert", "remove", "repeat", "splice", "number"))
    )
    if how == "cut":
        return content[:at]
    if how == "flip" and at < len(content):
        return (
            content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1 :]
        )
    if how == "overwrite":
        word = draw(words | lengths)
        return content[:at] + word + content[at + len(word) :]
    if how == "insert":
        return content[:at] + draw(words) + content[at:]
    if how == "remove":
        return content[:at] + content[at + draw(st.integers(1, 30)) :]
    if how == "repeat":
        return content[:end] + content[at:end] * draw(one_of((1, 3))) + content[end:]
    if how == "splice":
        return content[:at] + draw(one_of(whole()[draw(one_of(tuple(whole())))]))[-end:]
    digits = [i for i, byte in enumerate(content[:400]) if chr(byte).isdigit()]
    if not digits:
        return draw(lengths) + content[8:]
    at = draw(one_of(digits))
    return content[:at] + draw(one_of((b"0", b"9", b"10", b"-1", b"1" * 30))) + content[at + 1 :]


@st.composite
def changed(draw, contents):
    content = draw(contents)
    for _ in range(draw(st.integers(1, 3))):
        content = draw(changes(content))
    return content


JSON = st.one_of(
    st.none() | st.booleans() | st.integers() | st.floats(),
    one_of(("", "x", "NaN", "0.5", "\ud800", FORMAT, "F16", "BF16", "U8")),
    one_of(([], {}, [[]], [1, 2], {"a": 1}, {"sigma": 1}, [0, 2**63], [8, 0], [2**32, 2**32])),
)
TENSORS = (
    *(np.zeros(shape, "f4") for shape in ((2, 3), 3, 2, (0, 3), (2, 0), (), (1, 2, 3))),
    *(np.zeros((2, 3), dtype) for dtype in ("f8", "i8", "f2", "u1", "?")),
    *(np.full((2, 3), np.nan, "f4"), np.full(3, np.inf), np.full((2, 3), 1e300)),
)


def _header(header, content):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


@st.composite
def models_of_odd_things(draw):
    """A model's file with the right checksum, of tensors and a record of any kind."""
    model = draw(one_of(MODELS))
    odd = one_of(("W", "b", "c", "d", "")), one_of((None, *TENSORS))
    tensors = {"W": model.W, "b": model.b, "c": model.c, **draw(st.dictionaries(*odd, max_size=2))}
    record = {"format": FORMAT, "sigma": 0.5, "training": {}}
    names = one_of((*record, "more"))
    record |= draw(st.dictionaries(names, JSON, max_size=2))
    record.pop(draw(names), None)
    try:
        write(PLACE / "odd", {n: t for n, t in tensors.items() if t is not None}, record)
    except (ValueError, UnicodeError, safetensors.SafetensorError):  # safetensors refuses
        return _header({"__metadata__": {"dsmfast": "x"}}, b"")
    return (PLACE / "odd").read_bytes()


@st.composite
def odd_safetensors(draw):
    """A file with a header that is JSON, but not as it should be."""
    content = draw(one_of(whole()[".safetensors"]))
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    place = header[draw(one_of(tuple(header)))] if draw(st.booleans()) else header
    place[draw(one_of((*place, "dtype", "shape", "data_offsets", "__metadata__")))] = draw(JSON)
    return _header(header, content[end:])


NPY = {
    "descr": one_of(("O", "<f4", "|V8", "U0", "<f8, <f4", ("<f8", (2,)), "<i8", "M8[s]")) | JSON,
    "shape": one_of(((0,), (2**62, 4), (-1, 3), (2**40,), (4, 3.0), (True, 3), [4, 3], ())) | JSON,
    "fortran_order": one_of((True, 1, None, "x")),
    "more": JSON,
}


@st.composite
def odd_npy(draw):
    """A file with a header that is a dict, but not as it should be."""
    name = draw(one_of(tuple(NPY)))
    header = {"descr": "<f8", "fortran_order": False, "shape": (4, 3), name: draw(NPY[name])}
    text = f"{header!r}".encode("latin1", "replace").ljust(draw(one_of((54, 118)))) + b"\n"
    content = bytes(draw(one_of((0, 96, 95, 97))))
    return b"\x93NUMPY\x01\x00" + (len(text) % 2**16).to_bytes(2, "little") + text + content


def odd_npz():
    """A zip file that is whole, of members that are not."""
    names = one_of(("X.npy", "X", "X.npy", "y.npy", ".npy", "a/b.npy", "é.npy", "X.txt"))
    npy = one_of(whole()[".npy"])
    members = st.lists(st.tuples(names, npy | odd_npy() | changed(npy)), max_size=2)
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    files = st.builds(_zipped, members, one_of(methods))
    return files | changed(files)


def odd_csv():
    cells = one_of((*(4 * ("1", "-2.5", "1e5")), "nan", "x", "", '"', '"1"', '"a\nb"', " 3", "1_0"))
    same = st.lists(cells, min_size=2, max_size=2) | st.lists(cells, max_size=3)
    ends = one_of(("\n", "\r\n", "\r", "\0\n", "\xff\n"))
    firsts = one_of(([], [], ["#", "a"], ["", "a"], ["0", "1"], ["a", "a"], ["# 1"]))

    def text(end, separator, first, rows):
        lines = [separator.join(cells) for cells in ([first] if first else []) + rows]
        return end.join(lines).encode("latin1")

    separators = one_of((",", ",", ";", "\t", " ", "  "))
    return st.builds(text, ends, separators, firsts, st.lists(same, max_size=4))


def inputs():
    """An ending, content, and whether a model of it may be one that nobody saved."""
    made_up = {
        ".safetensors": models_of_odd_things() | odd_safetensors(),
        ".npy": odd_npy(),
        ".npz": odd_npz(),
        ".csv": odd_csv(),
    }

    def of(ending):
        damaged = changed(one_of(whole()[ending])) | st.binary(max_size=200)
        end, odd = st.just(ending), made_up[ending]
        return st.tuples(end, damaged, st.just(False)) | st.tuples(end, odd, st.just(True))

    return one_of((".safetensors", *made_up)).flatmap(of)


def judge(drawn) -> str:
    """Read the file of an input, and judge what comes of it."""
    ending, content, made_up = drawn
    path = PLACE / f"file{ending}"
    path.write_bytes(content)
    text = f"{ending} {short(content, 2000)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of headers that Python 2 may have written
        if ending == ".safetensors":
            kind, model = outcome_of(lambda: dsmfast.load(path), text, REFUSALS)
            if kind == "result" and not made_up and not any(_same(model, one) for one in MODELS):
                raise Finding("a model that nobody saved", text)
        else:
            kind, rows = outcome_of(lambda: data.read_file(path), text, REFUSALS)
            if kind == "result" and not isinstance(rows, np.ndarray):
                raise Finding("no array", text)
            if ending == ".csv":
                _judge_text(path, text)
    return f"{ending} {kind}"


def _judge_text(path, text) -> None:
    """Read a table line by line too: what NumPy's parser reads is the same that way."""
    for options in ({}, {"missing": True}, {"header": "yes"}, {"columns": "1,0"}, {"drop": "a"}):
        read = partial(data.load_table, path, **options)
        fast, table = outcome_of(read, text, REFUSALS)
        with mock.patch("dsmfast._tables.text._by_numpy", side_effect=ValueError):
            slow, other = outcome_of(read, text, REFUSALS)
        if fast != slow:
            raise Finding(f"{fast} by NumPy, and line by line {slow}", f"{options} {text}")
        if fast == "result" and not np.array_equal(table.values, other.values, equal_nan=True):
            raise Finding("other values line by line", f"{options} {text}")


def _same(model, other) -> bool:
    pairs = zip(model.to_dict().values(), other.to_dict().values(), strict=True)
    return all(np.array_equal(one, another) for one, another in pairs)


if __name__ == "__main__":
    sys.exit(main(inputs(), judge, __doc__.splitlines()[0]))
