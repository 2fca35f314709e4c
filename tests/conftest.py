"""What tests share: running the command line in this process, and a small project on the disk."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from compasso.cli import main

PROJECT = "project: shop\n"
CONTACTS = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
fields:
  _email: email
  _name: first_name
"""
ROWS = "email,first_name,points\nana@x.es,Ana,3\n"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def compasso(capfd, monkeypatch):
    """Run a command as the shell would: `compasso("plan", "--project", folder)`."""

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["compasso", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert "something in compasso itself failed" not in err, err
        return Ran(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def project(tmp_path):
    """Write a project's files: `project({"specs/crm.yml": text})` over a small one that works."""

    def write(files=None) -> Path:
        folder = tmp_path / "shop"
        given = {"compasso.yml": PROJECT, "specs/crm.yml": CONTACTS, "data/c.csv": ROWS}
        for name, text in {**given, **(files or {})}.items():
            if text is None:
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder

    return write
