"""Every combination of empty phone, date, integer, decimal and radio fields, by both routes.

An import file needs a value in every row of such a column (API facts, 7.4), so rows travel with
those that fill the same fields.
"""

import itertools
import json

import httpx
import pytest

from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import SandboxSettings

FIELDS = """kind: contact-fields
fields:
  - {id: mobile, name: Mobile, type: phone, default_country_code: "34"}
  - {id: since, name: Since, type: date}
  - {id: visits, name: Visits, type: integer}
  - {id: spent, name: Spent, type: decimal}
  - {id: size, name: Size, type: radio, options: [{id: s, label: Small}, {id: l, label: Large}]}
"""
SYNC = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
route: ROUTE
fields:
  _email: email
  _name: name
  mobile: mobile
  since: {from: since, type: date}
  visits: {from: visits, type: integer}
  spent: {from: spent, type: decimal}
  size: size
"""
VALUES = {
    "mobile": "+34600111222",
    "since": "2024-02-29",
    "visits": "7",
    "spent": "12.50",
    "size": "l",
}
KEPT = {
    "mobile": "+34600111222",
    "since": "2024-02-29T00:00:00.000Z",
    "visits": 7,
    "spent": 12.5,
    "size": "l",
}
COMBINATIONS = [
    frozenset(names) for n in range(len(VALUES) + 1) for names in itertools.combinations(VALUES, n)
]


def rows(each):
    """Some rows of each combination, mixed as a shop's data is."""
    lines = ["email,name," + ",".join(VALUES)]
    for turn in range(each):
        for number, filled in enumerate(COMBINATIONS):
            cells = [VALUES[name] if name in filled else "" for name in VALUES]
            lines.append(f"c{number}-{turn}@x.es,Ana,{','.join(cells)}")
    return "\n".join(lines) + "\n"


def wanted(each):
    return {
        f"c{number}-{turn}@x.es": {"_name": "Ana", **{n: KEPT[n] for n in filled}}
        for turn in range(each)
        for number, filled in enumerate(COMBINATIONS)
    }


def converge(route, each, project, compasso, monkeypatch):
    """Apply, and answer the plan's view of the sync, the account and the imports made."""
    settings = SandboxSettings(requests_per_minute=100_000, import_min_seconds=0.05)
    with RunningSandbox(settings) as sandbox:
        monkeypatch.setenv("CONNECTIF_BASE_URL", sandbox.url)
        monkeypatch.setenv("CONNECTIF_API_KEY", "id:secret")
        folder = project(
            {
                "compasso.yml": "project: shop\nbudget: {requests_per_minute: 100000}\n",
                "specs/fields.yml": FIELDS,
                "specs/crm.yml": SYNC.replace("ROUTE", route),
                "data/c.csv": rows(each),
            }
        )
        planned = json.loads(compasso("plan", "--project", folder, "--format", "json").out)
        ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
        assert (ran.code, json.loads(ran.out)["summary"]["failed"]) == (0, 0), ran.out
        assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0
        seen = httpx.get(f"{sandbox.url}/_sandbox/requests").json()
        records = httpx.get(f"{sandbox.url}/_sandbox/dump/contacts").json()
    names = ("_name", *VALUES)
    account = {r["_email"]: {n: r[n] for n in names if r.get(n) is not None} for r in records}
    uploads = sum(1 for r in seen if r["method"] == "POST" and r["path"].startswith("/imports"))
    [sync] = [s for s in planned["syncs"] if s["name"] == "crm"]
    return sync, account, uploads


@pytest.mark.parametrize("route", ["import", "calls", "auto"])
def test_every_combination_of_empty_cells_reaches_the_account_as_declared(
    route, project, compasso, monkeypatch
):
    sync, account, uploads = converge(route, 5, project, compasso, monkeypatch)
    assert account == wanted(5)
    # A record travels whole, so there is one file for each combination, and none fewer will do.
    files = {"import": len(COMBINATIONS), "calls": 0, "auto": len(COMBINATIONS)}[route]
    assert (sync["imports"], uploads) == (files, files)


def test_a_combination_of_few_rows_is_cheaper_by_call(project, compasso, monkeypatch):
    sync, account, uploads = converge("auto", 2, project, compasso, monkeypatch)
    assert account == wanted(2)
    assert (sync["imports"], sync["calls"], uploads) == (0, 2 * len(COMBINATIONS), 0)
