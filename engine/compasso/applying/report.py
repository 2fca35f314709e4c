"""`apply --report FILE`: what was done, for a machine. JSON by .json, JUnit by .xml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from compasso.model import CompassoError


def check_report(file: Path) -> None:
    """Raise CompassoError, before anything is sent, for a file of another kind or no folder."""
    if file.suffix not in {".json", ".xml"}:
        raise CompassoError.say(
            f"--report {file}: its kind is not known", "name it .json, or .xml for JUnit"
        )
    if not file.parent.is_dir():
        raise CompassoError.say(f"--report {file}: there is no folder {file.parent}", "make it")


def write_report(file: Path, document: Mapping[str, Any]) -> None:
    """Write the result of an apply. Raises CompassoError when that is not possible."""
    text = junit(document) if file.suffix == ".xml" else json.dumps(document, indent=2) + "\n"
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise CompassoError.say(f"cannot write the report {file}: {error.strerror}") from error


def junit(document: Mapping[str, Any]) -> str:
    """One test suite a sync, one test case a failed record, and one for all that were applied."""
    root = ElementTree.Element("testsuites", name="compasso apply")
    for sync in document["syncs"]:
        failures = [f for f in document["failures"] if f["sync"] == sync["name"]]
        suite = ElementTree.SubElement(
            root, "testsuite", name=sync["name"],
            tests=str(sync["applied"] + sync["failed"] + sync["skipped"]),
            failures=str(sync["failed"]), skipped=str(sync["skipped"]), errors="0",
            time=str(document["summary"]["seconds"]),
        )  # fmt: skip
        done = ElementTree.SubElement(
            suite, "testcase", classname=sync["name"], name=f"{sync['applied']} records applied"
        )
        if sync["skipped"]:
            left = ElementTree.SubElement(
                suite, "testcase", classname=sync["name"], name=f"{sync['skipped']} records left"
            )
            ElementTree.SubElement(left, "skipped", message=_clean(document["reason"] or "left"))
        for failure in failures:
            case = ElementTree.SubElement(
                suite, "testcase", classname=sync["name"],
                name=_clean(f"{failure['operation']} {failure['key']}"),
            )  # fmt: skip
            ElementTree.SubElement(case, "failure", message=_clean(failure["reason"]))
        done.set("time", str(document["summary"]["seconds"]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, "unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(c for c in text if c in "\t\n\r" or " " <= c <= "\ud7ff" or c >= "\ue000")
