"""What happened to a record, which run did what, and the ways to hear of it. Over real HTTP."""

import http.server
import json
import logging
import subprocess
import sys
import threading
from xml.etree import ElementTree

import duckdb
import httpx
import pytest

PROJECT = "project: shop\nbudget: {requests_per_minute: 1000}\n"
SPEC = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
route: ROUTE
missing: delete
guards: {max_delete: 100%}
rejects: {max: 50%}
fields:
  _email: email
  _name: first_name
"""


def rows(*pairs):
    return "\n".join(["email,first_name", *(f"{email},{name}" for email, name in pairs)]) + "\n"


ANA, EVA = ("ana@x.es", "Ana"), ("eva@x.es", "Eva")


@pytest.fixture
def shop(project):
    def make(*pairs, route="calls", settings=""):
        files = {"compasso.yml": PROJECT + settings, "specs/crm.yml": SPEC.replace("ROUTE", route)}
        return project({**files, "data/c.csv": rows(*pairs)})

    return make


def fault(sandbox, **rule):
    assert httpx.post(f"{sandbox.url}/_sandbox/faults", json=rule).is_success


def apply(compasso, folder, *more):
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json", *more)
    return ran, json.loads(ran.out)


def history(compasso, folder, *words):
    ran = compasso("history", *words, "--project", folder, "--format", "json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


@pytest.mark.parametrize("route", ["calls", "import"])
def test_what_happened_to_a_contact_is_told_with_time_run_route_and_fields(
    route, sandbox, shop, compasso
):
    folder = shop(ANA, EVA, route=route)
    _, first = apply(compasso, folder)
    shop(("ana@x.es", "Anna"), EVA, route=route)
    _, second = apply(compasso, folder)
    shop(EVA, route=route)
    _, third = apply(compasso, folder)
    told = history(compasso, folder, "of", "ana@x.es")
    assert [(e["operation"], e["run_id"]) for e in told] == [
        ("delete", third["run_id"]), ("update", second["run_id"]), ("create", first["run_id"]),
    ]  # fmt: skip
    assert {e["outcome"] for e in told} == {"applied"}
    assert told[1]["fields"] == ["_name"]
    assert told[2]["route"] == ("call" if route == "calls" else "import")
    assert bool(told[2]["import_id"]) == (route == "import")
    ran = compasso("history", "of", "ana@x.es", "--project", folder)
    assert "create ana@x.es" in ran.out
    assert "Anna" not in ran.out  # which fields, never their values
    assert compasso("history", "of", "who@x.es", "--project", folder).code == 1


def test_a_refused_record_has_its_reason_in_result_state_and_history(sandbox, shop, compasso):
    folder = shop(ANA, EVA)
    fault(sandbox, kind="status", status=409, method="PATCH", path="/contacts/email/eva")
    ran, result = apply(compasso, folder)
    assert ran.code == 1
    assert result["failures"][0]["reason"].startswith("409")
    [event] = history(compasso, folder, "of", "eva@x.es")
    assert (event["outcome"], event["status"]) == ("failed", 409)
    shown = history(compasso, folder, "show", result["run_id"])
    assert {(c["outcome"], c["records"]) for c in shown["outcomes"]} == {
        ("applied", 1), ("failed", 1),
    }  # fmt: skip
    assert shown["failures"][0]["key"] == "e***@x.es"
    listed = compasso("state", "failures", "--project", folder, "--format", "json")
    assert json.loads(listed.out)[0]["tries"] == 1
    [run] = history(compasso, folder)
    assert run["outcome"] == "failed records"
    # The next plan tries it again, and the state forgets the failure.
    assert apply(compasso, folder)[0].code == 0
    assert [e["outcome"] for e in history(compasso, folder, "of", "eva@x.es")] == [
        "applied", "failed",
    ]  # fmt: skip
    assert "No record has failed" in compasso("state", "failures", "--project", folder).out


def test_a_record_refused_too_often_is_left_out_until_someone_asks(sandbox, shop, compasso):
    folder = shop(ANA, EVA, settings="failures: {quarantine_after: 2}\n")
    fault(sandbox, kind="status", status=409, method="PATCH", path="/contacts/email/eva", times=99)
    assert apply(compasso, folder)[0].code == 1
    assert apply(compasso, folder)[0].code == 1
    ran, result = apply(compasso, folder)
    assert ran.code == 0
    assert result["summary"]["requests"] == 0
    ran = compasso("plan", "--project", folder)
    assert "1 record was refused by Connectif 2 times or more" in ran.out
    assert "0 to create" in ran.out or "No changes" in ran.out
    assert compasso("state", "retry", "--project", folder).code == 1
    ran = compasso("state", "retry", "eva@x.es", "--project", folder)
    assert ran.code == 0
    fault(sandbox, clear=True)
    ran, result = apply(compasso, folder)
    assert (ran.code, result["summary"]["applied"]) == (0, 1)


def test_runs_of_many_steps_become_one_file_that_anyone_can_query(sandbox, shop, compasso):
    folder = shop(*((f"user{i}@x.es", "A") for i in range(450)))
    _, result = apply(compasso, folder)
    [file] = (folder / ".compasso").rglob("runs/*")
    assert file.name == f"{result['run_id']}.parquet"
    with duckdb.connect() as connection:
        query = f"SELECT count(*), count(DISTINCT key) FROM '{file}'"
        assert connection.execute(query).fetchone() == (450, 450)


def test_reports_for_machines(sandbox, shop, compasso, tmp_path):
    folder = shop(ANA, EVA)
    fault(sandbox, kind="status", status=409, method="PATCH", path="/contacts/email/eva")
    report = tmp_path / "result.xml"
    assert apply(compasso, folder, "--report", report)[0].code == 1
    [suite] = ElementTree.fromstring(report.read_text())  # noqa: S314 - our own file
    assert (suite.get("name"), suite.get("failures")) == ("crm", "1")
    assert suite.find("testcase/failure").get("message").startswith("409")
    assert "eva@" not in report.read_text()
    report = tmp_path / "result.json"
    _, result = apply(compasso, folder, "--report", report)
    assert json.loads(report.read_text()) == result
    ran = compasso("apply", "--project", folder, "--auto-approve", "--report", tmp_path / "r.txt")
    assert ran.code == 1
    assert "name it .json" in ran.err


class Hook:
    """A web server that remembers what it is told."""

    def __init__(self, status=200):
        told = self.told = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


HOOK = 'notifications: {webhook: "${env:HOOK}", on: [failure, rejects]}\n'


def test_a_webhook_hears_of_failures_and_rejects_but_of_nobody(
    sandbox, shop, compasso, monkeypatch
):
    hook = Hook()
    monkeypatch.setenv("HOOK", hook.url)
    folder = shop(ANA, ("no-address", "Bob"), EVA, settings=HOOK)
    fault(sandbox, kind="status", status=409, method="PATCH", path="/contacts/email/eva")
    assert apply(compasso, folder)[0].code == 1
    [news] = hook.told
    assert news["events"] == ["failure", "rejects"]
    assert news["summary"]["failed"] == 1
    text = json.dumps(news)
    for personal in ("ana@", "eva@", "Ana", "no-address", "Bob", "topsecret", "secret-hook"):
        assert personal not in text
    # Nothing to tell: nothing is told.
    shop(ANA, EVA, settings=HOOK)
    assert apply(compasso, folder)[0].code == 0
    assert len(hook.told) == 1


def test_a_webhook_that_fails_never_fails_the_apply(sandbox, shop, compasso, monkeypatch):
    for address in (Hook(500).url, "http://127.0.0.1:9/secret-hook", "nonsense"):
        monkeypatch.setenv("HOOK", address)
        folder = shop(ANA, ("no-address", "Bob"), settings=HOOK)
        ran, _ = apply(compasso, folder)
        assert ran.code == 0
        assert "secret-hook" not in ran.out + ran.err
        assert "warning: the webhook" in ran.err


def test_a_webhook_in_clear_is_refused(shop, compasso):
    folder = shop(ANA, settings="notifications: {webhook: 'https://hooks.example/abc'}\n")
    ran = compasso("validate", "--project", folder)
    assert ran.code == 1
    assert "`webhook` must be a reference to a secret" in ran.err + ran.out


@pytest.fixture
def clean_logger():
    yield
    logging.getLogger("compasso").handlers.clear()


def test_logs_are_lines_of_json_without_secrets_or_people(sandbox, shop, compasso, clean_logger):
    folder = shop(ANA, EVA)
    fault(sandbox, kind="status", status=503, method="PATCH")
    ran, result = apply(compasso, folder, "--log-format", "json", "--log-level", "debug")
    assert ran.code == 0
    lines = [json.loads(line) for line in ran.err.splitlines() if line.startswith('{"time"')]
    requests = [line for line in lines if line["event"] == "request"]
    assert {r["request"] for r in requests} == {"PATCH /contacts"}
    assert sorted(r["status"] for r in requests) == [200, 200, 503]
    ended = lines[-1]
    assert (ended["event"], ended["run"]) == ("apply ended", result["run_id"])
    text = "\n".join(json.dumps(line) for line in lines)
    for hidden in ("topsecret", "ana@", "eva%40", "eva@", "Ana"):
        assert hidden not in text


def test_nobody_who_asked_for_no_log_gets_one(sandbox, shop):
    fault(sandbox, kind="status", status=503, method="PATCH")
    words = ["apply", "--auto-approve", "--project", str(shop(ANA, EVA))]
    ran = subprocess.run(
        [sys.executable, "-m", "compasso.cli", *words], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "request" not in ran.stderr.splitlines()


def test_spans_and_metrics_go_through_the_api_of_opentelemetry(sandbox, shop, compasso):
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracer = TracerProvider()
    tracer.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(tracer)
    metrics.set_meter_provider(MeterProvider([reader]))
    folder = shop(ANA, EVA, ("no-address", "Bob"))
    assert apply(compasso, folder)[0].code == 0
    assert [s.name for s in spans.get_finished_spans()] == ["PATCH /contacts"] * 2
    scope = reader.get_metrics_data().resource_metrics[0].scope_metrics[0]
    points = {m.name: m.data.data_points for m in scope.metrics}
    assert sum(p.value for p in points["compasso.requests"]) == 2
    outcomes = {p.attributes["outcome"]: p.value for p in points["compasso.records"]}
    assert outcomes == {"applied": 2, "failed": 0, "left": 0, "rejected": 1}
    assert {"compasso.budget.used", "compasso.backlog"} <= set(points)
    text = json.dumps([json.loads(s.to_json()) for s in spans.get_finished_spans()])
    text += reader.get_metrics_data().to_json() if reader.get_metrics_data() else ""
    for hidden in ("topsecret", "ana@", "eva@", "Ana"):
        assert hidden not in text


def test_no_secret_rests_in_anything_that_an_apply_leaves(sandbox, shop, compasso):
    folder = shop(ANA, EVA)
    ran, _ = apply(compasso, folder, "--report", folder / "report.json")
    assert "topsecret" not in ran.out + ran.err
    for file in folder.rglob("*"):
        if file.is_file():
            assert b"topsecret" not in file.read_bytes(), file


def test_a_webhook_hears_of_an_apply_that_came_to_no_plan(sandbox, shop, compasso, monkeypatch):
    hook = Hook()
    monkeypatch.setenv("HOOK", hook.url)
    folder = shop(ANA, settings=HOOK)
    (folder / "data/c.csv").unlink()
    ran = compasso("apply", "--project", folder, "--auto-approve")
    assert ran.code == 1
    [news] = hook.told
    assert news["events"] == ["failure"]
    assert "failed: 0 applied" in news["text"]
