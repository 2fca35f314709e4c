"""Coupon stocks: a set is filled when it runs low, with codes that were never uploaded before."""

import json
import re
import shutil

import httpx
import pytest
from virtually import Fuse, Killed, World

from compasso.model import CompassoError
from compasso.sandbox import RunningSandbox
from compasso.sandbox.coupons import assign
from compasso.sandbox.settings import Behaviour, SandboxSettings

SET = "5cf8c05f5b4cb901091f7d98"
OTHER = "5cf8c05f5b4cb901091f7d99"
STOCK = """kind: coupon-stock
name: summer
set: {name: Summer}
min_available: 5
target: 10
source: {csv: data/codes.csv}
code: "{{ code | trim }}"
"""
PROJECT = "project: shop\nbudget: {requests_per_minute: 1000}\n"


def codes(count, first=1):
    return "\n".join(["code", *(f" SUMMER-{n} " for n in range(first, first + count))]) + "\n"


def shop_files(stock=STOCK, data=None, **more):
    return {
        "compasso.yml": PROJECT,
        "specs/crm.yml": None,
        "data/c.csv": None,
        "specs/stock.yml": stock,
        "data/codes.csv": codes(20) if data is None else data,
        **more,
    }


def seeded(have=("A", "B"), status="active"):
    return {
        "coupon_sets": [
            {"id": SET, "name": "Summer", "type": "multiple", "codes": list(have)},
            {"id": OTHER, "name": "Winter", "type": "multiple", "codes": ["W"]},
            {"name": "One for all", "type": "single", "code": "ALL"},
        ],
        "workflows": [{"name": "Welcome", "status": status, "couponSetIds": [SET]}],
    }


@pytest.fixture
def serve(monkeypatch):
    """A sandbox over HTTP whose account was filled."""
    running = []

    def start(account, **behaviour):
        settings = SandboxSettings(requests_per_minute=1000, behaviour=Behaviour(**behaviour))
        sandbox = RunningSandbox(settings).__enter__()
        running.append(sandbox)
        monkeypatch.setenv("CONNECTIF_BASE_URL", sandbox.url)
        monkeypatch.setenv("CONNECTIF_API_KEY", "id:topsecret")
        assert httpx.post(f"{sandbox.url}/_sandbox/seed", json=account).is_success
        return sandbox

    yield start
    for sandbox in running:
        sandbox.__exit__(None, None, None)


def in_set(sandbox, identity=SET):
    found = httpx.get(f"{sandbox.url}/_sandbox/dump/coupons").json()
    return [c["code"] for c in found if c["couponSetId"] == identity]


def requests(sandbox):
    found = httpx.get(f"{sandbox.url}/_sandbox/requests").json()
    return [(r["method"], r["path"]) for r in found]


def test_a_set_that_runs_low_is_filled_up_and_the_next_plan_is_empty(serve, project, compasso):
    sandbox = serve(seeded(), coupon_counter_seconds=3600.0)  # counters that never catch up
    folder = project(shop_files())
    ran = compasso("plan", "--project", folder)
    assert "8 to create" in ran.out
    assert "the set Summer has 2 free codes, fewer than 5" in ran.out
    assert "SUMMER-1" not in ran.out, "a code in a plan could be used by whoever reads it"
    assert {path for _, path in requests(sandbox)} == {"/coupon-sets/"}
    ran = compasso("apply", "--project", folder, "--auto-approve", "--format", "json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["summary"]["applied"] == 8
    assert in_set(sandbox) == ["A", "B", *(f"SUMMER-{n}" for n in range(1, 9))]
    # The account still says 2: what was uploaded a moment ago counts all the same.
    ran = compasso("plan", "--project", folder, "--detailed-exitcode")
    assert ran.code == 0, ran.out
    assert "No changes." in ran.out


def test_the_file_has_the_one_column_code_and_names_the_set(serve, project, compasso):
    sandbox = serve(seeded())
    assert compasso("apply", "--project", project(shop_files()), "--auto-approve").code == 0
    [made] = httpx.get(f"{sandbox.url}/imports/", headers={"Authorization": "apiKey a:b"}).json()[
        "results"
    ]
    assert (made["type"], made["options"]["couponSetId"]) == ("coupons", SET)
    assert (made["total"], made["errors"]) == (8, 0)


def test_a_code_is_never_uploaded_twice(tmp_path, project):
    folder = project(shop_files(data=codes(40)))
    world = World(folder, seeded())
    given = []
    for _ in range(4):
        result, _ = world.apply()
        given.append(result.applied)
        assert not result.failed, "the account refuses a code that it has"
        world.clock.jump(60)
        free = [c for c in world.dump("coupons") if c["couponSetId"] == SET and not c["assigned"]]
        assign(world.sandbox.account, SET, len(free) - 1, world.clock.now())
        world.clock.jump(60)
    assert given == [8, 9, 9, 9]
    uploaded = [c["code"] for c in world.dump("coupons") if c["code"].startswith("SUMMER")]
    assert len(uploaded) == len(set(uploaded)) == 35


def test_a_source_that_runs_dry_is_named_with_its_numbers(serve, project, compasso):
    serve(seeded())
    folder = project(shop_files(data=codes(3)))
    ran = compasso("plan", "--project", folder)
    assert "the set Summer needs 8 codes and the source has only 3" in ran.out
    assert "5 are missing" in ran.out
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    ran = compasso("validate", "--project", folder)
    assert ran.code == 0
    assert "specs/stock.yml:6:1: warning: summer: the source runs dry: 0 codes are left" in ran.err
    assert "at least 6" in ran.err


def test_without_a_key_the_plan_says_what_it_did_not_look_at_and_goes_on(project, compasso):
    contacts = "kind: sync\nname: crm\nsource: {csv: data/c.csv}\ntarget: contacts\n"
    contacts += "fields: {_email: email}\n"
    folder = project(shop_files(**{"specs/crm.yml": contacts, "data/c.csv": "email\nana@x.es\n"}))
    ran = compasso("plan", "--project", folder)
    assert ran.code == 0
    assert "the set Summer was not looked at" in ran.out
    assert "the environment variable CONNECTIF_API_KEY is not set" in ran.out
    assert "1 to create" in ran.out
    assert compasso("apply", "--project", folder, "--auto-approve").code == 1


def test_without_a_network_the_plan_says_so_and_goes_on(project, compasso, monkeypatch):
    monkeypatch.setenv("CONNECTIF_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("CONNECTIF_API_KEY", "id:topsecret")
    ran = compasso("plan", "--project", project(shop_files()))
    assert ran.code == 0
    assert "cannot reach Connectif at http://127.0.0.1:9" in ran.out
    assert "No changes are known" in ran.out
    assert "Not looked at: summer" in ran.out
    assert "topsecret" not in ran.out + ran.err


@pytest.mark.parametrize(("status", "planned"), [("draft", 0), ("active", 8)])
def test_only_if_used_asks_for_an_active_workflow(status, planned, serve, project, compasso):
    serve(seeded(status=status))
    folder = project(shop_files(STOCK + "only_if_used: true\n"))
    ran = compasso("plan", "--project", folder)
    assert f"{planned} to create" in ran.out
    assert ("no active workflow uses the set Summer" in ran.out) == (planned == 0)


@pytest.mark.parametrize(("others", "uploaded"), [(4, 0), (2, 6)])
def test_right_before_the_upload_the_set_is_looked_at_again(
    others, uploaded, serve, project, compasso, tmp_path
):
    sandbox = serve(seeded(), coupon_counter_seconds=0.0)
    folder = project(shop_files())
    plan = tmp_path / "week.plan"
    assert compasso("plan", "--project", folder, "--out", plan).code == 0
    file = "code\n" + "".join(f"HAND-{n}\n" for n in range(others))
    parts = {"type": "coupons", "delimiter": ",", "overrideExisting": "false"}
    parts |= {"updateOnlyEmptyFields": "false", "couponSetId": SET}
    key = {"Authorization": "apiKey a:b"}
    made = httpx.post(
        f"{sandbox.url}/imports/",
        data=parts,
        files={"file": ("c.csv", file, "text/csv")},
        headers=key,
    ).json()
    while (
        httpx.get(f"{sandbox.url}/imports/{made['id']}", headers=key).json()["status"] != "finished"
    ):
        pass
    ran = compasso("apply", plan, "--project", folder)
    assert ran.code == 0, ran.err
    assert f"{uploaded} applied" in ran.out
    assert f"{8 - uploaded} codes of the plan were not uploaded" in ran.out
    assert len(in_set(sandbox)) == 2 + others + uploaded
    again = compasso("plan", "--project", folder)
    assert "No changes." in again.out


def test_the_upload_whose_answer_was_lost_is_found_and_not_repeated(serve, project, compasso):
    sandbox = serve(seeded())
    rule = {"kind": "timeout_after", "method": "POST", "path": "/imports/", "seconds": 0.1}
    httpx.post(f"{sandbox.url}/_sandbox/faults", json=rule)
    ran = compasso("apply", "--project", project(shop_files()), "--auto-approve")
    assert ran.code == 0, ran.err
    assert requests(sandbox).count(("POST", "/imports/")) == 1
    assert len(in_set(sandbox)) == 10


def test_a_refused_code_is_named_and_does_not_stand_in_the_way_of_others(serve, project, compasso):
    sandbox = serve(seeded(have=("SUMMER-1", "B")))
    folder = project(shop_files())
    ran = compasso("apply", "--project", folder, "--auto-approve")
    assert ran.code == 1
    assert "Value is in the coupon set already" in ran.out
    assert "SUMMER-1 " not in ran.out
    assert len(in_set(sandbox)) == 9
    httpx.post(f"{sandbox.url}/_sandbox/assign-coupons", json={"couponSetId": SET, "count": 9})
    stock = STOCK.replace("min_available: 5", "min_available: 10")
    project(shop_files(stock.replace("target: 10", "target: 12")))
    ran = compasso("apply", "--project", folder, "--auto-approve")
    assert ran.code == 0, f"the refused code was tried before new ones: {ran.out}"


def test_two_stocks_may_not_have_the_same_code(serve, project, compasso):
    serve(seeded())
    second = STOCK.replace("summer", "winter").replace("Summer", "Winter")
    files = shop_files(**{"specs/second.yml": second.replace("codes.csv", "more.csv")})
    folder = project({**files, "data/more.csv": codes(5, first=18)})
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "the code S*** in row" in ran.err
    assert "and so do 2 more" in ran.err
    # What was uploaded for one may not come back in the source of the other.
    project({**files, "data/more.csv": codes(5, first=100)})
    assert compasso("apply", "--project", folder, "--auto-approve").code == 0
    project({**files, "data/codes.csv": codes(5, 50), "data/more.csv": codes(5)})
    ran = compasso("plan", "--project", folder, "--spec", "winter")
    assert ran.code == 1
    assert "belongs to summer already" in ran.err


def test_two_specs_may_not_fill_one_set(project, compasso):
    folder = project(
        shop_files(**{"specs/second.yml": STOCK.replace("name: summer", "name: other")})
    )
    ran = compasso("validate", "--project", folder)
    assert ran.code == 1
    assert "this coupon set is taken by specs/second.yml:3" in ran.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{name: Sumer}", "the account has no coupon set 'Sumer'"),
        ("{name: One for all}", "is of the type single: it has one code"),
        (
            "{id: 5cf8c05f5b4cb901091f7d00}",
            "the account has no coupon set '5cf8c05f5b4cb901091f7d00'",
        ),
    ],
)
def test_a_set_that_cannot_be_filled_is_named_at_its_line(given, said, serve, project, compasso):
    serve(seeded())
    folder = project(shop_files(STOCK.replace("{name: Summer}", given)))
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert said in ran.err
    assert "specs/stock.yml:3:1" in ran.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("target: 10", "target: 4", "target: 4 is less than min_available: 5"),
        ("{name: Summer}", "{}", "the set needs either `id` or `name`"),
        ("min_available: 5", "min_available: 0", "`min_available` must be at least 1"),
        ("{csv: data/codes.csv}", "{csv: ../codes.csv}", "must lie inside the project"),
        ("code: ", "cod: ", "unknown key `cod`"),
        ("{{ code | trim }}", "{{ kode | trim }}", "kode"),
    ],
)
def test_mistakes_in_a_stock_are_named(old, new, said, project, compasso):
    ran = compasso("validate", "--project", project(shop_files(STOCK.replace(old, new))))
    assert ran.code == 1
    assert said in ran.err
    assert re.search(r"specs/stock.yml:\d+:\d+: error", ran.err)


def test_coupons_are_no_target_of_a_sync(project, compasso):
    sync = "kind: sync\nname: crm\nsource: {csv: data/codes.csv}\ntarget: coupons\n"
    folder = project(shop_files(**{"specs/crm.yml": sync + "fields: {code: code}\n"}))
    ran = compasso("validate", "--project", folder)
    assert "write `kind: coupon-stock`" in ran.err


def test_a_guard_stops_a_plan_that_would_upload_too_much(serve, project, compasso):
    serve(seeded())
    folder = project(shop_files(STOCK + "guards: {max_create: 7}\n"))
    ran = compasso("plan", "--project", folder)
    assert ran.code == 1
    assert "the plan would upload 8 codes, more than max_create 7 allows" in ran.err
    ran = compasso("plan", "--project", folder, "--override-guards", "summer")
    assert "8 to create" in ran.out


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_step_the_set_gets_its_codes_once(every, after, project):
    step = 0
    finished = False
    while not finished:
        step += every
        folder = project(shop_files())
        world = World(folder, seeded(), coupon_counter_seconds=0.0)
        try:
            world.apply(Fuse(step, after))
            finished = True
        except Killed:
            pass
        for _ in range(3):
            result, planned = world.apply()
            assert not result.failed
        assert planned == 0
        assert world.sent("POST", "/imports/") == 1, f"killed at step {step}"
        found = [c["code"] for c in world.dump("coupons") if c["couponSetId"] == SET]
        assert sorted(found) == sorted(["A", "B", *(f"SUMMER-{n}" for n in range(1, 9))])
        shutil.rmtree(folder / ".compasso")
    assert step > 4


@pytest.mark.parametrize("seconds", [-25, 25, -86400, 86400])
def test_an_upload_whose_answer_was_lost_is_found_by_clocks_that_differ(seconds, project):
    """Uploaded again, its codes would be refused: they are in the set."""
    world = World(project(shop_files()), seeded())
    world.fault(kind="clock_jump", seconds=seconds, method="GET")
    world.fault(kind="truncate", method="POST")
    result, _ = world.apply()
    assert (result.applied, result.failed) == (8, 0)
    assert world.sent("POST", "/imports/") == 1


@pytest.mark.parametrize("seconds", [-86400, 86400])
def test_a_clock_that_is_set_neither_hides_a_need_nor_fills_the_set_twice(seconds, project):
    """Which codes the counters may not know yet is told by the account's clock."""
    folder = project(shop_files(data=codes(40)))
    world = World(folder, seeded(), coupon_counter_seconds=10.0)
    assert world.apply()[0].applied == 8
    world.sandbox.skew -= seconds  # the machine's clock and the account's are the same one here
    world.clock.jump(seconds)
    assert world.apply()[1] == 0  # the counter still says 2
    world.clock.jump(60)
    assign(world.sandbox.account, SET, 9, world.sandbox.now())
    world.clock.jump(60)
    assert world.apply()[0].applied == 9


def test_codes_whose_import_never_ended_go_first_so_that_the_set_is_not_filled_twice(project):
    world = World(project(shop_files()), seeded(), coupon_counter_seconds=0.0)
    world.fault(kind="import_stuck")
    result, _ = world.apply()
    assert (result.applied, result.failed) == (0, 8)

    def free(request, response):  # two hours later it goes on after all, with another beside it
        if (request.method, request.url.path) == ("POST", "/imports/"):
            for found in world.sandbox.account.list("imports"):
                found.pop("_stuck", None)
        return response

    world.change = free
    for _ in range(2):
        world.apply()
    found = [c["code"] for c in world.dump("coupons") if c["couponSetId"] == SET]
    assert sorted(found) == sorted(["A", "B", *(f"SUMMER-{n}" for n in range(1, 9))])


def test_a_queue_of_imports_that_stays_full_is_told_with_the_next_step(project):
    folder = project(shop_files())
    world = World(folder, seeded())
    world.fault(kind="import_stuck")
    header = {"type": "contacts", "overrideExisting": "true", "updateOnlyEmptyFields": "false"}
    for _ in range(11):  # the first one is worked on for ever, ten wait behind it
        world.sandbox.imports.stuck = 1
        world.sandbox.imports.create({**header, "delimiter": ","}, b"_email\nother@x.es\n")
    with pytest.raises(CompassoError) as told:
        world.apply()
    [found] = told.value.diagnostics
    assert "E0401" in found.message
    assert "compasso imports list" in str(found.hint)
