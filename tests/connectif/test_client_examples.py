"""The examples of docs/client.md: whole programs, run as a reader would, with their output."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from compasso.connectif import api
from compasso.connectif.api import Connectif, connect
from compasso.sandbox import RunningSandbox

PAGE = (Path(__file__).parent.parent.parent / "docs" / "client.md").read_text("utf-8")
EXAMPLES = re.findall(r"## ([^\n]+)\n\n```python\n(.*?)```\n\n```\n(.*?)```", PAGE, re.DOTALL)
SEED = {"coupon_sets": [{"name": "Summer", "type": "multiple", "codes": ["A", "B"]}]}


def test_all_examples_of_the_page_are_found():
    assert len(EXAMPLES) == PAGE.count("```python") == 5


@pytest.mark.parametrize(("title", "program", "shown"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_an_example_prints_what_the_page_shows(title, program, shown, tmp_path):
    (tmp_path / "example.py").write_text(program)
    with RunningSandbox() as sandbox:
        assert httpx.post(f"{sandbox.url}/_sandbox/seed", json=SEED).is_success
        variables = {"CONNECTIF_BASE_URL": sandbox.url, "CONNECTIF_API_KEY": "a:b"}
        ran = subprocess.run(
            [sys.executable, "example.py"],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ran.stderr == ""
    assert ran.stdout == shown


def test_the_table_of_the_page_names_every_method():
    table = PAGE[PAGE.index("## Everything") :]
    connectif = connect("a:b")
    for name, area in vars(connectif).items():
        if name == "client":
            continue
        assert f"`{name}`" in table
        for method in vars(type(area)):
            assert method.startswith("_") or f"`{method}`" in table, f"{name}.{method}"
    assert set(api.__all__) >= {"Connectif", "connect", "Refused"}
    assert isinstance(connectif, Connectif)
