"""fmt, graph, doctor, and the formats that other tools read."""

import json

import pytest

from compasso.sandbox import RunningSandbox
from compasso.sandbox.settings import SandboxSettings

UNTIDY = """# Customers.
kind:   sync
name: crm
source: {csv: data/c.csv}
target: contacts
fields:
      _email: "{{ email | lower }}"   # the key
      _name: first_name
tests:
- row: {email: A@x.es, first_name: Ana}
  expect: {_email: a@x.es, _name: Ana}
- row: {email: b@x.es}
  expect: null
"""
TIDY = """# Customers.
kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
fields:
  _email: "{{ email | lower }}"       # the key
  _name: first_name
tests:
  - row: {email: A@x.es, first_name: Ana}
    expect: {_email: a@x.es, _name: Ana}
  - row: {email: b@x.es}
    expect: null
"""


def test_fmt_lays_specs_out_in_one_way_and_keeps_comments_and_values(project, compasso):
    folder = project({"specs/crm.yml": UNTIDY})
    ran = compasso("fmt", "--project", folder, "--check")
    assert (ran.code, ran.out.split()) == (1, ["specs/crm.yml"])
    assert (folder / "specs/crm.yml").read_text() == UNTIDY
    assert compasso("fmt", "--project", folder).code == 0
    assert (folder / "specs/crm.yml").read_text() == TIDY
    ran = compasso("fmt", "--project", folder, "--check")
    assert (ran.code, ran.out) == (0, "")


def test_fmt_leaves_a_file_that_is_not_yaml_as_it_is_and_names_the_place(project, compasso):
    broken = "kind: sync\nname: [crm\n"
    folder = project({"specs/crm.yml": broken})
    ran = compasso("fmt", "--project", folder)
    assert ran.code == 1
    assert "specs/crm.yml:3:1" in ran.err
    assert (folder / "specs/crm.yml").read_text() == broken


def test_graph_shows_what_goes_first(project, compasso):
    fields = "kind: contact-fields\nfields: [{id: size, name: Size, type: text}]\n"
    folder = project({"specs/fields.yml": fields})
    document = json.loads(compasso("graph", "--project", folder, "--format", "json").out)
    assert [(f["spec"], f["target"], f["step"]) for f in document["flows"]] == [
        ("contact-fields", "contact-fields", 1),
        ("crm", "contacts", 2),
    ]
    assert "data/c.csv -> crm -> contacts" in compasso("graph", "--project", folder).out


@pytest.mark.parametrize(("form", "start"), [("mermaid", "flowchart LR"), ("dot", "digraph")])
def test_graph_quotes_what_could_break_a_drawing(form, start, project, compasso):
    spec = "kind: sync\nname: crm\nsource: {csv: 'data/a\"b.csv'}\ntarget: contacts\n"
    folder = project({"specs/crm.yml": spec + "fields: {_email: email}\n"})
    out = compasso("graph", "--project", folder, "--format", form).out
    assert out.startswith(start)
    assert ('a\\"b' if form == "dot" else "a#quot;b") in out
    assert 'a"b' not in out


def checks(ran):
    return {c["check"]: c["result"] for c in json.loads(ran.out)["checks"]}


def test_doctor_is_content_with_a_project_that_works(project, compasso, monkeypatch):
    with RunningSandbox(SandboxSettings()) as sandbox:
        monkeypatch.setenv("CONNECTIF_BASE_URL", sandbox.url)
        monkeypatch.setenv("CONNECTIF_API_KEY", "id:topsecret")
        ran = compasso("doctor", "--project", project(), "--format", "json")
    assert ran.code == 0
    found = checks(ran)
    assert {found[c] for c in ("project", "state", "key", "account", "clock")} == {"ok"}
    assert "topsecret" not in ran.out + ran.err


def test_doctor_says_what_to_do_about_a_key_that_is_refused(project, compasso, monkeypatch):
    with RunningSandbox(SandboxSettings(api_key="other:key")) as sandbox:
        monkeypatch.setenv("CONNECTIF_BASE_URL", sandbox.url)
        monkeypatch.setenv("CONNECTIF_API_KEY", "id:topsecret")
        ran = compasso("doctor", "--project", project())
    assert ran.code == 1
    assert "the key is not accepted (401)" in ran.out
    assert "topsecret" not in ran.out + ran.err


def test_doctor_names_an_address_that_does_not_answer(project, compasso, monkeypatch):
    monkeypatch.setenv("CONNECTIF_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CONNECTIF_API_KEY", "id:topsecret")
    ran = compasso("doctor", "--project", project())
    assert ran.code == 1
    assert "no answer from http://127.0.0.1:9" in ran.out


def test_doctor_checks_the_rest_when_there_is_no_key(project, compasso, monkeypatch):
    monkeypatch.delenv("CONNECTIF_API_KEY", raising=False)
    ran = compasso("doctor", "--project", project(), "--offline", "--format", "json")
    assert ran.code == 1
    found = checks(ran)
    assert (found["key"], found["state"], found["account"]) == ("error", "ok", "ok")


def test_validate_speaks_sarif(project, compasso):
    folder = project({"specs/crm.yml": "kind: sync\nname: crm\nsorce: {csv: a.csv}\n"})
    ran = compasso("validate", "--project", folder, "--format", "sarif")
    assert ran.code == 1
    document = json.loads(ran.out)
    assert document["version"] == "2.1.0"
    [run] = document["runs"]
    found = [r for r in run["results"] if r["ruleId"] == "unknown-key"]
    place = found[0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "specs/crm.yml"
    assert (place["region"]["startLine"], place["region"]["startColumn"]) == (3, 1)
    assert {r["ruleId"] for r in run["results"]} == {
        r["id"] for r in run["tool"]["driver"]["rules"]
    }
