"""An event that may be sent only once, and a process that dies."""

import pytest
from virtually import Fuse, Killed, World

INTEGRATION = "5cf8c05f5b4cb901091f7d01"
TYPES = f"""kind: custom-event-types
integration: {INTEGRATION}
events:
  - alias: visited
    name: Visited
    fields:
      - {{id: email, name: E-mail, type: email, primary_key: true}}
      - {{id: page, name: Page, type: text, required: true}}
"""
VISITS = """kind: sync
name: visits
source: {csv: data/v.csv}
target: custom-events/visited
key: page
delivery: at_most_once
fields: {email: email, page: page}
"""
SEEDED = {
    "integrations": [{"id": INTEGRATION, "name": "Shop"}],
    "contacts": [{"_email": "ana@x.es"}],
}


def test_an_event_that_was_refused_and_waits_for_its_turn_is_not_lost_by_a_kill(project):
    """What the account refuses (429) it has not carried out: it is sent by the next apply."""
    files = {"compasso.yml": "project: s\n", "specs/types.yml": TYPES, "specs/visits.yml": VISITS}
    files |= {"data/v.csv": "email,page\nana@x.es,home\n", "specs/crm.yml": None}
    world = World(project(files), SEEDED)
    fuse = Fuse()
    go_on = world.clock.sleep

    async def die_in_the_queue(seconds):
        if world.sandbox.seen[-1]["status"] == 429:
            fuse.dead = True
            raise Killed
        await go_on(seconds)

    world.clock.sleep = die_in_the_queue
    world.fault(kind="rate_limit_storm", path="/custom-events/")
    with pytest.raises(Killed):
        world.apply(fuse)
    world.clock.sleep = go_on
    assert not world.dump("events")
    result, _ = world.apply()
    assert (result.applied, result.uncertain) == (1, 0)
    assert [e["fields"]["page"] for e in world.dump("events")] == ["home"]
