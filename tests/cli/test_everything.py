"""The example that uses all of Connectif: one apply makes the account what the specs say."""

import json
import shutil
from pathlib import Path

import duckdb
import httpx
import pytest

from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import SandboxSettings
from compasso.spec.kinds import kind_names, load_kind
from compasso.spec.load import load_project

EXAMPLE = Path(__file__).parents[2] / "specs" / "everything"


@pytest.fixture
def folder(tmp_path):
    return Path(
        shutil.copytree(
            EXAMPLE, tmp_path / "shop", ignore=shutil.ignore_patterns(".compasso", "exports")
        )
    )


def test_it_uses_every_kind_of_spec_and_every_target(folder):
    used = {(folder / f).read_text().split("kind: ")[1].split()[0] for f in folder.glob("specs/*")}
    assert used == set(kind_names()), f"{load_kind.__module__} has a kind that the example lacks"
    targets = {sync.target.partition("/")[0] for sync in load_project(folder).syncs}
    assert targets == {"contacts", "products", "purchases", "custom-events", "coupons"}


def test_one_apply_is_all_it_takes(folder, compasso, monkeypatch):
    with RunningSandbox(SandboxSettings(requests_per_minute=100)) as sandbox:
        monkeypatch.setenv("CONNECTIF_BASE_URL", sandbox.url)
        monkeypatch.setenv("CONNECTIF_API_KEY", "a:b")
        body = json.loads((folder / "sandbox-seed.json").read_text())
        assert httpx.post(f"{sandbox.url}/_sandbox/seed", json=body).is_success
        assert compasso("validate", "--project", folder).code == 0
        assert compasso("test", "--project", folder).code == 0
        due = {"readers", "welcome-codes", "people", "sales"}
        assert set(compasso("schedule", "due", "--project", folder).out.split()) == due
        ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
        assert ran.code == 0, ran.err + ran.out
        summary = json.loads(ran.out)["summary"]
        assert (summary["failed"], summary["skipped"]) == (0, 0)
        ran = compasso("plan", "--project", folder, "--detailed-exitcode")
        assert ran.code == 0, ran.out
        assert "No changes." in ran.out
        assert compasso("schedule", "due", "--project", folder).out == ""
        dumped = {
            kind: httpx.get(f"{sandbox.url}/_sandbox/dump/{kind}").json()
            for kind in ("contacts", "products", "purchases", "coupons", "events")
        }
    assert {kind: len(rows) for kind, rows in dumped.items()} == {
        "contacts": 4,
        "products": 4,
        "purchases": 3,
        "coupons": 40,
        "events": 3,
    }
    people = duckdb.connect().execute(f"FROM '{folder}/exports/people.csv'")
    assert [column[0] for column in people.description] == [
        "email",
        "name",
        "points",
        "member_since",
    ]
    assert len(people.fetchall()) == 4
