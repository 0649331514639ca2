"""All input is data: in keys, in SQL, in Lua, in JSON. It is taken unchanged, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import pytest
import redis
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from memora._engine import Engine, InvalidInput, MemoraError, ServiceUnavailable
from tests.support.site_under_test import (
    BELIEVING,
    PLAYER,
    SEASON,
    TRACKER,
    Record,
    Site,
    ids,
    session,
)

numbers = count()
# Text that a name in UTF-8 can have; lone surrogates are no text.
texts = st.text(st.characters(codec="utf-8"), max_size=200)
nasty = st.sampled_from(
    ["", " ", ":", "*", "?", "[a]", "a:b", "a|b", "srs:x", "'", '"', "`", "\\", "%", "_", "--", ";",
     "\x00", "\n", "\r\n", "q'; DROP TABLE `tabUser`; --", "{}", "😀", "\U0001d514", "é", "e\u0301",
     "ß", "ss", "İ", "\u200b", "\ufeff", "a" * 140, "a" * 141, "😀" * 140, "😀" * 141, "NULL", "0",
     "-1", "1e999", "__proto__", "head", "token", "id", "1-1"]
)  # fmt: skip
names = st.one_of(nasty, texts)
HOSTILE_PLAYERS = [
    "a:b", "*", "srs:x", "x:SEASON-2026", "a|b", "?", "[a-z]", "o'brien@school.example", 'quote"',
    "`tick`", "back\\slash", "%", "_", "😀", "طالب@مدرسة.example", "Head", "head", "a b", "{curly}",
    "new\nline", "\\N", "-- ", "x" * 140,
]  # fmt: skip


def check_refusal(fault: MemoraError) -> None:
    """It is the caller's fault, and says so."""
    assert isinstance(fault, InvalidInput)
    assert fault.args[0]


# -- any JSON -----------------------------------------------------------------------------------
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), names),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=10,
)


def noisy(fields: dict[str, st.SearchStrategy[object]]) -> st.SearchStrategy[dict[str, object]]:
    """Objects with these fields, any of which may be missing or anything else."""
    either = {name: st.one_of(value, value, value, json_values) for name, value in fields.items()}
    return st.fixed_dictionaries({}, optional=either)


durations = st.one_of(
    st.integers(-10, 10**13), st.floats(), st.sampled_from([0, 2000, 1e300, -0.0])
)
session_answers = noisy(
    {
        "question_id": names,
        "is_correct": st.booleans(),
        "time_spent_ms": durations,
        "duration_ms": durations,
    }
)
sessions = noisy(
    {
        "answers": st.lists(session_answers, max_size=4),
        "session_meta": noisy({"subject": names, "topic": names}),
        "total_combo": st.integers(),
    }
)
responses = st.lists(
    noisy({"question_id": names, "quality": st.integers(-1, 7), "response_time_ms": durations}),
    max_size=4,
)
interactions = st.lists(
    noisy({"question_id": names, "attempts_count": st.integers(-1, 5), "duration_ms": durations}),
    max_size=4,
)


@settings(max_examples=300)
@given(st.one_of(sessions, json_values))
def test_any_session_data_is_taken_or_refused(site: Site, engine: Engine, data: object) -> None:
    check_submission(site, engine, lambda: engine.submit(PLAYER, session_data=json.dumps(data)))


@settings(max_examples=300)
@given(st.one_of(responses, json_values))
def test_any_responses_are_taken_or_refused(site: Site, engine: Engine, data: object) -> None:
    check_submission(site, engine, lambda: engine.submit(PLAYER, responses=json.dumps(data)))


@settings(max_examples=300)
@given(st.one_of(interactions, json_values))
def test_any_interactions_are_taken_or_refused(site: Site, engine: Engine, data: object) -> None:
    check_submission(site, engine, lambda: engine.rate(PLAYER, json.dumps(data)))


@settings(max_examples=200)
@given(
    st.one_of(
        st.text(),
        st.sampled_from(
            ["[" * 100_000, "{" * 100_000, '{"answers":' * 5000, "1e999", "NaN", "\ud800"]
        ),
    )
)
def test_any_text_that_is_no_json_is_refused(engine: Engine, text: str) -> None:
    assume(not text.strip().startswith("[]"))
    with pytest.raises((InvalidInput, UnicodeEncodeError)):
        engine.submit(PLAYER, session_data=text)
    with pytest.raises((InvalidInput, UnicodeEncodeError)):
        engine.submit(PLAYER, responses=text)


def check_submission(site: Site, engine: Engine, submit: Callable[[], object]) -> None:
    """It is taken and can be drained, or it is refused as the caller's fault and leaves nothing."""
    waiting = site.waiting()
    try:
        submit()
    except MemoraError as fault:
        check_refusal(fault)
        assert site.waiting() == waiting
        return
    assert site.waiting() == waiting + 1
    assert engine.drain()["set_aside"] == 0


@pytest.mark.parametrize("size", [141, 10_000, 1_000_000])
def test_a_megabyte_of_text_is_refused_everywhere(site: Site, engine: Engine, size: int) -> None:
    huge = "q" * size
    for form in (
        {"session_data": session(huge)},
        {"session_data": session("q", subject=huge)},
        {"session_data": session("q", topic=huge)},
        {"responses": json.dumps([{"question_id": huge, "quality": 5}])},
    ):
        with pytest.raises(InvalidInput) as refusal:
            engine.submit(PLAYER, **form)
        assert len(refusal.value.args[0]) < 2000
    assert site.waiting() == 0
    for wanted in ((huge, None), (None, huge)):
        with pytest.raises(InvalidInput, match="There is no") as refusal:
            engine.due(PLAYER, 20, *wanted)
        assert len(refusal.value.args[0]) < 200


def test_one_bad_answer_refuses_the_whole_session(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q")])
    for bad in (
        {"question_id": "", "is_correct": True},
        {"question_id": "r"},
        {"is_correct": True},
        5,
        None,
    ):
        answers = [{"question_id": "q", "is_correct": True}, bad]
        with pytest.raises(InvalidInput):
            engine.submit(PLAYER, session_data=json.dumps({"answers": answers}))
    assert site.waiting() == 0
    assert ids(engine.due(PLAYER)) == ["q"]


# -- question ids -------------------------------------------------------------------------------
@settings(max_examples=300)
@given(st.lists(names, min_size=1, max_size=8, unique=True))
@example(["q", "Q", "e\u0301", "\u00e9", "ss", "ß", "a:b", "a:b:c"])
def test_an_id_that_is_taken_comes_back_as_it_was(
    site: Site, engine: Engine, questions: list[str]
) -> None:
    player = f"student{next(numbers)}@school.example"
    site.add_users(player)
    try:
        engine.rate(
            player, json.dumps([{"question_id": name, "attempts_count": 2} for name in questions])
        )
    except MemoraError as fault:
        return check_refusal(fault)
    expected = sorted(questions)
    for _ in range(2):
        # All are due in the same second, and tell their stability with them.
        answer = engine.due(player, limit=50)
        assert sorted(ids(answer)) == expected
        assert {question["stability"] for question in answer["questions"]} == {1}
        engine.drain()
        assert sorted(site.rows(player)) == expected
        engine.cache_clear(player, SEASON)
    assert engine.submit(player, session_data=session(*questions))["remaining_items"] == 0


def test_ids_that_differ_only_in_case_or_spaces_are_two(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q"), Record("Q")])
    engine.submit(PLAYER, session_data=session("q"))
    assert ids(engine.due(PLAYER)) == ["Q"]
    engine.drain()
    assert {name: row["stability"] for name, row in site.rows().items()} == {"q": 3, "Q": 2}


# -- players ------------------------------------------------------------------------------------
@pytest.mark.parametrize("player", HOSTILE_PLAYERS)
def test_a_student_may_be_called_anything(site: Site, engine: Engine, player: str) -> None:
    site.add("victim@school.example", [Record("q"), Record("r")])
    site.add(player, [Record("q"), Record("s", subject="Science")])
    engine.due("victim@school.example")
    for _ in range(2):
        assert sorted(ids(engine.due(player))) == ["q", "s"]
    assert ids(engine.due(player, subject="Science")) == ["s"]
    job = engine.submit(player, session_data=session("q"))["persistence_job_id"]
    assert ids(engine.due(player)) == ["s"]
    engine.drain()
    assert engine.persistence_status(player, job) == "persisted"
    assert site.rows(player)["q"]["stability"] == 3
    assert engine.cache_clear(player, SEASON)
    assert ids(engine.due(player)) == ["s"]
    assert engine.cache_stats("victim@school.example", SEASON)["complete"]
    assert engine.due("victim@school.example")["total_due"] == 2


@settings(max_examples=100)
@given(
    st.lists(
        names.filter(lambda name: 1 <= len(name) <= 140 and "\x00" not in name),
        min_size=2,
        max_size=4,
        unique=True,
    )
)
def test_no_two_students_share_anything(site: Site, engine: Engine, players: list[str]) -> None:
    site.sql(f"DELETE FROM {TRACKER}")
    site.cache.flushall()
    taken = []
    for place, player in enumerate(players):
        try:
            engine.submit(player, session_data=session(f"of{place}", is_correct=False))
            taken.append((place, player))
        except MemoraError as fault:
            check_refusal(fault)
    engine.drain()
    for place, player in taken:
        assert list(engine.cache_scores(player, SEASON)) == [f"of{place}"]
        assert list(site.rows(player)) == [f"of{place}"]


@pytest.mark.parametrize("player", ["", "x" * 141])
def test_what_no_user_is_called_is_refused(site: Site, engine: Engine, player: str) -> None:
    with pytest.raises(InvalidInput):
        engine.submit(player, session_data=session("q"))
    assert site.waiting() == 0


def test_no_season_leads_to_another_student(site: Site, engine: Engine) -> None:
    site.add("a:b", [Record("q")])
    engine.due("a:b")
    season = f"b:{SEASON}"
    before = engine.cache_scores("a:b", SEASON)
    for work in (
        lambda: engine.cache_add("a", season, [("x", 1.0)]),
        lambda: engine.cache_remove("a", season, "q"),
        lambda: engine.cache_due("a", season),
        lambda: engine.cache_scores("a", season),
        lambda: engine.cache_count_due("a", season),
        lambda: engine.cache_clear("a", season),
        lambda: engine.cache_stats("a", season),
        lambda: engine.due_in_season("a", season),
        lambda: engine.rehydrate("a", season),
    ):
        with pytest.raises(InvalidInput):
            work()
    assert engine.cache_scores("a:b", SEASON) == before == {"q": before["q"]}
    assert ids(engine.due("a:b")) == ["q"]


@pytest.mark.parametrize("form", ["session_data", "responses"])
def test_a_refusal_does_not_repeat_what_was_sent(engine: Engine, form: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        engine.submit(PLAYER, **{form: json.dumps("<b>" * 300_000)})
    assert len(refusal.value.args[0]) < 500


# -- seasons, subjects --------------------------------------------------------------------------
@settings(max_examples=100)
@given(names, names)
def test_any_subject_and_topic_filter_or_are_refused(
    site: Site, engine: Engine, subject: str, topic: str
) -> None:
    site.sql(f"DELETE FROM {TRACKER}")
    site.add(PLAYER, [Record("q", subject="Science", topic="Plants")])
    engine.cache_clear(PLAYER, SEASON)
    for query in ({"subject": subject}, {"topic": topic}):
        try:
            assert engine.due(PLAYER, **query)["questions"] == []  # type: ignore[arg-type]
        except MemoraError as fault:
            check_refusal(fault)
    try:
        engine.submit(PLAYER, session_data=session("q", subject=subject, topic=topic))
        assert subject.strip() in ("", *("Mathematics", "Science", "Arabic"))
    except MemoraError as fault:
        check_refusal(fault)


@settings(max_examples=100)
@given(names)
def test_any_season_is_taken_or_refused(site: Site, engine: Engine, season: str) -> None:
    assume(season != SEASON)
    for work in (
        lambda: engine.rehydrate(PLAYER, season),
        lambda: engine.due_in_season(PLAYER, season),
        lambda: engine.partition_exists(season),
        lambda: engine.cache_scores(PLAYER, season),
        lambda: engine.cache_stats(PLAYER, season),
        lambda: engine.cache_clear(PLAYER, season),
    ):
        try:
            work()
        except MemoraError as fault:
            check_refusal(fault)


@settings(max_examples=100)
@given(names, st.one_of(st.floats(), st.integers(-(10**12), 10**12)))
def test_any_item_for_the_cache_is_taken_or_refused(
    site: Site, engine: Engine, name: str, score: float
) -> None:
    engine.cache_clear(PLAYER, SEASON)
    try:
        engine.cache_add(PLAYER, SEASON, [(name, score)])
    except MemoraError as fault:
        check_refusal(fault)
        assert engine.cache_scores(PLAYER, SEASON) == {}
        return
    assert engine.cache_scores(PLAYER, SEASON) == {name: float(int(score))}
    assert engine.cache_remove(PLAYER, SEASON, name)
    assert engine.due(PLAYER)["total_due"] == 0


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_drain_of_no_sensible_length_is_refused(engine: Engine, seconds: float) -> None:
    with pytest.raises(InvalidInput):
        engine.drain(seconds)


# -- two sites on one Redis ---------------------------------------------------------------------
@pytest.mark.engines(**BELIEVING)
def test_two_sites_never_see_each_other(site: Site, other_site: Site) -> None:
    engine, other = site.engine(), other_site.engine()
    site.add(PLAYER, [Record("q"), Record("r")])
    other_site.add(PLAYER, [Record("q"), Record("s")])
    assert [ids(engine.due(PLAYER)), ids(other.due(PLAYER))] == [["q", "r"], ["q", "s"]]
    job = engine.submit(PLAYER, session_data=session("q", subject="Science"))["persistence_job_id"]
    assert [ids(engine.due(PLAYER)), ids(other.due(PLAYER))] == [["r"], ["q", "s"]]
    assert other.persistence_status(PLAYER, job) is None
    assert other.drain()["submissions"] == 0
    assert engine.drain()["submissions"] == 1
    assert (site.rows()["q"]["stability"], other_site.rows()["q"]["stability"]) == (3, 2)
    other.cache_clear(PLAYER, SEASON)
    other.links_changed()
    other.season_changed()
    with site.counting() as costs:
        engine.due(PLAYER)
        engine.submit(PLAYER, session_data=session("r", subject="Science"))
    assert costs[0].statements == 0


VICTIM = "victim@school.example"
# Those with a player in each row; the hostile student's own rows come to them.
STUDENTS_TABLES = (
    "tabPlayer Memory Tracker",
    "tabMemory Review Audit",
    "tabPoison Review",
    "memora_journal",
)


@dataclass(frozen=True)
class Others:
    """The data of other students and of another site, before a hostile student came."""

    site: Site
    other_site: Site

    def settle(self) -> Others:
        """Give them records, cached sets and answers that wait in the journal."""
        for site in (self.site, self.other_site):
            engine = site.engine()
            site.add(VICTIM, [Record("q"), Record("r")])
            engine.submit(VICTIM, session_data=session("q", subject="Science"))
            engine.due(VICTIM)
        return self

    def everything(self) -> dict[str, object]:
        """Counts and rows of all tables, and all keys of both Redis servers, that are theirs."""
        found: dict[str, object] = {}
        for site in (self.site, self.other_site):
            tables = site.sql("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
            for table in sorted(str(row[f"Tables_in_{site.name}"]) for row in tables):
                is_theirs = site is self.other_site or table not in STUDENTS_TABLES
                where = "" if is_theirs else f" WHERE player = '{VICTIM}'"
                count = site.sql(f"SELECT COUNT(*) AS n FROM `{table}`{where}")[0]["n"]
                found[f"{site.name}.{table}"] = (count, site.sql(f"SELECT * FROM `{table}`{where}"))
            for role, server in (("cache", site.servers.cache), ("journal", site.servers.journal)):
                with redis.Redis(host=server.host, port=server.port, db=server.database) as client:
                    for key in client.keys(f"{site.name}|*"):
                        # A confirmation ends by itself.
                        if client.ttl(key) in (0, 1):
                            continue
                        if site is self.other_site or VICTIM.encode() in key:
                            found[f"{role} {key!r}"] = client.dump(key)
        return found


STUDENTS_TABLES = (
    "tabPlayer Memory Tracker",
    "tabMemory Review Audit",
    "tabPoison Review",
    "memora_journal",
)
# Forms in which a user may try to be another one.
foreign_fields = {
    "player": "victim@school.example",
    "user": "victim@school.example",
    "season": "SEASON-2025",
}
hostile_texts = st.one_of(
    sessions.map(lambda data: json.dumps({**data, **foreign_fields})),
    responses.map(lambda data: json.dumps([{**each, **foreign_fields} for each in data])),
    json_values.map(json.dumps),
    st.sampled_from(
        [
            "[" * 100_000,
            '{"answers":' * 50_000,
            json.dumps(
                {
                    "answers": [
                        {"question_id": f"q{number}", "is_correct": True} for number in range(51)
                    ]
                }
            ),
            json.dumps([{"question_id": "q", "quality": 9}]),
            '[{"question_id": "q", "quality": 5, "response_time_ms": NaN}]',
            json.dumps([{"question_id": "q", "quality": 5, "response_time_ms": -1}]),
            json.dumps([{"question_id": "q" * 1_000_000, "quality": 5}]),
            json.dumps(
                [
                    {
                        "question_id": "'; DROP TABLE `tabUser`; --",
                        "quality": 5,
                        "player": "victim@school.example",
                    }
                ]
            ),
        ]
    ),
)


def test_a_hostile_student_touches_nothing_of_others(site: Site, other_site: Site) -> None:
    others = Others(site, other_site).settle()
    before = others.everything()
    assert len(before) > 20
    engine = site.engine()

    @settings(max_examples=250)
    @given(st.sampled_from(HOSTILE_PLAYERS), hostile_texts, names)
    def attack(player: str, text: str, name: str) -> None:
        works: list[Callable[[], object]] = [
            lambda: engine.submit(player, session_data=text),
            lambda: engine.submit(player, responses=text),
            lambda: engine.rate(player, text, subject=name, topic=name),
            lambda: engine.due(player, subject=name),
            lambda: engine.due(player, topic=name),
            lambda: engine.due_as_in_safe_mode(player, SEASON, subject=name),
            lambda: engine.set_states(player, SEASON, [(name, 1, 1.0, None, None)]),
            lambda: engine.cache_add(player, SEASON, [(name, 1.0)], 60),
            lambda: engine.persistence_status(player, name),
            lambda: engine.cache_clear(player, SEASON),
        ]
        for work in works:
            try:
                work()
            except MemoraError as fault:
                check_refusal(fault)
        assert engine.cache_stats(VICTIM, SEASON)["complete"]

    attack()
    assert others.everything() == before
    # The hostile students' answers reach the table; of the victim's, only the victim's own.
    engine.drain()
    rows = site.rows(VICTIM)
    assert {name: row["stability"] for name, row in rows.items()} == {"q": 3, "r": 2}
    assert {key: value for key, value in others.everything().items() if other_site.name in key} == {
        key: value for key, value in before.items() if other_site.name in key
    }


def test_all_keys_bear_the_name_of_the_site(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record("q")])
    engine.due(PLAYER)
    engine.submit(PLAYER, session_data=session("q", subject="Science"))
    engine.due("cold@school.example")
    for client in (site.cache, site.journal):
        keys = client.keys("*")
        assert keys
        assert all(key.startswith(f"{site.name}|srs") for key in keys)


def test_a_full_cache_is_no_reason_to_refuse(site: Site, engine: Engine) -> None:
    site.add(PLAYER, [Record(f"q{number}") for number in range(50)])
    engine.due(PLAYER)
    looks_always = site.engine(trust_lease_ms=1)
    looks_always.due(PLAYER)
    site.cache.config_set("maxmemory-policy", "noeviction")
    site.cache.config_set("maxmemory", "1")
    try:
        for player in (PLAYER, "cold@school.example"):
            try:
                before = engine.due(player)["total_due"]
                engine.submit(player, session_data=session("q0"))
                assert engine.due(player)["total_due"] == max(0, before - 1)
                # A look that the cache does not store does not make it doubtful either.
                assert not any(looks_always.due(player)["is_degraded"] for _ in range(3))
            except ServiceUnavailable:
                pytest.fail("a full cache is not a dead one")
    finally:
        site.cache.config_set("maxmemory", "1gb")
        site.cache.config_set("maxmemory-policy", "allkeys-lru")
