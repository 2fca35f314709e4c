"""Coupon sets, coupon imports and workflows, over HTTP (API facts: section 6)."""

import httpx
import pytest


@pytest.fixture
def summer(account):
    """An account with a set of three codes, two of them free; and the set's id."""
    made = account.seed(
        coupon_sets=[
            {"name": "Summer", "type": "multiple", "codes": ["A", "B", "C"], "assigned": 1}
        ]
    )
    return account, made["coupon_sets"][0]


def test_a_set_says_how_many_codes_are_left(summer):
    account, identity = summer
    [listed] = account.api.get("/coupon-sets/").json()["results"]
    assert (listed["quantity"], listed["available"], listed["assigned"]) == (3, 2, 1)
    assert account.api.get(f"/coupon-sets/{identity}").json() == listed
    assert account.api.get(f"/coupon-sets/{'0' * 24}").status_code == 404
    assert account.api.get("/coupon-sets/summer").status_code == 400


def test_a_single_code_may_have_no_limit(account):
    account.seed(coupon_sets=[{"name": "All", "type": "single", "code": "HELLO"}])
    [found] = account.api.get("/coupon-sets/").json()["results"]
    assert (found["code"], found["quantity"], found["available"]) == ("HELLO", None, None)


def test_all_workflows_that_use_a_set_are_named_active_or_not(summer):
    account, identity = summer
    made = account.seed(
        workflows=[
            {"name": "Welcome", "status": "active", "couponSetIds": [identity]},
            {"name": "Old", "status": "finished", "couponSetIds": [identity]},
            {"name": "Other", "status": "draft"},
        ]
    )
    found = account.api.get(f"/coupon-sets/{identity}").json()
    assert [u["workflowId"] for u in found["usedInWorkflows"]] == made["workflows"][:2]
    welcome = account.api.get(f"/workflows/{made['workflows'][0]}").json()
    assert (welcome["name"], welcome["status"]) == ("Welcome", "active")
    names = [w["name"] for w in account.api.get("/workflows/").json()["results"]]
    assert names == ["Other", "Old", "Welcome"]


def test_codes_are_imported_and_a_code_that_is_there_is_a_row_error(summer):
    account, identity = summer
    done = account.imported("coupons", "code\nC\nD\nE\nD\n", couponSetId=identity)
    assert (done["status"], done["success"], done["errors"]) == ("finished", 2, 2)
    assert done["options"]["couponSetId"] == identity
    report = httpx.get(done["errorReportFileUrl"]).text
    assert report.splitlines()[0] == "code,error"
    assert "in the coupon set already" in report
    assert sorted(c["code"] for c in account.dump("coupons")) == ["A", "B", "C", "D", "E"]


def test_the_counters_come_up_to_ten_seconds_late(summer):
    account, identity = summer

    def available():
        return account.api.get(f"/coupon-sets/{identity}").json()["available"]

    account.upload("coupons", "code\nD\nE\n", couponSetId=identity)
    account.pass_time(1)
    assert available() == 2
    assert len(account.dump("coupons")) == 5
    account.pass_time(8)
    assert available() == 2
    account.pass_time(2)
    assert available() == 4


def test_workflows_give_codes_away_until_none_is_left(summer):
    account, identity = summer
    body = {"couponSetId": identity, "count": 5}
    assert account.api.post("/_sandbox/assign-coupons", json=body).json() == {"assigned": 2}
    account.api.get("/store")
    account.pass_time(11)
    found = account.api.get(f"/coupon-sets/{identity}").json()
    assert (found["available"], found["assigned"]) == (0, 3)
    assert all(c["assigned"] for c in account.dump("coupons"))


@pytest.mark.parametrize(
    ("text", "fields", "path"),
    [
        ("code\nD\n", {}, "/couponSetId"),
        ("code\nD\n", {"couponSetId": "0" * 24}, "/couponSetId"),
        ("name\nD\n", {"couponSetId": "SET"}, "/file"),
    ],
)
def test_an_import_of_codes_wants_a_set_and_one_column(summer, text, fields, path):
    account, identity = summer
    given = {n: identity if v == "SET" else v for n, v in fields.items()}
    answer = account.upload("coupons", text, **given)
    assert answer.status_code == 422
    assert [e["path"] for e in answer.json()["validationErrors"]] == [path]


def test_a_set_holds_500000_codes_at_most(account, monkeypatch):
    monkeypatch.setattr("compasso.sandbox.coupons.MAX_COUPONS", 2)
    made = account.seed(coupon_sets=[{"name": "S", "type": "multiple", "codes": ["A"]}])
    done = account.imported("coupons", "code\nB\nC\n", couponSetId=made["coupon_sets"][0])
    assert (done["success"], done["errors"]) == (1, 1)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"coupons": []}, "known: "),
        ({"workflows": [{"name": "W", "couponSetIds": ["0" * 24]}]}, "workflows[0]"),
        ({"coupon_sets": [{"name": "S", "type": "double"}]}, "coupon_sets[0]"),
        ({"contacts": [{"_name": "Ana"}]}, "contacts[0]"),
        ({"contacts": {}}, "contacts must be a list"),
    ],
)
def test_a_seed_that_cannot_be_put_in_says_which_item_and_why(account, kinds, message):
    answer = account.api.post("/_sandbox/seed", json=kinds)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
