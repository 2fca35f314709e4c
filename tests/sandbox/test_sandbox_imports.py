"""Imports of the simulated account over time, over HTTP (API facts: section 7)."""

import httpx


def test_the_rows_of_an_import_are_taken_one_after_the_other(account):
    rows = "".join(f"u{i}@x.es,{'x' if i % 4 == 0 else i}\n" for i in range(1, 401))
    identity = account.upload("contacts", "_email,_points\n" + rows).json()["id"]
    account.pass_time(0.25)  # half of the half second that it takes
    half = account.api.get(f"/imports/{identity}").json()
    assert (half["status"], half["success"], half["errors"]) == ("inProgress", 150, 50)
    assert "errorReportFileUrl" not in half
    assert len(account.dump("contacts")) == 150
    account.pass_time(0.25)
    done = account.api.get(f"/imports/{identity}").json()
    assert (done["status"], done["success"], done["errors"]) == ("finished", 300, 100)
    report = httpx.get(done["errorReportFileUrl"]).text.splitlines()
    assert report[0] == "_email,_points,error"
    assert len(report) == 101


def test_imports_wait_for_each_other(account):
    first, second = (
        account.upload("contacts", f"_email\n{n}@x.es\n").json()["id"] for n in ("a", "b")
    )
    account.pass_time(0.6)
    statuses = [account.api.get(f"/imports/{i}").json()["status"] for i in (first, second)]
    assert statuses == ["finished", "inProgress"]
    assert account.api.delete(f"/imports/{second}").status_code == 400
    assert account.api.delete(f"/imports/{first}").status_code == 204
    assert account.api.get(f"/imports/{first}").status_code == 404


def test_a_failed_import_has_done_nothing(account):
    account.api.post("/_sandbox/faults", json={"kind": "import_failed"})
    done = account.imported("contacts", "_email\na@x.es\n")
    assert (done["status"], done["success"]) == ("error", 0)
    assert account.dump("contacts") == []


def test_only_empty_fields_are_filled_where_that_is_asked_for(account):
    account.seed(contacts=[{"_email": "ana@x.es", "_name": "Ana"}])
    text = "_email,_name,_surname\nana@x.es,Eva,Lopez\n"
    account.imported("contacts", text, updateOnlyEmptyFields="true")
    ana = account.api.get("/contacts/ana@x.es").json()
    assert (ana["_name"], ana["_surname"]) == ("Ana", "Lopez")


def test_the_external_id_wins_over_the_address(account):
    account.seed(contacts=[{"_email": "ana@x.es", "_externalId": "7"}])
    account.imported("contacts", "_externalId,_email\n7,anna@x.es\n")
    assert account.api.get("/contacts/external-id/7").json()["_email"] == "anna@x.es"
    assert account.api.get("/contacts/ana@x.es").status_code == 404


def test_a_form_that_is_none_is_400_and_a_file_that_is_none_422(account):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = account.api.post("/imports/", content=b"--x\r\nnothing--x--\r\n", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["title"] == "Bad Request"
    assert account.upload("contacts", b"_email\n\xff\n").status_code == 422
    assert account.upload("contacts", "_name\nAna\n").status_code == 422
    assert account.upload("contacts", "").status_code == 422
    assert account.upload("products", "productId\nP\n").status_code == 422
    assert account.api.post("/imports/", json={}).status_code == 415
