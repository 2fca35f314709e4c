"""A person is erased: in the account, in the state to the last byte, and from coming plans."""

import json
import os
import subprocess
import sys
import time

import httpx
import pytest

FILES = {
    "compasso.yml": "project: shop\nbudget: {requests_per_minute: 6000}\n",
    "specs/crm.yml": """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
missing: delete
guards: {max_delete: 100%}
fields: {_email: email, _name: name, _externalId: id}
""",
    "specs/products.yml": """kind: sync
name: catalogue
source: {csv: data/p.csv}
target: products
fields:
  productId: sku
  name: sku
  productDetailUrl: "https://shop.example/{{ sku }}"
  unitPrice: {value: 2.5}
""",
    "specs/orders.yml": """kind: sync
name: orders
source: {csv: data/o.csv}
target: purchases
trigger_event: false
fields:
  purchaseId: id
  contactEmail: email
  products: {lines: rows, fields: {productId: sku, quantity: {value: 1}, price: {value: 2.5}}}
""",
    "data/c.csv": "email,name,id\nana@x.es,Anastasia,C-1\neva@x.es,Eva,C-2\nrui@x.es,Rui,C-3\n",
    "data/p.csv": "sku\nA\n",
    "data/o.csv": "id,email,sku\nO1,ANA@x.es,A\nO2,eva@x.es,A\nO3,ana@x.es ,A\nO4,gone@x.es,A\n",
}


@pytest.fixture
def sandbox(serve):
    return serve(6000)


@pytest.fixture
def shop(project, sandbox, compasso):
    """A shop that was applied: contacts, a product, four orders of which one waits."""
    text = FILES["specs/orders.yml"].replace(
        "contactEmail: email", 'contactEmail: "{{ email | trim }}"'
    )
    folder = project({**FILES, "specs/orders.yml": text})
    assert compasso("apply", "--project", folder, "--auto-approve").code == 1  # O4: no contact
    return folder


def dump(sandbox, kind, field):
    found = httpx.get(f"{sandbox.url}/_sandbox/dump/{kind}").json()
    return sorted(r[field] for r in found)


def holding(folder, *texts):
    """The files under .compasso that hold one of these texts."""
    wanted = [t.lower().encode() for t in texts]
    return [
        str(path.relative_to(folder))
        for path in (folder / ".compasso").rglob("*")
        if path.is_file() and any(w in path.read_bytes().lower() for w in wanted)
    ]


def forget(compasso, folder, *more):
    ran = compasso("forget", *more, "--project", folder, "--format", "json")
    return ran, json.loads(ran.out) if ran.out else {}


def test_a_person_is_erased_from_the_account_the_state_and_coming_plans(sandbox, shop, compasso):
    saved = shop / "week.plan"
    (shop / "data" / "c.csv").write_text(FILES["data/c.csv"].replace("Anastasia", "Anastacia"))
    assert compasso("plan", "--project", shop, "--out", saved).code == 0
    assert holding(shop, "ana@x.es", "anastasia")
    ran, document = forget(compasso, shop, "ana@x.es", "--yes")
    assert ran.code == 0, ran.err
    assert dump(sandbox, "contacts", "_email") == ["eva@x.es", "rui@x.es"]
    assert dump(sandbox, "purchases", "purchaseId") == ["O2"]
    assert holding(shop, "ana@x.es", "anastasia", "C-1") == []
    assert "ana@x.es" not in ran.out + ran.err
    [receipt] = document["people"]
    deleted = [(d["what"], d.get("key")) for d in receipt["account"]]
    assert deleted[:2] == [("purchase", "O1"), ("purchase", "O3")]
    assert ("contact", None) in deleted
    assert any("week.plan" in text for text in receipt["not_reached"])
    assert any("source of crm" in text for text in receipt["not_reached"])
    written = json.loads((shop / receipt["receipt"]).read_text())
    assert written["account"] == receipt["account"]
    assert written["finished"]
    # The source still has the rows, by address and by id; no plan makes the person again.
    ran = compasso("plan", "--project", shop, "--format", "json")
    document = json.loads(ran.out)
    crm, _, orders = document["syncs"]
    assert (crm["create"], crm["delete"], orders["create"]) == (0, 0, 1)  # O4 waits as before
    assert (
        "1 row is of people who were forgotten (compasso forget), and left out" in crm["warnings"]
    )
    assert any("2 rows are of people who were forgotten" in w for w in orders["warnings"])
    (shop / "data" / "c.csv").write_text(
        "email,name,id\nother@x.es,Ana,C-1\neva@x.es,Eva,C-2\nrui@x.es,Rui,C-3\n"
    )
    ran = compasso("plan", "--project", shop, "--spec", "crm", "--format", "json")
    assert json.loads(ran.out)["summary"]["create"] == 0


def test_a_person_is_found_by_external_id_and_a_failed_record_is_erased_too(
    sandbox, shop, compasso
):
    ran, document = forget(compasso, shop, "--external-id", "C-2", "--yes", "--reveal")
    assert ran.code == 0
    assert document["people"][0]["revealed"] == {"email": ["eva@x.es"], "external_id": ["C-2"]}
    assert dump(sandbox, "contacts", "_email") == ["ana@x.es", "rui@x.es"]
    assert dump(sandbox, "purchases", "purchaseId") == ["O1", "O3"]
    assert holding(shop, "eva@x.es") == []


def test_a_dry_run_tells_what_would_go_and_deletes_nothing(sandbox, shop, compasso):
    before = len(httpx.get(f"{sandbox.url}/_sandbox/requests").json())
    _, document = forget(compasso, shop, "ana@x.es", "rui@x.es", "--dry-run")
    ana, rui = document["people"]
    assert (ana["contacts"], ana["purchases"]) == (1, 2)
    assert ana["records"] == {"crm": 1, "orders": 2}
    assert rui["records"] == {"crm": 1}
    seen = httpx.get(f"{sandbox.url}/_sandbox/requests").json()[before:]
    assert {r["method"] for r in seen} == {"GET"}
    assert not list((shop / ".compasso").rglob("suppressed.json"))
    assert (
        "Nothing was deleted" in compasso("forget", "ana@x.es", "--dry-run", "--project", shop).out
    )


@pytest.mark.parametrize("keys", ["clear", "hashed"])
def test_a_state_of_hashes_forgets_too_and_tells_what_it_cannot_name(
    keys, sandbox, project, compasso
):
    state = f"state: {{backend: local, values: hashed, keys: {keys}}}\n"
    folder = project({**FILES, "compasso.yml": FILES["compasso.yml"] + state,
                      "specs/crm.yml": FILES["specs/crm.yml"].replace("missing: delete\n", ""),
                      "data/o.csv": "id,email,sku\nO1,ana@x.es,A\nO2,eva@x.es,A\n"})  # fmt: skip
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    ran, document = forget(compasso, folder, "ana@x.es", "--yes")
    assert ran.code == 0, ran.err
    [receipt] = document["people"]
    assert dump(sandbox, "contacts", "_email") == ["eva@x.es", "rui@x.es"]
    assert sum(s.get("records", 0) for s in receipt["state"]) == 2
    left = dump(sandbox, "purchases", "purchaseId")
    assert left == (["O2"] if keys == "clear" else ["O1", "O2"])
    told = any("only hashes of their ids" in text for text in receipt["not_reached"])
    assert told is (keys == "hashed")
    ran = compasso("plan", "--project", folder, "--format", "json")
    assert json.loads(ran.out)["summary"]["create"] == 0


def test_it_asks_first_and_wants_a_name(shop, compasso):
    ran = compasso("forget", "ana@x.es", "--project", shop)
    assert (ran.code, "there is no terminal to ask at" in ran.err) == (1, True)
    assert "forget whom?" in compasso("forget", "--project", shop).err
    assert "is not an e-mail address" in compasso("forget", "C-1", "--yes", "--project", shop).err


def test_someone_unknown_is_put_on_the_list_all_the_same(sandbox, shop, compasso):
    assert forget(compasso, shop, "new@x.es", "--yes")[0].code == 0
    with (shop / "data" / "c.csv").open("a") as file:
        file.write(" New@x.es ,New,C-9\n")
    ran = compasso("plan", "--project", shop, "--spec", "crm", "--format", "json")
    assert json.loads(ran.out)["summary"]["create"] == 0


def test_a_plan_that_was_saved_before_does_not_make_the_person_anew(sandbox, shop, compasso):
    with (shop / "data" / "c.csv").open("a") as file:
        file.write("new@x.es,New,C-9\n")
    saved = shop / "week.plan"
    assert compasso("plan", "--project", shop, "--spec", "crm", "--out", saved).code == 0
    assert forget(compasso, shop, "new@x.es", "--yes")[0].code == 0
    ran = compasso("apply", saved, "--project", shop)
    assert ran.code == 1
    assert "a person was forgotten since it was made" in ran.err
    assert "new@x.es" not in dump(sandbox, "contacts", "_email")


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_killed_at_any_moment_it_is_run_again(count, sandbox, shop, compasso):
    fault = {"kind": "slow", "seconds": 0.3, "times": 100, "method": "DELETE"}
    httpx.post(f"{sandbox.url}/_sandbox/faults", json=fault)
    before = len(httpx.get(f"{sandbox.url}/_sandbox/requests").json())
    environment = {
        **os.environ, "CONNECTIF_BASE_URL": sandbox.url, "CONNECTIF_API_KEY": "id:topsecret",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "compasso.cli", "forget", "ana@x.es", "--yes", "--project", shop],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    for _ in range(500):
        seen = httpx.get(f"{sandbox.url}/_sandbox/requests").json()[before:]
        if sum(r["method"] == "DELETE" for r in seen) >= count or process.poll() is not None:
            break
        time.sleep(0.02)
    process.kill()
    process.communicate()
    httpx.post(f"{sandbox.url}/_sandbox/faults", json={"clear": True})
    # Even before it is run again, no plan makes the person anew.
    ran = compasso("plan", "--project", shop, "--spec", "crm", "--format", "json")
    assert json.loads(ran.out)["summary"]["create"] == 0
    ran, document = forget(compasso, shop, "ana@x.es", "--yes")
    assert ran.code == 0, ran.err
    assert dump(sandbox, "contacts", "_email") == ["eva@x.es", "rui@x.es"]
    assert dump(sandbox, "purchases", "purchaseId") == ["O2"]
    assert holding(shop, "ana@x.es", "anastasia") == []
    purchases = {d["key"] for d in document["people"][0]["account"] if d["what"] == "purchase"}
    assert purchases == {"O1", "O3"}
