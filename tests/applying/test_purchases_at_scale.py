"""Thousands of purchases, and an apply that is killed again and again: each is made once."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import duckdb
import httpx
import pytest

from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import Behaviour, SandboxSettings

ORDERS, KILLS, PER_MINUTE = 5000, 10, 60_000
PROJECT = (
    f"project: shop\nbudget: {{requests_per_minute: {PER_MINUTE}}}\n"
    "connectif: {late_seconds: 1}\n"
)
SPECS = {
    "crm": "source: {csv: data/c.csv}\ntarget: contacts\nfields: {_email: email, _name: name}\n",
    "catalogue": "source: {csv: data/p.csv}\ntarget: products\nfields:\n  productId: sku\n"
    '  name: sku\n  productDetailUrl: "https://shop.example/{{ sku }}"\n'
    "  unitPrice: {from: price, type: decimal}\n",
    "orders": "source: {csv: data/o.csv}\ntarget: purchases\ntrigger_event: false\nfields:\n"
    "  purchaseId: id\n  contactEmail: email\n  purchaseDate: {from: day, type: date}\n"
    "  products:\n    lines: rows\n    fields: {productId: sku, "
    "quantity: {from: qty, type: integer}, unitPrice: {from: price, type: decimal}}\n",
}


def make_shop(folder: Path, seed: int) -> int:
    """Seeded data: buyers, products, and orders of one to four lines. Answers the lines."""
    dice = random.Random(seed)
    (folder / "specs").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "compasso.yml").write_text(PROJECT)
    for name, text in SPECS.items():
        (folder / "specs" / f"{name}.yml").write_text(f"kind: sync\nname: {name}\n{text}")
    people = [f"user{i}@x.es,User {i}" for i in range(800)]
    prices = {f"SKU-{i}": dice.randrange(100, 9000) / 100 for i in range(200)}
    rows = []
    for number in range(ORDERS):
        buyer, day = (
            dice.randrange(800),
            f"2024-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}",
        )
        for sku in dice.sample(sorted(prices), dice.randrange(1, 5)):
            rows.append(
                f"O-{number},user{buyer}@x.es,{day},{sku},{dice.randrange(1, 4)},{prices[sku]}"
            )
    files = {
        "c": ["email,name", *people],
        "p": ["sku,price", *(f"{sku},{price}" for sku, price in prices.items())],
        "o": ["id,email,day,sku,qty,price", *rows],
    }
    for name, lines in files.items():
        (folder / "data" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return len(rows)


def start(folder: Path, sandbox: RunningSandbox) -> subprocess.Popen[str]:
    environment = {
        **os.environ, "CONNECTIF_BASE_URL": sandbox.url, "CONNECTIF_API_KEY": "id:topsecret",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "compasso.cli", "apply", "--auto-approve", "--project", folder],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def purchases(sandbox: RunningSandbox) -> list[dict]:
    return httpx.get(f"{sandbox.url}/_sandbox/dump/purchases", timeout=60).json()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_killed_ten_times_at_random_moments_every_purchase_is_made_exactly_once(seed, tmp_path):
    dice = random.Random(seed)
    lines = make_shop(tmp_path / "shop", seed)
    behaviour = Behaviour(repeated_purchase="duplicate")  # the account does not help
    settings = SandboxSettings(requests_per_minute=PER_MINUTE, behaviour=behaviour)
    with RunningSandbox(settings) as sandbox:
        kills, made = 0, 0
        while kills < KILLS:
            process = start(tmp_path / "shop", sandbox)
            # A moment somewhere in the purchases that are left, the settling and planning before.
            time.sleep(1 + dice.random() * 4)
            if process.poll() is not None:
                process.communicate()
                pytest.fail("the apply was done before it was killed often enough")
            process.kill()
            process.communicate()
            kills += 1
            made = len(purchases(sandbox))
        assert made < ORDERS, "all was made before the last kill: nothing was tested"
        process = start(tmp_path / "shop", sandbox)
        out, _ = process.communicate(timeout=1200)
        assert process.returncode == 0, out
        found = purchases(sandbox)
    assert Counter(Counter(p["purchaseId"] for p in found).values()) == {1: ORDERS}
    assert sum(len(p["products"]) for p in found) == lines
    expected = duckdb.sql(
        f"SELECT id, round(sum(qty * price), 4), sum(qty) FROM '{tmp_path}/shop/data/o.csv' GROUP BY id"
    ).fetchall()
    totals = {p["purchaseId"]: (p["totalPrice"], p["totalQuantity"]) for p in found}
    assert totals == {i: (pytest.approx(price, abs=0.0001), int(qty)) for i, price, qty in expected}
    ran = subprocess.run(
        [sys.executable, "-m", "compasso.cli", "plan", "--project", tmp_path / "shop",
         "--format", "json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    summary = json.loads(ran.stdout)["summary"]
    assert (summary["create"], summary["update"]) == (0, 0)
    assert summary["unchanged"] == ORDERS + 800 + 200
