"""Sources become relations; what cannot be read is named with its line, never lost."""

import gzip
from dataclasses import dataclass, field

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compasso.model import CompassoError
from compasso.sources import UnreadableRow, csv, open_source, source_kinds
from examples import property_test


@dataclass
class Spec:
    kind: str
    location: str
    options: dict = field(default_factory=dict)


def read(root, kind, location, **options):
    connection = duckdb.connect()
    source = open_source(connection, Spec(kind, location, options), root)
    names = ", ".join(f'"{c}"' for c in source.columns)
    rows = connection.execute(f"SELECT {names} FROM ({source.relation})").fetchall()
    return source, rows, source.unreadable()


def test_csv_is_text_and_an_empty_cell_is_an_empty_text(tmp_path):
    (tmp_path / "a.csv").write_text('id,name,points\n1,"Núñez, Ana",007\n2,,\n')
    source, rows, unreadable = read(tmp_path, "csv", "a.csv")
    assert dict(source.columns) == {"id": "VARCHAR", "name": "VARCHAR", "points": "VARCHAR"}
    assert rows == [("1", "Núñez, Ana", "007"), ("2", "", "")]
    assert unreadable == []


def test_null_text_says_which_cells_are_none(tmp_path):
    (tmp_path / "a.csv").write_text("id,name\n1,NULL\n2,x\n")
    assert read(tmp_path, "csv", "a.csv", null_text=["NULL"])[1] == [("1", None), ("2", "x")]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a;b\n1;2\n", {}),
        ("a\tb\n1\t2\n", {}),
        ("a|b\n1|2\n", {}),
        ("\ufeffa,b\r\n1,2\r\n", {}),
        ("1,2\n", {"header": False, "columns": ["a", "b"]}),
        ("a^b\n1^2\n", {"delimiter": "^"}),
        ("a,b\n'1',2\n", {"quote": "'"}),
    ],
)
def test_csv_dialects(tmp_path, text, options):
    (tmp_path / "a.csv").write_bytes(text.encode())
    source, rows, _ = read(tmp_path, "csv", "a.csv", **options)
    assert (list(source.columns), rows) == (["a", "b"], [("1", "2")])


def test_other_encodings_and_compression(tmp_path):
    (tmp_path / "l.csv").write_bytes("n\nMuñoz\n".encode("latin-1"))
    (tmp_path / "z.csv.gz").write_bytes(gzip.compress(b"n\nMarta\n"))
    assert read(tmp_path, "csv", "l.csv", encoding="latin-1")[1] == [("Muñoz",)]
    assert read(tmp_path, "csv", "z.csv.gz")[1] == [("Marta",)]


def test_an_unreadable_line_is_named(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'a,b\n1,2\n3\n4,5,6\n"x"y,1\n7,\xff\n8,9\n')
    _, rows, unreadable = read(tmp_path, "csv", "a.csv")
    assert rows == [("1", "2"), ("8", "9")]
    assert unreadable == [
        UnreadableRow("a.csv", 3, "has fewer cells than the header"),
        UnreadableRow("a.csv", 4, "has more cells than the header"),
        UnreadableRow("a.csv", 5, "has a quote that is not closed, or text after a closing quote"),
        UnreadableRow("a.csv", 6, "is not valid UTF-8"),
    ]


def test_a_glob_reads_files_in_order_and_joins_their_columns_by_name(tmp_path):
    (tmp_path / "2.csv").write_text("b;c\n3;4\n")
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    source, rows, _ = read(tmp_path, "csv", "*.csv")
    assert list(source.columns) == ["a", "b", "c"]
    assert rows == [("1", "2", None), (None, "3", "4")]
    assert source.files == ("1.csv", "2.csv")


def test_jsonl_names_broken_lines_and_keeps_texts(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1, "day": "2024-01-01"}\nnope\n{"a": 2}\n')
    source, rows, unreadable = read(tmp_path, "jsonl", "a.jsonl")
    assert source.columns["day"] == "VARCHAR"
    assert [r for r in rows if r[0]] == [(1, "2024-01-01"), (2, None)]
    assert unreadable == [UnreadableRow("a.jsonl", 2, "is not valid JSON")]


def test_json_and_parquet(tmp_path):
    (tmp_path / "a.json").write_text('[{"a": 1, "tags": ["x"]}]')
    duckdb.connect().execute(f"COPY (SELECT 1 AS a) TO '{tmp_path}/a.parquet'")
    assert read(tmp_path, "json", "a.json")[1] == [(1, ["x"])]
    assert read(tmp_path, "parquet", "a.parquet")[1] == [(1,)]


@pytest.mark.parametrize(
    ("kind", "name", "content", "message"),
    [
        ("csv", "a.csv", b"", "the file is empty"),
        ("csv", "a.csv", b"a,A\n1,2\n", "has the column 'A' twice"),
        ("csv", "missing.csv", None, "does not exist"),
        ("csv", "*.csv", None, "no file matches"),
        ("csv", "a.csv.gz", b"not gzip at all", "cannot read a.csv.gz"),
        ("json", "a.json", b"{", "cannot read a.json"),
        ("parquet", "a.parquet", b"PAR?", "cannot read a.parquet"),
        ("csv", "../a.csv", None, "leads out of the project"),
        ("tape", "a.tape", b"", "cannot read 'tape' sources"),
    ],
)
def test_broken_sources_are_named(tmp_path, kind, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CompassoError, match=message):
        read(tmp_path, kind, name)


def test_a_folder_and_a_wrong_encoding_are_named(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(CompassoError, match="is a folder"):
        read(tmp_path, "csv", "data")
    (tmp_path / "a.csv").write_bytes(b"a\n\xff\n")
    with pytest.raises(CompassoError, match="no encoding called 'klingon'"):
        read(tmp_path, "csv", "a.csv", encoding="klingon")


def test_the_fingerprint_changes_with_the_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    before = read(tmp_path, "csv", "a.csv")[0].fingerprint
    assert read(tmp_path, "csv", "a.csv")[0].fingerprint == before
    path.write_text("a\n12\n")
    assert read(tmp_path, "csv", "a.csv")[0].fingerprint != before


def test_the_built_in_kinds():
    assert set(source_kinds()) >= {"csv", "json", "jsonl", "parquet"}


def test_cells_may_hold_line_ends_of_another_kind_than_the_lines(tmp_path):
    text = "".join(f'"two\nlines {i}",{i}\r\n' for i in range(2000))
    (tmp_path / "data.csv").write_bytes(f"note,n\r\n{text}".encode())
    _, rows, unreadable = read(tmp_path, "csv", "data.csv")
    assert (rows[1999], len(rows), unreadable) == (("two\nlines 1999", "1999"), 2000, [])


HEADER_PARTS = [
    "a",
    "b,c",
    "\n",
    "\r\n",
    "\r",
    '"',
    '""',
    " ",
    "\t",
    "é",
    ";",
    "\ufeff",
    "\x01",
    "\0",
]


@property_test(60, 1000)
@given(
    text=st.lists(st.sampled_from([*HEADER_PARTS, "\udcff"]), min_size=1, max_size=12).map("".join)
)
def test_a_header_that_is_read_without_the_engine_is_what_the_engine_reads(text, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "header.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    dialect = csv._dialect(Spec("csv", "header.csv"))
    found = csv._plain_first_line(path, dialect)
    if found:
        with duckdb.connect() as connection:
            assert found == csv._first_line(connection, path, "header.csv", dialect)


def test_a_header_is_of_the_compression_that_the_spec_says(tmp_path):
    (tmp_path / "a.csv").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    (tmp_path / "b.csv.gz").write_bytes(b"a,b\n1,2\n")
    assert read(tmp_path, "csv", "a.csv", compression="gzip")[1] == [("1", "2")]
    assert read(tmp_path, "csv", "b.csv.gz", compression="none")[1] == [("1", "2")]
