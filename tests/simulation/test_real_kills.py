"""kill -9 at random moments of real `compasso apply` processes, over HTTP, against a real server.

The account makes a second purchase of one id without complaint, so that only Compasso stands
between a kill and a double purchase. After all kills the account and the state must be those of
a project that nobody disturbed.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from compasso.state.local import LocalState

KILLS = int(os.environ.get("COMPASSO_KILLS", "20"))
PARTS = 2  # two processes of pytest do half of them each
CONTACTS, PRODUCTS, ORDERS = 60, 30, 25
_OWN = {"id", "contactId", "_createdAt", "_updatedAt", "createdAt", "updatedAt"}
PROJECT = "project: kills\nbudget: {requests_per_minute: 100000}\n"
SPECS = {
    "crm": """kind: sync
name: crm
source: {csv: crm.csv}
target: contacts
route: calls
missing: delete
guards: {max_delete: 100%}
fields: {_email: email, _name: name, _points: {from: points, type: integer}}
""",
    "catalogue": """kind: sync
name: catalogue
source: {csv: catalogue.csv}
target: products
route: import
fields:
  productId: sku
  name: name
  productDetailUrl: "https://shop.example/{{ sku }}"
  unitPrice: {value: 2.5}
""",
    "orders": """kind: sync
name: orders
source: {csv: orders.csv}
target: purchases
trigger_event: false
fields:
  purchaseId: id
  contactEmail: email
  purchaseDate: {from: day, type: date}
  totalPrice: {from: total, type: decimal}
  products:
    lines: rows
    fields: {productId: sku, quantity: {from: qty, type: integer}, unitPrice: {value: 2.5}}
""",
}


def write_day(folder: Path, day: int) -> None:
    """The shop's data of a day: all customers and products change, new orders come."""
    contacts = [f"u{i}@x.es,Name {day} {i},{i}" for i in range(day, CONTACTS + day)]
    products = [f"S{i},Thing {day}" for i in range(PRODUCTS)]
    orders = [
        f"o{d}-{i},u{CONTACTS // 2 + i % 9}@x.es,2026-01-0{1 + i % 9},5.0,S{i % PRODUCTS},2"
        for d in range(day + 1)
        for i in range(ORDERS)
    ]
    for name, header, rows in (
        ("crm", "email,name,points", contacts),
        ("catalogue", "sku,name", products),
        ("orders", "id,email,day,total,sku,qty", orders),
    ):
        (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")


def make_project(folder: Path) -> Path:
    (folder / "specs").mkdir(parents=True)
    (folder / "compasso.yml").write_text(
        PROJECT + 'connectif: {api_key: "${env:CONNECTIF_API_KEY}", late_seconds: 1}\n'
    )
    for name, text in SPECS.items():
        (folder / "specs" / f"{name}.yml").write_text(text)
    return folder


@contextlib.contextmanager
def served():
    """A sandbox in a process of its own; its address."""
    command = ["sandbox", "--port", "0", "--requests-per-minute", "100000"]
    command += ["--behaviour", "repeated_purchase=duplicate"]
    process = subprocess.Popen(
        [sys.executable, "-m", "compasso.cli", *command], stdout=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        yield line[line.index("http://") :].split()[0].rstrip("/")
    finally:
        process.terminate()
        process.wait(20)


def start(folder: Path, url: str) -> subprocess.Popen:
    environment = {**os.environ, "CONNECTIF_BASE_URL": url, "CONNECTIF_API_KEY": "id:topsecret"}
    return subprocess.Popen(
        [sys.executable, "-m", "compasso.cli", "apply", "--project", str(folder), "--auto-approve"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def apply_in_peace(folder: Path, url: str) -> float:
    begin = time.monotonic()
    process = start(folder, url)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert "topsecret" not in out
    return time.monotonic() - begin


def without_ids(value):
    """A record without what Connectif gives it, also in the lines of a purchase."""
    if isinstance(value, dict):
        return {k: without_ids(v) for k, v in value.items() if k not in _OWN}
    return [without_ids(v) for v in value] if isinstance(value, list) else value


def outcome(folder: Path, url: str):
    """What the account holds and what the state knows, without ids and times."""
    found = {}
    for kind in ("contacts", "products", "purchases"):
        records = httpx.get(f"{url}/_sandbox/dump/{kind}").json()
        found[kind] = sorted(json.dumps(without_ids(r), sort_keys=True) for r in records)
    state = LocalState(folder / ".compasso" / "default")
    for sync in SPECS:
        found[f"state of {sync}"] = {r.key: dict(r.fields) for r in state.records(sync)}
        found[f"failures of {sync}"] = [f.key for f in state.failures(sync)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_random_moments_nothing_is_lost_and_nothing_done_twice(
    part, tmp_path, record_property
):
    some = random.Random(f"kills {part}")
    calm, wild = make_project(tmp_path / "calm"), make_project(tmp_path / "wild")
    kills = day = 0
    begin = time.monotonic()
    with served() as calm_url, served() as wild_url:
        while kills < KILLS // PARTS:
            write_day(calm, day)
            write_day(wild, day)
            span = apply_in_peace(calm, calm_url)
            # A day gets some kills at most, so that there are several days.
            for _ in range(min(25, KILLS // PARTS - kills)):
                process = start(wild, wild_url)
                try:
                    out, _ = process.communicate(timeout=some.uniform(0.25, 1.1) * span)
                    assert process.returncode == 0, out
                    break  # it was quicker than the kill
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
                    kills += 1
            apply_in_peace(wild, wild_url)
            assert outcome(wild, wild_url) == outcome(calm, calm_url), f"day {day}, {kills} kills"
            day += 1
    record_property("simulation", {"real kills": kills, "applies of real kills": kills + 2 * day})
    print(f"{kills} kills on {day} days in {time.monotonic() - begin:.0f} s")
    assert kills >= KILLS // PARTS
