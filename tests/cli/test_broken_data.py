"""What a plan says of data that is not as it should be: by name, row or line, never a traceback."""

import pytest

HEADER = "email,first_name,points\n"


def spec(source, fields=""):
    return (
        f"kind: sync\nname: crm\nsource: {source}\ntarget: contacts\nfields:\n"
        f"  _email: email\n  _name: first_name\n{fields}"
    )


# What the project's files hold, the exit code, and the lines that say so.
CASES = {
    "missing file": (
        {"data/c.csv": None},
        1,
        ["specs/crm.yml:3:1: error: crm: the source file data/c.csv does not exist"],
    ),
    "empty file": (
        {"data/c.csv": ""},
        1,
        [
            "data/c.csv:1:1: error: crm: data/c.csv: the file is empty",
            "-> it needs at least a header line",
        ],
    ),
    "header only": (
        {"data/c.csv": HEADER},
        0,
        ["0 to create, 0 to update, 0 to delete, 0 unchanged, 0 rejected"],
    ),
    "short line": (
        {"data/c.csv": HEADER + "ana@x.es,Ana,3\nluis@x.es\neva@x.es,Eva,1\n"},
        0,
        [
            "2 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            "data/c.csv line 3: the line has fewer cells than the header",
        ],
    ),
    "long line": (
        {"data/c.csv": HEADER + "ana@x.es,Ana,3\nluis@x.es,Luis,1,7,8\n"},
        0,
        [
            "1 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            "data/c.csv line 3: the line has more cells than the header",
        ],
    ),
    "open quote": (
        {"data/c.csv": HEADER + 'ana@x.es,"Ana,3\nluis@x.es,Luis,1\n'},
        0,
        [
            "0 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            "data/c.csv line 2: the line has a quote that is not closed, or text after a closing quote",
        ],
    ),
    "quote inside": (
        {"data/c.csv": HEADER + 'ana@x.es,"Ana"x,3\nluis@x.es,Luis,1\n'},
        0,
        [
            "1 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            "data/c.csv line 2: the line has a quote that is not closed, or text after a closing quote",
        ],
    ),
    "nul": (
        {"data/c.csv": HEADER.encode() + b"ana@x.es,A\x00na,3\n"},
        0,
        ["1 to create, 0 to update, 0 to delete, 0 unchanged, 0 rejected"],
    ),
    "latin1": (
        {"data/c.csv": HEADER.encode() + b"ana@x.es,Jos\xe9,3\nluis@x.es,Luis,1\n"},
        0,
        [
            "1 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            "data/c.csv line 2: the line is not valid UTF-8",
        ],
    ),
    "latin1 declared": (
        {
            "data/c.csv": HEADER.encode() + b"ana@x.es,Jos\xe9,3\n",
            "specs/crm.yml": spec("{csv: data/c.csv, encoding: latin-1}"),
        },
        0,
        ["1 to create, 0 to update, 0 to delete, 0 unchanged, 0 rejected"],
    ),
    "bad encoding": (
        {"specs/crm.yml": spec("{csv: data/c.csv, encoding: latin-99}")},
        1,
        [
            "specs/crm.yml:3:1: error: crm: there is no encoding called 'latin-99'",
            "-> common ones: utf-8, latin-1, cp1252, utf-16",
        ],
    ),
    "wrong delimiter": (
        {"specs/crm.yml": spec('{csv: data/c.csv, delimiter: ";"}')},
        1,
        [
            "specs/crm.yml:6:3: error: the source has no column 'email'",
            "_email: email",
            "-> known: email,first_name,points",
            "specs/crm.yml:7:3: error: the source has no column 'first_name'",
            "_name: first_name",
            "-> did you mean `email,first_name,points`?",
        ],
    ),
    "dup header": (
        {"data/c.csv": "email,first_name,Email\na@x.es,A,3\n"},
        1,
        [
            "data/c.csv:1:1: error: crm: data/c.csv: the header has the column 'Email' twice",
            "-> rename one of them in the file, or give names with `columns:` in the source",
        ],
    ),
    "bom": (
        {"data/c.csv": b"\xef\xbb\xbfemail,first_name,points\nana@x.es,Ana,3\n"},
        0,
        ["1 to create, 0 to update, 0 to delete, 0 unchanged, 0 rejected"],
    ),
    "crlf": (
        {"data/c.csv": "email,first_name,points\r\nana@x.es,Ana,3\r\n"},
        0,
        ["1 to create, 0 to update, 0 to delete, 0 unchanged, 0 rejected"],
    ),
    "not gz": (
        {"data/c.csv.gz": "hello", "specs/crm.yml": spec("{csv: data/c.csv.gz}")},
        1,
        [
            "data/c.csv.gz:1:1: error: crm: cannot read data/c.csv.gz: IO Error: Input is not a GZIP stream: data/c.csv.gz",
            "-> check that the file is of the kind the spec says, and that it is complete",
        ],
    ),
    "folder": (
        {"specs/crm.yml": spec("{csv: data}")},
        1,
        [
            "specs/crm.yml:3:1: error: crm: the source data is a folder",
            "-> name its files: data/*.csv",
        ],
    ),
    "no match": (
        {"specs/crm.yml": spec('{csv: "data/*.tsv"}')},
        1,
        ["specs/crm.yml:3:1: error: crm: no file matches the source data/*.tsv"],
    ),
    "not parquet": (
        {"data/c.parquet": "hello", "specs/crm.yml": spec("{parquet: data/c.parquet}")},
        1,
        [
            "data/c.parquet:1:1: error: crm: cannot read data/c.parquet: Invalid Input Error: File 'data/c.parquet' too small to be a Parquet file",
            "-> check that the file is of the kind the spec says, and that it is complete",
        ],
    ),
    "broken jsonl": (
        {
            "data/c.jsonl": '{"email":"a@x.es","first_name":"A"}\n{"email":\n{"email":"b@x.es","first_name":"B"}\n',
            "specs/crm.yml": spec("{jsonl: data/c.jsonl}"),
        },
        0,
        [
            "2 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            "data/c.jsonl line 2: the line is not valid JSON",
        ],
    ),
    "json object": (
        {"data/c.json": '{"email":"a@x.es"', "specs/crm.yml": spec("{json: data/c.json}")},
        1,
        [
            "data/c.json:1:1: error: crm: cannot read data/c.json: Invalid Input Error: Expected top-level JSON array with format='array', but first character is '{' in file \"data/c.json\".",
            "-> check that the file is of the kind the spec says, and that it is complete",
        ],
    ),
    "bad email": (
        {"data/c.csv": HEADER + "ana.x.es,Ana,3\nluis@x.es,Luis,1\n"},
        0,
        [
            "1 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            'data/c.csv row 1: _email is not an e-mail address: "a***"',
        ],
    ),
    "no key": (
        {"data/c.csv": HEADER + ",Ana,3\nluis@x.es,Luis,1\n"},
        0,
        [
            "1 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            'data/c.csv row 1: _email is missing, and it is the key: ""',
        ],
    ),
    "bad integer": (
        {
            "data/c.csv": HEADER + "ana@x.es,Ana,muchos\n",
            "specs/crm.yml": spec(
                "{csv: data/c.csv}", "  _points: {from: points, type: integer}\n"
            ),
        },
        0,
        [
            "0 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            'data/c.csv row 1: _points is not an integer: "muchos"',
        ],
    ),
    "overflow": (
        {
            "data/c.csv": HEADER + "ana@x.es,Ana,99999999999999999999\n",
            "specs/crm.yml": spec(
                "{csv: data/c.csv}", "  _points: {from: points, type: integer}\n"
            ),
        },
        0,
        [
            "0 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            'data/c.csv row 1: _points is not an integer: "99999999999999999999"',
        ],
    ),
    "bad date": (
        {
            "data/c.csv": HEADER + "ana@x.es,Ana,31/02/2024\n",
            "specs/crm.yml": spec(
                "{csv: data/c.csv}",
                '  _birthdate: {from: points, type: date, format: "%d/%m/%Y"}\n',
            ),
        },
        0,
        [
            "0 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            'data/c.csv row 1: _birthdate is not a date: "3***"',
        ],
    ),
    "bad phone": (
        {
            "data/c.csv": HEADER + "ana@x.es,Ana,600 11\n",
            "specs/crm.yml": spec("{csv: data/c.csv}", "  _mobilePhone: points\n"),
        },
        0,
        [
            "0 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            'data/c.csv row 1: _mobilePhone is not a phone number in international form, such as +34600111222: "6***"',
        ],
    ),
    "enum": (
        {
            "data/c.csv": HEADER + "ana@x.es,Ana,maybe\n",
            "specs/crm.yml": spec("{csv: data/c.csv}", "  _newsletterSubscriptionStatus: points\n"),
        },
        0,
        [
            "0 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            'data/c.csv row 1: _newsletterSubscriptionStatus must be one of: subscribed, unsubscribed, none: "maybe"',
        ],
    ),
    "doubled": (
        {"data/c.csv": HEADER + "ana@x.es,Ana,3\nANA@x.es ,Ana,4\n"},
        0,
        [
            "1 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            'data/c.csv row 2: _email is not an e-mail address: "A***@x.es "',
        ],
    ),
    "template error": (
        {
            "data/c.csv": HEADER + "ana@x.es,Ana,many\n",
            "specs/crm.yml": spec("{csv: data/c.csv}", '  _points: "{{ 10 // (points | int) }}"\n'),
        },
        0,
        [
            "0 to create, 0 to update, 0 to delete, 0 unchanged, 1 rejected",
            'data/c.csv row 1: _points template: division by zero: "many"',
        ],
    ),
    "column gone": (
        {"data/c.csv": "mail,first_name\na@x.es,A\n"},
        1,
        [
            "specs/crm.yml:6:3: error: the source has no column 'email'",
            "_email: email",
            "-> did you mean `mail`?",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_broken_data_is_named_and_good_rows_go_on(name, project, compasso):
    files, code, expected = CASES[name]
    folder = project({SPEC if k == "specs/crm.yml" else k: v for k, v in files.items()})
    ran = compasso("plan", "--project", folder)
    assert ran.code == code
    said = (ran.err if code else ran.out).replace(f"{folder}/", "").replace(str(folder), "DIR")
    lines = [line.strip() for line in said.split("\n")]
    for line in expected:
        assert line in lines


SPEC = "specs/crm.yml"


def test_too_many_rejects_stop_the_plan_with_the_first_ones_and_the_way_on(project, compasso):
    rows = "".join(f"user{i},A,1\n" for i in range(12)) + "ana@x.es,A,1\n"
    folder = project({"data/c.csv": HEADER + rows})
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "12 of 13 rows are rejected, more than rejects.max 5% (the default) allows" in ran.err
    assert "data/c.csv row 1: _email is not an e-mail address ('u***')" in ran.err
    assert "... and 2 more" in ran.err


def test_a_line_of_seventeen_megabytes_is_a_reject(project, compasso):
    text = HEADER + "ana@x.es," + "A" * 17_000_000 + ",3\nluis@x.es,Luis,1\n"
    ran = compasso("plan", "--project", project({"data/c.csv": text}))
    assert ran.code == 0
    assert "data/c.csv line 2: the line is longer than 16 MB" in ran.out
    assert "1 to create" in ran.out


def test_all_rejects_go_to_a_file_on_request(project, compasso, tmp_path):
    text = HEADER + "".join(f"user{i},A,1\n" for i in range(3)) + "ana@x.es,A\n"
    out = tmp_path / "rejects.csv"
    ran = compasso("plan", "--project", project({"data/c.csv": text}), "--rejects", out)
    assert ran.code == 0
    lines = out.read_text().splitlines()
    assert lines[0] == "sync,file,row,field,rule,value"
    assert len(lines) == 5
    assert "crm,data/c.csv,1,_email,is not an e-mail address,user0" in lines


def test_doubled_keys_are_an_error_with_their_rows_unless_the_spec_says_who_wins(project, compasso):
    text = HEADER + "ana@x.es,Ana,1\nluis@x.es,Luis,1\nana@x.es,Anna,2\n"
    folder = project({"data/c.csv": text})
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "rows share the key _email: a***@x.es in rows 1, 3" in ran.err
    for rule, name in (("first", "Ana"), ("last", "Anna")):
        folder = project(
            {"data/c.csv": text, SPEC: spec("{csv: data/c.csv}", f"duplicates: {rule}\n")}
        )
        ran = compasso("plan", "--project", folder, "--reveal")
        assert f'_name: "{name}"' in ran.out
        assert "1 row gave way to another row of the same key" in ran.out
