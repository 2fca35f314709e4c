"""A purchase that Connectif makes long after our patience has ended is made once all the same.

The account makes a second purchase of one id without complaint here.
"""

import shutil
from collections import Counter

import pytest
from virtually import Fuse, Killed, World

SPEC = """kind: sync
name: orders
source: {csv: data/o.csv}
target: purchases
trigger_event: false
on_change: replace
fields:
  purchaseId: id
  contactEmail: email
  totalPrice: {from: total, type: decimal}
  products:
    lines: rows
    fields: {productId: sku, quantity: {from: qty, type: integer}, unitPrice: {value: 2.5}}
"""
HEADER = "id,email,total,sku,qty\n"


def rows(quantity, count=3):
    total = 2.5 * quantity
    return HEADER + "".join(f"O{i},ana@x.es,{total},A,{quantity}\n" for i in range(count))


@pytest.fixture
def shop(project):
    product = {"productId": "A", "name": "A", "unitPrice": 2.5, "productDetailUrl": "https://s.es"}
    folder = project(
        {
            "compasso.yml": "project: shop\n",
            "specs/crm.yml": None,
            "specs/orders.yml": SPEC,
            "data/c.csv": None,
            "data/o.csv": rows(1),
        }
    )
    account = {"contacts": [{"_email": "ana@x.es"}], "products": [product]}
    return World(folder, account, repeated_purchase="duplicate")


def purchases(shop):
    return Counter((p["purchaseId"], p["totalPrice"]) for p in shop.dump("purchases"))


def once(price):
    return Counter((f"O{i}", price) for i in range(3))


@pytest.mark.parametrize("seconds", [61, 70, 85])
def test_a_purchase_made_after_our_patience_has_ended_is_made_once(shop, seconds):
    shop.fault(kind="slow", method="POST", seconds=seconds, times=2)
    result, _ = shop.apply()
    assert (result.applied, result.failed) == (3, 0)
    assert purchases(shop) == once(2.5)
    told = any("may still have its effect" in said for said in shop.said)
    assert told == (seconds > 62)  # the first look-up comes a second after the time-out


def test_one_that_never_came_is_sent_again_when_it_cannot_come_any_more(shop):
    shop.fault(kind="timeout_before", method="POST", seconds=70, times=1)
    begin = shop.clock.now()
    result, _ = shop.apply()
    assert (result.applied, result.failed) == (3, 0)
    assert purchases(shop) == once(2.5)
    assert shop.clock.now() - begin >= 90


def test_an_answer_that_says_that_it_failed_is_not_waited_for(shop):
    shop.fault(kind="status", method="POST", status=503, times=2)
    begin = shop.clock.now()
    shop.apply()
    assert purchases(shop) == once(2.5)
    assert shop.clock.now() - begin < 30


def test_a_deletion_that_comes_late_does_not_take_the_new_purchase_away(shop):
    shop.apply()
    (shop.folder / "data/o.csv").write_text(rows(2))
    shop.fault(kind="slow", method="DELETE", seconds=75, times=2)
    result, _ = shop.apply()
    assert (result.applied, result.failed) == (3, 0)
    assert purchases(shop) == once(5.0)


def test_after_a_kill_nothing_is_sent_again_before_it_is_sure_that_it_did_not_arrive(shop):
    """Killed between an intent and its outcome: the request may be with the server still."""
    waits, finished = [], False
    while not finished:
        shop.fault(kind="timeout_before", method="POST", seconds=300, times=3)
        try:
            shop.apply(Fuse(len(waits) + 1))
            finished = True
        except Killed:
            shop.sandbox.faults.rules.clear()
            killed = shop.clock.now()
            shop.apply()
            waits.append(shop.clock.now() - killed)
        assert purchases(shop) == once(2.5), f"killed at step {len(waits)}"
        for purchase in shop.sandbox.account.list("purchases"):
            shop.sandbox.account.remove("purchases", purchase)
        shutil.rmtree(shop.folder / ".compasso")
    assert waits[0] < 5  # nothing had left
    assert max(waits) > 85
    assert len(waits) > 6
