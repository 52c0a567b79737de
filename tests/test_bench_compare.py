"""Tables of bench/compare.py, from files as pytest-benchmark writes them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

compare = pytest.importorskip("compare")  # bench/, which is not with the tests of wheels

SMALL, LARGE = (128, 2, 64), (512, 784, 128)
MICROSECONDS = {
    ("dsmfast", SMALL): 3.0,
    ("torch", SMALL): 141.0,
    ("jax", SMALL): 30.0,
    ("dsmfast", LARGE): 900.0,
    ("torch", LARGE): 4500.0,
}


def entry(name, shape, microseconds, steps):
    label = f"{name}-{'x'.join(map(str, shape))}"
    return {
        "group": "B, d, h = " + ", ".join(map(str, shape)),
        "name": f"test_step[{label}]",
        "fullname": f"bench/test_step.py::test_step[{label}]",
        "params": {"name": name, "shape": list(shape)},
        "extra_info": {"steps per round": steps, "threads": 2},
        "stats": {"median": microseconds * steps / 1e6, "min": 0.0, "rounds": 9},
    }


def content(times=MICROSECONDS, steps=40, peers=None, **ours):
    return {
        "machine_info": {
            "machine": "x86_64",
            "cpu": {"brand_raw": "AMD EPYC", "family": 26, "model": 2, "hz_actual": [1, 0]},
        },
        "benchmarks": [entry(*key, time, steps) for key, time in times.items()],
        "dsmfast": {
            "version": "0.1.0",
            "instruction_set": "avx512",
            "threads": 2,
            "peers": peers or {"numpy": "2.4.6", "torch": "2.13.0"},
            **ours,
        },
    }


@pytest.fixture
def write(tmp_path):
    def to_file(name, what):
        path = tmp_path / name
        path.write_text(what if isinstance(what, str) else json.dumps(what), encoding="utf-8")
        return str(path)

    return to_file


@pytest.fixture
def lines(capsys):
    def printed(*files):
        compare.main(list(files))
        return capsys.readouterr().out.splitlines()

    return printed


@pytest.fixture
def error(capsys):
    def said(*files):
        with pytest.raises(SystemExit) as ended:
            compare.main(list(files))
        assert ended.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        return err

    return said


def test_one_file_is_a_table_of_shapes_and_contenders(write, lines):
    assert lines(write("run.json", content())) == [
        "AMD EPYC family 26 model 2, 2 threads, avx512; dsmfast 0.1.0, numpy 2.4.6, torch 2.13.0",
        "",
        "| B, d, h | dsmfast, µs | torch, µs | jax, µs | to best peer |",
        "|---|---|---|---|---|",
        "| 128, 2, 64 | 3.0 | 141 | 30.0 | 10.00 |",
        "| 512, 784, 128 | 900 | 4500 |  | 5.00 |",
    ]


@pytest.mark.parametrize("name", ["dsmfast", "torch"])
def test_no_ratio_without_either_side(write, lines, name):
    what = content({(name, SMALL): 50.0})
    assert lines(write("run.json", what))[-1] == "| 128, 2, 64 | 50.0 |  |"


def test_times_of_a_round_are_those_of_its_steps(write, lines):
    few, many = (lines(write("run.json", content(steps=n))) for n in (1, 2000))
    assert few == many


def test_files_from_before_dsmfast_said_what_it_was(write, lines):
    what = content()
    del what["dsmfast"]
    assert lines(write("run.json", what))[0] == "AMD EPYC family 26 model 2"
    what["machine_info"]["cpu"] = {}  # where pytest-benchmark finds out nothing
    assert lines(write("run.json", what))[0] == "x86_64"


def test_two_files_are_a_table_of_ratios(write, lines):
    faster = {**MICROSECONDS, ("dsmfast", SMALL): 1.5, ("jax", SMALL): 40.0}
    before = write("before.json", content())
    after = write("after.json", content(faster, version="0.2.0"))
    about = "AMD EPYC family 26 model 2, 2 threads, avx512; dsmfast {}, numpy 2.4.6, torch 2.13.0"
    assert lines(before, after) == [
        f"before: {before}, {about.format('0.1.0')}  ",
        f"after: {after}, {about.format('0.2.0')}",
        "",
        "| benchmark | before, µs | after, µs | before / after |",
        "|---|---|---|---|",
        "| test_step[dsmfast-128x2x64] | 3.0 | 1.5 | 2.00 |",
        "| test_step[torch-128x2x64] | 141 | 141 | 1.00 |",
        "| test_step[jax-128x2x64] | 30.0 | 40.0 | 0.75 |",
        "| test_step[dsmfast-512x784x128] | 900 | 900 | 1.00 |",
        "| test_step[torch-512x784x128] | 4500 | 4500 | 1.00 |",
    ]


def test_what_else_differs_is_said(write, lines):
    after = content(instruction_set="avx2", threads=1, steps=4, peers={"numpy": "2.4.6"})
    after["machine_info"]["cpu"]["family"] = 25
    (warning,) = (
        line
        for line in lines(write("before.json", content()), write("after.json", after))
        if line.startswith("Warning")
    )
    assert warning == (
        "Warning: not the same in both, and part of the ratios: "
        "processor (AMD EPYC family 26 model 2, then AMD EPYC family 25 model 2), "
        "threads (2, then 1), instruction set (avx512, then avx2), "
        "torch (2.13.0, then not said), steps in a round."
    )


def test_what_only_one_file_has_is_named(write, lines):
    old = {key: MICROSECONDS[key] for key in (("dsmfast", SMALL), ("torch", SMALL))}
    new = {key: MICROSECONDS[key] for key in (("dsmfast", SMALL), ("jax", SMALL))}
    said = lines(write("before.json", content(old)), write("after.json", content(new)))
    assert said[-5:] == [
        "| test_step[dsmfast-128x2x64] | 3.0 | 3.0 | 1.00 |",
        "",
        "Only before: test_step[torch-128x2x64].",
        "",
        "Only after: test_step[jax-128x2x64].",
    ]
    many = {("dsmfast", (rows, 2, 64)): 3.0 for rows in range(121, 129)}
    said = lines(write("before.json", content(many)), write("after.json", content(new)))
    assert said[-3].startswith("Only before: test_step[dsmfast-121x2x64], ")
    assert said[-3].endswith(", test_step[dsmfast-125x2x64] and 2 more.")


def without(key):
    what = content()
    del what["benchmarks"][0][key]
    return what


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("", "which is not JSON: Expecting value"),
        ("[]", 'which has no "machine_info" and "benchmarks"'),
        ({"benchmarks": []}, 'which has no "machine_info" and "benchmarks"'),
        (content({}), "which has no benchmarks"),
        ({**content(), "benchmarks": 3}, "in which an entry is not as expected: TypeError"),
        ({**content(), "machine_info": 3}, "in which an entry is not as expected: AttributeError"),
        (without("stats"), "in which an entry is not as expected: KeyError('stats')"),
        (content({("torch", SMALL): 0.0}), "a median of 0.0 s"),
        (content(steps=0), "in which an entry is not as expected: ZeroDivisionError"),
    ],
)
def test_other_files_are_refused(write, error, what, expected):
    good, bad = write("good.json", content()), write("bad.json", what)
    for argument, files in (("FILE", [bad]), ("FILE", [bad, good]), ("AFTER", [good, bad])):
        said = error(*files)
        assert f"error: {argument}: expected a file of `pytest bench/ --benchmark-json=" in said
        assert f"got {bad}, " in said
        assert expected in said


def test_a_file_that_is_not_there_is_named(write, error, tmp_path):
    missing = str(tmp_path / "missing.json")
    assert f"FILE: expected a file of `{compare.COMMAND}`, got {missing}, which" in error(missing)
    said = error(write("good.json", content()), missing)
    assert f"error: AFTER: expected a file of `{compare.COMMAND}`, got {missing}" in said
    assert "No such file" in said


def test_files_with_nothing_in_common_are_refused(write, error):
    before = write("before.json", content({("dsmfast", SMALL): 3.0}))
    after = write("after.json", content({("dsmfast", LARGE): 900.0}))
    said = error(before, after)
    assert f"AFTER: expected benchmarks that {before} has, too, such as " in said
    assert f"got {after} with bench/test_step.py::test_step[dsmfast-512x784x128] and none" in said


@pytest.mark.parametrize("change", [{"group": None}, {"params": None}])
def test_benchmarks_of_others_have_no_table_of_contenders(write, error, change):
    what = content()
    what["benchmarks"][1].update(change)
    said = error(write("other.json", what))
    assert "FILE: expected benchmarks of bench/, each with a group and a contender, got " in said
    assert "bench/test_step.py::test_step[torch-128x2x64]" in said


@pytest.mark.slow
def test_a_run_of_the_smallest_shape_is_read(tmp_path, lines):
    pytest.importorskip("pytest_benchmark")
    pytest.importorskip("threadpoolctl")
    path = tmp_path / "run.json"
    # Told of a process of xdist, pytest-benchmark times nothing.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    which = [f"bench/test_step.py::test_step[{n}-128x2x64]" for n in ("dsmfast", "numpy")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--benchmark-json={path}", *which],
        cwd=Path(__file__).parents[1],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    head, _, names, _, times = lines(str(path))
    assert "threads" in head
    assert "numpy " in head
    assert names == "| B, d, h | dsmfast, µs | numpy, µs | to best peer |"
    assert times.startswith("| 128, 2, 64 | ")
    assert "|  |" not in times
