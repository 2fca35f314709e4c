"""Stops of every kind, and the same plan file again afterwards: only what is left is done."""

import json
import os
import signal
import subprocess
import sys
import time

import httpx
import pytest

SPEC = """kind: sync
name: NAME
source: {csv: data/NAME.csv}
target: contacts
route: ROUTE
fields: {_email: email, _name: name}
"""


def people(prefix, count):
    lines = [f"{prefix}{i}@x.es,Ana" for i in range(count)]
    return "\n".join(["email,name", *lines]) + "\n"


@pytest.fixture
def shop(project):
    def make(limit=1000, **routes):
        files = {"compasso.yml": f"project: s\nbudget: {{requests_per_minute: {limit}}}\n"}
        files |= {"specs/crm.yml": None, "data/c.csv": None}
        for name, route in routes.items():
            files[f"specs/{name}.yml"] = SPEC.replace("NAME", name).replace("ROUTE", route)
            files[f"data/{name}.csv"] = people(name, 20)
        return project(files)

    return make


def account(sandbox):
    return {c["_email"] for c in httpx.get(f"{sandbox.url}/_sandbox/dump/contacts").json()}


def requests(sandbox):
    return httpx.get(f"{sandbox.url}/_sandbox/requests").json()


@pytest.mark.parametrize("route", ["calls", "import"])
@pytest.mark.parametrize("most", [1, 3, 8])
def test_the_same_plan_file_again_does_only_what_is_left(route, most, serve, shop, compasso):
    sandbox = serve()
    folder = shop(alpha=route, beta="calls")
    plan = folder / "p.plan"
    assert compasso("plan", "--project", folder, "--out", plan).code == 0
    codes = []
    for _ in range(40):
        ran = compasso(
            "apply", plan, "--project", folder, "--max-requests", most, "--format", "json"
        )
        codes.append(ran.code)
        assert json.loads(ran.out)["summary"]["requests"] <= most
        if ran.code == 0:
            break
    assert codes[:-1] == [3] * (len(codes) - 1)
    assert codes[-1] == 0
    assert len(account(sandbox)) == 40
    patches = [r["path"] for r in requests(sandbox) if r["method"] == "PATCH"]
    assert len(patches) == len(set(patches)) == (40 if route == "calls" else 20)
    assert len([r for r in requests(sandbox) if r["method"] == "POST"]) == (route == "import")
    # Nothing is left: the plan applied once more sends nothing.
    before = len(requests(sandbox))
    assert compasso("apply", plan, "--project", folder).code == 0
    assert len(requests(sandbox)) == before


def test_a_recovery_in_between_does_not_make_the_plan_stale(serve, shop, compasso):
    sandbox = serve()
    folder = shop(alpha="import", beta="calls")
    plan = folder / "p.plan"
    assert compasso("plan", "--project", folder, "--out", plan).code == 0
    httpx.post(
        f"{sandbox.url}/_sandbox/faults",
        json={"kind": "slow", "seconds": 0.3, "times": 1000, "method": "PATCH"},
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "compasso.cli", "apply", plan, "--project", folder],
        env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    for _ in range(600):
        if len([r for r in requests(sandbox) if r["method"] == "PATCH"]) > 5:
            break
        time.sleep(0.05)
    process.kill()
    process.communicate()
    httpx.post(f"{sandbox.url}/_sandbox/faults", json={"clear": True})
    # A plan of one spec alone settles what the killed apply left of it, and changes nothing.
    ran = compasso("apply", plan, "--project", folder, "--format", "json")
    assert ran.code == 0, ran.err
    assert len(account(sandbox)) == 40
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0
    assert len([r for r in requests(sandbox) if r["method"] == "POST"]) == 1


def test_a_spec_applied_alone_makes_the_rest_of_the_plan_stale_and_says_which(
    serve, shop, compasso
):
    serve()
    folder = shop(alpha="calls", beta="calls")
    plan = folder / "p.plan"
    assert compasso("plan", "--project", folder, "--out", plan).code == 0
    assert compasso("apply", "--project", folder, "--spec", "alpha", "--auto-approve").code == 0
    ran = compasso("apply", plan, "--project", folder)
    assert ran.code == 1
    assert "alpha was changed since it was made" in ran.err


def test_two_applies_of_different_specs_go_on_at_once(serve, shop, compasso):
    sandbox = serve()
    folder = shop(alpha="calls", beta="calls")
    httpx.post(
        f"{sandbox.url}/_sandbox/faults",
        json={"kind": "slow", "seconds": 0.3, "times": 15, "method": "PATCH"},
    )
    process = subprocess.Popen(
        [
            sys.executable, "-m", "compasso.cli", "apply", "--auto-approve", "--project", folder,
            "--spec", "alpha",
        ],
        env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    for _ in range(600):
        if requests(sandbox):
            break
        time.sleep(0.05)
    ran = compasso("apply", "--project", folder, "--spec", "beta", "--auto-approve")
    assert ran.code == 0, ran.err
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(account(sandbox)) == 40
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0


@pytest.mark.parametrize("route", ["calls", "import"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_budget_is_used_up_stops_within_five_seconds(
    route, number, serve, shop, compasso
):
    """The apply waits for most of a minute; a signal does not wait with it."""
    sandbox = serve(2, import_min_seconds=600)
    folder = shop(limit=2, alpha=route)
    process = subprocess.Popen(
        [sys.executable, "-m", "compasso.cli", "apply", "--auto-approve", "--project", folder],
        env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(600):
        if len(requests(sandbox)) >= 2:
            break
        time.sleep(0.05)
    time.sleep(1.0)
    begin = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - begin < 5
    assert process.returncode == 3, err
    assert "Traceback" not in out + err
    # The lock is free, and nothing was refused.
    assert compasso("plan", "--project", folder).code == 0
    assert not [r for r in requests(sandbox) if r["status"] == 429]


def test_the_deadline_of_a_schedule_is_in_the_plan_and_puts_a_sync_first(serve, shop, compasso):
    """Without it, the sync of higher priority would go first."""
    sandbox = serve(20)
    folder = shop(limit=20, alpha="calls", beta="calls")
    beta = folder / "specs" / "beta.yml"
    beta.write_text(beta.read_text() + 'schedule: {cron: "0 * * * *", deadline: 20m}\n')
    alpha = folder / "specs" / "alpha.yml"
    alpha.write_text(alpha.read_text() + "priority: high\n")
    ran = compasso("apply", "--project", folder, "--auto-approve", "--deadline", "10s")
    assert ran.code == 3
    done = [c.split("@")[0].rstrip("0123456789") for c in account(sandbox)]
    assert done.count("beta") > done.count("alpha")


def test_the_last_requests_go_to_the_syncs_of_higher_priority(serve, shop, compasso):
    sandbox = serve()
    folder = shop(alpha="calls", beta="calls")
    beta = folder / "specs" / "beta.yml"
    beta.write_text(beta.read_text() + "priority: high\n")
    for most, alphas, betas in ((12, 0, 12), (12, 4, 20), (100, 20, 20)):
        compasso("apply", "--project", folder, "--auto-approve", "--max-requests", most)
        names = [c[:4] for c in account(sandbox)]
        assert (names.count("alph"), names.count("beta")) == (alphas, betas)


def test_all_requests_of_the_limit_are_used(serve, shop, compasso):
    """Also while some wait for the budget."""
    sandbox = serve(10)
    folder = shop(limit=10, alpha="calls")
    ran = compasso("apply", "--project", folder, "--auto-approve", "--max-requests", 10)
    assert ran.code == 3
    assert len(requests(sandbox)) == 10
