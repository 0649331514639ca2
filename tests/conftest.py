"""Real servers for the whole run, a clean site for each test."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import hypothesis
import hypothesis.core
import pytest

from memora._engine import Engine
from tests import frappe_standin
from tests.support.servers import MariaDB, Redis
from tests.support.site_under_test import (
    IMPATIENT_WITH_REDIS,
    PATIENT,
    PLAYER,
    SEASON,
    SUBJECTS,
    TOPICS,
    Record,
    Servers,
    Site,
)
from tests.support.wire import Wires

# Before test modules import memora's, which import frappe.
for place in frappe_standin.PLACES:
    sys.modules[place] = frappe_standin

hypothesis.settings.register_profile(
    "memora",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
    print_blob=True,
)
hypothesis.settings.load_profile("memora")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis begins with the run's seed, too."""
    if hypothesis.core.global_force_seed is None:
        hypothesis.core.global_force_seed = config.getoption("randomly_seed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The soak first: it is mostly idle, and other processes do not wait for it at the end."""
    items.sort(key=lambda item: item.path.stem != "test_soak")


OTHER_DATABASE = "memora_other"
# A folder in memory, if there is one.
MEMORY = Path("/dev/shm")
# The ways a Redis fails: if it hangs, engines do not wait long.
ENDS = ["kill", pytest.param("pause", marks=pytest.mark.engines(**IMPATIENT_WITH_REDIS))]


@contextmanager
def started_servers(
    survives_power_cut: bool = False, extra: Sequence[str] = (), has_tls: bool = False
) -> Iterator[Servers]:
    """Redis for cache and journal, and MariaDB with the tables of two sites.

    Tests cut no power, so by default no test waits for a shared disk.

    Args:
        survives_power_cut: acknowledged answers do, in the journal and in MariaDB.
        extra: of `MariaDB`.
        has_tls: both Redis servers accept TLS.
    """
    mariadb = MariaDB(survives_power_cut=survives_power_cut, extra=extra)
    parent = MEMORY if MEMORY.is_dir() and not survives_power_cut else None
    redis_journal = Redis("journal", "always", parent, must_be_installed=has_tls)
    redis_cache = Redis("cache", parent=parent, must_be_installed=has_tls)
    with redis_cache as cache, redis_journal as journal, mariadb as database:
        servers = Servers(cache, journal, database)
        with database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{OTHER_DATABASE}`")
        for name in (database.database, OTHER_DATABASE):
            with database.connect(database=name) as connection:
                frappe_standin.create_tables(connection)
            Site(servers, name).engine().prepare_storage()
        yield servers


@pytest.fixture(scope="session")
def private_servers() -> Iterator[Servers]:
    """The servers of the whole run."""
    with started_servers() as servers:
        yield servers


@contextmanager
def emptied(servers: Servers) -> Iterator[None]:
    """Servers, all running and empty of what other tests left."""
    servers.heal()
    for redis_server in (servers.cache, servers.journal):
        with redis_server.client() as client:
            client.flushall()
            client.script_flush()
    yield
    servers.heal()


@pytest.fixture
def servers(private_servers: Servers) -> Iterator[Servers]:
    """The servers, all running and empty of what other tests left."""
    with emptied(private_servers):
        yield private_servers


@pytest.fixture
def limits(request: pytest.FixtureRequest) -> dict[str, int]:
    """The settings of the site's engines: with `@pytest.mark.engines(**IMPATIENT)` they wait
    little."""
    own: dict[str, int] = {}
    for mark in request.node.iter_markers("engines"):
        own = mark.kwargs | own
    return PATIENT | own


@pytest.fixture
def site(servers: Servers, limits: dict[str, int]) -> Site:
    """A clean site with an active season, subjects and topics."""
    return clean_site(Site(servers, servers.database.database, limits=limits))


@pytest.fixture
def other_site(servers: Servers, limits: dict[str, int]) -> Site:
    """A second site on the same servers."""
    return clean_site(Site(servers, OTHER_DATABASE, limits=limits))


@pytest.fixture
def wires(site: Site) -> Iterator[Wires]:
    """A wire to each server, for one process."""
    with Wires(site.servers) as wires:
        yield wires


@pytest.fixture
def engine(site: Site) -> Engine:
    """The site's engine."""
    return site.engine()


@pytest.fixture
def other(site: Site, engine: Engine) -> Engine:
    """Another process of the site, which has just read the student's two due questions."""
    site.add(PLAYER, [Record("q"), Record("r")])
    another = site.engine()
    assert [process.due(PLAYER)["total_due"] for process in (engine, another)] == [2, 2]
    return another


@pytest.fixture
def app(site: Site) -> Iterator[Callable[..., None]]:
    """memora's app on the site, PLAYER logged in. Call it to make another site or user the present
    one."""
    from memora.site_engine import LIMITS, _engines, _time_zones

    def use(present: Site = site, user: str = PLAYER) -> None:
        plain = present.plain_settings()
        limits = {key: plain[argument] for key, argument in LIMITS.items() if argument in plain}
        if hasattr(frappe_standin.local, "db"):
            frappe_standin.destroy()
        frappe_standin.make_present(
            {
                "db_name": present.name,
                "db_user": plain["database_user"],
                "db_password": plain["database_password"],
                "db_host": plain["database_host"],
                "db_port": plain["database_port"],
                "redis_cache": present.servers.cache.server_url,
                "redis_queue": plain["journal_url"],
                **limits,
            },
            user=user,
            time_zone=present.time_zone,
        )

    _engines.clear()
    _time_zones.clear()
    frappe_standin.recorded.__init__()  # type: ignore[misc]
    use()
    yield use
    # An open transaction would keep tests from dropping tables.
    frappe_standin.destroy()


def clean_site(site: Site) -> Site:
    """Empty the site's tables and insert what every test needs."""
    with (
        site.servers.database.connect(database=site.name) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
        for table, _ in cursor.fetchall():
            cursor.execute(f"DELETE FROM `{table}`")
    site.insert(
        "Game Subscription Season", name=SEASON, season_name=SEASON, start_date="2026-01-01",
        end_date="2026-12-31", is_active=1, enable_redis=1, partition_created=1,
    )  # fmt: skip
    site.engine().prepare_storage()
    site.add_users(PLAYER)
    # A user is at the Desk, and the scheduler runs.
    site.insert("Activity Log", name="login")
    minutely = "memora.services.srs_persistence.drain_safety_net"
    site.insert("Scheduled Job Type", name="net", method=minutely, last_execution=datetime.now())
    for subject in SUBJECTS:
        site.insert("Game Subject", name=subject)
    for topic in TOPICS:
        site.insert("Game Topic", name=topic)
    return site
