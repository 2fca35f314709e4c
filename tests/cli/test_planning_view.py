"""Planning says what it is at, even while one step takes long."""

import threading
import time

from compasso.cli.running import PlanningView
from compasso.planning import PlanOptions, make_plan
from compasso.spec import load_project
from compasso.state import open_state


def test_a_long_step_is_named_while_it_is_under_way(capfd):
    view = PlanningView(quiet=0.01, period=0.01)
    view("reading crm")
    err = ""
    for _ in range(1000):
        err += capfd.readouterr().err
        if err.count("reading crm (0 s)") > 1:
            break
        time.sleep(0.01)
    assert err.count("reading crm (0 s)") > 1
    view("")
    capfd.readouterr()
    view("")
    assert capfd.readouterr().err == ""


def test_a_short_plan_says_nothing_and_leaves_nothing_running(project, capfd):
    folder = project()
    before = threading.active_count()
    view = PlanningView(quiet=3600)
    options = PlanOptions(progress=view)
    make_plan(load_project(folder), open_state(folder, None), options=options).close()
    assert threading.active_count() == before
    assert capfd.readouterr().err == ""
