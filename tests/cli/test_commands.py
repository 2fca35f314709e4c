"""The contract of the command line: exit codes, streams, JSON shapes, and every command once."""

import json
import subprocess
import sys

import pytest

from compasso.cli import group
from compasso.sandbox import RunningSandbox

SUMMARY = {"create", "update", "delete", "unchanged", "rejected", "requests", "estimated_seconds"}
SYNC = {
    "name", "target", "create", "update", "delete", "unchanged", "rejected", "requests",
    "imports", "calls",
}  # fmt: skip
PREVIEWED = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
when: email
fields: {_email: "{{ email | lower }}", _name: "{{ first_name | center(9) }}", vip: {value: true}}
"""
SCHEDULED = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
fields: {_email: email, _name: first_name}
schedule: {cron: "0 6 * * *", timezone: Europe/Madrid, deadline: 20m}
"""


@pytest.fixture
def sandbox(monkeypatch):
    with RunningSandbox() as running:
        monkeypatch.setenv("CONNECTIF_BASE_URL", running.url)
        monkeypatch.setenv("CONNECTIF_API_KEY", "id:secret")
        yield running


def commands():
    context = group.make_context("compasso", ["validate"])
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (name,)
        for sub in getattr(command, "commands", {}):
            yield (name, sub)


@pytest.mark.parametrize("names", list(commands()), ids=" ".join)
def test_every_command_explains_itself(names, compasso):
    ran = compasso(*names, "--help")
    assert ran.code == 0
    assert ran.out.startswith("Usage: ")
    assert ran.err == ""


def test_help_lists_all_commands_and_where_to_begin(compasso):
    ran = compasso("--help")
    assert ran.code == 0
    for name in ("init", "validate", "preview", "test", "plan", "apply", "show", "state"):
        assert f"  {name} " in ran.out
    assert "compasso demo" in ran.out


def test_help_does_not_load_what_it_does_not_need():
    code = (
        "import sys; sys.argv=['compasso','--help']\n"
        "from compasso.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'duckdb','pydantic','httpx','rich','starlette','jinja2','jsonschema'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "[]"


def test_a_wrong_command_and_a_wrong_option_name_the_right_ones(compasso):
    ran = compasso("aply")
    assert ran.code == 1
    assert "did you mean `apply`?" in ran.err
    ran = compasso("plan", "--fromat", "json")
    assert ran.code == 1
    assert "--format" in ran.err


def test_outside_a_project_the_way_in_is_shown(tmp_path, compasso):
    ran = compasso("plan", "--project", tmp_path)
    assert ran.code == 1
    assert "there is no compasso.yml" in ran.err
    assert "compasso init" in ran.err


def test_plan_and_show_print_the_document_of_the_contract(project, compasso):
    folder = project()
    out = folder / "week.plan"
    ran = compasso("plan", "--project", folder, "--out", out, "--format", "json")
    assert ran.code == 0
    document = json.loads(ran.out)
    assert document["format_version"] == "1.0"
    assert set(document["summary"]) >= SUMMARY
    [sync] = document["syncs"]
    assert set(sync) >= SYNC
    assert (sync["name"], sync["create"], sync["calls"]) == ("crm", 1, 1)
    assert compasso("show", out, "--format", "json").out == ran.out


def test_detailed_exitcode_tells_changes(project, compasso):
    folder = project()
    assert compasso("plan", "--project", folder).code == 0
    assert compasso("plan", "--project", folder, "--detailed-exitcode").code == 2


def test_personal_data_is_masked_unless_asked_for(project, compasso):
    folder = project()
    for form in ("text", "json", "markdown"):
        ran = compasso("plan", "--project", folder, "--format", form)
        assert "ana@x.es" not in ran.out + ran.err
        assert "Ana" not in ran.out + ran.err
        ran = compasso("plan", "--project", folder, "--format", form, "--reveal")
        assert "Ana" in ran.out


def test_nothing_is_coloured_away_from_a_terminal(project, compasso):
    ran = compasso("plan", "--project", project())
    assert "\x1b" not in ran.out + ran.err


def test_apply_prints_the_document_of_the_contract(sandbox, project, compasso):
    folder = project()
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert ran.code == 0
    summary = json.loads(ran.out)["summary"]
    assert set(summary) == {"applied", "failed", "skipped", "requests", "seconds"}
    assert (summary["applied"], summary["requests"]) == (1, 1)


def test_a_guard_stops_the_plan_with_its_numbers_and_is_overridden_once(sandbox, project, compasso):
    text = SCHEDULED.replace("schedule:", "missing: delete\nguards: {max_delete: 5%}\nschedule:")
    lines = "".join(f"user{i}@x.es,Ana\n" for i in range(20))
    folder = project({"specs/crm.yml": text, "data/c.csv": "email,first_name\n" + lines})
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    (folder / "data" / "c.csv").write_text("email,first_name\n" + lines[: lines.index("user10")])
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "would delete or retire 10 of 20 records (50.0%), more than max_delete 5%" in ran.err
    assert "--override-guards crm" in ran.err
    ran = compasso("plan", "--project", folder, "--override-guards", "crm")
    assert ran.code == 0
    assert "10 to delete" in ran.out
    assert "overridden once" in ran.out


def test_state_lists_shows_and_forgets_records(sandbox, project, compasso):
    folder = project()
    assert "The state is empty" in compasso("state", "list", "--project", folder).out
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    ran = compasso("state", "list", "--project", folder)
    assert ran.out.startswith("crm: 1 records, 0 failed, last completed 20")
    ran = compasso("state", "show", "ana@x.es", "--project", folder)
    assert '  _name: "Ana"' in ran.out
    assert compasso("state", "rm", "ana@x.es", "--project", folder).out == "Forgot 1 record.\n"
    ran = compasso("state", "rm", "ana@x.es", "--project", folder)
    assert ran.code == 1
    assert "1 to create" in compasso("plan", "--project", folder).out


def test_init_makes_a_project_that_validates_tests_and_plans(tmp_path, compasso):
    folder = tmp_path / "my-shop"
    assert compasso("init", folder).code == 0
    assert compasso("validate", "--project", folder).code == 0
    assert compasso("test", "--project", folder).out == "1 passed, 0 failed\n"
    assert "2 to create" in compasso("plan", "--project", folder).out
    ran = compasso("init", folder)
    assert ran.code == 1
    assert "Traceback" not in ran.err


def test_an_example_gives_a_row_as_its_source_does(project, compasso):
    spec = """kind: sync
name: crm
source: {csv: data/c.csv}
target: contacts
fields: {_email: email, _name: "{{ first_name.zfill(3) }}"}
tests: [{row: {email: a@x.es, first_name: 7}, expect: {_name: "007"}}]
"""
    ran = compasso("test", "--project", project({"specs/crm.yml": spec}))
    assert ran.out == "1 passed, 0 failed\n", ran.err


def test_preview_shows_the_first_records_and_each_fields_road(project, compasso):
    folder = project({"specs/crm.yml": PREVIEWED})
    ran = compasso("preview", "crm", "--project", folder, "--sql")
    assert ran.code == 0
    assert "_email: SQL, and Jinja for rows with letters outside Latin" in ran.out
    assert "lower(" in ran.out
    assert (
        "_name: Jinja, once for each distinct value of first_name: `center` is Jinja's" in ran.out
    )
    assert "vip: a constant" in ran.out
    assert "when: SQL" in ran.out
    ran = compasso("preview", "crm", "--project", folder, "--format", "json")
    fields = json.loads(ran.out)["fields"]
    assert fields["_email"]["road"] == "mixed"
    assert fields["_email"]["columns"] == ["email"]
    assert "sql" not in fields["_email"]


def test_schedules_are_listed_and_what_is_due_is_planned(sandbox, project, compasso):
    folder = project({"specs/crm.yml": SCHEDULED})
    ran = compasso("schedule", "list", "--project", folder)
    assert ran.out == "crm: 0 6 * * * (Europe/Madrid)\n"
    ran = compasso("schedule", "next", "--project", folder, "--count", 2)
    assert all(line.split()[1] == "06:00" for line in ran.out.splitlines())
    assert compasso("schedule", "due", "--project", folder).out == "crm\n"
    ran = compasso("apply", "--due", "--project", folder, "--auto-approve")
    assert ran.code == 0
    assert compasso("schedule", "due", "--project", folder).out == ""
    ran = compasso("plan", "--due", "--project", folder, "--detailed-exitcode")
    assert ran.code == 0


def test_history_tells_what_was_done(sandbox, project, compasso):
    folder = project()
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    ran = compasso("history", "--project", folder)
    assert ran.code == 0
    assert "done" in ran.out
    assert "done: 1 applied, 0 failed, 1 requests" in ran.out


def test_schema_prints_the_languages_of_both_files(compasso):
    assert json.loads(compasso("schema").out)["title"] == "A spec of Compasso"


def test_a_missing_key_is_named_before_anything_is_sent(project, compasso, monkeypatch):
    monkeypatch.delenv("CONNECTIF_API_KEY", raising=False)
    ran = compasso("apply", "--project", project(), "--auto-approve")
    assert ran.code == 1
    assert "CONNECTIF_API_KEY" in ran.err


def test_a_port_in_use_is_an_error_in_words(sandbox, compasso):
    ran = compasso("sandbox", "--port", sandbox.url.rsplit(":", 1)[1])
    assert ran.code == 1
    assert "cannot listen at 127.0.0.1" in ran.err


@pytest.mark.slow
def test_the_demo_ends_with_an_account_equal_to_the_specs(compasso):
    ran = compasso("demo")
    assert ran.code == 0, ran.err
    assert "The account equals the specs." in ran.out
    assert "unitPrice: 24.9 -> 19.9" in ran.out
