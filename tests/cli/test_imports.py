"""`compasso imports` and `compasso exports`: whose they are, and which rows were refused, and why."""

import json

import httpx
import pytest

from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import SandboxSettings

SET = "5cf8c05f5b4cb901091f7d98"
STOCK = f"""kind: coupon-stock
name: summer
set: {{id: {SET}}}
min_available: 5
target: 10
source: {{csv: data/codes-*.csv}}
code: code
"""
EXPORT = """kind: export
name: people
export: contacts
into: {csv: exports/people.csv}
mode: replace
"""
PROJECT = "project: shop\nbudget: {requests_per_minute: 1000}\n"
KEY = {"Authorization": "apiKey a:b"}


@pytest.fixture
def sandbox(monkeypatch):
    with RunningSandbox(SandboxSettings(requests_per_minute=1000)) as running:
        monkeypatch.setenv("CONNECTIF_BASE_URL", running.url)
        monkeypatch.setenv("CONNECTIF_API_KEY", "id:topsecret")
        sets = [{"id": SET, "name": "Summer", "type": "multiple", "codes": ["SUMMER-4", "B"]}]
        body = {"coupon_sets": sets, "contacts": [{"_email": "ana@x.es"}]}
        assert httpx.post(f"{running.url}/_sandbox/seed", json=body).is_success
        yield running


@pytest.fixture
def applied(sandbox, project, compasso):
    """A project that has uploaded eight codes, one of which the account had already."""
    codes = [f"SUMMER-{n}" for n in range(1, 9)]
    folder = project(
        {
            "compasso.yml": PROJECT,
            "specs/crm.yml": STOCK,
            "data/codes-1.csv": "code\n" + "\n".join(codes[:3]) + "\n",
            "data/codes-2.csv": "code\n" + "\n".join(codes[3:]) + "\n",
        }
    )
    assert compasso("apply", "--project", folder, "--auto-approve").code == 1
    return folder


def test_the_list_marks_what_this_project_has_made(sandbox, applied, compasso):
    parts = {"type": "contacts", "delimiter": ",", "overrideExisting": "true"}
    file = {"file": ("c.csv", "_email\neva@x.es\n", "text/csv")}
    parts["updateOnlyEmptyFields"] = "false"
    assert httpx.post(f"{sandbox.url}/imports/", data=parts, files=file, headers=KEY).is_success
    ran = compasso("imports", "list", "--project", applied)
    others, ours = ran.out.splitlines()
    assert "not of this project" in others
    assert "coupons   finished    7 of 8 rows, 1 errors  ours: summer (run " in ours
    ran = compasso("imports", "list", "--project", applied, "--format", "json", "--limit", 1)
    [one] = json.loads(ran.out)
    assert (one["type"], one["sync"]) == ("contacts", None)


def identity(compasso, folder, kind="imports"):
    listed = json.loads(compasso(kind, "list", "--project", folder, "--format", "json").out)
    return listed[0]["id"]


def test_a_refused_row_is_named_with_its_file_row_and_reason(sandbox, applied, compasso):
    found = identity(compasso, applied)
    ran = compasso("imports", "show", found, "--project", applied)
    assert "8 rows: 7 taken, 1 refused" in ran.out
    assert "data/codes-2.csv row 1: S***: code: Value is in the coupon set already" in ran.out
    assert "SUMMER" not in ran.out
    ran = compasso("imports", "show", found, "--project", applied, "--reveal", "--format", "json")
    document = json.loads(ran.out)
    [row] = document["refused"]
    assert (row["key"], row["file"], row["row"]) == ("SUMMER-4", "data/codes-2.csv", 1)
    assert "errorReportFileUrl" not in document, "whoever has the address has the data"


def test_a_report_whose_address_is_dead_does_not_hide_what_we_know(sandbox, applied, compasso):
    found = identity(compasso, applied)
    rule = {"kind": "expired_file", "times": 9}
    assert httpx.post(f"{sandbox.url}/_sandbox/faults", json=rule).is_success
    ran = compasso("imports", "show", found, "--project", applied)
    assert ran.code == 0
    assert "data/codes-2.csv row 1: S***: code: Value is in the coupon set already" in ran.out


def test_an_import_that_has_ended_is_deleted_and_what_it_wrote_stays(sandbox, applied, compasso):
    found = identity(compasso, applied)
    ran = compasso("imports", "cancel", found, "--project", applied)
    assert (ran.code, "What it wrote stays" in ran.out) == (0, True)
    assert "The account has no imports." in compasso("imports", "list", "--project", applied).out
    assert len(httpx.get(f"{sandbox.url}/_sandbox/dump/coupons").json()) == 9
    ran = compasso("imports", "show", found, "--project", applied)
    assert (ran.code, f"the account has no import {found}" in ran.err) == (1, True)


def test_an_import_under_way_cannot_be_cancelled_and_it_is_said_why(sandbox, applied, compasso):
    assert httpx.post(f"{sandbox.url}/_sandbox/faults", json={"kind": "import_stuck"}).is_success
    parts = {"type": "contacts", "delimiter": ",", "overrideExisting": "true"}
    file = {"file": ("c.csv", "_email\neva@x.es\n", "text/csv")}
    parts["updateOnlyEmptyFields"] = "false"
    made = httpx.post(f"{sandbox.url}/imports/", data=parts, files=file, headers=KEY).json()
    ran = compasso("imports", "cancel", made["id"], "--project", applied)
    assert ran.code == 1
    assert "Connectif's API cannot cancel one" in ran.err
    assert "-> cancel it in Connectif's app, or wait until it ends" in ran.err


def test_exports_are_listed_and_shown_without_the_address_of_their_file(sandbox, project, compasso):
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": EXPORT})
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    assert (
        "contacts       finished    1 rows  ours: people (run "
        in compasso("exports", "list", "--project", folder).out
    )
    found = identity(compasso, folder, "exports")
    ran = compasso("exports", "show", found, "--project", folder)
    assert f"export {found}: contacts, finished, ours: people" in ran.out
    ran = compasso("exports", "show", found, "--project", folder, "--format", "json")
    assert "fileUrl" not in json.loads(ran.out)


def test_a_state_without_personal_data_still_tells_the_row(sandbox, project, compasso):
    spec = "kind: sync\nname: catalogue\nsource: {csv: data/c.csv}\ntarget: products\n"
    spec += "route: import\nfields: {productId: id, name: id, productDetailUrl: url, "
    spec += "unitPrice: {from: price, type: decimal}}\n"
    body = {"authorised_domains": ["shop.example"]}
    assert httpx.post(f"{sandbox.url}/_sandbox/seed", json=body).is_success
    rows = ["id,url,price", *(f"P{n},https://shop.example/{n},3" for n in range(5))]
    rows[2] = "VERYSECRET,https://other.example/1,3"
    folder = project(
        {
            "compasso.yml": PROJECT + "state: {values: hashed}\n",
            "specs/crm.yml": spec,
            "data/c.csv": "\n".join(rows) + "\n",
        }
    )
    assert compasso("apply", "--project", folder, "--auto-approve").code == 1
    ran = compasso("imports", "show", identity(compasso, folder), "--project", folder, "--reveal")
    assert "1 refused" in ran.out
    assert "data/c.csv row 2: VERYSECRET: " in ran.out, "Connectif's report has the key"
    for file in (folder / ".compasso").rglob("*"):
        assert file.is_dir() or b"VERYSECRET" not in file.read_bytes(), file.name
