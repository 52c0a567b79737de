"""Tab completion, by a bash and a zsh that somebody types into."""

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
bash, zsh = shutil.which("bash"), shutil.which("zsh")
FULL = Path("/dev/full")  # a disk without room


def script(shell, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--print-completion", shell])
    assert caught.value.code == 0
    return capsys.readouterr().out


COMMANDS = {"bash": [bash, "--norc", "--noprofile", "-i"], "zsh": [zsh, "-f", "-i"]}
FIRST = {  # ``dsmfast`` prints the words that it was called with
    "bash": "source completion.bash",
    "zsh": 'autoload -U compinit; compinit -u -D; eval "$(cat completion.zsh)"',
}


class Shell:
    """A shell on a terminal."""

    def __init__(self, name, folder):
        self.terminal, inside = pty.openpty()
        self.process = subprocess.Popen(
            COMMANDS[name],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            cwd=folder,
            env={**os.environ, "TERM": "dumb", "PS1": "$ ", "PROMPT": "$ ", "HISTFILE": ""},
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


@pytest.fixture(params=["bash", "zsh"])
def shell(request, tmp_path, capsys):
    """A shell that has read the script, where dsmfast prints the words it was called with."""
    name = request.param
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    (tmp_path / f"completion.{name}").write_text(script(name, capsys))
    (tmp_path / "folder").mkdir()
    (tmp_path / "rows-1.csv").write_text("1,2\n")
    (tmp_path / "photo.png").write_bytes(b"")
    one = Shell(name, tmp_path)
    begin = f"dsmfast() {{ printf '<''<%s>''>\\n' \"$*\"; }}; {FIRST[name]}; dsmfast ready\n"
    assert one.answer(begin) == "ready"
    yield one
    one.close()


def test_shells_complete(shell):
    for typed, completed in {
        "dsmfast norm\t": "normalize",
        "dsmfast train --objec\tism_sm\t": "train --objective ism_smoothed",
        "dsmfast train ro\t": "train rows-1.csv",
        "dsmfast train digits --out fol\t": "train digits --out folder/",
        "dsmfast energy fol\t ro\t --log\t": "energy folder/ rows-1.csv --log-density",
        "dsmfast plot fil\t fol\t": "plot filters folder/",
        "dsmfast train ph\t ph\t": "train photo.png photo.png",
        "dsmfast denoise fol\t ph\t ph\t": "denoise folder/ photo.png photo.png",
        "dsmfast train dig\t": "train digits",
        "dsmfast energy fol\t spi\t": "energy folder/ spiral",
        "dsmfast energy dig\t": "energy dig",  # a model is no data set
        "dsmfast connection mix\t": "connection mixture",
        "dsmfast outliers dig\t dig\t": "outliers digits digits",
        "dsmfast train ro\t --parzen-data dig\t": "train rows-1.csv --parzen-data digits",
        "dsmfast sample --model fol\t --given ro\t": "sample --model folder/ --given rows-1.csv",
        "dsmfast normalize fol\t --data dig\t": "normalize folder/ --data digits",
        "dsmfast energy --model fol\t ro\t": "energy --model folder/ rows-1.csv",
        "dsmfast energy --model fol\t dig\t": "energy --model folder/ digits",
        "dsmfast plot energy --model fol\t spi\t": "plot energy --model folder/ spiral",
        "dsmfast info fol\t": "info folder/",
        "dsmfast outliers ro\t ro\t --ran\tdispl\t": (
            "outliers rows-1.csv rows-1.csv --ranking displacement"
        ),
    }.items():
        got = " ".join(shell.answer(typed + "\n").split())  # zsh takes a slash at the end away
        assert got.replace("/", "") == completed.replace("/", ""), typed


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
