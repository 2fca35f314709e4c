"""Two processes on one state, five real minutes: is the limit used, and is anybody refused?

    python benchmarks/two_processes.py                  # alone
    python benchmarks/two_processes.py --stranger 30    # with another client of the account

It serves a simulated account at 100 requests a minute, starts two `compasso apply` of two
syncs at once, stops them at a deadline, and counts what the account saw. At the end it compares
the state with the account, record by record.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import Behaviour, SandboxSettings
from compasso.state.local import LocalState

CRM = """kind: sync
name: crm
source: {csv: people.csv}
target: contacts
route: calls
fields: {_email: email, _name: name}
"""
CATALOGUE = """kind: sync
name: catalogue
source: {csv: things.csv}
target: products
route: calls
fields:
  productId: id
  name: name
  productDetailUrl: "{{ 'https://shop.example/' ~ id }}"
  unitPrice: {from: price, type: decimal}
"""


def make_project(folder: Path) -> None:
    """A project with two syncs and more work than five minutes can do."""
    (folder / "specs").mkdir(parents=True)
    (folder / "compasso.yml").write_text("project: two\nbudget: {requests_per_minute: 100}\n")
    (folder / "specs" / "crm.yml").write_text(CRM)
    (folder / "specs" / "catalogue.yml").write_text(CATALOGUE)
    people = [f"user{i}@x.example,Name {i}" for i in range(3000)]
    (folder / "people.csv").write_text("\n".join(["email,name", *people]) + "\n")
    things = [f"P{i},Thing {i},{i}.5" for i in range(3000)]
    (folder / "things.csv").write_text("\n".join(["id,name,price", *things]) + "\n")


def stranger(url: str, each_minute: int, until: float) -> None:
    """Another client of the account, one request at a time."""
    with httpx.Client(headers={"Authorization": "apiKey other:client"}) as client:
        while time.time() < until:
            client.get(f"{url}/store/")
            time.sleep(60 / each_minute)


def most_in_a_minute(times: list[float]) -> int:
    """The largest number of requests in any 60 seconds."""
    start = most = 0
    for end, at in enumerate(times):
        while times[start] <= at - 60:
            start += 1
        most = max(most, end - start + 1)
    return most


def differences(folder: Path, url: str) -> int:
    """Records that the state and the account do not agree on."""
    state = LocalState(folder / ".compasso" / "default")
    wrong = 0
    for sync, target, key in (
        ("crm", "contacts", "_email"),
        ("catalogue", "products", "productId"),
    ):
        account = {r[key]: r for r in httpx.get(f"{url}/_sandbox/dump/{target}").json()}
        known = {r.key: r.fields for r in state.records(sync)}
        wrong += len(set(account) ^ set(known))
        for name in set(account) & set(known):
            wrong += any(account[name].get(n) != v for n, v in known[name].items())
    return wrong


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--stranger", type=int, default=0, metavar="N", help="requests a minute")
    parser.add_argument("--sliding", action="store_true", help="a server with a sliding window")
    given = parser.parse_args()
    behaviour = Behaviour(sliding_window=given.sliding)
    settings = SandboxSettings(requests_per_minute=100, behaviour=behaviour)
    with tempfile.TemporaryDirectory() as name, RunningSandbox(settings) as sandbox:
        folder = Path(name) / "shop"
        make_project(folder)
        environment = {
            **os.environ, "CONNECTIF_BASE_URL": sandbox.url, "CONNECTIF_API_KEY": "id:secret",
        }  # fmt: skip
        seconds = 60 * given.minutes
        if given.stranger:
            until = time.time() + seconds + 5
            threading.Thread(
                target=stranger, args=(sandbox.url, given.stranger, until), daemon=True
            ).start()
        command = [sys.executable, "-m", "compasso.cli", "apply", "--auto-approve"]
        command += ["--project", str(folder), "--format", "json", "--deadline", f"{seconds}s"]
        processes = [
            subprocess.Popen(  # noqa: S603 - our own command
                [*command, "--spec", spec], env=environment, stdout=subprocess.PIPE, text=True
            )
            for spec in ("crm", "catalogue")
        ]
        results = [json.loads(p.communicate()[0]) for p in processes]
        seen: list[dict[str, Any]] = httpx.get(f"{sandbox.url}/_sandbox/requests").json()
        wrong = differences(folder, sandbox.url)
    ours = sorted(r["time"] for r in seen if not r["path"].startswith("/store"))
    begin = ours[0]
    within = [t for t in ours if t < begin + seconds]
    theirs = [r for r in seen if r["path"].startswith("/store")]
    refused = [r for r in seen if r["status"] == 429]
    whole = (100 - given.stranger) * given.minutes
    figures = {
        "exit_codes": [p.returncode for p in processes],
        "applied": [r["summary"]["applied"] for r in results],
        "requests": len(within),
        "share_of_what_is_left_to_us": round(len(within) / whole, 4),
        "most_in_60_s": most_in_a_minute(sorted(r["time"] for r in seen)),
        "refused": sum(1 for r in refused if r not in theirs),
        "strangers_requests": len(theirs),
        "strangers_refused": sum(1 for r in refused if r in theirs),
        "records_that_differ": wrong,
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
