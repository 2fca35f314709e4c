"""Working files go with their process; those of a killed one go with the next process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOLD = """
import sys
from compasso.temporary import working_folder
(working_folder() / "people.csv").write_text("ana@x.es")
print(working_folder(), flush=True)
sys.stdin.read()
"""
FORK = """
import os
from compasso.temporary import working_folder
folder = working_folder()
if os.fork() == 0:
    assert working_folder() != folder
    raise SystemExit
os.wait()
assert folder.is_dir()
"""


@pytest.fixture
def start(tmp_path):
    """Start a process that holds a folder; answers it and the folder."""
    running = []

    def run():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        running.append(process)
        return process, Path(process.stdout.readline().strip())

    yield run
    for process in running:
        process.kill()
        process.communicate()


def end(process):
    process.communicate("")
    assert process.returncode == 0


def test_a_process_takes_its_folder_along(start, tmp_path):
    process, folder = start()
    assert folder.stat().st_mode & 0o077 == 0, "others may look into it"
    end(process)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_one(start, tmp_path):
    (tmp_path / "compasso-mine").mkdir()  # nobody's business
    alive, held = start()
    dead, left = start()
    dead.kill()
    dead.communicate()
    assert (left / "people.csv").exists()
    next_one, _ = start()
    assert not left.exists()
    assert (held / "people.csv").exists()
    end(next_one)
    end(alive)
    assert [p.name for p in tmp_path.iterdir()] == ["compasso-mine"]


def test_a_forked_child_has_a_folder_of_its_own(tmp_path):
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", FORK], check=True, env=env)
    assert list(tmp_path.iterdir()) == []
