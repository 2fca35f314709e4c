"""An account that is kept in a file outlives its server, even one that is killed."""

import contextlib
import io
import json
import signal
import subprocess
import sys
import time
import zipfile

import httpx
import pytest

from compasso.model import CompassoError
from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import SandboxSettings
from compasso.sandbox.store import Account

KEY = {"Authorization": "apiKey id:secret"}


@contextlib.contextmanager
def served(file, port=0, *options):
    """A sandbox in a process of its own."""
    command = [sys.executable, "-m", "compasso.cli", "sandbox", "--data", str(file)]
    command += ["--requests-per-minute", "100000", "--port", str(port), *map(str, options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().strip()
        with httpx.Client(base_url=address, headers=KEY, timeout=60) as api:
            yield process, api
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def until_finished(api, path):
    for _ in range(300):
        found = api.get(path).json()
        if found["status"] == "finished":
            return found
        time.sleep(0.1)
    raise AssertionError(f"{path} did not end")


SEED = {
    "contact_fields": [{"id": "size", "name": "Size", "type": "text", "required": False}],
    "contacts": [{"_email": "ana@x.es", "size": "M"}],
    "products": [
        {"productId": "P", "name": "N", "unitPrice": 1, "productDetailUrl": "https://s.es/1"}
    ],
    "purchases": [
        {
            "purchaseId": "A",
            "contactEmail": "ana@x.es",
            "totalPrice": 1,
            "totalQuantity": 1,
            "products": [{"productId": "P", "quantity": 1, "price": 1}],
        }
    ],
    "coupon_sets": [{"name": "S", "type": "multiple", "codes": ["A"]}],
    "workflows": [{"name": "W"}],
    "segments": [{"name": "All", "where": {}}],
    "event_types": [
        {
            "name": "E",
            "category": "receive",
            "alias": "e",
            "fields": [
                {
                    "id": "m",
                    "name": "M",
                    "type": "email",
                    "required": True,
                    "isPrimaryKey": True,
                }
            ],
        }
    ],
}
READS = [
    "/contacts/ana@x.es", "/contact-fields/size", "/products/product-id/P",
    "/purchases/purchase-id/A", "/coupon-sets/", "/workflows/", "/custom-event-types/",
    "/custom-integrations/", "/_sandbox/dump/coupons", "/_sandbox/dump/events",
]  # fmt: skip
WRITTEN = {"/coupon-sets/", "/_sandbox/dump/coupons"}  # by the import that goes on


def test_everything_is_there_after_a_kill_and_work_under_way_goes_on(tmp_path):
    file = tmp_path / "account.sqlite"
    with served(file) as (process, api):
        made = api.post("/_sandbox/seed", json=SEED).json()
        assert api.post("/custom-events/alias/e", json={"m": "ana@x.es"}).status_code == 201
        export = api.post(
            "/exports/", json={"exportType": "contacts", "delimiter": ",", "dateFormat": "ISO"}
        ).json()
        url = until_finished(api, f"/exports/{export['id']}")["fileUrl"]
        content = httpx.get(url, timeout=60).content
        pages = {path: api.get(path).json() for path in READS}
        rows = "code\n" + "".join(f"C{i}\n" for i in range(5_000))
        form = {"type": "coupons", "delimiter": ",", "overrideExisting": "true"}
        form |= {"updateOnlyEmptyFields": "false", "couponSetId": made["coupon_sets"][0]}
        started = api.post("/imports/", data=form, files={"file": ("f.csv", rows)}).json()
        waiting = api.post("/imports/", data=form, files={"file": ("f.csv", "code\nZ\n")}).json()
        assert (started["status"], waiting["status"]) == ("inProgress", "queued")
        process.send_signal(signal.SIGKILL)
        process.wait()
        port = api.base_url.port
    with served(file, port) as (_, api):
        for path in READS:
            if path not in WRITTEN:
                assert api.get(path).json() == pages[path], path
        assert httpx.get(url, timeout=60).content == content
        assert zipfile.ZipFile(io.BytesIO(content)).namelist()
        done = until_finished(api, f"/imports/{started['id']}")
        assert (done["success"], done["errors"]) == (5_000, 0)
        assert until_finished(api, f"/imports/{waiting['id']}")["success"] == 1
        assert len(api.get("/_sandbox/dump/coupons").json()) == 5_002


def test_an_import_is_kept_whole_or_not_at_all(tmp_path):
    """A server that dies in the middle of an import works the file off again."""
    account = Account(tmp_path / "account.sqlite")
    with pytest.raises(KeyboardInterrupt), account.transaction():
        account.put("contacts", [{"id": "1"}])
        account.close()  # the process is gone before the transaction ends
        raise KeyboardInterrupt
    again = Account(tmp_path / "account.sqlite")
    assert again.list("contacts") == []
    again.close()


def test_a_file_that_another_sandbox_uses_is_refused(tmp_path):
    settings = SandboxSettings(data=tmp_path / "account.sqlite")
    with RunningSandbox(settings), pytest.raises(CompassoError) as stopped:
        Account(settings.data)
    assert "another sandbox uses it" in stopped.value.diagnostics[0].render()


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing of the kind" * 100)
    with pytest.raises(CompassoError) as stopped:
        Account(tmp_path / "notes.txt")
    assert "notes.txt cannot be used" in str(stopped.value)


def test_a_seed_fills_an_account_once(tmp_path):
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps(SEED))
    for _ in range(2):  # the second time the account is there already, and is left as it is
        with served(tmp_path / "account.sqlite", 0, "--seed", seed) as (_, api):
            assert [c["code"] for c in api.get("/_sandbox/dump/coupons").json()] == ["A"]
            api.patch("/contacts/email/ana@x.es", json={"_name": "Ana"}).raise_for_status()
            [contact] = api.get("/_sandbox/dump/contacts").json()
            assert contact["_name"] == "Ana"


def test_a_seed_that_is_wrong_is_told_and_nothing_is_served(tmp_path, compasso):
    seed = tmp_path / "seed.json"
    seed.write_text('{"kontacts": []}')
    ran = compasso("sandbox", "--port", 0, "--seed", seed)
    assert (ran.code, ran.out) == (1, "")
    assert "the seed cannot be used: unknown: kontacts" in ran.err
