"""On how many examples a law is tried: few in the quick run, over three times as many in a thorough one."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

QUICK, THOROUGH = 30, 100

# How long an example takes depends on what else the machine does.
for name, count in (("seke", QUICK), ("thorough", THOROUGH)):
    settings.register_profile(
        name, max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
settings.load_profile("seke")


def examples(quick: int) -> int:
    """Return the number of examples, of which the quick run takes so many."""
    return quick * settings().max_examples // QUICK
