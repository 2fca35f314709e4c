"""The plan knows the size of an import file to the byte, so that files are full and never too big."""

import csv

import pytest

from compasso.model import Route
from compasso.planning import make_plan, routing
from compasso.spec import load_project
from compasso.state import Commit, open_state

CONTACTS = """
kind: sync
name: crm
source: {csv: data.csv}
target: contacts
route: import
fields:
  _email: email
  _name: name
  _birthdate: {from: birth, type: date}
  _points: {from: points, type: integer}
  tags: {from: tags, type: list, separator: ";"}
  spent: {from: spent, type: decimal}
"""
PRODUCTS = """
kind: sync
name: crm
source: {csv: data.csv}
target: products
route: import
fields:
  productId: email
  name: name
  productDetailUrl: "https://x.es/{{ email }}"
  unitPrice: {from: points, type: decimal}
  publishedAt: {from: birth, type: date}
  tags: {from: tags, type: list, separator: ";"}
"""
NAMES = [
    "Ana",
    "José, hijo",
    'El "Rubio"',
    "dos\nlíneas",
    "",
    "ñ" * 40,
    " con espacios ",
    "#1",
    "a#1",
]


def write(folder, rows, more=0):
    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["email", "name", "birth", "points", "tags", "spent"])
        for i in range(rows):
            name = NAMES[i % len(NAMES)] or ("" if more == 0 else "x")
            writer.writerow(
                [
                    f"u{i}@x.es",
                    name or "sin nombre",
                    "1980-02-03",
                    i + more,
                    "a;b,c" * (i % 3),
                    i / 8,
                ]
            )


def check(plan, folder):
    found = []
    for batch in plan.batches:
        if batch.route is Route.IMPORT:
            file = folder / f"import-{batch.batch_id}.csv"
            plan.write_import(batch, file)
            assert file.stat().st_size == batch.size_bytes
            found.append(batch.size_bytes)
    return found


@pytest.mark.parametrize("spec", [CONTACTS, PRODUCTS], ids=["contacts", "products"])
def test_files_are_as_large_as_the_plan_says_and_as_the_limit_allows(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(routing, "_LIMIT", 10_000)
    (tmp_path / "specs").mkdir()
    (tmp_path / "compasso.yml").write_text("project: shop\n")
    (tmp_path / "specs" / "crm.yml").write_text(spec)
    state = open_state(tmp_path, None)
    for more in (0, 3):  # a first load, then updates
        write(tmp_path, 3000, more)
        with make_plan(load_project(tmp_path), state) as plan:
            sizes = check(plan, tmp_path)
            assert sizes
            assert max(sizes) < 10_500
            assert sum(s > 9_000 for s in sizes) > len(sizes) / 2
            for b in plan.batches:
                state.commit(Commit("crm", plan.plan_id, "r", plan.changes_file, b.first, b.last))
