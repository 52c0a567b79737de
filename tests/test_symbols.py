"""The check of the build that no instruction set defines what the linker may give to another."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "cpp" / "check_symbols.cmake"
COMPILER = shlex.split(os.environ.get("CXX", "c++"))

pytestmark = pytest.mark.skipif(
    not (SCRIPT.exists() and all(map(shutil.which, ("cmake", "nm", COMPILER[0])))),
    reason="needs the source tree, cmake, nm and a compiler",
)

SET = "namespace dsmfast::avx2 {{ {0} }}"
FINE = SET.format("template <typename T> int twice(T x) { return 2 * x; } int table = twice(1);")
LEAKS = {
    "function": "int leak(int x) { return x; }",
    "inline function": "inline int leak(int x) { return x; } int (*avx2_f)(int) = leak;",
    "template": "template <typename T> T leak(T x) { return x; } int (*avx2_f)(int) = leak<int>;",
    "inline variable": "inline int leak = 1; int* avx2_p = &leak;",
    "static of an inline function": "inline int* leak() { static int i; return &i; } "
    "int* avx2_p = leak();",
    "virtual functions": "struct Leak { virtual int f() { return 1; } }; Leak avx2_leak;",
    "standard library": "#include <vector>\n"
    "void avx2_f(std::vector<int>& v, int x) { v.push_back(x); }",
    "class of another set": "namespace dsmfast::avx512 { template <typename T> int leak(T) "
    "{ return 1; } } int (*avx2_f)(int) = dsmfast::avx512::leak<int>;",
}


def check(folder, code, name="avx2", *options):
    source, built = folder / "unit.cpp", folder / "unit.o"
    source.write_text(code)
    compiled = [*COMPILER, "-std=c++17", "-O0", *options, "-c", str(source), "-o", str(built)]
    subprocess.run(compiled, check=True)
    command = ["cmake", "-DNM=nm", f"-DOBJECTS={built}", f"-DSET={name}", "-P", str(SCRIPT)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_carries_the_name_of_its_set_passes(tmp_path):
    done = check(tmp_path, FINE)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_fails(tmp_path, leak):
    done = check(tmp_path, FINE + "\n" + LEAKS[leak])
    assert done.returncode != 0
    assert "symbol without 'avx2' in its name" in " ".join(done.stderr.split())


def test_nothing_to_check_fails(tmp_path):
    done = check(tmp_path, FINE, "avx512")
    assert done.returncode != 0
    assert "nothing to check" in " ".join(done.stderr.split())
