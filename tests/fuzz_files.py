"""Read models and data from files that are damaged, cut, spliced or made up.

    python tests/fuzz_files.py --calls 1000000 --seed 0

A model that is read is one that was written, to the bit; data are an array. Or reading comes to an
error that users are told of, with a message. Anything else is a finding: another error, a crash, a
hang, a model that nobody saved.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import warnings
import zipfile
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import safetensors.numpy
from fuzz_arrays import STRANGE
from fuzzing import MEMORY_DISK, Choices, Finding, main, outcome_of, short

import dsmfast
from dsmfast import data, storage

_rng = np.random.default_rng(0)
_directory = tempfile.TemporaryDirectory(dir=MEMORY_DISK)
PLACE = Path(_directory.name)


def _model(h: int, d: int, dtype: str, training=None) -> dsmfast.ScoreModel:
    W, b, c = (_rng.standard_normal(s).astype(dtype) for s in ((h, d), (h,), (d,)))
    return dsmfast.ScoreModel(W, b, c, 0.5, training=training)


REFUSALS = (ValueError, OSError, MemoryError)

MODELS = (
    _model(1, 1, "float32"),
    _model(2, 3, "float32", {"objective": "dsm", "epochs": 3, "range": [0, 1.5], "path": None}),
    _model(3, 2, "float64", {"objective": "ism", "text": "x é \n\0"}),
    _model(9, 5, "float64"),
)


def file_of(tensors, record) -> bytes:
    """Return what storage.write writes: a record with the right checksum."""
    record = {**record, "sha256": storage._digest(tensors, record)}
    return safetensors.numpy.save(dict(tensors), {"dsmfast": json.dumps(record)})


def _saved(model: dsmfast.ScoreModel) -> bytes:
    model.save(PLACE / "saved")
    return (PLACE / "saved").read_bytes()


@cache
def whole() -> dict[str, tuple[bytes, ...]]:
    """Return files that nothing is wrong with, by ending."""
    numbers = _rng.standard_normal((4, 3))
    arrays = [numbers, numbers.astype("f4"), np.arange(6).reshape(2, 3), numbers.T, numbers[0]]
    arrays += [numbers.astype(">f8"), numbers.astype("f2"), np.zeros((0, 3)), np.array(3.0)]
    npy = [_npy(array) for array in arrays]
    npy += [_npy(numbers, (2, 0)), _npy(numbers, (3, 0)), _npy(np.array(["a", "bc"]))]
    npz = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        for members in ({"X.npy": npy[0]}, {"X.npy": npy[0], "y.npy": npy[2]}):
            npz.append(_zipped(members.items(), method))
    csv = (
        b"1,2,3\n4,5,6\n",
        b"a,b\r\n1.5,-2e3\r\n3,4\r\n",
        b"\xef\xbb\xbfx\n1\n2\n",
        b'"1","2"\n\n 3, nan\n',
        b"1;2\n3;4\n",
        b"inf,1e400\n0x1,1_0\n",
        b"",
    )
    models = tuple(_saved(model) for model in MODELS)
    return {".safetensors": models, ".npy": tuple(npy), ".npz": tuple(npz), ".csv": csv}


def _npy(array: np.ndarray, version=(1, 0)) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # version 2 is for large headers
        np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


def _zipped(members, method: int) -> bytes:
    """Return what numpy.savez writes, with a date that is always the same."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")  # of names that appear twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


WORDS = (
    *(b"\0", b"\xff", b"\x80", b"{", b"}", b"[", b"(" * 300, b"[" * 3000, b'"', b"'", b"\\", b"\n"),
    *(
        b"-1",
        b"0",
        b"1",
        b"99",
        b"4294967296",
        b"18446744073709551615",
        b"1e999",
        b"NaN",
        b"9" * 50,
    ),
    *(b"null", b"None", b"True", b"F32", b"F64", b"BF16", b"F8_E4M3", b"I64", b"BOOL", b"U8"),
    *(b"<f8", b">f4", b"|O", b"<U9", b"|V0", b"<m8[s]", b"|S0", b"<f16", b"<c16", b"fortran_order"),
    *(b"shape", b"descr", b"data_offsets", b"__metadata__", b"dsmfast", b"sha256", b"sigma", b"PK"),
    *(b",", b";", b",,", b'"a""', b"1,2", b"\xef\xbb\xbf", b"\r", b"nan", b"1_0", "é".encode()),
)


def _cut(choices, content):
    return content[: choices.integer(0, len(content))]


def _flipped(choices, content):
    changed = bytearray(content)
    for _ in range(choices.pick((1, 1, 2, 5))):
        changed[choices.integer(0, len(changed) - 1)] ^= 1 << choices.integer(0, 7)
    return bytes(changed)


def _overwritten(choices, content):
    at, word = choices.integer(0, len(content)), choices.pick(WORDS)
    return content[:at] + word + content[at + len(word) :]


def _inserted(choices, content):
    at = choices.integer(0, len(content))
    word = choices.pick(WORDS) if choices.chance(0.7) else choices.content(choices.integer(1, 20))
    return content[:at] + word + content[at:]


def _shortened(choices, content):
    at = choices.integer(0, len(content))
    return content[:at] + content[at + choices.integer(1, 30) :]


def _repeated(choices, content):
    at, end = sorted(choices.integer(0, len(content)) for _ in range(2))
    return content[:end] + content[at:end] * choices.pick((1, 1, 3)) + content[end:]


def _spliced(choices, content):
    other = choices.pick(whole()[choices.pick(tuple(whole()))])
    return content[: choices.integer(0, len(content))] + other[choices.integer(0, len(other)) :]


def _other_number(choices, content):
    """Change one of the numbers that stand in the text of a header, or a length before it."""
    if choices.chance(0.3):
        size, at = choices.pick((2, 4, 8)), choices.pick((0, 8, choices.integer(0, len(content))))
        value = choices.pick((0, 1, 127, 255, 2 ** (8 * size - 1), 2 ** (8 * size) - 1, 10**4))
        return content[:at] + value.to_bytes(size, "little") + content[at + size :]
    places = [i for i, byte in enumerate(content[:400]) if 48 <= byte < 58]
    if not places:
        return content
    at = choices.pick(places)
    return content[:at] + choices.pick((b"0", b"9", b"10", b"-1", b"1" * 30)) + content[at + 1 :]


CHANGES = (
    *(_cut, _flipped, _flipped, _overwritten, _inserted, _shortened, _repeated, _spliced),
    *(_other_number, _other_number),
)


def changed(choices: Choices, content: bytes) -> bytes:
    for _ in range(choices.pick((1, 1, 1, 2, 4))):
        if content:
            content = choices.pick(CHANGES)(choices, content)
    return content


JSON = (
    *(None, True, 0, -1, 0.5, 1e300, float("nan"), float("inf"), 10**30, "", "x", [], {}, [[]]),
    *({"a": 1}, "dsmfast-model-1", [1, 2], 1e-300, "0.5", {"sigma": 1}, "\ud800", "NaN"),
)
TENSORS = (
    *(np.zeros((2, 3), np.float32), np.zeros((2, 3)), np.zeros(3, np.float32), np.zeros(2, "f4")),
    *(np.zeros((0, 3), "f4"), np.zeros((2, 0), "f4"), np.array(1.0, "f4"), np.zeros((1, 2, 3))),
    *(np.full((2, 3), np.nan, "f4"), np.full(3, np.inf), np.zeros((2, 3), "i8"), np.ones(2, bool)),
    *(np.zeros((2, 3), "f2"), np.zeros((2, 3), "u1"), np.full((2, 3), 1e300)),
)


def _whole_of_odd_things(choices):
    """Return a model's file with the right checksum, of tensors and a record of any kind."""
    model = choices.pick(MODELS)
    tensors = {"W": model.W, "b": model.b, "c": model.c}
    record = {
        "format": storage.FORMAT,
        "version": "0.1.0",
        "sigma": 0.5,
        "objective": None,
        "training": {},
    }
    for _ in range(choices.pick((1, 1, 2, 3))):
        if choices.chance(0.5):
            record[choices.pick((*record, "more"))] = choices.pick(JSON)
        elif choices.chance(0.2):
            record.pop(choices.pick(tuple(record)), None)
        elif choices.chance(0.8):
            tensors[choices.pick(("W", "b", "c", "d", ""))] = choices.pick(TENSORS)
        else:
            tensors.pop(choices.pick(("W", "b", "c")), None)
    try:
        return file_of(tensors, record)
    except (ValueError, UnicodeError, safetensors.SafetensorError):  # safetensors refuses
        return _saved_header(choices, {"__metadata__": {"dsmfast": "x"}}, b"")


def _saved_header(choices, header, content):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


def _odd_header(choices):
    """Return a safetensors file with a header that is JSON, but not as it should be."""
    content = choices.pick(whole()[".safetensors"])
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for _ in range(choices.pick((1, 1, 2))):
        entry = header.get(choices.pick(tuple(header))) if header else None
        inside = isinstance(entry, dict) and entry and choices.chance(0.8)
        target = entry if inside else header
        odd = deepcopy(
            choices.pick((*JSON, [0, 2**63], [8, 0], [2**32, 2**32], "F16", "BF16", "U8"))
        )
        target[choices.pick((*target, "dtype", "shape", "data_offsets", "__metadata__"))] = odd
    return _saved_header(choices, header, content[8 + length :])


def _odd_npy(choices):
    """Return a .npy file with a header that is a dict, but not as it should be."""
    header = {"descr": "<f8", "fortran_order": False, "shape": (4, 3)}
    odd = (*STRANGE[:20], (0,), (2**62, 4), (-1, 3), (2**40,), (4, 3.0), "O", "<f4", "|V8", "U0")
    odd += ([("a", "<f8")], {"a": 1}, "<f8, <f4", ("<f8", (2,)), (True, 3), "<i8", "datetime64[s]")
    for _ in range(choices.pick((1, 1, 2))):
        header[choices.pick(("descr", "fortran_order", "shape", "more"))] = choices.pick(odd)
    text = f"{header!r}".encode("latin1", "replace").ljust(choices.pick((54, 118))) + b"\n"
    length = len(text).to_bytes(2, "little")
    return b"\x93NUMPY\x01\x00" + length + text + bytes(choices.pick((0, 96, 95, 97)))


def _odd_npz(choices):
    """Return a zip file that is whole, of members that are not."""
    members = []
    for _ in range(choices.pick((0, 1, 1, 1, 2))):
        name = choices.pick(("X.npy", "X", "X.npy", "y.npy", ".npy", "a/b.npy", "é.npy", "X.txt"))
        content = choices.pick(whole()[".npy"])
        if choices.chance(0.6):
            content = _odd_npy(choices) if choices.chance(0.5) else changed(choices, content)
        members.append((name, content))
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    content = _zipped(members, choices.pick(methods))
    return changed(choices, content) if choices.chance(0.5) else content


def _odd_csv(choices):
    cells = (
        b"1",
        b"-2.5",
        b"1e5",
        b"nan",
        b"x",
        b"",
        b'"',
        b'"1"',
        b'"a\nb"',
        b" 3",
        b"1_0",
        b"\xff",
    )
    lines = []
    width = choices.pick((1, 2, 3))
    for _ in range(choices.integer(0, 5)):
        count = width if choices.chance(0.8) else choices.integer(0, 4)
        lines.append(b",".join(choices.pick(cells[: choices.pick((3, 12))]) for _ in range(count)))
    return choices.pick((b"\n", b"\r\n", b"\r", b"\0\n")).join(lines)


MADE_UP = {
    ".safetensors": (_whole_of_odd_things, _odd_header),
    ".npy": (_odd_npy,),
    ".npz": (_odd_npz,),
    ".csv": (_odd_csv,),
}


def attempt(choices: Choices) -> str:
    """Read the file of an input, and judge what comes of it."""
    ending = choices.pick((".safetensors", ".safetensors", ".npy", ".npz", ".csv"))
    made_up = choices.chance(0.4)
    if made_up:
        content = choices.pick(MADE_UP[ending])(choices)
    elif choices.chance(0.05):
        content = choices.content(choices.integer(0, 200))
    else:
        content = changed(choices, choices.pick(whole()[ending]))
    return judge(ending, content, made_up)


def judge(ending: str, content: bytes, made_up: bool = False) -> str:
    path = PLACE / f"file{ending}"
    path.write_bytes(content)

    def text():
        return f"{ending} {short(content, 2000)}"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of headers that Python 2 may have written
        if ending == ".safetensors":
            kind, model = outcome_of(lambda: dsmfast.load(path), text, REFUSALS)
            if kind == "result" and not made_up and not any(_same(model, one) for one in MODELS):
                raise Finding("a model that nobody saved", text())
        else:
            kind, rows = outcome_of(lambda: data.read_file(path), text, REFUSALS)
            if kind == "result" and not isinstance(rows, np.ndarray):
                raise Finding("no array", text())
    return f"{ending} {kind}"


def _same(model, other) -> bool:
    pairs = zip(model.to_dict().values(), other.to_dict().values(), strict=True)
    return all(np.array_equal(one, another) for one, another in pairs)


if __name__ == "__main__":
    sys.exit(main(attempt, __doc__.splitlines()[0]))
