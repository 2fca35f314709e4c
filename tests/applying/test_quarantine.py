"""Records that Connectif refuses: again and again, mended, or gone from the source."""

import json

import httpx
import pytest

PROJECT = """project: shop
budget: {requests_per_minute: 1000}
failures: {quarantine_after: 2}
STATE
"""
SPEC = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
route: calls
rejects: {max: 100%}
fields: {_email: email, _points: {from: points, type: integer}}
"""


@pytest.fixture(params=["", "state: {values: hashed}"], ids=["full", "hashed"])
def shop(request, project, compasso):
    class Shop:
        def rows(self, *lines):
            self.folder = project(
                {
                    "compasso.yml": PROJECT.replace("STATE", request.param),
                    "specs/crm.yml": SPEC,
                    "data/c.csv": "\n".join(["email,points", *lines]) + "\n",
                }
            )

        def apply(self):
            ran = compasso("apply", "--project", self.folder, "--auto-approve", "--format", "json")
            return ran.code, json.loads(ran.out)["summary"]["requests"]

        def failures(self):
            ran = compasso("state", "failures", "--project", self.folder, "--format", "json")
            return [(f["tries"], f["quarantined"]) for f in json.loads(ran.out)]

    return Shop()


def refuse_eva(sandbox):
    rule = {"kind": "status", "status": 409, "path": "/contacts/email/eva", "times": 99}
    assert httpx.post(f"{sandbox.url}/_sandbox/faults", json=rule).is_success


def test_mended_data_ends_the_quarantine_by_itself(sandbox, shop):
    refuse_eva(sandbox)
    shop.rows("eva@x.es,1", "ana@x.es,7")
    assert shop.apply() == (1, 2)
    assert shop.apply() == (1, 1)
    assert shop.failures() == [(2, True)]
    assert shop.apply() == (0, 0)
    # Other values are a first try of their own.
    shop.rows("eva@x.es,2", "ana@x.es,7")
    assert shop.apply() == (1, 1)
    assert shop.failures() == [(1, False)]
    httpx.post(f"{sandbox.url}/_sandbox/faults", json={"clear": True})
    assert shop.apply() == (0, 1)
    assert shop.failures() == []


def test_a_failure_goes_when_its_row_leaves_the_source(sandbox, shop, compasso):
    refuse_eva(sandbox)
    shop.rows("eva@x.es,1", "ana@x.es,7")
    assert shop.apply() == (1, 2)
    shop.rows("ana@x.es,7")
    assert compasso("plan", "--project", shop.folder).code == 0
    assert shop.failures() == [(1, False)]  # a plan alone changes nothing
    assert shop.apply() == (0, 0)
    assert shop.failures() == []


def test_a_failure_goes_when_the_row_is_again_what_the_account_has(sandbox, shop):
    shop.rows("eva@x.es,1")
    assert shop.apply() == (0, 1)
    refuse_eva(sandbox)
    shop.rows("eva@x.es,2")
    assert shop.apply() == (1, 1)
    shop.rows("eva@x.es,1")
    assert shop.apply() == (0, 0)
    assert shop.failures() == []


def test_a_failure_stays_while_its_row_is_rejected_or_a_row_cannot_be_told(sandbox, shop):
    refuse_eva(sandbox)
    shop.rows("eva@x.es,1", "ana@x.es,7")
    assert shop.apply() == (1, 2)
    shop.rows("eva@x.es,many", "ana@x.es,7")
    assert shop.apply() == (0, 0)
    assert shop.failures() == [(1, False)]
    shop.rows(",1", "ana@x.es,7")
    assert shop.apply() == (0, 0)
    assert shop.failures() == [(1, False)]


def test_a_state_of_an_earlier_version_is_read_and_goes_on(sandbox, shop, compasso):
    import duckdb

    refuse_eva(sandbox)
    shop.rows("eva@x.es,1")
    assert shop.apply() == (1, 1)
    [file] = shop.folder.rglob("crm.duckdb")
    with duckdb.connect(str(file)) as connection:
        connection.execute("ALTER TABLE failures DROP COLUMN content")
    assert shop.failures() == [(1, False)]
    assert shop.apply() == (1, 1)
    assert shop.failures() == [(2, True)]
    assert shop.apply() == (0, 0)
