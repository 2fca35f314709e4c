"""What a person who made a mistake in a spec is told: file, line, column, text and remedy."""

import pytest

CONTACTS = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
fields:
  _email: email
  _name: first_name
"""
SPEC = "specs/crm.yml"


def changed(old, new):
    assert CONTACTS.count(old) == 1
    return {SPEC: CONTACTS.replace(old, new)}


CASES = {
    "unknown key": (
        changed("target: contacts\n", "tarjet: contacts\n"),
        [
            "specs/crm.yml:1:1: error: the key `target` is missing",
            "    -> add `target:`",
            "specs/crm.yml:4:1: error: unknown key `tarjet`",
            "    tarjet: contacts",
            "    -> did you mean `target`?",
        ],
    ),
    "unknown field": (
        changed("  _name: first_name\n", "  _surnam: first_name\n"),
        [
            "specs/crm.yml:7:3: error: contacts have no field `_surnam`",
            "    _surnam",
            "    -> did you mean `_surname`?",
        ],
    ),
    "wrong type": (
        changed("fields:\n  _email: email\n  _name: first_name\n", "fields: 3\n"),
        [
            "specs/crm.yml:5:1: error: `fields` must be a mapping (keys and values)",
            "    fields: 3",
            "    -> write keys and values under it",
        ],
    ),
    "dup key": (
        changed("source: {csv: data/c.csv}\n", "name: crm\nsource: {csv: data/c.csv}\n"),
        [
            "specs/crm.yml:3:1: error: the key `name` stands here and in line 2",
            "    -> keep one of them",
        ],
    ),
    "tag": (
        changed("name: crm\n", "name: !!python/object:os.system crm\n"),
        [
            "specs/crm.yml:2:7: error: this value is not allowed: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object:os.system'",
            "    -> write plain text",
        ],
    ),
    "tab": (
        changed("  _name: first_name\n", "\t_name: first_name\n"),
        [
            "specs/crm.yml:7:1: error: not valid YAML: found character '\\t' that cannot start any token",
            "    -> indent with blanks, not tabs",
        ],
    ),
    "bad yaml": (
        changed("source: {csv: data/c.csv}\n", "source: {csv: data/c.csv\n"),
        [
            "specs/crm.yml:4:7: error: not valid YAML: expected ',' or '}', but got ':'",
            "    -> check the indentation, the quotes and the colons near this place",
        ],
    ),
    "jinja syntax": (
        changed("  _name: first_name\n", '  _name: "{{ first_name | "\n'),
        [
            "specs/crm.yml:7:3: error: not a valid template: unexpected end of template, expected 'name'.",
            "    _name: {{ first_name | ",
            "    -> see the template's brackets and quotes",
        ],
    ),
    "jinja unknown filter": (
        changed("  _name: first_name\n", '  _name: "{{ first_name | uper }}"\n'),
        [
            "specs/crm.yml:7:3: error: there is no filter `uper`",
            "    _name: {{ first_name | uper }}",
            "    -> did you mean `upper`?",
        ],
    ),
    "jinja attr": (
        changed("  _name: first_name\n", '  _name: "{{ first_name.__class__.__mro__ }}"\n'),
        [
            "specs/crm.yml:7:3: error: names that begin with _ cannot be read",
            "    _name: {{ first_name.__class__.__mro__ }}",
            "    -> use a column or vars",
        ],
    ),
    "jinja block": (
        changed("  _name: first_name\n", '  _name: "{% for x in range(9999999) %}a{% endfor %}"\n'),
        [
            "specs/crm.yml:7:3: error: `for` cannot be used in a mapping",
            "    _name: {% for x in range(9999999) %}a{% endfor %}",
            "    -> use expressions, filters and `if`",
        ],
    ),
    "unknown column": (
        changed("  _name: first_name\n", "  _name: frist_name\n"),
        [
            "specs/crm.yml:7:3: error: the source has no column 'frist_name'",
            "    _name: frist_name",
            "    -> did you mean `first_name`?",
        ],
    ),
    "unknown column tpl": (
        changed("  _name: first_name\n", '  _name: "{{ frist_name | trim }}"\n'),
        [
            "specs/crm.yml:7:3: error: the source has no column 'frist_name'",
            "    _name: {{ frist_name | trim }}",
            "    -> did you mean `first_name`?",
        ],
    ),
    "unknown var": (
        changed("  _name: first_name\n", '  _name: "{{ vars.prefix ~ first_name }}"\n'),
        [
            "specs/crm.yml:7:3: error: there is no variable vars.prefix",
            "    _name: {{ vars.prefix ~ first_name }}",
            "    -> add it under `vars:`",
        ],
    ),
    "unknown target": (
        changed("target: contacts\n", "target: contact\n"),
        [
            "specs/crm.yml:4:1: error: there is no target 'contact'",
            "    target: contact",
            "    -> did you mean `contacts`?",
        ],
    ),
    "no key": (
        changed("  _email: email\n", ""),
        [
            "specs/crm.yml:5:1: error: the mapping lacks _email, which every contact needs",
            "    -> add it under `fields:`",
        ],
    ),
    "bad percent": (
        changed("target: contacts\n", "guards: {max_delete: five}\ntarget: contacts\n"),
        [
            "specs/crm.yml:4:10: error: `max_delete` must be a share or a number of rows",
            "    max_delete: five",
            "    -> write 5% or 200",
        ],
    ),
    "over percent": (
        changed("target: contacts\n", "rejects: {max: 120%}\ntarget: contacts\n"),
        [
            "specs/crm.yml:4:11: error: `max` must be a share or a number of rows",
            "    max: 120%",
            "    -> write 5% or 200",
        ],
    ),
    "bad cron": (
        changed("target: contacts\n", 'schedule: {cron: "99 * * * *"}\ntarget: contacts\n'),
        [
            "specs/crm.yml:4:12: error: `cron` is not a schedule: bad minute",
            "    cron: 99 * * * *",
            "    -> five fields: minute hour day month weekday, such as 30 6 * * 1-5",
        ],
    ),
    "bad tz": (
        changed(
            "target: contacts\n",
            'schedule: {cron: "* * * * *", timezone: Europe/Madird}\ntarget: contacts\n',
        ),
        [
            "specs/crm.yml:4:31: error: there is no timezone 'Europe/Madird'",
            "    -> did you mean `Europe/Madrid`?",
        ],
    ),
    "same name": (
        {"specs/b.yml": CONTACTS},
        [
            "specs/crm.yml:2:1: error: the name 'crm' is taken by specs/b.yml:2",
            "    -> give each spec a name of its own: the state is kept under it",
        ],
    ),
    "unknown kind": (
        changed("kind: sync\n", "kind: synk\n"),
        [
            "specs/crm.yml:1:1: error: there is no kind 'synk'",
            "    kind: synk",
            "    -> did you mean `sync`?",
        ],
    ),
    "missing kind": (
        changed("kind: sync\n", ""),
        ["specs/crm.yml:1:1: error: the key `kind` is missing", "    -> add `kind: sync`"],
    ),
    "secret form": (
        {"compasso.yml": 'project: shop\nconnectif: {api_key: "abc:def"}\n'},
        [
            "compasso.yml:2:13: error: `api_key` must be a reference to a secret, never the key itself",
            "    -> write ${env:CONNECTIF_API_KEY}, and set that variable",
        ],
    ),
    "env malformed": (
        {"compasso.yml": 'project: shop\nconnectif: {api_key: "${environ:KEY}"}\n'},
        [
            "compasso.yml:2:13: error: `api_key` must be a reference to a secret, never the key itself",
            "    -> write ${env:CONNECTIF_API_KEY}, and set that variable",
        ],
    ),
    "file outside": (
        {"compasso.yml": 'project: shop\nconnectif: {api_key: "${file:../../etc/passwd}"}\n'},
        [
            "compasso.yml:2:13: error: the file of `api_key` leads out of the project",
            "    -> keep it inside the project and out of Git, or use ${env:NAME}",
        ],
    ),
    "address of a database in the file": (
        {"compasso.yml": 'project: shop\nconnections: {erp: "postgresql://u:p@db/shop"}\n'},
        [
            "compasso.yml:2:15: error: `erp` must be a reference to a secret, never the address itself",
            "    -> write ${env:ERP_URL}, and set that variable",
        ],
    ),
    "source outside": (
        changed("source: {csv: data/c.csv}\n", "source: {csv: ../c.csv}\n"),
        [
            "specs/crm.yml:3:10: error: the source must lie inside the project",
            "    csv: ../c.csv",
            "    -> write its path relative to compasso.yml, without ..",
        ],
    ),
    "source abs": (
        changed("source: {csv: data/c.csv}\n", "source: {csv: /etc/passwd}\n"),
        [
            "specs/crm.yml:3:10: error: the source must lie inside the project",
            "    csv: /etc/passwd",
            "    -> write its path relative to compasso.yml, without ..",
        ],
    ),
    "read only": (
        changed("  _name: first_name\n", "  _createdAt: first_name\n"),
        [
            "specs/crm.yml:7:3: error: `_createdAt` is read only: Connectif computes it",
            "    _createdAt",
            "    -> leave it out",
        ],
    ),
    "bad cast": (
        changed("  _name: first_name\n", "  _points: {from: points, type: interger}\n"),
        [
            "specs/crm.yml:7:27: error: `type` cannot be 'interger'; it can be: text, integer, decimal, boolean, date, list, json",
            "    type: interger",
            "    -> did you mean `integer`?",
        ],
    ),
    "cast misfit": (
        changed("  _name: first_name\n", "  _points: points\n"),
        [
            "specs/crm.yml:7:3: error: `_points` takes an integer, and this gives a text",
            "    _points: points",
            "    -> write `_points: {from: points, type: integer}`",
        ],
    ),
    "empty": (
        {SPEC: ""},
        ["specs/crm.yml:1:1: error: the spec is empty", "    -> start with `kind: sync`"],
    ),
    "not utf8": (
        {SPEC: b"kind: sync\nname: caf\xe9\n"},
        ["specs/crm.yml:1:1: error: the file is not UTF-8 (byte 20)", "    -> save it as UTF-8"],
    ),
    "list": (
        changed(
            "kind: sync\nname: crm\nsource: {csv: data/c.csv}\ntarget: contacts\nfields:\n  _email: email\n  _name: first_name\n",
            "- a\n- b\n",
        ),
        [
            "specs/crm.yml:1:1: error: a spec must be keys and values",
            "    -> start with `kind: sync`",
        ],
    ),
    "order_by missing": (
        changed("target: contacts\n", "duplicates: last\norder_by: updated\ntarget: contacts\n"),
        [
            "specs/crm.yml:5:1: error: order_by names the column 'updated', which the source does not have",
            "    order_by: updated",
            "    -> known: email, first_name, points",
        ],
    ),
    "order_by without": (
        changed("target: contacts\n", "order_by: points\ntarget: contacts\n"),
        [
            "specs/crm.yml:4:1: error: `order_by` has no effect with `duplicates: error`",
            "    -> say `duplicates: first` or `duplicates: last`, or leave order_by out",
        ],
    ),
    "two sources": (
        changed("source: {csv: data/c.csv}\n", "source: {csv: data/c.csv, parquet: x.parquet}\n"),
        [
            "specs/crm.yml:3:1: error: the source must name its kind and file, once",
            "    -> csv: data/customers.csv",
        ],
    ),
    "unknown source": (
        changed("source: {csv: data/c.csv}\n", "source: {cvs: data/c.csv}\n"),
        ["specs/crm.yml:3:10: error: unknown kind of source `cvs`", "    -> did you mean `csv`?"],
    ),
    "bad route": (
        changed("target: contacts\n", "route: fast\ntarget: contacts\n"),
        [
            "specs/crm.yml:4:1: error: `route` cannot be 'fast'; it can be: auto, calls, import",
            "    route: fast",
            "    -> known: auto, calls, import",
        ],
    ),
    "no project": (
        {"compasso.yml": "project: \n"},
        [
            "compasso.yml:1:1: error: `project` must be a text",
            "    project: None",
            "    -> write a text; put quotes around numbers, yes and no",
        ],
    ),
    "budget": (
        {"compasso.yml": "project: shop\nbudget: {requests_per_minute: 0}\n"},
        [
            "compasso.yml:2:10: error: `requests_per_minute` must be at least 1",
            "    requests_per_minute: 0",
            "    -> see `compasso schema` for what may stand here",
        ],
    ),
    "reserve": (
        {"compasso.yml": "project: shop\nbudget: {requests_per_minute: 10, reserve: 10}\n"},
        [
            "compasso.yml:2:35: error: reserve: 10 leaves nothing of requests_per_minute: 10",
            "    -> reserve less than the limit",
        ],
    ),
    "unknown backend": (
        {"compasso.yml": "project: shop\nstate: {backend: etcd}\n"},
        [
            "compasso.yml:2:9: error: this version cannot keep the state in 'etcd'",
            "    -> use `backend: local`, and keep the folder .compasso from run to run",
        ],
    ),
    "constant type": (
        changed("  _name: first_name\n", "  _points: {value: many}\n"),
        [
            "specs/crm.yml:7:3: error: `_points` takes an integer, and this gives a text",
            "    _points: many",
            "    -> write a constant of the type integer",
        ],
    ),
    "deep": (
        {SPEC: "a: " + "[" * 300 + "]" * 300},
        [
            "specs/crm.yml:1:54: error: the document is too large or too deep",
            "    -> make it smaller",
        ],
    ),
    "unhashable": (
        changed(
            "kind: sync\nname: crm\nsource: {csv: data/c.csv}\ntarget: contacts\nfields:\n  _email: email\n  _name: first_name\n",
            "? [a, b]\n: c\n",
        ),
        ["specs/crm.yml:1:3: error: a key must be a plain text", "    -> write it as a word"],
    ),
    "nul": (
        changed(
            "name: crm\nsource: {csv: data/c.csv}\ntarget: contacts\nfields:\n  _email: email\n  _name: first_name\n",
            "name: a\x00b\n",
        ),
        [
            "specs/crm.yml:1:1: error: not valid YAML: unacceptable character #x0000: special characters are not allowed",
            "    -> mend the file",
        ],
    ),
    "missing": (
        changed("target: contacts\n", "missing: remove\ntarget: contacts\n"),
        [
            "specs/crm.yml:4:1: error: `missing` cannot be 'remove'; it can be: keep, delete, retire",
            "    missing: remove",
            "    -> known: keep, delete, retire",
        ],
    ),
    "retire contact": (
        changed("target: contacts\n", "missing: retire\ntarget: contacts\n"),
        [
            "specs/crm.yml:4:1: error: `missing: retire` does not exist for contacts",
            "    missing: retire",
            "    -> it puts products out of stock; use keep or delete",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_spec_is_named_by_place_with_what_to_do(name, project, compasso):
    files, expected = CASES[name]
    folder = project(files)
    ran = compasso("validate", "--project", folder)
    assert ran.code == 1
    assert ran.out == ""
    said = ran.err.replace(f"{folder}/", "").rstrip("\n").split("\n")
    assert said[:-1] == expected
    assert said[-1] == ("1 error" if sum(": error: " in s for s in expected) == 1 else "2 errors")


def test_all_mistakes_of_all_files_are_told_at_once(project, compasso):
    folder = project(
        {
            SPEC: CONTACTS.replace("_name:", "_nmae:").replace("name: crm", "naem: crm"),
            "specs/other.yml": CONTACTS.replace("kind: sync", "kind: synk"),
            "specs/third.yml": CONTACTS.replace("crm", "third").replace("csv:", "cvs:"),
        }
    )
    ran = compasso("validate", "--project", folder)
    assert ran.code == 1
    for place in ("specs/crm.yml:2:1", "specs/other.yml:1:1", "specs/third.yml:3:10"):
        assert place in ran.err


def test_no_is_a_word(project, compasso):
    folder = project({SPEC: CONTACTS.replace("name: crm", "name: no")})
    assert compasso("validate", "--project", folder).code == 0
    ran = compasso("plan", "--project", folder)
    assert ran.out.startswith("no  data/c.csv -> contacts")


def test_a_missing_source_is_a_warning_for_validate_since_ci_may_not_have_it(project, compasso):
    folder = project({"data/c.csv": None})
    ran = compasso("validate", "--project", folder)
    assert ran.code == 0
    assert "does not exist" in ran.err
    assert "its columns are not checked" in ran.err


def test_a_wrong_environment_is_named(project, compasso):
    folder = project(
        {"compasso.yml": "project: shop\nenvironments: {staging: {budget: {reserve: 200}}}\n"}
    )
    ran = compasso("validate", "--project", folder, "--env", "stagign")
    assert ran.code == 1
    assert "did you mean `staging`?" in ran.err
    ran = compasso("validate", "--project", folder, "--env", "staging")
    assert ran.code == 1
    assert "2:35: error: reserve: 200 leaves nothing" in ran.err


def test_a_secret_is_shown_nowhere(project, compasso, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "id:verysecret")
    folder = project({"compasso.yml": 'project: shop\nconnectif: {api_key: "${env:SHOP_KEY}"}\n'})
    out = folder / "p.plan"
    for command in (["validate"], ["plan", "--out", out], ["show", out], ["preview", "crm"]):
        ran = compasso(*command, "--project", folder)
        assert ran.code == 0
        assert "verysecret" not in ran.out + ran.err
    assert b"verysecret" not in out.read_bytes()


def test_a_mapping_cannot_reach_a_secret(project, compasso, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "id:verysecret")
    for expression in ("${env:SHOP_KEY}", "{{ env.SHOP_KEY }}", "{{ vars.api_key }}"):
        folder = project({SPEC: CONTACTS.replace("_name: first_name", f'_name: "{expression}"')})
        ran = compasso("plan", "--project", folder, "--reveal")
        assert "verysecret" not in ran.out + ran.err


def test_a_failing_example_names_what_came_out_instead(project, compasso):
    text = CONTACTS.replace(
        "fields:",
        "tests:\n  - row: {email: a@x.es, first_name: ANA}\n    expect: {_name: Ana}\nfields:",
    )
    ran = compasso("test", "--project", project({SPEC: text}))
    assert ran.code == 1
    assert 'specs/crm.yml:6: crm: _name is "ANA", not "Ana"' in ran.err
    assert ran.out == "0 passed, 1 failed\n"
