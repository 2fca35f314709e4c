"""The endpoints' declarations: whole, and each reachable."""

from collections import Counter

import httpx
import pytest

from compasso.sandbox import RunningSandbox
from compasso.sandbox.endpoints import areas, endpoints

KEY = {"Authorization": "apiKey id:secret"}


def test_no_method_of_a_path_is_declared_twice():
    counted = Counter((e.method, e.public_path) for e in endpoints())
    assert counted.most_common(1)[0][1] == 1


@pytest.mark.parametrize("endpoint", endpoints(), ids=lambda e: f"{e.method} {e.public_path}")
def test_every_endpoint_says_what_it_does_and_how_we_know(endpoint):
    assert endpoint.summary
    assert endpoint.source
    assert endpoint.responses
    assert set(endpoint.path_schemas) <= set(endpoint.path_parameters)


def test_every_area_has_a_place_of_its_own_in_the_documentation():
    assert len({area.rank for area in areas()}) == len(areas())


def test_an_address_that_is_not_there_is_404_and_another_method_is_405():
    with RunningSandbox() as sandbox, httpx.Client(base_url=sandbox.url, headers=KEY) as api:
        assert api.get("/carts/").status_code == 404
        answer = api.put("/products/product-id/1", json={})
        assert answer.status_code == 405
        assert "PATCH" in answer.json()["detail"]
        assert [r["status"] for r in api.get("/_sandbox/requests").json()] == [404, 405]
