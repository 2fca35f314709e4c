"""Purchases: lines from grouped rows, a nested column or a second source make one plan."""

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from compasso.model import CompassoError
from compasso.planning import make_plan
from compasso.spec import load_project
from compasso.state import Commit, open_state
from examples import property_test

SPEC = """
kind: sync
name: orders
source: {{{source}}}
target: purchases
fields:
  purchaseId: "{{{{ order_id | string | trim }}}}"
  contactEmail: "{{{{ email | trim | lower }}}}"
  purchaseDate: {{from: day, type: date}}
  totalPrice: {{from: total, type: decimal}}
  products:
    lines: {lines}
    fields:
      productId: "{{{{ sku | trim }}}}"
      quantity: {{from: qty, type: integer}}
      price: {{from: price, type: decimal}}
trigger_event: false
rejects: {{max: 100%}}
guards: {{max_delete: 100%}}
missing: {missing}
{more}
"""
HEAD, LINE = ["order_id", "email", "day", "total"], ["sku", "qty", "price"]


def write_csv(file: Path, header, rows):
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text)
        writer.writerow(header)
        writer.writerows(rows)


def make(folder: Path, form: str, orders, missing="keep", more="") -> Path:
    """A project whose orders, [head, lines] each, are written in one of the forms."""
    (folder / "specs").mkdir(parents=True, exist_ok=True)
    (folder / "compasso.yml").write_text("project: shop\n")
    source, lines = "csv: o.csv", "rows"
    heads = [head for head, _ in orders]
    if form == "rows":
        rows = [[*head, *line] for head, own in orders for line in own]
        write_csv(folder / "o.csv", HEAD + LINE, rows)
    elif form == "json text":
        lines = "{column: items}"
        nested = [
            [*h, json.dumps([dict(zip(LINE, x, strict=True)) for x in own])] for h, own in orders
        ]
        write_csv(folder / "o.csv", [*HEAD, "items"], nested)
    elif form == "structs":
        source, lines = "parquet: o.parquet", "{column: items}"
        records = [
            {
                **dict(zip(HEAD, h, strict=True)),
                "items": [dict(zip(LINE, x, strict=True)) for x in own],
            }
            for h, own in orders
        ]
        (folder / "o.json").write_text(json.dumps(records))
        duckdb.sql(
            f"COPY (FROM read_json('{folder}/o.json', columns={{order_id: 'VARCHAR', email: "
            "'VARCHAR', day: 'VARCHAR', total: 'VARCHAR', items: 'STRUCT(sku VARCHAR, qty VARCHAR, "
            f"price VARCHAR)[]'}})) TO '{folder}/o.parquet' (FORMAT parquet)"
        )
    else:
        lines = "{source: {csv: lines.csv}, on: {order: order_id}}"
        write_csv(folder / "o.csv", HEAD, heads)
        write_csv(
            folder / "lines.csv", ["order", *LINE], [[h[0], *x] for h, own in orders for x in own]
        )
    spec = SPEC.format(source=source, lines=lines, missing=missing, more=more)
    (folder / "specs" / "orders.yml").write_text(spec)
    return folder


def planned(folder):
    """The changes and rejects of a plan, and what it says."""
    try:
        plan = make_plan(load_project(folder), open_state(folder, None))
    except CompassoError as error:
        return str(error), [], []
    with plan:
        changes = {
            c.key: (c.operation.value, c.fields, c.record)
            for batch in plan.batches
            for c in plan.changes(batch)
        }
        rejects = duckdb.sql(
            f"SELECT file, row, field, rule, value FROM '{plan.rejects_file}'"
        ).fetchall()
        return plan.document["summary"], changes, rejects


def adopt(folder):
    """Put a plan's changes into the state, as an apply does."""
    state = open_state(folder, None)
    with make_plan(load_project(folder), state) as plan:
        for batch in plan.batches:
            state.commit(
                Commit("orders", plan.plan_id, "run", plan.changes_file, batch.first, batch.last)
            )
        state.complete("orders", datetime.now(UTC), plan.digests_file)


FORMS = ["rows", "json text", "structs", "second source"]
ORDERS = [
    (["1", "ana@x.es", "2024-01-02", "20.5"], [["A", "2", "20"], [" B ", "1", "0.5"]]),
    (["2", " Rui@x.es", "2024-01-03", "7"], [["C", "1", "7"]]),
]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_lines_becomes_the_same_purchases(form, tmp_path):
    summary, changes, rejects = planned(make(tmp_path, form, ORDERS))
    assert rejects == []
    assert summary["create"] == 2
    assert changes["1"] == (
        "create",
        {
            "contactEmail": "ana@x.es",
            "purchaseDate": "2024-01-02T00:00:00.000Z",
            "totalPrice": 20.5,
            "totalQuantity": 3,
            "products": [
                {"productId": "A", "quantity": 2, "price": 20.0},
                {"productId": "B", "quantity": 1, "price": 0.5},
            ],
        },
        {},
    )
    assert changes["2"][1]["contactEmail"] == "rui@x.es"


texts = st.sampled_from(["A", " B", "", "é", 'q"q', "x,y"])
lines = st.lists(
    st.tuples(texts, st.sampled_from(["1", "2", "", "many"]), st.sampled_from(["1", "2.5", "x"])),
    min_size=1,
    max_size=4,
).map(lambda found: [list(line) for line in found])
heads = st.tuples(
    st.sampled_from(["ana@x.es", " ANA@x.es", "", "wrong"]),
    st.sampled_from(["2024-01-02", "2024-02-30"]),
    st.sampled_from(["2", "3.5", "5", "x"]),
)
orders = st.lists(st.tuples(heads, lines), min_size=1, max_size=6).map(
    lambda found: [([str(i), *head], own) for i, (head, own) in enumerate(found, 1)]
)
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]


@property_test(4, 15, phases=PHASES)
@given(orders=orders)
def test_the_forms_agree_on_what_is_valid_and_what_it_becomes(orders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("p")
    found = [planned(make(folder / form, form, orders)) for form in FORMS]
    first = found[0]
    for summary, changes, rejects in found[1:]:
        assert changes == first[1]
        assert summary["rejected"] == first[0]["rejected"]
        # The same rules are broken; where a line stands differs between the forms.
        assert sorted(r[2:4] for r in rejects) == sorted(r[2:4] for r in first[2])


def test_a_rejected_line_is_named_by_its_own_row(tmp_path):
    orders = [
        (["1", "ana@x.es", "2024-01-02", "3"], [["A", "1", "3"]]),
        (["2", "ana@x.es", "2024-01-02", "3"], [["A", "1", "1"], ["", "x", "2"]]),
    ]
    _, changes, rejects = planned(make(tmp_path / "r", "rows", orders))
    assert list(changes) == ["1"]
    assert rejects == [
        ("o.csv", 3, "products[2].productId", "is missing", ""),
        ("o.csv", 3, "products[2].quantity", "is not an integer", "x"),
    ]
    _, _, rejects = planned(make(tmp_path / "s", "second source", orders))
    assert {r[:2] for r in rejects} == {("lines.csv", 3)}
    _, _, rejects = planned(make(tmp_path / "j", "json text", orders))
    assert {r[:2] for r in rejects} == {("o.csv", 2)}


def test_totals_must_be_those_of_the_lines(tmp_path):
    def with_total(total, more_lines=()):
        own = [["A", "1", "0.333"], ["B", "1", "0.333"], ["C", "1", "0.333"], *more_lines]
        return [(["1", "ana@x.es", "2024-01-02", total], own)]

    assert planned(make(tmp_path, "rows", with_total("1.00")))[2] == []  # half a cent a line
    [reject] = planned(make(tmp_path, "rows", with_total("1.02")))[2]
    assert reject[2:] == (
        "totalPrice", "does not equal the sum of its lines", "1.02 (its lines: 0.999)",
    )  # fmt: skip
    folder = make(tmp_path, "rows", with_total("4.99"))  # with shipping
    spec = folder / "specs" / "orders.yml"
    spec.write_text(spec.read_text().replace("lines: rows", "lines: rows\n    tolerance: any"))
    assert planned(folder)[0]["create"] == 1
    spec.write_text(spec.read_text().replace("tolerance: any", "tolerance: 3.99"))
    assert planned(folder)[0]["rejected"] == 1


def test_prices_and_totals_that_are_not_mapped_are_computed(tmp_path):
    folder = make(
        tmp_path,
        "rows",
        [(["1", "a@x.es", "2024-01-02", ""], [["A", "3", "0.1"], ["B", "1", "2"]])],
    )
    spec = folder / "specs" / "orders.yml"
    text = spec.read_text().replace("  totalPrice: {from: total, type: decimal}\n", "")
    spec.write_text(text.replace("price: {from", "unitPrice: {from"))
    fields = planned(folder)[1]["1"][1]
    assert (fields["totalPrice"], fields["totalQuantity"]) == (2.3, 4)
    assert [line["price"] for line in fields["products"]] == [0.3, 2.0]


def test_rows_of_one_purchase_that_disagree_are_rejected_or_the_first_or_last_counts(tmp_path):
    own = [["A", "1", "1"]]
    orders = [
        (["1", "ana@x.es", "2024-01-02", "2"], own),
        (["2", "eva@x.es", "2024-01-05", "1"], own),
        (["1 ", "ANA@x.es ", "2024-01-03", "2.0"], own),
    ]
    _, changes, rejects = planned(make(tmp_path, "rows", orders))
    assert list(changes) == ["2"]
    assert rejects == [
        ("o.csv", 1, "purchaseDate", "differs between the rows that share the key",
         "2024-01-02T00:00:00.000Z"),
    ]  # fmt: skip
    for rule, day in (("first", "2024-01-02"), ("last", "2024-01-03")):
        _, changes, rejects = planned(make(tmp_path, "rows", orders, more=f"duplicates: {rule}"))
        assert rejects == []
        assert changes["1"][1]["purchaseDate"][:10] == day
        assert len(changes["1"][1]["products"]) == 2


def test_a_row_without_lines_and_lines_without_a_row(tmp_path):
    orders = [
        (["1", "ana@x.es", "2024-01-02", "3"], [["A", "1", "3"]]),
        (["2", "ana@x.es", "2024-01-02", "0"], []),
    ]
    folder = make(tmp_path, "second source", orders)
    with (folder / "lines.csv").open("a") as file:
        file.write("99,A,1,3\r\n98,B,1,1\r\n")
    with make_plan(load_project(folder), open_state(folder, None)) as plan:
        [sync] = plan.document["syncs"]
    assert sync["rejects"][0]["message"] == "products has no lines"
    assert sync["warnings"] == ["2 lines belong to no row and are left out"]


@pytest.mark.parametrize("text", ["{", '{"sku": "A"}', "7", '"A"'])
def test_a_column_that_holds_no_list_is_rejected(text, tmp_path):
    folder = make(tmp_path, "json text", ORDERS)
    with (folder / "o.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["9", "a@x.es", "2024-01-02", "1", text])
    _, changes, [reject] = planned(folder)
    assert set(changes) == {"1", "2"}
    assert reject[1:4] == (3, "products", "is not a list of lines")


def test_when_says_which_rows_are_lines(tmp_path):
    orders = [
        (["1", "ana@x.es", "2024-01-02", "3"], [["A", "1", "3"], ["B", "1", "9"]]),
        (["2", "ana@x.es", "2024-01-02", "9"], [["B", "1", "9"]]),
    ]
    folder = make(tmp_path, "rows", orders, more="when: \"{{ sku != 'B' }}\"")
    _, changes, rejects = planned(folder)
    assert (list(changes), rejects) == (["1"], [])
    assert len(changes["1"][1]["products"]) == 1


def test_jinja_answers_what_sql_cannot_say_of_keys_and_lines(tmp_path):
    folder = make(tmp_path, "rows", ORDERS)
    spec = folder / "specs" / "orders.yml"
    text = spec.read_text().replace("order_id | string | trim", "order_id | center(3) | trim")
    spec.write_text(text.replace("sku | trim", "sku | center(9) | trim"))
    found = planned(folder)
    spec.write_text(text.replace("order_id | center(3) | trim", "order_id"))
    assert found[1] == planned(folder)[1]
    assert len(found[1]) == 2


def whole(folder):
    """The same plan by a state that knows no source rows."""
    copy = folder.parent / "whole"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    for file in (copy / ".compasso").rglob("*.duckdb"):
        with duckdb.connect(str(file)) as state:
            state.execute("UPDATE meta SET value = 'other' WHERE name = 'digest_basis'")
    return planned(copy)


BASE = [
    ([str(i), "ana@x.es", "2024-01-02", str(float(n))], [[f"S{k}", "1", "1"] for k in range(n)])
    for i in range(1, 41)
    for n in [1 + i % 3]
]
edits = st.lists(
    st.tuples(
        st.sampled_from(["total", "line", "remove", "day of one row", "add", "swap"]),
        st.integers(0, 39),
    ),
    max_size=4,
)


def edited(base, changes):
    result = [([*head], [[*line] for line in own]) for head, own in base]
    for what, place in changes:
        at = place % len(result)
        head, own = result[at]
        if what == "total":
            head[3] = "9"
        elif what == "line":
            own[-1][0] = "new"
        elif what == "remove":
            del result[at]
        elif what == "day of one row":
            result.insert(at + 1, ([head[0], head[1], "2024-05-05", head[3]], [["S9", "1", "0"]]))
        elif what == "add":
            result.insert(at, (["new", "eva@x.es", "2024-01-02", "1"], [["S1", "1", "1"]]))
        else:
            result[at], result[-1] = result[-1], result[at]
    return result


@pytest.mark.parametrize("form", FORMS)
@property_test(2, 10, phases=PHASES)
@given(first=edits, missing=st.sampled_from(["keep", "delete"]), change=st.booleans())
def test_leaving_out_known_purchases_changes_no_plan(
    form, first, missing, change, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("p") / "p"
    more = "on_change: replace" if change else ""
    make(folder, form, BASE, missing, more)
    adopt(folder)
    assert planned(folder)[1] == {}
    make(folder, form, edited(BASE, first), missing, more)
    assert planned(folder) == whole(folder)


def test_a_purchase_that_changed_is_reported_until_it_is_replaced(tmp_path):
    folder = make(tmp_path / "p", "rows", BASE)
    adopt(folder)
    changed = edited(BASE, [("line", 4)])
    for _ in range(2):  # it does not fall silent after the first apply
        make(folder, "rows", changed)
        with make_plan(load_project(folder), open_state(folder, None)) as plan:
            [sync] = plan.document["syncs"]
            assert plan.batches == ()
        assert sync["update"] == 0
        [warning] = sync["warnings"]
        assert warning.startswith("1 purchase changed in the source since they were sent")
        assert "5 (products)" in warning
        adopt(folder)
    make(folder, "rows", changed, more="on_change: replace")
    with make_plan(load_project(folder), open_state(folder, None)) as plan:
        [batch] = plan.batches
        [change] = plan.changes(batch)
        assert plan.document["syncs"][0]["requests"] == 2
    assert set(change.fields) == {"products"}
    assert set(change.record) == {
        "contactEmail", "purchaseDate", "totalPrice", "totalQuantity", "products",
    }  # fmt: skip


TESTS = """tests:
  - row: ROW
    expect:
      purchaseId: "1"
      totalQuantity: 3
      products: [{productId: A, quantity: 2, price: 20.0}, {productId: B, quantity: 1, price: 0.5}]
"""
EXAMPLES = {
    "rows": '[{order_id: "1", email: a@x.es, total: "20.5", sku: A, qty: "2", price: "20"}, '
    '{order_id: "1", email: a@x.es, total: "20.5", sku: B, qty: "1", price: "0.5"}]',
    "json text": '{order_id: "1", email: a@x.es, total: "20.5", items: '
    '"[{\\"sku\\": \\"A\\", \\"qty\\": \\"2\\", \\"price\\": \\"20\\"}, '
    '{\\"sku\\": \\"B\\", \\"qty\\": \\"1\\", \\"price\\": \\"0.5\\"}]"}',
    "structs": '{order_id: "1", email: a@x.es, total: "20.5", items: '
    '[{sku: A, qty: "2", price: "20"}, {sku: B, qty: "1", price: "0.5"}]}',
    "second source": '{order_id: "1", email: a@x.es, total: "20.5", lines: '
    '[{sku: A, qty: "2", price: "20"}, {sku: B, qty: "1", price: "0.5"}]}',
}


@pytest.mark.parametrize("form", FORMS)
def test_an_example_in_a_spec_may_be_a_whole_purchase(form, tmp_path, compasso):
    folder = make(tmp_path, form, ORDERS, more=TESTS.replace("ROW", EXAMPLES[form]))
    ran = compasso("test", "--project", folder)
    assert (ran.code, ran.out) == (0, "1 passed, 0 failed\n"), ran.err
    spec = folder / "specs" / "orders.yml"
    spec.write_text(spec.read_text().replace("totalQuantity: 3", "totalQuantity: 4"))
    ran = compasso("test", "--project", folder)
    assert (ran.code, "totalQuantity is 3, not 4" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lines: rows", "lines: {}", "the lines need either `column` or `source`"),
        ("lines: rows", "lines: {column: nothing}", "the source has no column 'nothing'"),
        ("lines: rows", "lines: {column: sku, on: sku}", "`on` goes with `source`"),
        ("lines: rows", "lines: {source: {csv: o.csv}}", "the second source needs `on`"),
        ("lines: rows", "lines: {source: {csv: o.csv}, on: id}", "the lines have no column 'id'"),
        ("lines: rows", "lines: {source: {csv: ../o.csv}, on: id}", "must lie inside the project"),
        ("lines: rows", "lines: column", "`lines` cannot be 'column'"),
        ("lines: rows", "lines: rows\n    tolerance: -1", "`tolerance` cannot be negative"),
        ("lines: rows", "lines: rows\n    tolerance: some", "`tolerance`"),
        ("productId:", "product:", "the lines of purchases have no field `product`"),
        ("      price: {from: price, type: decimal}\n", "", "the lines lack price"),
        ("sku | trim", "skuu | trim", "the lines have no column 'skuu'"),
        ("{from: qty, type: integer}", "qty", "`quantity` takes an integer"),
        ("{from: qty, type: integer}", "{form: qty}", "unknown key `form`"),
        ("  contactEmail:", "  cartId:", "every purchase needs contactEmail or contactExternalId"),
        ("trigger_event: false", "trigger_event: {since: soon}", "`since` has a character"),
        ("trigger_event: false", "trigger_event: sometimes", "`trigger_event`"),
        ("missing: keep", "missing: retire", "`missing: retire` does not exist for purchases"),
        ("missing: keep", "nulls: clear", "`nulls: clear` does not exist for purchases"),
        ("missing: keep", "route: import", "Connectif has no import of purchases"),
    ],
)
def test_a_wrong_spec_of_purchases_is_named_at_its_line(old, new, said, tmp_path, compasso):
    folder = make(tmp_path, "rows", ORDERS)
    spec = folder / "specs" / "orders.yml"
    assert old in spec.read_text()
    spec.write_text(spec.read_text().replace(old, new))
    ran = compasso("validate", "--project", folder)
    assert ran.code == 1
    assert said in ran.err
    assert "specs/orders.yml:" in ran.err
