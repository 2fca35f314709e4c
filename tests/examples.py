"""How many examples a property test tries: a few by default, many in CI (COMPASSO_PROPERTIES=many)."""

import os

import pytest
from hypothesis import HealthCheck, settings

MANY = os.environ.get("COMPASSO_PROPERTIES") == "many"


def property_test(few, many, **more):
    """Mark a hypothesis test, above its `@given`: how many examples it tries, by default and in CI."""

    def decorate(test):
        chosen = settings(
            max_examples=many if MANY else few,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **more,
        )
        return pytest.mark.property(chosen(test))

    return decorate
