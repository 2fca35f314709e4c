"""Custom contact fields: declared or found in the account, their types behind every check, and
products that are put out of sight in the way the spec says."""

import json

import httpx
import pytest

CRM = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
rejects: {max: 100%}
fields: {_email: email, size: points}
"""
KEY = {"Authorization": "apiKey a:b"}


@pytest.fixture
def sandbox(serve):
    return serve(6000)


def make_field(sandbox, identity, kind="text"):
    body = {"id": identity, "name": identity, "type": kind, "required": False}
    assert httpx.post(f"{sandbox.url}/contact-fields/", json=body, headers=KEY).is_success


def test_a_field_that_no_spec_declares_is_told_and_looked_for_in_the_account(
    sandbox, project, compasso
):
    folder = project({"specs/crm.yml": CRM})
    ran = compasso("validate", "--project", folder)
    assert ran.code == 0
    assert "crm maps size, which no spec declares" in ran.err
    assert "compasso validate --online" in ran.err
    for number in range(30):  # more than a page of the list
        make_field(sandbox, f"f{number}")
    ran = compasso("validate", "--online", "--project", folder)
    assert ran.code == 1
    assert "specs/crm.yml:6:" in ran.err
    assert "the account has no contact field `size`" in ran.err
    # The list is kept: the next check needs no key and no network.
    before = len(httpx.get(f"{sandbox.url}/_sandbox/requests").json())
    assert compasso("validate", "--project", folder).code == 1
    assert len(httpx.get(f"{sandbox.url}/_sandbox/requests").json()) == before
    make_field(sandbox, "size")
    ran = compasso("validate", "--online", "--project", folder)
    assert (ran.code, ran.err) == (0, "")


def test_the_type_of_the_accounts_field_is_heeded(sandbox, project, compasso):
    make_field(sandbox, "size", "integer")
    folder = project({"specs/crm.yml": CRM})
    ran = compasso("validate", "--online", "--project", folder)
    assert ran.code == 1
    assert "`size` takes an integer, and this gives a text" in ran.err
    assert "{from: points, type: integer}" in ran.err


def test_a_new_field_and_its_values_go_in_one_plan(sandbox, project, compasso):
    fields = "kind: contact-fields\nfields: [{id: size, name: Size, type: text}]\n"
    folder = project({"specs/crm.yml": CRM, "specs/fields.yml": fields})
    assert compasso("validate", "--project", folder).err == ""
    ran = compasso("plan", "--project", folder, "--format", "json")
    assert [s["create"] for s in json.loads(ran.out)["syncs"]] == [1, 1]
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    [contact] = httpx.get(f"{sandbox.url}/_sandbox/dump/contacts").json()
    assert contact["size"] == "3"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("type: integer, min_value: 10, max_value: 50", "9", "must be at least 10"),
        ("type: text, max_length: 3", "long", "must have at most 3 characters"),
        ("type: email", "nobody", "is not an e-mail address"),
        ("type: phone, default_country_code: '34'", "12", "is not a phone number"),
        ("type: radio, options: [{id: s, label: S}]", "m", "must be one of: s"),
        ('type: date, min_date: "2000-01-01"', "1999-12-31", "must not be before 2000-01-01"),
        ('type: date, max_date: "2030-01-01"', "2030-01-02", "must not be after 2030-01-01"),
        ('type: date, max_date: "2030-01-01T12:00:00Z"', "2031-01-01", "must not be after 2030"),
    ],
)
def test_what_a_field_declares_is_checked_before_anything_is_sent(
    field, value, said, project, compasso
):
    cast = "integer" if "integer" in field else "date" if "date" in field else "text"
    folder = project(
        {
            "specs/crm.yml": CRM.replace("size: points", f"size: {{from: points, type: {cast}}}"),
            "specs/fields.yml": f"kind: contact-fields\nfields: [{{id: size, name: Size, {field}}}]\n",
            "data/c.csv": f"email,first_name,points\nana@x.es,Ana,{value}\n",
        }
    )
    ran = compasso("plan", "--project", folder)
    assert ran.code == 0, ran.err
    assert f"row 1: size {said}" in ran.out


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        ('min_date: "yesterday"', "min_date and max_date must be dates"),
        ('min_date: "2020-01-02", max_date: "2020-01-01"', "max_date is before min_date"),
    ],
)
def test_a_wrong_limit_of_dates_is_named(dates, said, project, compasso):
    text = f"kind: contact-fields\nfields: [{{id: born, name: Born, type: date, {dates}}}]\n"
    ran = compasso("validate", "--project", project({"specs/fields.yml": text}))
    assert ran.code == 1
    assert said in ran.err


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("{id: size, name: Shoe size, type: text}", "compasso state rm size --spec contact-fields"),
        ("{id: size, name: Size, type: integer}", "declare a new field with another id"),
    ],
)
def test_a_change_that_the_api_cannot_make_is_told_with_the_way_round(
    new, said, sandbox, project, compasso
):
    old = "kind: contact-fields\nfields: [{id: size, name: Size, type: text}]\n"
    folder = project({"specs/fields.yml": old})
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    (folder / "specs" / "fields.yml").write_text(f"kind: contact-fields\nfields: [{new}]\n")
    ran = compasso("plan", "--project", folder)
    assert ran.code == 0
    assert "the contact field size differs from the account" in ran.out
    assert said in ran.out
    assert "0 to create, 0 to update" in ran.out


PRODUCTS = """kind: sync
name: catalogue
source: {csv: data/p.csv}
target: products
missing: retire
guards: {max_delete: 100%}
RETIRE
fields:
  productId: sku
  name: sku
  productDetailUrl: "https://shop.example/{{ sku }}"
  unitPrice: {value: 2.5}
"""


@pytest.mark.parametrize(
    ("retire", "expected"),
    [
        ("", ("outofstock", False)),
        ("retire: {availability: outofstock}", ("outofstock", False)),
        ("retire: {isBlacklisted: true}", ("instock", True)),
        ("retire: {availability: outofstock, isBlacklisted: true}", ("outofstock", True)),
    ],
)
def test_a_product_whose_row_is_gone_is_put_out_of_sight_as_the_spec_says(
    retire, expected, sandbox, project, compasso
):
    spec = PRODUCTS.replace("RETIRE", retire)
    files = {"specs/crm.yml": spec, "data/p.csv": "sku\nA\nB\n"}
    folder = project(files)
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    project({**files, "data/p.csv": "sku\nA\n"})
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    found = {p["productId"]: p for p in httpx.get(f"{sandbox.url}/_sandbox/dump/products").json()}
    assert (found["B"]["availability"], found["B"]["isBlacklisted"]) == expected
    assert (found["A"]["availability"], found["A"]["isBlacklisted"]) == ("instock", False)
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("RETIRE", "retire: {}", "`retire` names no field"),
        (
            "missing: retire",
            "retire: {isBlacklisted: true}",
            "`retire` goes with `missing: retire`",
        ),
        ("RETIRE", "retire: {availability: instock}", "`availability` cannot be 'instock'"),
    ],
)
def test_a_wrong_way_to_retire_is_named(old, new, said, project, compasso):
    text = PRODUCTS.replace(old, new).replace("RETIRE\n", "")
    ran = compasso("validate", "--project", project({"specs/crm.yml": text, "data/p.csv": "sku\n"}))
    assert ran.code == 1
    assert said in ran.err
