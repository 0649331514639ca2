"""The cache on a Redis Cluster: a student's schedules are on one node, and work on a season covers
all nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memora._engine import Engine, EngineFault, InvalidInput, ServiceUnavailable
from memora.services.engine import engine as present_engine
from tests import frappe_standin as frappe
from tests.support.cluster import Cluster, ClusterNode, tag
from tests.support.servers import wait_until
from tests.support.site_under_test import BELIEVING, SEASON, Record, Site, ids, session

# Enough that each node has some.
PLAYERS = [f"student{number}@school.example" for number in range(24)]
QUESTIONS = [Record(f"q{number}") for number in range(4)]


@pytest.fixture(scope="module")
def started_cluster() -> Iterator[Cluster]:
    """Three masters for the tests of this file."""
    memory = Path("/dev/shm")
    with Cluster(3, parent=memory if memory.is_dir() else None) as cluster:
        yield cluster


@pytest.fixture
def cluster(started_cluster: Cluster) -> Cluster:
    """The masters, all running and empty."""
    started_cluster.empty()
    return started_cluster


@pytest.fixture
def school(site: Site, cluster: Cluster) -> Site:
    """A site whose students have four due questions each."""
    site.add_users(*PLAYERS)
    for player in PLAYERS:
        site.add(player, QUESTIONS)
    return site


@pytest.fixture
def engine(school: Site, cluster: Cluster) -> Engine:
    """A process of the site, with the cluster for its cache."""
    return school.engine(**cluster.settings)


def sources(engine: Engine) -> dict[str, str]:
    """Where each student's due questions come from."""
    return {player: engine.due(player)["source"] for player in PLAYERS}


def warm(engine: Engine) -> set[str]:
    """The students whose cached schedules are valid."""
    return {player for player in PLAYERS if engine.cache_stats(player, SEASON)["complete"]}


def players_on(node: ClusterNode) -> set[str]:
    """The students whose schedules a node has."""
    keys = node.ask("KEYS", "*|srs:*")
    return {key.partition("|srs:")[2].rpartition(":")[0] for key in keys}


def test_reads_answers_and_drains_find_each_student_on_their_node(
    engine: Engine, cluster: Cluster, school: Site
) -> None:
    assert warm(engine) == set()
    assert set(sources(engine).values()) == {"cache"}
    assert warm(engine) == {*PLAYERS}
    on_each = [players_on(node) for node in cluster.nodes]
    assert all(on_each)
    assert sorted(player for players in on_each for player in players) == sorted(PLAYERS)
    for player in PLAYERS:
        assert engine.submit(player, session_data=session("q1"))["remaining_items"] == 3
    another = school.engine(**cluster.settings)
    for player in PLAYERS:
        answer = another.due(player)
        assert (answer["source"], sorted(ids(answer))) == ("cache", ["q0", "q2", "q3"])
    assert engine.drain()["answers"] == len(PLAYERS)
    assert all(school.rows(player)["q1"]["answered_at_us"] for player in PLAYERS)
    assert set(sources(another).values()) == {"cache"}


@pytest.mark.engines(**BELIEVING)
def test_a_warm_read_is_one_round_trip_and_no_sql(
    engine: Engine, cluster: Cluster, school: Site
) -> None:
    sources(engine)
    sources(engine)

    def scripts() -> int:
        return sum(
            int(node.ask("INFO", "commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])
            for node in cluster.nodes
        )

    before = scripts()
    with school.counting() as costs:
        sources(engine)
    assert scripts() - before == len(PLAYERS)
    assert (costs[0].statements, costs[0].journal_round_trips) == (0, 0)


def test_forecasts_are_of_the_students_of_all_nodes(engine: Engine) -> None:
    assert engine.season_forecast(SEASON)["sampled_students"] == 0
    for _ in range(2):
        assert [engine.forecast(player)["total"] for player in PLAYERS] == [4] * len(PLAYERS)
    forecast = engine.season_forecast(SEASON)
    assert (forecast["sampled_students"], forecast["cached_students"]) == (24, 24)
    assert (forecast["students"], forecast["total"]) == (24, 96)


def test_jobs_reach_all_nodes(engine: Engine, cluster: Cluster, school: Site) -> None:
    rebuilt = engine.rebuild(SEASON)
    assert (rebuilt["students"], rebuilt["done"]) == (len(PLAYERS), 4 * len(PLAYERS))
    assert all(players_on(node) for node in cluster.nodes)
    assert set(sources(engine).values()) == {"cache"}
    # One record differs from the cache.
    school.sql(
        "UPDATE `tabPlayer Memory Tracker` SET next_review_date = '2001-01-01' WHERE player = %s "
        "AND question_id = 'q2'",
        [PLAYERS[5]],
    )
    for sample in (None, 10**6):
        found = engine.reconcile(SEASON, sample)
        assert (found["students"], found["records"]) == (len(PLAYERS), 4 * len(PLAYERS))
        assert found["corrected"] == (1 if sample is None else 0)
    assert 10 <= engine.reconcile(SEASON, 1)["students"] < len(PLAYERS)
    status = engine.cache_status([SEASON])
    assert (status["reachable"], status["is_safe_mode"], status["warning"]) == (True, False, None)
    assert status["seasons"][SEASON]["students"] == len(PLAYERS)
    assert status["seasons"][SEASON]["memory_bytes"] > 0
    assert status["memory_limit_bytes"] == 3 * 2**30
    assert engine.latency()["all"]["warm read"]["count"] == len(PLAYERS)
    assert engine.cache_clear(PLAYERS[0], SEASON)
    assert engine.cache_stats(PLAYERS[1], SEASON)["complete"]


def test_seasons_end_and_sites_go_on_all_nodes(
    engine: Engine, cluster: Cluster, school: Site
) -> None:
    cluster.owner(12_182).ask("SET", "foo", "kept")
    old = "SEASON-2025"
    school.insert(
        "Game Subscription Season", name=old, season_name=old, start_date="2025-01-01",
        end_date="2025-12-31", is_active=0, enable_redis=1, partition_created=1,
    )  # fmt: skip
    engine.create_partition(old)
    for player in PLAYERS:
        school.add(player, QUESTIONS, old)
        engine.rehydrate(player, old)
    sources(engine)
    assert '"foo"' in str(engine.cache_status([])["warning"])
    assert len([key for key in cluster.all_keys() if key.endswith(f":{old}")]) > 2 * len(PLAYERS)
    engine.archive(old)
    assert [key for key in cluster.all_keys() if key.endswith(f":{old}")] == []
    assert set(sources(engine).values()) == {"cache"}
    engine.forget(PLAYERS[0])
    assert engine.due(PLAYERS[0])["questions"] == []
    engine.uninstall()
    assert cluster.all_keys() == {"foo"}


def test_a_new_generation_and_another_season_reach_all_shards(
    engine: Engine, cluster: Cluster, school: Site
) -> None:
    another = school.engine(**cluster.settings)
    sources(another)
    assert warm(another) == {*PLAYERS}
    engine.season_changed(cache_is_void=True)
    sources(another)
    school.sql("UPDATE `tabPlayer Memory Tracker` SET question_id = CONCAT(question_id, '!')")
    engine.season_changed(cache_is_void=True)
    assert sorted(ids(another.due(PLAYERS[0]))) == ["q0!", "q1!", "q2!", "q3!"]
    assert warm(engine) == {PLAYERS[0]}
    school.sql("UPDATE `tabGame Subscription Season` SET enable_redis = 0")
    engine.season_changed()
    assert set(sources(another).values()) == {"database"}


def test_a_node_that_is_away_costs_its_own_students_only(
    engine: Engine, cluster: Cluster, school: Site
) -> None:
    school.sql("UPDATE `memora_belief` SET is_believed = 1")
    sources(engine)
    sources(engine)
    gone = cluster.nodes[1]
    theirs = players_on(gone)
    gone.kill()
    found = sources(engine)
    assert {player for player, source in found.items() if source == "safe_mode"} == theirs
    assert {player for player, source in found.items() if source == "cache"} == {*PLAYERS} - theirs
    status = engine.cache_status([SEASON])
    assert (status["reachable"], status["is_safe_mode"]) == (False, True)
    assert gone.address in str(status["cause"])
    with pytest.raises(ServiceUnavailable, match=gone.address):
        engine.rebuild(SEASON)
    # Answers that it cannot be shown are marked, and its shards are not believed; the others' are.
    for player in PLAYERS:
        engine.submit(player, session_data=session("q0"))
    assert {row["player"] for row in school.sql("SELECT player FROM memora_unshown")} == theirs
    assert engine.drain()["answers"] == len(PLAYERS)
    gone.start()
    assert wait_until(cluster.is_whole)
    # It is another run, which must be registered first.
    assert wait_until(lambda: set(sources(engine).values()) == {"cache"})
    for player in PLAYERS:
        assert sorted(ids(engine.due(player))) == ["q1", "q2", "q3"]
    assert school.sql("SELECT player FROM memora_unshown") == []


def test_a_shard_that_does_not_count_leaves_the_others_what_they_need(
    engine: Engine, cluster: Cluster, school: Site
) -> None:
    """As in each failover. A process died between the journal and the cache, and its answer is
    drained: the schedules that lack it are dropped, if possible."""
    sources(engine)
    answered, other = PLAYERS[:2]
    shards = [tag(school.name, player).strip("{}").split("/")[1] for player in (answered, other)]
    assert shards[0] != shards[1]
    (node,) = (node for node in cluster.nodes if answered in players_on(node))
    keys = node.ask("KEYS", f"*|srs*:{answered}:{SEASON}")
    for key in keys:
        node.ask("COPY", key, f"{key}-before")
    engine.submit(answered, session_data=session("q0"))
    for key in keys:
        node.ask("RENAME", f"{key}-before", key)
    name = f"cache:{shards[1].split('.')[0]}"
    school.sql("UPDATE memora_registration SET run_id = 'another' WHERE name = %s", (name,))
    assert engine.drain()["answers"] == 1
    assert answered not in players_on(node)


def test_a_restored_database_is_noticed_while_a_node_is_away(
    engine: Engine, cluster: Cluster, school: Site
) -> None:
    for _ in range(2):
        engine.check_cache()
    sources(engine)
    gone = cluster.nodes[0]
    others = {*PLAYERS} - players_on(gone)
    gone.kill()
    school.sql("UPDATE memora_check SET checks = 0")
    # Once, and not with each check.
    for left in (set[str](), others):
        with pytest.raises(ServiceUnavailable):
            engine.check_cache()
        assert {one for one in others if engine.cache_stats(one, SEASON)["complete"]} == left
        for player in others:
            engine.due(player)
    gone.start()
    assert wait_until(cluster.is_whole)
    assert engine.check_cache()


def test_a_slot_that_moved_is_followed(engine: Engine, cluster: Cluster, school: Site) -> None:
    sources(engine)
    slots = {
        node.address: [node.ask("CLUSTER", "KEYSLOT", key) for key in node.ask("KEYS", "*|srs:*")]
        for node in cluster.nodes
    }
    source, target = cluster.nodes[0], cluster.nodes[2]
    for slot in set(slots[source.address]):
        cluster.move(slot, target)
    try:
        # Another server has them now, which must be registered first: they are loaded again.
        assert wait_until(lambda: bool(sources(engine)) and warm(engine) == {*PLAYERS})
        for player in PLAYERS:
            assert engine.submit(player, session_data=session("q0"))["remaining_items"] == 3
            assert sorted(ids(engine.due(player))) == ["q1", "q2", "q3"]
        assert players_on(source) == set()
        assert engine.reconcile(SEASON)["percent_differing"] == 0
    finally:
        for slot in set(slots[source.address]):
            cluster.move(slot, source)


def test_a_slot_that_moves_is_read_from_the_database(
    engine: Engine, cluster: Cluster, school: Site
) -> None:
    sources(engine)
    source, target = cluster.nodes[0], cluster.nodes[2]
    key = source.ask("KEYS", "*|srs:*")[0]
    player = key.partition("|srs:")[2].rpartition(":")[0]
    slot = source.ask("CLUSTER", "KEYSLOT", key)
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
    keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100)
    generation = next(key for key in keys if key.endswith("|srs-season"))
    source.ask("MIGRATE", target.host, target.port, generation, 0, 5_000)
    try:
        assert engine.due(player)["source"] == "safe_mode"
        engine.submit(player, session_data=session("q0"))
        assert {engine.due(other)["source"] for other in players_on(target)} == {"cache"}
    finally:
        for node in (source, target):
            node.ask("CLUSTER", "SETSLOT", slot, "STABLE")
        cluster.move(slot, target)
        cluster.move(slot, source)
    assert sorted(ids(engine.due(player))) == ["q1", "q2", "q3"]


@pytest.mark.parametrize("as_text", [True, False])
def test_a_sites_configuration_names_the_nodes(
    school: Site, cluster: Cluster, app: Callable[..., None], as_text: bool
) -> None:
    nodes = cluster.addresses
    frappe.local.conf["srs_cache_cluster_nodes"] = ", ".join(nodes) if as_text else nodes
    present_engine().due(PLAYERS[0])
    assert {player for node in cluster.nodes for player in players_on(node)} == {PLAYERS[0]}
    frappe.local.conf["srs_cache_cluster_nodes"] = {"host": "127.0.0.1"}
    with pytest.raises(EngineFault, match="srs_cache_cluster_nodes"):
        present_engine()


def test_marks_of_older_versions_are_of_the_first_shard(school: Site) -> None:
    school.sql("ALTER TABLE memora_unshown DROP COLUMN shard, DROP COLUMN newest")
    school.sql("INSERT INTO memora_unshown (player, season) VALUES (%s, %s)", [PLAYERS[0], SEASON])
    school.sql("DELETE FROM memora_belief WHERE id > 1")
    engine = school.engine()
    engine.prepare_storage()
    engine.due(PLAYERS[0])
    assert set(sources(engine).values()) == {"cache"}
    assert school.sql("SELECT player FROM memora_unshown") == []


def test_a_server_in_cluster_mode_is_named_as_such(school: Site, cluster: Cluster) -> None:
    url = f"redis://{cluster.addresses[0]}"
    for plain in (url, f"{url}/13"):
        status = school.engine(cache_url=plain).cache_status([])
        assert not status["reachable"]
        assert "srs_cache_cluster_nodes" in str(status["cause"])
    warning = school.engine(journal_url=url).journal_status()["warning"]
    assert "cluster mode" in str(warning)


@pytest.mark.parametrize(
    "changes",
    [
        {"cache_url": "redis://127.0.0.1"},
        {"cache_cluster_nodes": ["127.0.0.1:1", "redis://127.0.0.1:1/3"]},
        {"cache_cluster_nodes": ["unix:///tmp/redis.sock"]},
        {"cache_cluster_nodes": ["http://127.0.0.1"]},
        {"site": "a}b"},
    ],
)
def test_settings_that_lead_to_no_cluster_are_refused(
    site: Site, changes: dict[str, object]
) -> None:
    settings = {"cache_url": None, "cache_cluster_nodes": ["127.0.0.1:1"], **changes}
    with pytest.raises(InvalidInput):
        site.settings(**settings)


def test_the_first_node_that_answers_leads_to_all(school: Site, cluster: Cluster) -> None:
    nodes = ["127.0.0.1:1", *cluster.addresses[:1]]
    engine = school.engine(cache_url=None, cache_cluster_nodes=nodes)
    assert set(sources(engine).values()) == {"cache"}
    assert warm(engine) == {*PLAYERS}
