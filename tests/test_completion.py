"""Tab completion, by a bash that somebody types into."""

import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsmfast.cli import main

pty = pytest.importorskip("pty")
pytest.importorskip("shtab")
bash = shutil.which("bash")
FULL = Path("/dev/full")  # a disk without room


def script(shell, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--print-completion", shell])
    assert caught.value.code == 0
    return capsys.readouterr().out


class Bash:
    """A bash on a terminal."""

    def __init__(self, folder):
        self.terminal, inside = pty.openpty()
        self.process = subprocess.Popen(
            [bash, "--norc", "--noprofile", "-i"],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            cwd=folder,
            env={**os.environ, "TERM": "dumb", "PS1": "$ ", "HISTFILE": ""},
            start_new_session=True,
        )
        os.close(inside)

    def answer(self, line):
        """Type a line; return what the shell says after the mark that the line is to print."""
        os.write(self.terminal, line.encode())
        told, until = "", time.monotonic() + 20
        while not (found := re.search(r"<<(.*)>>", told)):
            assert time.monotonic() < until, told
            if select.select([self.terminal], [], [], 1)[0]:
                told += os.read(self.terminal, 4096).decode()
        return found[1]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


@pytest.fixture
def shell(tmp_path, capsys):
    """A bash that has read the script, where dsmfast prints the words that it was called with."""
    (tmp_path / "completion.bash").write_text(script("bash", capsys))
    (tmp_path / "folder").mkdir()
    (tmp_path / "rows-1.csv").write_text("1,2\n")
    one = Bash(tmp_path)
    begin = "dsmfast() { printf '<''<%s>''>\\n' \"$*\"; }; source completion.bash; dsmfast ready\n"
    assert one.answer(begin) == "ready"
    yield one
    one.close()


@pytest.mark.skipif(bash is None, reason="needs bash")
def test_bash_completes(shell):
    for typed, completed in {
        "dsmfast norm\t": "normalize",
        "dsmfast train --objec\tism_sm\t": "train --objective ism_smoothed",
        "dsmfast train ro\t": "train rows-1.csv",
        "dsmfast train digits --out fol\t": "train digits --out folder/",
        "dsmfast energy fol\t ro\t --log\t": "energy folder/ rows-1.csv --log-density",
        "dsmfast plot fil\t fol\t": "plot filters folder/",
        "dsmfast sample fol\t ro\t --given ro\t": "sample folder/ rows-1.csv --given ro",
        "dsmfast outliers ro\t ro\t --ran\tdispl\t": (
            "outliers rows-1.csv rows-1.csv --ranking displacement"
        ),
    }.items():
        got = " ".join(shell.answer(typed + "\n").split())
        assert got == completed, typed


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "tcsh"])
def test_scripts(shell_name, capsys):
    text = script(shell_name, capsys)
    for words in ("impute", "--held-out", "dsmfast"):
        assert words in text or words.lstrip("-") in text  # tcsh has options without dashes
    if path := shutil.which(shell_name):
        assert subprocess.run([path, "-n"], input=text.encode(), check=False).returncode == 0


def test_other_shells_and_no_shtab(capsys, monkeypatch):
    with pytest.raises(SystemExit):
        main(["--print-completion", "cmd"])
    assert "invalid choice: 'cmd' (choose from" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as caught:
        main(["--print-completion", "bash"])
    shown = capsys.readouterr()
    told = "dsmfast: --print-completion needs shtab: pip install 'dsmfast[completion]' (see"
    assert (caught.value.code, shown.out) == (2, "")
    assert shown.err.startswith(told)


def test_shtab_is_not_imported_before_it_is_asked_for():
    code = "import sys, dsmfast.cli; dsmfast.cli.parser(); sys.exit('shtab' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_in_a_line():
    command = [sys.executable, "-m", "dsmfast", "--print-completion", "bash"]
    with FULL.open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("dsmfast: stdout: No space left on device (see")
    assert done.stderr.count("\n") == 1


def test_a_reader_who_has_seen_enough_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "dsmfast", "--print-completion", "bash"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
