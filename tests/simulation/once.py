"""What happens once: purchases, events, coupon codes, and the exports that come back.

Each of these is a spec of a random shop, as `shops.Sync` is: it knows its rows, and by a few plain
lines of Python what the account and the state must hold for them. They need people, products and
coupon sets that are in the account before the shop begins: see `FOUNDED`.
"""

import csv
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from compasso.sandbox.coupons import assign, publish
from compasso.sandbox.virtual import BEGIN

BUYERS = tuple(f"buyer{n}@x.es" for n in range(3))
NOBODY = "nobody@x.es"  # not in the account: what names them is refused
SKUS = ("B-1", "B/2", "B 3")
SET = "5cf8c05f5b4cb901091f7d98"
INTEGRATION = "5cf8c05f5b4cb901091f7d97"
PRICE = 2.5
DAY = 86400
# Purchases that the shop's till made, one on each of the days before the first one.
PAST = {f"past-{n}": BEGIN - n * DAY for n in range(1, 15)}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


FOUNDED = {
    "contacts": [{"_email": email} for email in BUYERS],
    "products": [
        {"productId": s, "name": s, "unitPrice": PRICE, "productDetailUrl": "https://shop.example/"}
        for s in SKUS
    ],
}


class Orders:
    """Purchases: an id that is sent twice would make two of them."""

    name, target, key = "orders", "purchases", "purchaseId"

    def __init__(self, some: random.Random) -> None:
        self.replaces = some.random() < 0.5
        self.missing = some.choice(["keep", "keep", "delete"])
        self.priority = some.choice(["low", "normal", "high"])
        self.spread = some.choice([6, 15])
        self.rows: dict[str, tuple[str, str, list[tuple[str, int]]]] = {}
        self.expected: dict[str, tuple[str, str, list[tuple[str, int]]]] = {}
        self.refused: set[str] = set()

    def founded(self) -> dict:
        return FOUNDED

    def night(self, sandbox, day: int) -> None:
        """Nothing happens at night."""

    def spec(self) -> str:
        return f"""kind: sync
name: {self.name}
source: {{csv: orders.csv}}
target: purchases
trigger_event: false
on_change: {"replace" if self.replaces else "report"}
missing: {self.missing}
priority: {self.priority}
guards: {{max_delete: 100%}}
fields:
  purchaseId: key
  contactEmail: email
  purchaseDate: {{from: day, type: date}}
  totalPrice: {{from: total, type: decimal}}
  products:
    lines: rows
    fields: {{productId: sku, quantity: {{from: qty, type: integer}}, unitPrice: {{value: 2.5}}}}
"""

    def change(self, some: random.Random, changes: int) -> None:
        for _ in range(changes):
            key = f"O/{some.randrange(self.spread)}"
            email = NOBODY if some.random() < 0.05 else some.choice(BUYERS)
            lines = [(sku, some.randint(1, 3)) for sku in some.sample(SKUS, k=some.choice([1, 2]))]
            self.rows[key] = (email, f"2024-01-0{some.randint(1, 9)}", lines)
        for key in some.sample(
            sorted(self.rows), k=min(len(self.rows) - 1, some.choice([0, 0, 1, 2]))
        ):
            del self.rows[key]

    def write(self, folder: Path) -> None:
        with (folder / "orders.csv").open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["key", "email", "day", "total", "sku", "qty"])
            for key, (email, day, lines) in self.rows.items():
                total = PRICE * sum(quantity for _, quantity in lines)
                out.writerows([key, email, day, total, sku, qty] for sku, qty in lines)

    def expect(self, day: int) -> None:
        self.refused = set()
        for key, row in self.rows.items():
            if key in self.expected and (not self.replaces or self.expected[key] == row):
                continue  # made once, and not changed
            if row[0] == NOBODY:
                self.refused.add(key)
                self.expected.pop(key, None)  # deleted to be made anew, and not made
            else:
                self.expected[key] = row
        if self.missing == "delete":
            self.expected = {k: row for k, row in self.expected.items() if k in self.rows}

    def check(self, state, sandbox) -> None:
        account = {r["purchaseId"]: r for r in sandbox.account.list("purchases")}
        ours = {key: r for key, r in account.items() if key not in PAST}
        assert set(ours) == set(self.expected) == {r.key for r in state.records(self.name)}
        for key, (email, day, lines) in self.expected.items():
            assert ours[key]["contactEmail"] == email
            assert ours[key]["purchaseDate"].startswith(day)
            assert [(p["productId"], p["quantity"]) for p in ours[key]["products"]] == lines
        failed = {f.key for f in state.failures(self.name)} & set(self.rows)
        assert failed == self.refused


class Visits:
    """Custom events, delivered at most once or at least once."""

    name, target, key = "visits", "custom-events/visited", "page"

    def __init__(self, some: random.Random) -> None:
        self.delivery = some.choice(["at_most_once", "at_least_once"])
        self.priority = some.choice(["low", "normal", "high"])
        self.made = 0
        self.rows: dict[str, str] = {}
        self.expected: set[str] = set()
        self.refused: set[str] = set()

    def founded(self) -> dict:
        return FOUNDED | {
            "integrations": [{"id": INTEGRATION, "name": "Shop"}],
        }

    def night(self, sandbox, day: int) -> None:
        """Nothing happens at night."""

    def spec(self) -> str:
        return f"""kind: sync
name: {self.name}
source: {{csv: visits.csv}}
target: {self.target}
key: page
delivery: {self.delivery}
priority: {self.priority}
fields: {{email: email, page: key, weight: {{from: weight, type: integer}}}}
"""

    def types(self) -> str:
        """The spec of the events' type."""
        return f"""kind: custom-event-types
integration: {INTEGRATION}
events:
  - alias: visited
    name: Visited
    fields:
      - {{id: email, name: E-mail, type: email, primary_key: true}}
      - {{id: page, name: Page, type: text, required: true}}
      - {{id: weight, name: Weight, type: integer}}
"""

    def change(self, some: random.Random, changes: int) -> None:
        for _ in range(changes):
            self.made += 1
            self.rows[f"page/{self.made}"] = NOBODY if some.random() < 0.05 else some.choice(BUYERS)
        for key in some.sample(sorted(self.rows), k=min(len(self.rows), some.choice([0, 1]))):
            del self.rows[key]

    def write(self, folder: Path) -> None:
        with (folder / "visits.csv").open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["key", "email", "weight"])
            out.writerows([key, email, len(key)] for key, email in self.rows.items())

    def expect(self, day: int) -> None:
        self.refused = {key for key, email in self.rows.items() if email == NOBODY}
        self.expected |= set(self.rows) - self.refused

    def check(self, state, sandbox) -> None:
        sent = Counter(pages(sandbox))
        assert sent == Counter(self.expected)
        assert {r.key for r in state.records(self.name)} == self.expected
        failed = {f.key for f in state.failures(self.name)} & set(self.rows)
        assert failed == self.refused


def pages(sandbox) -> list[str]:
    """Which events the account has, each by its key."""
    return [event["fields"]["page"] for event in sandbox.account.list("events")]


class Codes:
    """A coupon set that is filled up when few of its codes are left."""

    name, target, key = "codes", "coupons", "code"

    def __init__(self, some: random.Random) -> None:
        self.target_count = some.choice([8, 20])
        self.least = some.choice([4, 7])
        self.given = [some.randint(0, 8) for _ in range(5)]  # codes, in the night before each day
        self.free = 2
        self.rows: dict[str, None] = {}
        self.expected: list[str] = []
        self.refused: set[str] = set()

    def founded(self) -> dict:
        return {
            "coupon_sets": [
                {"id": SET, "name": "Summer", "type": "multiple", "codes": ["OLD-1", "OLD-2"]}
            ]
        }

    def spec(self) -> str:
        return f"""kind: coupon-stock
name: {self.name}
set: {{name: Summer}}
min_available: {self.least}
target: {self.target_count}
source: {{csv: codes.csv}}
code: "{{{{ key | trim }}}}"
"""

    def change(self, some: random.Random, changes: int) -> None:
        for _ in range(40):
            self.rows[f"SUMMER-{len(self.rows) + 1}"] = None

    def write(self, folder: Path) -> None:
        (folder / "codes.csv").write_text("\n".join(["key", *(f" {c} " for c in self.rows)]) + "\n")

    def expect(self, day: int) -> None:
        self.free -= min(self.free, self.given[day])
        if self.free < self.least:
            start = len(self.expected)
            self.expected += list(self.rows)[start : start + self.target_count - self.free]
            self.free = self.target_count

    def night(self, sandbox, day: int) -> None:
        """Customers get codes; and the counters come up to date."""
        now = sandbox.now()
        assign(sandbox.account, SET, self.given[day], now)
        publish(sandbox.account, now, 0.0)

    def check(self, state, sandbox) -> None:
        account = [c["code"] for c in sandbox.account.list("coupons")]
        assert sorted(account) == sorted(["OLD-1", "OLD-2", *self.expected])
        assert {r.key for r in state.records(self.name)} == set(self.expected)
        assert not state.failures(self.name)


class Report:
    """An export of activities or contacts into a file beside the state."""

    name, target, key = "report", "exports", "piece"

    def __init__(self, some: random.Random) -> None:
        self.contacts = some.random() < 0.3
        self.mode = some.choice(["append", "replace"])
        self.days = some.choice([3, 5])
        self.window = some.choice([2, 31])
        self.lookback = some.choice([0, 2])
        self.file = f"exports/report.{some.choice(['csv', 'parquet'])}"
        self.rows: dict[str, None] = {}
        self.expected: set[str] = set()  # the purchases that the file must hold
        self.refused: set[str] = set()

    def founded(self) -> dict:
        return FOUNDED | {
            "purchases": [
                {
                    "purchaseId": identity,
                    "contactEmail": BUYERS[0],
                    "totalPrice": PRICE,
                    "totalQuantity": 1,
                    "purchaseDate": _iso(at),
                    "products": [{"productId": SKUS[0], "quantity": 1, "price": PRICE}],
                }
                for identity, at in PAST.items()
            ]
        }

    def night(self, sandbox, day: int) -> None:
        """Nothing happens at night."""

    def spec(self) -> str:
        into = f"into: {{{self.file.rpartition('.')[2]}: {self.file}}}\nmode: {self.mode}\n"
        head = f"kind: export\nname: {self.name}\n"
        if self.contacts:
            return f"{head}export: contacts\n{into}columns: {{id: id, email: _email}}\n"
        more = "" if self.mode == "replace" else f"lookback: {self.lookback}d\n"
        return (
            f"{head}export: {{activities: {{types: [purchase]}}}}\nfrom: -{self.days}d\n"
            f"window: {self.window}d\n{more}{into}columns: {{purchase: purchaseId}}\n"
        )

    def change(self, some: random.Random, changes: int) -> None:
        """An export has no source."""

    def write(self, folder: Path) -> None:
        """An export has no source."""

    def expect(self, day: int) -> None:
        today = datetime.fromtimestamp(BEGIN, UTC).date() + timedelta(days=day)
        within = set()
        for identity, at in PAST.items():
            made = datetime.fromtimestamp(at, UTC).date()
            if today - timedelta(days=self.days) <= made < today:
                within.add(identity)
        self.expected = within if self.mode == "replace" else self.expected | within

    def check(self, state, sandbox) -> None:
        assert not state.failures(self.name)
        self.check_file(state.directory)
        if self.contacts and self.mode == "replace":
            assert len(self._rows(state.directory)) == len(sandbox.account.list("contacts"))

    def check_file(self, root: Path) -> None:
        """Every purchase of the range is in the file, and none twice. (Which contacts there are
        depends on when an export was made.)"""
        rows = self._rows(root)
        if self.contacts:
            assert len(rows) == len(set(rows)), "a contact is twice in the export"
        else:
            assert sorted(r[0] for r in rows) == sorted(self.expected), "other rows in the export"

    def _rows(self, root: Path) -> list[tuple]:
        from compasso.engine import cursor

        with cursor() as connection:
            return connection.execute(f"FROM '{root / self.file}'").fetchall()
