"""A file from a web server: what arrives, and where the request may not go."""

import base64
import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

SPEC = """kind: sync
name: crm
source: SOURCE
target: contacts
fields: {_email: email, _name: name}
"""
PROJECT = "project: shop\nconnections: {files: '${env:FILES_URL}'}\n"
ROWS = "email,name\nana@x.es,Ana\nrui@x.pt,Rui\n"
BROKEN = '{"email": "ana@x.es", "name": "Ana"}\n{"email": \n{"email": "rui@x.pt", "name": "Rui"}\n'


class Server(ThreadingHTTPServer):
    """What it was asked, and what it answers."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.pages = {
            "/shop/c.csv": ROWS.encode(),
            "/shop/c.csv.gz": gzip.compress(ROWS.encode()),
            "/shop/c": ROWS.encode(),
            "/shop/c.jsonl": BROKEN.encode(),
        }
        self.elsewhere = {}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("authorization")))
        page = self.server.pages.get(self.path)
        to = self.server.elsewhere.get(self.path)
        self.send_response(302 if to else 200 if page else 404)
        if to:
            self.send_header("location", to)
        self.end_headers()
        self.wfile.write(page or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://shop:verysecret@127.0.0.1:{server.server_port}/shop"
    monkeypatch.setenv("FILES_URL", address)
    yield server
    server.shutdown()
    server.server_close()


def spec(path, more=""):
    return SPEC.replace("SOURCE", f"{{http: {path}, connection: files{more}}}")


@pytest.mark.parametrize(
    ("path", "more"), [("c.csv", ""), ("c.csv.gz", ""), ("c", ", format: csv, delimiter: ','")]
)
def test_a_fetched_file_gives_the_rows_of_a_plan(path, more, server, project, compasso):
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": spec(path, more)})
    ran = compasso("plan", "--project", folder, "--reveal")
    assert ran.code == 0, ran.err
    assert "2 to create" in ran.out
    assert f"{path} -> contacts" in ran.out
    signed = "Basic " + base64.b64encode(b"shop:verysecret").decode()
    assert server.asked == [(f"/shop/{path}", signed)]
    assert "verysecret" not in ran.out + ran.err


def test_a_broken_line_is_named_by_the_path_of_the_spec(server, project, compasso):
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": spec("c.jsonl")})
    ran = compasso("plan", "--project", folder)
    assert ran.code == 0, ran.err
    assert "c.jsonl line 2: the line is not valid JSON" in ran.out


def test_a_redirect_on_the_same_host_is_followed_and_another_host_is_not(server, project, compasso):
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": spec("old.csv")})
    server.elsewhere["/shop/old.csv"] = "/shop/c.csv"
    assert compasso("plan", "--project", folder).code == 0
    server.elsewhere["/shop/old.csv"] = f"http://localhost:{server.server_port}/shop/c.csv"
    asked = len(server.asked)
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "the server sends the request on to another host" in ran.err
    assert [path for path, _ in server.asked[asked:]] == ["/shop/old.csv"]


def test_a_file_that_is_not_there_is_named_without_the_address(server, project, compasso):
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": spec("gone.csv")})
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "files answered 404 for gone.csv" in ran.err
    assert "specs/crm.yml:3" in ran.err
    assert "verysecret" not in ran.out + ran.err


def test_no_network_is_told_in_one_line(project, compasso, monkeypatch):
    monkeypatch.setenv("FILES_URL", "http://127.0.0.1:9/")
    folder = project({"compasso.yml": PROJECT, "specs/crm.yml": spec("c.csv")})
    ran = compasso("plan", "--project", folder)
    assert (ran.code, "c.csv cannot be fetched from files: ConnectError" in ran.err) == (1, True)


def test_a_spec_names_no_address_of_its_own(project, compasso):
    folder = project({"specs/crm.yml": SPEC.replace("SOURCE", "{http: 'http://169.254.169.254/'}")})
    ran = compasso("validate", "--project", folder)
    assert ran.code == 1
    assert "an http source needs the name of a connection" in ran.err
