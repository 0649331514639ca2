"""A short soak: random faults under load for about two minutes. `make soak` is the long one."""

from __future__ import annotations

import os
import random

from tests.site_under_test import Site
from tests.soak import soak

FAULTS = 30


def test_random_faults_under_load_lose_double_and_undo_nothing(site: Site) -> None:
    seed = int(os.environ.get("SOAK_SEED", random.randrange(10**6)))
    print(f"SOAK_SEED={seed}")
    assert soak(site, FAULTS, seed, print) == []
