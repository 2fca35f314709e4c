"""One export spec under way: what is asked for, and where it goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from compasso.applying.destinations import Place
from compasso.applying.runners.base import Work, moment
from compasso.connectif import Claim
from compasso.model import ApiCall, Batch, CompassoError, Json
from compasso.planning.exports import bounds


class ExportJob:
    """One export spec under way, as the plan has it."""

    def __init__(self, work: Work, sync: str, batch: Batch) -> None:
        self.work = work
        self.sync = sync
        self.batch = batch
        self.options = work.plan.options(sync)
        into = self.options["into"]
        address = None
        if into["kind"] == "sql":
            secret = work.connections.get(into["place"])
            if secret is None:
                raise CompassoError.say(
                    f"compasso.yml has no connection {into['place']!r}", "add it, then apply again"
                )
            address = secret.reveal()
        self.place = Place(
            kind=into["kind"],
            name=into["place"],
            root=work.root,
            table=into["table"],
            products=into["products"],
            address=address,
            ours=work.state.count(sync) > 0 or bool(work.journal.exports(sync)),
        )

    def claim(self) -> Claim:
        """The place in the budget's line that its requests have."""
        return self.work.claim(self.batch)

    def body(self, piece: str) -> dict[str, Json]:
        """The body of the request for a piece (8.1, 8.2)."""
        days = self.options["pieces"][piece]
        filters: dict[str, Json] = dict(self.options["filters"])
        what = self.options["what"]
        if what == "data-explorer":  # days of the account's time zone, both included
            filters |= {"fromDate": days["from"], "toDate": days["to"]}
            return {"delimiter": ",", "filters": filters}
        if what == "activities":
            first, last = date.fromisoformat(days["from"]), date.fromisoformat(days["to"])
            begin, end = bounds(first, last, self.options["timezone"])
            filters |= {"fromDate": _iso(begin), "toDate": _iso(end)}
        body: dict[str, Json] = {"exportType": what, "delimiter": ",", "dateFormat": "ISO"}
        if filters:
            body["filters"] = filters
        if self.options["version"]:
            body["version"] = self.options["version"]
        return body

    def call(self, piece: str) -> ApiCall:
        """The request for a piece."""
        report = self.options["what"] == "data-explorer"
        return ApiCall(
            "POST", "/exports/type/data-explorer" if report else "/exports/", self.body(piece)
        )

    def fingerprint(self, piece: str) -> str:
        """What is asked for, as text. The same days at a later time are something else."""
        asked = {
            "kind": self.options["what"],
            "body": self.body(piece),
            "as_of": self.options["pieces"][piece]["as_of"],
        }
        return json.dumps(asked, sort_keys=True)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def same_filters(have: Mapping[str, Any], want: Mapping[str, Any]) -> bool:
    """Whether two sets of filters ask for the same, whatever form their moments have."""
    given = {k: v for k, v in have.items() if v not in (None, [], "")}
    if set(given) != set(want):
        return False
    for name, value in want.items():
        other = given[name]
        if isinstance(value, list):
            if not isinstance(other, list) or sorted(map(str, value)) != sorted(map(str, other)):
                return False
        elif str(value) != str(other):
            moments = moment(value), moment(other)
            if None in moments or moments[0] != moments[1]:
                return False
    return True
