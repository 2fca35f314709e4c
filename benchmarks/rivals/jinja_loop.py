"""What a script does row by row: render Jinja, check with jsonschema, compare with yesterday."""

import csv
import hashlib
import json
import sys
from datetime import date
from pathlib import Path

from jinja2 import Environment
from jsonschema import Draft202012Validator

TEMPLATES = {
    "_email": "{{ email | trim | lower }}",
    "_externalId": "{{ id }}",
    "_name": "{{ first_name | trim | title }}",
    "_surname": "{{ last_name | trim }}",
    "_mobilePhone": "{{ '+34' ~ phone | replace(' ', '') if phone else '' }}",
    "_points": "{{ points }}",
    "_birthdate": "{{ birth }}",
    "_newsletterSubscriptionStatus": "{{ news | default('none') | lower }}",
    "city": "{{ city | upper }}",
    "spent": "{{ total }}",
}
TEXT = {"type": "string"}
SCHEMA = {
    "type": "object",
    "required": ["_email"],
    "properties": {
        "_email": {"type": "string", "pattern": "^[^@\\s]+@[^@\\s]+$", "maxLength": 200},
        "_externalId": {"type": "string", "maxLength": 50},
        "_mobilePhone": {"type": "string", "pattern": "^\\+[0-9]{6,15}$"},
        "_points": {"type": "integer"},
        "_newsletterSubscriptionStatus": {"enum": ["subscribed", "unsubscribed", "none"]},
        "_name": TEXT, "_surname": TEXT, "city": TEXT, "spent": {"type": "number"},
    },
}  # fmt: skip


def records(path: Path):
    """A day's records, one after the other."""
    templates = {n: Environment().from_string(t) for n, t in TEMPLATES.items()}  # noqa: S701
    validator = Draft202012Validator(SCHEMA)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            record = {n: t.render(row) for n, t in templates.items()}
            record = {n: v for n, v in record.items() if v}
            record["_points"] = int(record["_points"])
            record["spent"] = float(record["spent"])
            record["_birthdate"] = date.fromisoformat(record["_birthdate"]).isoformat()
            if not validator.is_valid(record):
                continue
            text = json.dumps(record, sort_keys=True)
            yield record["_email"], hashlib.md5(text.encode()).hexdigest()  # noqa: S324


if __name__ == "__main__":
    action, day1, day2, known = sys.argv[1], *map(Path, sys.argv[2:5])
    if action == "prepare":
        known.write_text(json.dumps(dict(records(day1))))
    else:
        old = json.loads(known.read_text())
        new = updated = 0
        for key, digest in records(day2):
            before = old.pop(key, None)
            new += before is None
            updated += before is not None and before != digest
        print({"new": new, "updated": updated, "gone": len(old)})
