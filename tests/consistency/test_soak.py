"""A short soak: random faults under load for about two minutes. `make soak` is the long one."""

from __future__ import annotations

import os
import random

from tests.conftest import clean_site, started_servers
from tests.soak.run import SNAPSHOT_ISOLATION, soak
from tests.support.site_under_test import Site

FAULTS = 30


def test_random_faults_under_load_lose_double_and_undo_nothing() -> None:
    seed = int(os.environ.get("SOAK_SEED", random.randrange(10**6)))
    print(f"SOAK_SEED={seed}")
    # One seed in two has MariaDB as it is from 11.6.2 on.
    with started_servers(extra=[SNAPSHOT_ISOLATION] if seed % 2 else []) as servers:
        site = clean_site(Site(servers, servers.database.database))
        # And every second pair of seeds is of a season that is scheduled by FSRS.
        assert soak(site, FAULTS, seed, print, by_fsrs=seed % 4 > 1) == []
