"""docs/sandbox.md: its commands work, and its lists are whole."""

import json
import re
from pathlib import Path

from compasso.sandbox.control import control_routes
from compasso.sandbox.faults import KINDS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "sandbox.md").read_text("utf-8")


def posted(path):
    """The JSON body of the page's curl command for an address."""
    [body] = re.findall(rf"{path} (?:\\\n )?\s*-d '(.*?)'\n", PAGE, re.DOTALL)
    return json.loads(body)


def test_the_seed_of_the_page_can_be_put_in(account):
    made = account.seed(**posted("/_sandbox/seed"))
    assert {kind: len(ids) for kind, ids in made.items()} == {
        "contacts": 1, "products": 1, "purchases": 1, "coupon_sets": 1, "workflows": 1,
        "segments": 2, "event_types": 1, "reports": 1,
    }  # fmt: skip
    assert account.api.get("/purchases/purchase-id/A-1").status_code == 200


def test_the_faults_of_the_page_are_accepted(account):
    rules = posted("/_sandbox/faults")
    waiting = account.api.post("/_sandbox/faults", json=rules).json()
    assert [rule["kind"] for rule in waiting] == ["status", "import_failed"]
    assert account.api.post("/_sandbox/faults", json={"clear": True}).json() == []


def test_the_page_names_every_fault_and_every_address(account):
    faults = PAGE[PAGE.index("## Faults") : PAGE.index("## What is known")]
    assert set(KINDS) <= set(re.findall(r"`(\w+)`", faults))
    for route in control_routes(account):
        assert route.path.partition("{")[0].rstrip("/") in PAGE
