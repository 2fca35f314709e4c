"""Random shops: a project, some days of data, and what the account must hold after each day.

The account that a day must end in is worked out here from the rows, by a few plain lines of
Python that share nothing with the product.
"""

import csv
import random
from dataclasses import dataclass, field
from pathlib import Path

from once import BUYERS, SKUS, Codes, Orders, Report, Visits

WORDS = ["Ana", "Bruno", "Çelik", "Dan O'Hara", 'E "la" vida', "Fé, SL", "línea|dos", " G "]
FIELD_TYPES = ("text", "integer", "boolean", "checkbox", "radio", "date")


@dataclass(frozen=True)
class Column:
    """One mapped field: its name in the record, its mapping, and how its values are made."""

    name: str
    mapping: str
    kind: str
    required: bool = False

    def value(self, some: random.Random):
        """A cell of the source, and the value that the account must hold for it."""
        if not self.required and some.random() < 0.2:
            return "", None
        if self.kind == "text":
            word = some.choice(WORDS)
            return word, word
        if self.kind == "integer":
            number = some.choice([0, 1, 7, -3, 99])
            return str(number), number
        if self.kind == "decimal":
            number = some.choice([0.5, 12.25, 100.0])
            return str(number), number
        if self.kind == "boolean":
            return ("true", True) if some.random() < 0.5 else ("false", False)
        if self.kind == "checkbox":
            chosen = some.sample(["a", "b", "c"], k=some.randint(1, 3))
            return ";".join(chosen), chosen
        if self.kind == "radio":
            option = some.choice(["a", "b"])
            return option, option
        if self.kind == "phone":
            phone = f"+34600{some.randint(100000, 999999)}"
            return phone, phone
        day = f"{some.randint(1970, 2009)}-0{some.randint(1, 9)}-1{some.randint(0, 9)}"
        return day, f"{day}T00:00:00.000Z"


@dataclass
class Sync:
    """One spec with its rows, and the records that its account must hold."""

    name: str
    target: str
    key: str
    columns: list[Column]
    options: dict[str, str]
    spread: int  # how many different keys there may be
    rows: dict[str, dict[str, tuple[str, object]]] = field(default_factory=dict)
    expected: dict[str, dict[str, object]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def founded(self) -> dict:
        """What the account must hold before."""
        return {}

    def night(self, sandbox, day: int) -> None:
        """Nothing happens in the account at night."""

    def spec(self) -> str:
        """The spec as YAML."""
        lines = ["kind: sync", f"name: {self.name}", f"source: {{csv: {self.name}.csv}}"]
        lines += [f"target: {self.target}", f"key: {self.key}"]
        lines += [f"{name}: {value}" for name, value in self.options.items()]
        lines += ["guards: {max_delete: 100%}", "fields:", f"  {self.key}: key"]
        lines += [f"  {c.name}: {c.mapping}" for c in self.columns]
        return "\n".join(lines) + "\n"

    def new_key(self, some: random.Random) -> str:
        """One of the keys that this sync's records can have."""
        number = some.randrange(self.spread)
        return {
            "_email": f"user{number}@x.es",
            "_externalId": f"CRM {number}",
            "productId": f"P/{number}",
        }[self.key]

    def change(self, some: random.Random, changes: int) -> None:
        """A day of the shop: rows come, change and go."""
        for _ in range(changes):
            key = self.new_key(some)
            self.rows[key] = {c.name: c.value(some) for c in self.columns}
            if self.target == "products":
                # A host that the account does not know: Connectif refuses the product (E0201).
                host = "elsewhere.example" if some.random() < 0.05 else "shop.example"
                link = f"https://{host}/{some.randint(1, 99)}"
                self.rows[key]["productDetailUrl"] = (link, link)
        for key in some.sample(
            sorted(self.rows), k=min(len(self.rows) - 1, some.choice([0, 0, 1, 3]))
        ):
            del self.rows[key]

    def write(self, folder: Path) -> None:
        """The rows as the source's file."""
        names = [c.name for c in self.columns]
        with (folder / f"{self.name}.csv").open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["key", *names])
            for key, row in self.rows.items():
                out.writerow([key, *(row[name][0] for name in names)])

    def expect(self, day: int) -> None:
        """Bring the expected records to what today's rows ask for."""
        self.refused = set()
        for key, row in self.rows.items():
            if "elsewhere" in str(row.get("productDetailUrl", "")):
                self.refused.add(key)
                continue
            record = self.expected.setdefault(key, {})
            for name, (_, value) in row.items():
                if value is not None:
                    record[name] = value
                elif self.options["nulls"] == "clear":
                    record.pop(name, None)
        for key in set(self.expected) - set(self.rows):
            if self.options["missing"] == "delete":
                del self.expected[key]
            elif self.options["missing"] == "retire":
                self.expected[key]["availability"] = "outofstock"

    def check(self, state, sandbox) -> None:
        """State and account hold what the rows ask for."""
        account = {r[self.key]: r for r in sandbox.account.list(self.target) if self._is_ours(r)}
        known = {r.key: r.fields for r in state.records(self.name)}
        assert set(known) == set(account) == set(self.expected), f"{self.name}: other records"
        # A failure whose row is gone stays: no later change of that record has succeeded.
        failed = {f.key for f in state.failures(self.name)} & set(self.rows)
        assert failed == self.refused, f"{self.name}: failures"
        for key, record in self.expected.items():
            for name in {c.name for c in self.columns} | set(record):
                value = record.get(name)
                assert account[key].get(name) == value, f"{self.name} {key}: {name} in the account"
                assert known[key].get(name) == value, f"{self.name} {key}: {name} in the state"

    def _is_ours(self, record: dict) -> bool:
        return (
            record.get(self.key) is not None
            and record.get("_email") not in BUYERS
            and (record.get("productId") not in SKUS)
        )


class Shop:
    """A random project. `day` changes its data and writes the project's files."""

    def __init__(self, seed: int) -> None:
        self.random = some = random.Random(f"shop {seed}")
        self.requests_per_minute = some.choice([20, 60, 100])
        self.reserve = some.choice([0, 0, 5])
        self.fields: list[str] = []
        makers = [self._contacts, self._contacts, self._products, self._orders, self._orders]
        makers += [self._visits, self._codes, self._report]
        # Many small shops find more in the same time than a few large ones.
        size = some.choices([1, 2, 3], weights=[6, 3, 1])[0]
        chosen = {maker.__name__: maker for maker in some.sample(makers, k=size)}
        if len({"_codes", "_report"} & set(chosen)) == 2:  # one lives by the hour, one by the day
            del chosen["_codes"]
        self.syncs = [make() for make in chosen.values()]

    def has(self, name: str) -> bool:
        """Whether one of the shop's specs is of this name."""
        return any(s.name == name for s in self.syncs)

    def founded(self) -> dict[str, list[dict]]:
        """What the account holds before the first day."""
        found: dict[str, list[dict]] = {}
        for sync in self.syncs:
            found |= sync.founded()
        return found

    def night(self, sandbox, day: int) -> None:
        """What happens in the account between two days."""
        for sync in self.syncs:
            sync.night(sandbox, day)

    def _orders(self) -> Orders:
        return Orders(self.random)

    def _visits(self) -> Visits:
        return Visits(self.random)

    def _codes(self) -> Codes:
        return Codes(self.random)

    def _report(self) -> Report:
        return Report(self.random)

    def _options(self, missing: list[str]) -> dict[str, str]:
        some = self.random
        return {
            "missing": some.choice(missing),
            "nulls": some.choice(["omit", "clear"]),
            "route": some.choice(["auto", "calls", "import"]),
            "priority": some.choice(["low", "normal", "high"]),
        }

    def _contacts(self) -> Sync:
        some = self.random
        self.fields = some.sample(FIELD_TYPES, k=some.choice([0, 0, 1, 3]))
        key = some.choice(["_email", "_email", "_externalId"])
        known = [
            Column("_name", "_name", "text"),
            Column("_points", "{from: _points, type: integer}", "integer"),
            Column("_birthdate", "{from: _birthdate, type: date}", "date"),
            Column("_mobilePhone", "_mobilePhone", "phone"),
        ]
        columns = some.sample(known, k=some.randint(1, len(known)))
        options = self._options(["keep", "delete"])
        for kind in self.fields:
            extra = ', separator: ";"' if kind == "checkbox" else ""
            cast = {"checkbox": "list", "radio": "text"}.get(kind, kind)
            columns.append(
                Column(
                    f"own_{kind}",
                    f"{{from: own_{kind}, type: {cast}{extra}}}",
                    kind,
                    # Such a field always has a value; and a radio cannot be cleared (a guess).
                    required=kind in {"checkbox", "boolean"}
                    or (kind == "radio" and options["nulls"] == "clear"),
                )
            )
        spread = some.choice([6, 12, 40])
        return Sync("crm", "contacts", key, columns, options, spread)

    def _products(self) -> Sync:
        columns = [
            Column("productDetailUrl", "productDetailUrl", "text", required=True),
            Column("name", "name", "text", required=True),
            Column("unitPrice", "{from: unitPrice, type: decimal}", "decimal", required=True),
            Column("brand", "brand", "text"),
        ]
        options = self._options(["keep", "delete", "retire"])
        return Sync("catalogue", "products", "productId", columns, options, 12)

    def day(self, number: int, folder: Path) -> None:
        """The next day: other data, in a folder of its own."""
        specs = folder / "specs"
        specs.mkdir(parents=True)
        (folder / "compasso.yml").write_text(
            "project: simulated\nbudget: {requests_per_minute: "
            f"{self.requests_per_minute}, reserve: {self.reserve}}}\n"
        )
        if self.fields:
            own = [
                f"  - {{id: own_{k}, name: Own {k}, type: {k}{_options_of(k)}}}\n"
                for k in self.fields
            ]
            (specs / "own.yml").write_text("kind: contact-fields\nfields:\n" + "".join(own))
        for sync in self.syncs:
            if isinstance(sync, Visits):
                (specs / "types.yml").write_text(sync.types())
            sync.change(self.random, self.random.choice([2, 3, 6, 12]))
            sync.expect(number)
            sync.write(folder)
            (specs / f"{sync.name}.yml").write_text(sync.spec())


def _options_of(kind: str) -> str:
    if kind == "boolean":
        return ", required: true, default: false"
    if kind not in {"checkbox", "radio"}:
        return ""
    required = ", required: true, default: [a]" if kind == "checkbox" else ""
    return required + ", options: [" + ", ".join(f"{{id: {o}, label: {o}}}" for o in "abc") + "]"
