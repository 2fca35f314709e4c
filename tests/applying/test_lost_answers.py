"""The table of docs/apply.md, row by row: what happens when the answer to a request is lost.

Rows that are not here: purchases (test_purchases.py), events (test_events.py), exports and their
files (test_exports.py), coupon codes (test_coupons.py).
"""

import json

import httpx
import pytest

LOST = ["timeout_after", "reset", "truncate", "timeout_before"]
CONTACTS = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
route: ROUTE
missing: delete
guards: {max_delete: 100%}
fields: {_email: email, _name: name}
"""
PRODUCTS = """kind: sync
name: catalogue
source: {csv: data/p.csv}
target: products
route: calls
missing: delete
guards: {max_delete: 100%}
fields:
  productId: id
  name: name
  productDetailUrl: "{{ 'https://shop.example/' ~ id }}"
  unitPrice: {value: 1.5}
"""
FIELDS = "kind: contact-fields\nfields: [{id: size, name: Size, type: text}]\n"
HEAD = {"crm": "email,name\n", "catalogue": "id,name\n"}


@pytest.fixture
def shop(project):
    def make(contacts="", products="", route="calls", fields=None):
        return project(
            {
                "compasso.yml": "project: shop\nbudget: {requests_per_minute: 1000}\n",
                "specs/crm.yml": CONTACTS.replace("ROUTE", route),
                "specs/catalogue.yml": PRODUCTS,
                "specs/fields.yml": fields,
                "data/c.csv": HEAD["crm"] + contacts,
                "data/p.csv": HEAD["catalogue"] + products,
            }
        )

    return make


def fault(sandbox, **rule):
    assert httpx.post(f"{sandbox.url}/_sandbox/faults", json=rule).is_success


def seen(sandbox, method, path):
    found = httpx.get(f"{sandbox.url}/_sandbox/requests").json()
    return [r for r in found if r["method"] == method and r["path"].startswith(path)]


def dump(sandbox, kind):
    return httpx.get(f"{sandbox.url}/_sandbox/dump/{kind}").json()


def done(compasso, folder):
    """An apply that ends well, and an empty plan after it."""
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)["summary"]
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0
    return summary


@pytest.mark.parametrize("kind", LOST)
def test_patch_contact_is_sent_again(kind, sandbox, shop, compasso):
    fault(sandbox, kind=kind, seconds=0.1, method="PATCH", path="/contacts")
    assert done(compasso, shop("ana@x.es,Ana\n"))["applied"] == 1
    assert [c["_name"] for c in dump(sandbox, "contacts")] == ["Ana"]
    assert len(seen(sandbox, "PATCH", "/contacts")) == 2


@pytest.mark.parametrize("kind", LOST)
def test_patch_product_is_sent_again(kind, sandbox, shop, compasso):
    fault(sandbox, kind=kind, seconds=0.1, method="PATCH", path="/products")
    assert done(compasso, shop(products="P1,Chair\n"))["applied"] == 1
    assert [p["name"] for p in dump(sandbox, "products")] == ["Chair"]
    assert len(seen(sandbox, "PATCH", "/products")) == 2


@pytest.mark.parametrize("kind", LOST)
def test_delete_is_sent_again_and_404_counts_as_done(kind, sandbox, shop, compasso):
    folder = shop("ana@x.es,Ana\n", "P1,Chair\n")
    done(compasso, folder)
    for path in ("/contacts", "/products"):
        fault(sandbox, kind=kind, seconds=0.1, method="DELETE", path=path)
    shop()
    assert done(compasso, folder)["applied"] == 2
    assert dump(sandbox, "contacts") == dump(sandbox, "products") == []
    # A 204 has no body that could be cut.
    assert len(seen(sandbox, "DELETE", "/")) == (2 if kind == "truncate" else 4)


@pytest.mark.parametrize("kind", LOST)
def test_post_contact_field_is_looked_up_and_sent_again_only_if_it_is_not_there(
    kind, sandbox, shop, compasso
):
    fault(sandbox, kind=kind, seconds=0.1, method="POST", path="/contact-fields")
    assert done(compasso, shop(fields=FIELDS))["applied"] == 1
    posts = len(seen(sandbox, "POST", "/contact-fields"))
    assert posts == (1 if kind in {"timeout_after", "truncate"} else 2)
    assert len(seen(sandbox, "GET", "/contact-fields/size")) >= 1


@pytest.mark.parametrize("kind", LOST)
def test_post_import_is_looked_for_in_the_list_before_it_is_uploaded_again(
    kind, sandbox, shop, compasso
):
    fault(sandbox, kind=kind, seconds=0.1, method="POST", path="/imports")
    people = "".join(f"user{i}@x.es,Ana\n" for i in range(20))
    assert done(compasso, shop(people, route="import"))["applied"] == 20
    listed = httpx.get(f"{sandbox.url}/imports/", headers={"Authorization": "apiKey a:b"}).json()
    assert len(listed["results"]) == 1


@pytest.mark.parametrize("kind", LOST)
def test_get_is_sent_again(kind, sandbox, shop, compasso):
    """Here: the polls of an import."""
    fault(sandbox, kind=kind, seconds=0.1, method="GET", path="/imports", times=3)
    people = "".join(f"user{i}@x.es,Ana\n" for i in range(20))
    assert done(compasso, shop(people, route="import"))["applied"] == 20


def test_a_server_error_is_like_a_lost_answer(sandbox, shop, compasso):
    """A 500 may come after the effect: a POST is looked up, the rest is sent again."""
    for method in ("PATCH", "POST"):
        fault(sandbox, kind="status", status=500, method=method)
    assert done(compasso, shop("ana@x.es,Ana\n", fields=FIELDS))["applied"] == 2


@pytest.fixture
def hasty(monkeypatch):
    """A breaker that gives up at once, so that tests do not wait for minutes."""
    monkeypatch.setattr("compasso.connectif.breaker.PROBES", 2)
    monkeypatch.setattr("compasso.connectif.breaker._FIRST_PAUSE", 0.05)
    monkeypatch.setattr("compasso.connectif.client.backoff", lambda _attempt, random: random / 10)


def test_an_api_that_is_down_ends_in_exit_3_with_the_work_left(sandbox, shop, compasso, hasty):
    people = "".join(f"user{i}@x.es,Ana\n" for i in range(30))
    folder = shop(people)
    fault(sandbox, kind="status", status=503, times=10_000, method="PATCH")
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert ran.code == 3
    document = json.loads(ran.out)
    assert document["stopped"] is True
    assert "cannot reach Connectif" in document["reason"]
    assert document["summary"]["skipped"] == 30
    assert document["summary"]["failed"] == 0
    fault(sandbox, clear=True)
    assert done(compasso, folder)["applied"] == 30


def test_one_record_that_the_server_cannot_take_fails_alone(sandbox, shop, compasso, hasty):
    people = "".join(f"user{i}@x.es,Ana\n" for i in range(30))
    folder = shop(people)
    fault(
        sandbox, kind="status", status=500, times=10_000, method="PATCH",
        path="/contacts/email/user7",
    )  # fmt: skip
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert ran.code == 1
    document = json.loads(ran.out)
    assert (document["summary"]["applied"], document["summary"]["failed"]) == (29, 1)
    assert document["failures"][0]["reason"].startswith("500")
