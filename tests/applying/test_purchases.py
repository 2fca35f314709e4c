"""Purchases applied to a sandbox over real HTTP: each is made exactly once, whatever happens.

The simulated account makes a second purchase of one id without complaint here, so that only
Compasso stands between a lost answer and a double purchase.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import httpx
import pytest

from compasso.sandbox.settings import Behaviour

PROJECT = "project: shop\nbudget: {requests_per_minute: 6000}\nconnectif: {late_seconds: 1}\n"
CONTACTS = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
fields: {_email: email, _name: name}
"""
PRODUCTS = """kind: sync
name: catalogue
source: {csv: data/p.csv}
target: products
fields:
  productId: sku
  name: sku
  productDetailUrl: "https://shop.example/{{ sku }}"
  unitPrice: {value: 2.5}
"""
ORDERS = """kind: sync
name: orders
source: {csv: data/o.csv}
target: purchases
trigger_event: TRIGGER
on_change: CHANGE
missing: MISSING
guards: {max_delete: 100%}
fields:
  purchaseId: id
  contactEmail: email
  purchaseDate: {from: day, type: date}
  totalPrice: {from: total, type: decimal}
  products:
    lines: rows
    fields: {productId: sku, quantity: {from: qty, type: integer}, unitPrice: {value: 2.5}}
"""


def orders_spec(trigger="false", change="report", missing="keep"):
    text = ORDERS.replace("TRIGGER", trigger).replace("CHANGE", change)
    return text.replace("MISSING", missing)


def order_rows(count, more=""):
    rows = [
        f"O{i},ana@x.es,2024-01-0{1 + i % 9},{2.5 * (1 + i % 3)},A,{1 + i % 3}"
        for i in range(count)
    ]
    return "\n".join(["id,email,day,total,sku,qty", *rows]) + "\n" + more


@pytest.fixture
def sandbox(serve):
    return serve(6000, behaviour=Behaviour(repeated_purchase="duplicate"))


@pytest.fixture
def shop(project):
    def make(orders, contacts="ana@x.es,Ana\n", products="A\nB\n", **how):
        return project(
            {
                "compasso.yml": PROJECT,
                "specs/crm.yml": CONTACTS,
                "specs/products.yml": PRODUCTS,
                "specs/orders.yml": orders_spec(**how),
                "data/c.csv": "email,name\n" + contacts,
                "data/p.csv": "sku\n" + products,
                "data/o.csv": orders,
            }
        )

    return make


def purchases(sandbox):
    return httpx.get(f"{sandbox.url}/_sandbox/dump/purchases").json()


def requests(sandbox, method=None):
    seen = httpx.get(f"{sandbox.url}/_sandbox/requests").json()
    return [r for r in seen if method in (None, r["method"]) and r["path"].startswith("/purchases")]


def fault(sandbox, **rule):
    assert httpx.post(f"{sandbox.url}/_sandbox/faults", json=rule).is_success


def apply(compasso, folder, *more):
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json", *more)
    return ran, json.loads(ran.out) if ran.out else {}


def test_purchases_come_after_their_contacts_and_products_and_are_equal_to_the_specs(
    sandbox, shop, compasso
):
    folder = shop(order_rows(6, "O9,ana@x.es,2024-02-01,7.5,A,1\nO9,ana@x.es,2024-02-01,7.5,B,2\n"))
    ran, document = apply(compasso, folder)
    assert ran.code == 0, ran.err
    assert document["summary"]["failed"] == 0
    found = {p["purchaseId"]: p for p in purchases(sandbox)}
    assert len(found) == 7
    assert found["O9"]["totalQuantity"] == 3
    lines = [(p["productId"], p["quantity"], p["price"]) for p in found["O9"]["products"]]
    assert lines == [("A", 1, 2.5), ("B", 2, 5.0)]
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("true", {True}), ("false", {False}), ("{since: 2024-01-05}", {True, False})],
)
def test_workflows_hear_of_the_purchases_that_the_spec_says(
    rule, expected, sandbox, shop, compasso
):
    assert apply(compasso, shop(order_rows(9), trigger=rule))[0].code == 0
    found = purchases(sandbox)
    assert {p["purchaseEventTriggered"] for p in found} == expected
    if "since" in rule:
        for purchase in found:
            heard = purchase["purchaseDate"] >= "2024-01-05"
            assert purchase["purchaseEventTriggered"] is heard


def test_a_first_load_that_would_wake_workflows_is_warned_of(shop, compasso):
    folder = shop(order_rows(2))
    spec = folder / "specs" / "orders.yml"
    spec.write_text(spec.read_text().replace("trigger_event: false\n", ""))
    assert "each may start workflows" in compasso("plan", "--project", folder).out


@pytest.mark.parametrize("kind", ["timeout_after", "timeout_before", "reset", "truncate", "status"])
def test_a_purchase_whose_answer_was_lost_is_looked_up_before_it_is_sent_again(
    kind, sandbox, shop, compasso
):
    folder = shop(order_rows(5))
    more = {"status": 502} if kind == "status" else {"seconds": 0.1}
    fault(sandbox, kind=kind, method="POST", path="/purchases", times=2, **more)
    ran, document = apply(compasso, folder)
    assert ran.code == 0, ran.err
    assert document["summary"]["failed"] == 0
    assert Counter(p["purchaseId"] for p in purchases(sandbox)) == {f"O{i}": 1 for i in range(5)}
    assert len(requests(sandbox, "GET")) >= 2


@pytest.fixture
def strict(serve):
    """An account that refuses a second purchase of one id, as Connectif probably does."""
    return serve(6000, authorised_domains=("shop.example",))


def test_a_purchase_that_is_there_already_with_equal_content_counts_as_applied(
    strict, shop, compasso
):
    folder = shop(order_rows(3))
    assert apply(compasso, folder)[0].code == 0
    assert compasso("state", "rm", "O1", "--project", folder).code == 0
    ran, document = apply(compasso, folder)
    assert (ran.code, document["summary"]["applied"]) == (0, 1)
    assert len(purchases(strict)) == 3


def start(folder, sandbox):
    environment = {
        **os.environ, "CONNECTIF_BASE_URL": sandbox.url, "CONNECTIF_API_KEY": "id:topsecret",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "compasso.cli", "apply", "--auto-approve", "--project", folder],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def kill_after(folder, sandbox, count):
    """Start an apply and kill it when it has sent so many purchases more."""
    process = start(folder, sandbox)
    known = len(requests(sandbox))
    for _ in range(600):
        if len(requests(sandbox)) >= known + count or process.poll() is not None:
            break
        time.sleep(0.01)
    process.kill()
    process.communicate()


def test_killed_at_any_moment_each_purchase_is_made_once(sandbox, shop, compasso):
    folder = shop(order_rows(60))
    fault(sandbox, kind="slow", seconds=0.05, times=1000, method="POST", path="/purchases")
    for count in (1, 5, 9, 16, 30):
        kill_after(folder, sandbox, count)
    assert apply(compasso, folder)[0].code == 0
    assert Counter(p["purchaseId"] for p in purchases(sandbox)) == {f"O{i}": 1 for i in range(60)}


def test_an_apply_that_was_stopped_by_a_signal_goes_on_without_a_double(sandbox, shop, compasso):
    folder = shop(order_rows(40))
    fault(sandbox, kind="slow", seconds=0.2, times=1000, method="POST", path="/purchases")
    process = start(folder, sandbox)
    for _ in range(600):
        if len(requests(sandbox)) >= 9:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 3, err
    httpx.post(f"{sandbox.url}/_sandbox/faults", json={"clear": True})
    assert apply(compasso, folder)[0].code == 0
    assert Counter(p["purchaseId"] for p in purchases(sandbox)) == {f"O{i}": 1 for i in range(40)}


CHANGED = order_rows(6).replace("O2,ana@x.es,2024-01-03,7.5,A,3", "O2,ana@x.es,2024-01-03,2.5,B,1")


def test_a_changed_purchase_stays_unless_the_spec_says_replace(sandbox, shop, compasso):
    assert apply(compasso, shop(order_rows(6)))[0].code == 0
    folder = shop(CHANGED)
    assert "1 purchase changed in the source" in compasso("plan", "--project", folder).out
    assert apply(compasso, folder)[0].code == 0
    assert len(requests(sandbox, "DELETE")) == 0
    folder = shop(CHANGED, change="replace")
    ran = compasso("plan", "--project", folder)
    assert "0 to create, 1 to update" in ran.out
    assert "2 requests" in ran.out
    assert apply(compasso, folder)[0].code == 0
    found = {p["purchaseId"]: p for p in purchases(sandbox)}
    assert len(found) == 6
    assert (found["O2"]["totalPrice"], found["O2"]["products"][0]["productId"]) == (2.5, "B")
    assert found["O2"]["contactEmail"] == "ana@x.es"
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("DELETE", "timeout_after"),
        ("DELETE", "reset"),
        ("POST", "timeout_after"),
        ("POST", "reset"),
    ],
)
def test_a_replacement_whose_answers_are_lost_is_still_one_purchase(
    method, kind, sandbox, shop, compasso
):
    assert apply(compasso, shop(order_rows(6)))[0].code == 0
    folder = shop(CHANGED, change="replace")
    fault(sandbox, kind=kind, method=method, path="/purchases", seconds=0.1)
    assert apply(compasso, folder)[0].code == 0
    found = [p for p in purchases(sandbox) if p["purchaseId"] == "O2"]
    assert [p["totalPrice"] for p in found] == [2.5]


@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_a_replacement_that_is_killed_between_its_steps_is_finished_by_the_next_apply(
    method, sandbox, shop, compasso
):
    assert apply(compasso, shop(order_rows(6)))[0].code == 0
    folder = shop(CHANGED, change="replace")
    for kind in ("slow", "timeout_before"):  # killed before, and after, the effect of a step
        fault(sandbox, kind=kind, method=method, path="/purchases", seconds=0.5)
        kill_after(folder, sandbox, 1 if method == "DELETE" else 2)
    httpx.post(f"{sandbox.url}/_sandbox/faults", json={"clear": True})
    time.sleep(0.6)  # what the killed ones had sent has had its effect
    assert apply(compasso, folder)[0].code == 0
    found = [p for p in purchases(sandbox) if p["purchaseId"] == "O2"]
    assert [p["totalPrice"] for p in found] == [2.5]
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0


def test_a_replacement_that_is_refused_is_made_by_a_later_plan_even_as_it_was(
    sandbox, shop, compasso
):
    assert apply(compasso, shop(order_rows(6)))[0].code == 0
    folder = shop(CHANGED.replace("2.5,B,1", "2.5,Z,1"), change="replace")  # no such product
    ran, document = apply(compasso, folder)
    assert ran.code == 1
    [failure] = document["failures"]
    assert failure["reason"].startswith("400 E0102: the product Z is not in the account")
    assert "O2" not in {p["purchaseId"] for p in purchases(sandbox)}
    # The source is as it was at first: the state must not believe that it still is there.
    folder = shop(order_rows(6), change="replace")
    assert apply(compasso, folder)[0].code == 0
    assert Counter(p["purchaseId"] for p in purchases(sandbox)) == {f"O{i}": 1 for i in range(6)}


def test_purchases_whose_rows_are_gone_are_deleted_if_the_spec_says_so(sandbox, shop, compasso):
    assert apply(compasso, shop(order_rows(6), missing="delete"))[0].code == 0
    assert apply(compasso, shop(order_rows(4), missing="delete"))[0].code == 0
    assert {p["purchaseId"] for p in purchases(sandbox)} == {f"O{i}" for i in range(4)}


def test_a_purchase_waits_for_its_contact_and_goes_by_itself_when_it_is_there(
    sandbox, shop, compasso
):
    rows = order_rows(1, "O9,eva@x.es,2024-02-01,2.5,A,1\n")
    ran, document = apply(compasso, shop(rows))
    assert ran.code == 1
    [failure] = document["failures"]
    assert failure["key"] == "O9"
    assert failure["reason"] == (
        "400 E0101: its contact is not in the account. crm has no such record: its row was "
        "rejected, is left out by `when`, or is not in the source: when it is written, the next "
        "plan sends it again by itself"
    )
    assert "eva@" not in ran.out + ran.err
    ran, document = apply(compasso, shop(rows, contacts="ana@x.es,Ana\neva@x.es,Eva\n"))
    assert ran.code == 0
    assert {p["purchaseId"] for p in purchases(sandbox)} == {"O0", "O9"}


def test_a_purchase_waits_for_its_product_and_names_who_would_write_it(sandbox, shop, compasso):
    rows = order_rows(1, "O9,ana@x.es,2024-02-01,2.5,C,1\n")
    ran, document = apply(compasso, shop(rows))
    assert ran.code == 1
    assert document["failures"][0]["reason"].startswith(
        "400 E0102: the product C is not in the account. catalogue has no such record"
    )
    assert apply(compasso, shop(rows, products="A\nB\nC\n"))[0].code == 0
    assert {p["purchaseId"] for p in purchases(sandbox)} == {"O0", "O9"}


@pytest.mark.parametrize(("code", "target"), [("E0103", "orders"), ("E0201", "catalogue")])
def test_a_domain_that_is_not_the_stores_is_explained(code, target, strict, shop, compasso):
    folder = shop(order_rows(1))
    wrong = folder / "specs" / ("orders.yml" if target == "orders" else "products.yml")
    text = wrong.read_text().replace("https://shop.example/", "https://other.example/")
    extra = 'productDetailUrl: {value: "https://other.example/a"}, quantity:'
    wrong.write_text(text.replace("quantity:", extra))
    ran, document = apply(compasso, folder)
    assert ran.code == 1
    reasons = [f["reason"] for f in document["failures"] if f["sync"] == target]
    assert reasons
    for reason in reasons:
        assert reason.startswith(f"400 {code}: the domain of productDetailUrl")
        assert "(allowed: shop.example)" in reason


def test_a_taken_purchase_id_with_other_content_is_never_made_twice(strict, shop, compasso):
    """Someone made a purchase of that id by hand: it is not ours to overwrite."""
    folder = shop(order_rows(2))
    assert apply(compasso, folder, "--spec", "crm")[0].code == 0
    assert apply(compasso, folder, "--spec", "catalogue")[0].code == 0
    body = {
        "purchaseId": "O1", "contactEmail": "ana@x.es", "totalPrice": 99, "totalQuantity": 1,
        "products": [{"productId": "A", "quantity": 1, "price": 99}],
    }  # fmt: skip
    headers = {"Authorization": "apiKey a:b"}
    assert httpx.post(f"{strict.url}/purchases/", json=body, headers=headers).is_success
    for _ in range(2):
        ran, document = apply(compasso, folder)
        assert ran.code == 1
        [failure] = document["failures"]
        assert failure["key"] == "O1"
        assert "is there already, with another" in failure["reason"]
    posts = requests(strict, "POST")
    assert len(posts) == 3  # by hand, O0, and O1 once: then it is only looked up
