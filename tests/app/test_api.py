"""The calls of clients: memora.api, with the stand-in for frappe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memora.api import reviews, srs
from memora.api.counts import get_count
from memora.api.utils import SafeModeManager
from memora.services import question_cards
from tests import frappe_standin as frappe
from tests.students.test_due import MINUTE, overdue
from tests.support.site_under_test import BELIEVING, PLAYER, SEASON, SUBJECTS, Record, Site

App = Callable[..., None]
DRAIN = "memora.services.srs_persistence.persist_review_batch"


def ids(answer: Mapping[str, Any]) -> list[str]:
    return [question["question_id"] for question in answer["questions"]]


def answers(*names: str, is_correct: bool = True, combo: int = 0) -> dict[str, Any]:
    given = [{"question_id": name, "is_correct": is_correct, "duration_ms": 3000} for name in names]
    return {"answers": given, "session_meta": {}, "total_combo": combo, "completion_time_ms": 1000}


# -- get_review_session -------------------------------------------------------------------------
def test_a_session_has_the_due_questions(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(60, subject="Science", topic="Plants"))
    answer = reviews.get_review_session()
    assert answer.keys() == {"questions", "total_due", "is_degraded", "season"}
    assert (len(answer["questions"]), answer["total_due"]) == (20, 60)
    assert (answer["is_degraded"], answer["season"]) == (False, SEASON)
    fields = {
        "question_id",
        "stage_id",
        "stability",
        "next_review_date",
        "last_review_date",
        "subject",
        "topic",
    }
    assert answer["questions"][0].keys() == fields
    assert ids(reviews.get_review_session(limit=3)) == ["q000", "q001", "q002"]
    assert ids(reviews.get_review_session(limit="3")) == ["q000", "q001", "q002"]
    assert len(ids(reviews.get_review_session(subject="Science", limit=50))) == 50
    assert len(ids(reviews.get_review_session(topic_id="Plants"))) == 10
    assert reviews.get_review_session(subject="Arabic")["total_due"] == 0
    # Forms send an empty field for a missing value.
    assert reviews.get_review_session(subject="", topic_id="")["total_due"] == 60


@pytest.mark.parametrize("limit", [0, 51, -1, "many", None, 2.5, True, "", [5]])
def test_a_limit_out_of_range_is_refused(app: App, limit: Any) -> None:
    with pytest.raises(frappe.ValidationError, match="limit"):
        reviews.get_review_session(limit=limit)


def test_nobody_counts_what_he_may_not_read(site: Site, app: App) -> None:
    site.add(PLAYER, [Record("q"), Record("r", stability=4)])
    with pytest.raises(frappe.PermissionError):
        get_count("Player Memory Tracker", {"player": PLAYER, "stability": 4})
    assert get_count("Game Subject") == len(SUBJECTS)
    app(user=frappe.MANAGER)
    frappe.recorded.roles[frappe.MANAGER] = ["System Manager"]
    assert get_count("Player Memory Tracker", {"player": PLAYER, "stability": 4}) == 1


@pytest.mark.engines(**BELIEVING)
def test_a_warm_call_takes_no_sql(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(100, subject="Science"))
    for query in ({}, {"subject": "Science"}):
        reviews.get_review_session(**query)
        with site.counting() as costs:
            reviews.get_review_session(**query)
        assert costs[0].statements == 0
        assert costs[0].cache_round_trips + costs[0].journal_round_trips <= 2


def test_the_loader_of_the_site_turns_ids_into_cards(
    site: Site, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add(PLAYER, overdue(3))
    calls: list[list[str]] = []

    def load(question_ids: list[str]) -> dict[str, dict[str, Any]]:
        calls.append(question_ids)
        return {name: {"text": f"What is {name}?", "stability": 99} for name in question_ids[:2]}

    frappe.recorded.hooks["srs_question_loader"] = ["ignored.by.order", f"{__name__}.loader"]
    monkeypatch.setitem(globals(), "loader", load)
    questions = reviews.get_review_session()["questions"]
    assert calls == [["q000", "q001", "q002"]]
    assert [question.get("text") for question in questions] == [
        "What is q000?",
        "What is q001?",
        None,
    ]
    assert [question["stability"] for question in questions] == [2, 2, 2]


@pytest.fixture
def use_loader(app: App, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Make a function the site's srs_question_loader."""

    def use(loader: Callable[..., Any]) -> None:
        frappe.recorded.hooks["srs_question_loader"] = [f"{__name__}.loader"]
        monkeypatch.setitem(globals(), "loader", loader)

    monkeypatch.setattr(question_cards, "_silent_until", {})
    return use


def test_a_loader_is_told_whose_questions_they_are(
    site: Site, use_loader: Callable[[Callable[..., Any]], None]
) -> None:
    site.add(PLAYER, overdue(1))
    for loader in (
        lambda ids, user, season: {"q000": {"text": f"{user} {season}"}},
        lambda ids, season=None, user=None: {"q000": {"text": f"{user} {season}"}},
        lambda ids, **more: {"q000": {"text": f"{more['user']} {more['season']}"}},
        lambda ids, season: {"q000": {"text": f"{PLAYER} {season}"}},
    ):
        use_loader(loader)
        assert reviews.get_review_session()["questions"][0]["text"] == f"{PLAYER} {SEASON}"


def test_a_loader_may_name_questions_by_numbers(
    site: Site, use_loader: Callable[[Callable[..., Any]], None]
) -> None:
    """As Frappe's autoincrement does."""
    use_loader(lambda ids: {int(name): {"text": f"What is {name}?"} for name in ids})
    srs.process_srs_batch(PLAYER, [{"question_id": 17, "attempts_count": 2}])
    (question,) = reviews.get_review_session()["questions"]
    assert (question["question_id"], question["text"]) == ("17", "What is 17?")
    reviews.submit_review_session(responses=[{"question_id": 17, "quality": 5}])
    assert reviews.get_review_session()["total_due"] == 0


def test_a_retired_question_is_not_asked_any_more(
    site: Site, app: App, use_loader: Callable[[Callable[..., Any]], None]
) -> None:
    site.add(PLAYER, overdue(60))
    requested: list[str] = []

    def load(ids: list[str]) -> dict[str, dict[str, Any]]:
        requested.extend(ids)
        return {name: {"text": "?", "retired": int(name[1:]) < 30} for name in ids}

    use_loader(load)
    for _ in range(2):
        answer = reviews.get_review_session(limit=10)
        assert ids(answer) == [f"q{number:03}" for number in range(30, 40)]
        assert answer["total_due"] == 30
    # The loader got each once, then never again.
    assert [name for name in requested if int(name[1:]) < 30] == [
        f"q{number:03}" for number in range(30)
    ]
    frappe.recorded.run_jobs()
    assert site.sql("SELECT COUNT(*) AS waiting FROM memora_journal")[0]["waiting"] == 0
    rows = site.rows()
    assert {row["next_review_date"].year for name, row in rows.items() if int(name[1:]) < 30} == {
        2200
    }
    assert len(rows) == 60
    # Only this student is asked less, and an answer brings one back.
    reviews.submit_review_session(session_data=answers("q000"))
    frappe.recorded.run_jobs()
    assert site.rows()["q000"]["next_review_date"].year < 2200


@pytest.mark.parametrize("retired", [False, 0, None, "", "0", "No", {}, "2026-01-01"])
def test_what_may_mean_something_else_retires_nothing(
    site: Site, app: App, use_loader: Callable[[Callable[..., Any]], None], retired: object
) -> None:
    """A question that is given up by mistake is not asked before the year 2200."""
    site.add(PLAYER, overdue(1))
    use_loader(lambda ids: {"q000": {"retired": retired}})
    assert ids(reviews.get_review_session()) == ["q000"]


def test_more_retired_questions_than_a_read_looks_at_are_for_the_next(
    site: Site, app: App, use_loader: Callable[[Callable[..., Any]], None]
) -> None:
    site.add(PLAYER, overdue(12))
    use_loader(lambda ids: {name: {"retired": name < "q011"} for name in ids})
    first, second = (reviews.get_review_session(limit=2) for _ in range(2))
    assert (ids(first), first["total_due"]) == ([], 2)
    assert (ids(second), second["total_due"]) == (["q011"], 1)


def test_a_question_that_cannot_be_retired_now_is_not_shown(
    site: Site,
    app: App,
    use_loader: Callable[[Callable[..., Any]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site.add(PLAYER, overdue(3))
    reviews.get_review_session()
    use_loader(lambda ids: {"q000": {"retired": True}})
    site.servers.database.kill()
    answer = reviews.get_review_session()
    assert (ids(answer), answer["total_due"]) == (["q001", "q002"], 2)


def test_in_safe_mode_nothing_is_retired(
    site: Site, app: App, use_loader: Callable[[Callable[..., Any]], None]
) -> None:
    site.add(PLAYER, overdue(20))
    reviews.get_review_session()
    use_loader(lambda ids: {"q000": {"retired": True}})
    site.servers.cache.kill()
    answer = reviews.get_review_session()
    assert (len(answer["questions"]), answer["total_due"], answer["is_degraded"]) == (9, 19, True)
    assert site.sql("SELECT COUNT(*) AS waiting FROM memora_journal")[0]["waiting"] == 0


def raising(kind: type[Exception]) -> Callable[..., Any]:
    def load(ids: list[str]) -> Any:
        frappe.throw("a word of the site's app", kind)

    return load


@pytest.mark.parametrize(
    "loader",
    [
        raising(frappe.ValidationError),
        raising(frappe.PermissionError),
        raising(KeyError),
        lambda: {},
        lambda ids, more: {},
        lambda ids: None,
        lambda ids: 17,
        lambda ids: ids,
        lambda ids: [{"name": name} for name in ids],
        lambda ids: dict.fromkeys(ids, "text"),
        lambda ids: dict.fromkeys(ids, 17),
        lambda ids: {name: {"text": object()} for name in ids},
        lambda ids: {name: {"points": float("nan")} for name in ids},
        lambda ids: {name: {("a", "b"): 1} for name in ids},
        "no function",
    ],
)
def test_a_loader_that_fails_costs_the_cards_and_not_the_read(
    site: Site,
    use_loader: Callable[[Callable[..., Any]], None],
    loader: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    site.add(PLAYER, overdue(3))
    plain = reviews.get_review_session()
    use_loader(loader)
    for _ in range(3):
        assert reviews.get_review_session() == plain
    assert frappe.local.message_log == []
    logged = [record for record in caplog.records if "srs_question_loader" in record.message]
    assert len(logged) == 1
    assert logged[0].exc_info


def test_questions_without_a_card_are_shown_all_the_same(
    site: Site, use_loader: Callable[[Callable[..., Any]], None], caplog: pytest.LogCaptureFixture
) -> None:
    site.add(PLAYER, overdue(3))
    use_loader(lambda ids: {"q000": None, "q001": {}, "of nobody": {"text": "?"}})
    assert ids(reviews.get_review_session()) == ["q000", "q001", "q002"]
    assert "srs_question_loader" not in caplog.text


def test_without_a_season_there_is_a_message(site: Site, app: App) -> None:
    site.sql("UPDATE `tabGame Subscription Season` SET is_active = 0")
    answer = reviews.get_review_session()
    assert (answer["questions"], answer["total_due"], answer["season"]) == ([], 0, None)
    assert "season" in answer["message"].lower()


# -- submit_review_session ----------------------------------------------------------------------
def test_answers_are_acknowledged_and_shown(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(5))
    taken = reviews.submit_review_session(session_data=answers("q000", "q001", combo=2))
    assert taken.keys() == {
        "status", "processed", "xp_earned", "persistence_job_id", "remaining_items",
        "new_stability_counts", "leeches",
    }  # fmt: skip
    assert (taken["status"], taken["processed"], taken["remaining_items"]) == ("success", 2, 3)
    assert taken["xp_earned"] == 2 * 10 + 2 * 2
    assert taken["new_stability_counts"] == {"1": 0, "2": 0, "3": 2, "4": 0}
    assert ids(reviews.get_review_session()) == ["q002", "q003", "q004"]


def test_both_forms_are_taken_as_text_and_as_objects(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(4))
    responses = [{"question_id": "q002", "quality": 3, "response_time_ms": 100}]
    reviews.submit_review_session(session_data=answers("q000"))
    reviews.submit_review_session(session_data=json.dumps(answers("q001")))
    assert reviews.submit_review_session(responses=responses)["xp_earned"] == 10
    wrong = json.dumps([{"question_id": "q003", "quality": 2}])
    assert reviews.submit_review_session(responses=wrong, session_data="")["xp_earned"] == 0
    frappe.recorded.run_jobs()
    assert [row["stability"] for _, row in sorted(site.rows().items())] == [3, 3, 4, 1]


def test_wrong_answers_earn_nothing(app: App) -> None:
    assert (
        reviews.submit_review_session(session_data=answers("q", is_correct=False))["xp_earned"] == 0
    )


def test_a_question_earns_once(app: App) -> None:
    many = answers(*["q"] * 30, "r", combo=31)
    assert reviews.submit_review_session(session_data=many)["xp_earned"] == 2 * (10 + 2)
    twice = [{"question_id": "s", "quality": quality} for quality in (1, 5, 4)]
    taken = reviews.submit_review_session(responses=twice)
    assert (taken["processed"], taken["xp_earned"]) == (3, 10)


def test_more_than_fifty_are_refused_and_nothing_is_saved(site: Site, app: App) -> None:
    with pytest.raises(frappe.ValidationError, match="50"):
        reviews.submit_review_session(session_data=answers(*(f"q{number}" for number in range(51))))
    assert site.waiting() == 0


def test_a_drain_is_queued_once_and_writes_everything(site: Site, app: App) -> None:
    jobs = [
        reviews.submit_review_session(session_data=answers(f"q{number}")) for number in range(3)
    ]
    assert [job.method for job in frappe.recorded.jobs] == [DRAIN]
    job_id = jobs[0]["persistence_job_id"]
    assert reviews.get_persistence_status(job_id) == {
        "job_id": job_id,
        "status": "pending",
        "is_undone": False,
    }
    frappe.recorded.run_jobs()
    assert reviews.get_persistence_status(job_id)["status"] == "persisted"
    assert sorted(site.rows()) == ["q0", "q1", "q2"]


def test_the_player_is_always_the_user(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(2))
    site.add("other@school.example", overdue(3, prefix="o"))
    job_id = reviews.submit_review_session(
        session_data=answers("q000") | {"player": "other@school.example"}
    )["persistence_job_id"]
    app(user="other@school.example")
    assert ids(reviews.get_review_session()) == ["o000", "o001", "o002"]
    with pytest.raises(frappe.DoesNotExistError):
        reviews.get_persistence_status(job_id)


@pytest.mark.parametrize("user", ["Guest", "", None])
def test_a_guest_gets_nothing(app: App, user: Any) -> None:
    app(user=user)
    for call in (
        reviews.get_review_session,
        lambda: reviews.submit_review_session(session_data=answers("q")),
        lambda: reviews.get_persistence_status("1-1"),
    ):
        with pytest.raises(frappe.PermissionError):
            call()


def test_changing_calls_are_post_only(app: App) -> None:
    methods = frappe.allowed_http_methods_for_whitelisted_func
    assert methods[reviews.submit_review_session] == ["POST"]
    assert "GET" in methods[reviews.get_review_session]
    assert "GET" in methods[reviews.get_persistence_status]
    assert srs.process_srs_batch not in methods


@settings(max_examples=100)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_arguments_of_any_type_are_taken_or_refused(site: Site, app: App, value: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: reviews.get_review_session(subject=value, limit=5),
        lambda: reviews.get_review_session(topic_id=value),
        lambda: reviews.get_review_session(limit=value),
        lambda: reviews.submit_review_session(session_data=value),
        lambda: reviews.submit_review_session(responses=value),
        lambda: reviews.get_persistence_status(value),
    ]
    for call in calls:
        with suppress(frappe.ValidationError, frappe.PermissionError):
            call()


@pytest.mark.parametrize(
    "given",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '[{"question_id": "q", "quality": 5, "response_time_ms": NaN}]',
        [{"question_id": "q", "quality": 5, "response_time_ms": float("nan")}],
        [{"question_id": "q", "quality": 9}],
        [{"question_id": "q" * 1_000_000, "quality": 5}],
        [{"question_id": "q\x00", "quality": 5}],
        [{"question_id": "\ud800", "quality": 5}],
        [{"question_id": f"q{number}", "quality": 5} for number in range(51)],
        [{"question_id": "q", "quality": 5, "response_time_ms": -5}],
    ],
)
def test_a_refusal_shows_no_traceback(site: Site, app: App, given: Any) -> None:
    for form in ({"responses": given}, {"session_data": given}):
        with pytest.raises(frappe.ValidationError) as refusal:
            reviews.submit_review_session(**form)
        assert frappe.local.flags.disable_traceback
        assert 0 < len(str(refusal.value)) < 2000
    assert site.waiting() == 0


ODD: list[Any] = [
    None, True, False, 0, 1, -1, 17, 2.5, 10**12, 10**30, 10**400, float("nan"), float("inf"), "",
    " ", "17", "null", "NaN", "1e999", "{", "[", "\ud800", "\x00", [], [[]], [None], [17], ["q"],
    [[["q", True]]], {}, {"": 0}, {"answers": 1}, {"question_id": "q"}, "x" * 2_000_000,
]  # fmt: skip
# Words of Rust, serde, PyO3 and Python, which students must not see.
FOREIGN = re.compile(
    r"(?i)\b(serde|untagged|enum|variant|invalid type|expected|missing field|recursion|panick?ed"
    r"|utf-?8|struct|codec|[uif]\d\d|str|int|float|dict|NoneType|object of type|argument"
    r"|attribute|unwrap|Err|None|map|sequence)\b|::"
)


def test_a_name_that_is_unknown_is_shown_as_it_was_sent(app: App) -> None:
    name = "a'b\\c\u0301\u200bد\x00"
    with pytest.raises(frappe.ValidationError) as refusal:
        reviews.submit_review_session(session_data=answers("q") | {"session_meta": {"topic": name}})
    assert str(refusal.value) == f'Nothing was saved: there is no topic "{name[:-1]}".'


def refusals(calls: Iterable[Callable[[], object]]) -> Iterator[str]:
    for call in calls:
        try:
            call()
        except (frappe.ValidationError, frappe.PermissionError) as refusal:
            yield str(refusal)


def test_no_words_of_a_programming_language_reach_a_student(site: Site, app: App) -> None:
    fields = {
        "question_id": "q", "is_correct": True, "quality": 4, "time_spent_ms": 1, "duration_ms": 1,
        "response_time_ms": 1,
    }  # fmt: skip
    wrong = [fields | {name: odd} for name in fields for odd in ODD]
    wrong += [{other: fields[other] for other in fields if other != name} for name in fields]
    calls: list[Callable[[], object]] = []
    for odd in ODD:
        meta = {"session_meta": {"topic": odd}, "answers": [fields]}
        calls += [
            partial(reviews.get_review_session, subject=odd, limit=5),
            partial(reviews.get_review_session, topic_id=odd),
            partial(reviews.get_review_session, limit=odd),
            partial(reviews.get_persistence_status, odd),
            partial(
                reviews.submit_review_session, session_data=answers("q") | {"session_meta": odd}
            ),
            partial(reviews.submit_review_session, session_data=meta),
            partial(reviews.submit_review_session, session_data=answers("q") | {"answers": odd}),
        ]
    lists = [[one] for one in [*ODD, *wrong]]
    for data in [*ODD, *lists, *({"answers": one} for one in lists)]:
        for form in ("session_data", "responses"):
            for sent in (data, json.dumps(data)):
                calls.append(partial(reviews.submit_review_session, **{form: sent}))
    told = set(refusals(calls))
    assert len(told) > 20
    for message in told:
        assert not FOREIGN.search(message), message
        begins_with_an_argument = (" must be ", " cannot be read", " is missing")
        assert message[:1].isupper() or any(
            words in message for words in begins_with_an_argument
        ), message
        assert len(message) < 300


def test_a_player_in_the_data_is_nobody(site: Site, app: App) -> None:
    other = "other@school.example"
    site.add(other, overdue(1))
    before = site.rows(other)
    foreign = {"player": other, "user": other, "owner": other, "season": "SEASON-2025"}
    answer = {"question_id": "q000", "is_correct": True, **foreign}
    reviews.submit_review_session(
        session_data={"answers": [answer], "session_meta": foreign, **foreign}
    )
    reviews.submit_review_session(responses=[{"question_id": "q000", "quality": 5, **foreign}])
    srs.process_srs_batch(PLAYER, [{"question_id": "q000", "attempts_count": 1, **foreign}])
    frappe.recorded.run_jobs()
    assert site.rows(other) == before
    assert list(site.rows()) == ["q000"]
    assert site.sql(
        "SELECT DISTINCT player, season FROM `tabPlayer Memory Tracker` WHERE player <> %s",
        (other,),
    ) == [{"player": PLAYER, "season": SEASON}]


# -- process_srs_batch --------------------------------------------------------------------------
def test_a_lesson_brings_questions_in(site: Site, app: App) -> None:
    interactions = [
        {"question_id": "again", "attempts_count": 2, "duration_ms": 100},
        {"question_id": "fast", "attempts_count": 1, "time_spent_ms": 1999},
        {"question_id": "good", "attempts_count": 1, "duration_ms": 4999},
        {"question_id": "slow", "attempts_count": 1, "duration_ms": 5000},
    ]
    taken = srs.process_srs_batch(PLAYER, interactions, subject="Science", topic="Plants")
    assert (taken["processed"], taken["remaining_items"]) == (4, 1)
    assert ids(reviews.get_review_session()) == ["again"]
    frappe.recorded.run_jobs()
    rows = site.rows()
    assert {name: row["stability"] for name, row in rows.items()} == {
        "again": 1,
        "fast": 4,
        "good": 3,
        "slow": 2,
    }
    assert {(row["subject"], row["topic"]) for row in rows.values()} == {("Science", "Plants")}


# -- while servers are down ---------------------------------------------------------------------
def test_safe_mode_is_told_and_limited(site: Site, app: App) -> None:
    site.add(PLAYER, overdue(40))
    reviews.get_review_session()
    assert not SafeModeManager().is_safe_mode_active()
    site.servers.cache.kill()
    answer = reviews.get_review_session()
    assert (len(answer["questions"]), answer["total_due"], answer["is_degraded"]) == (10, 40, True)
    assert SafeModeManager().is_safe_mode_active()
    with pytest.raises(frappe.TooManyRequestsError, match=r"(?i)wait"):
        reviews.get_review_session()
    assert 1 <= frappe.local.response["retry_after"] <= 30
    assert reviews.submit_review_session(session_data=answers("q000"))["remaining_items"] == 39


def test_without_any_server_nothing_is_acknowledged(site: Site, app: App) -> None:
    from memora.services.errors import ReviewsUnavailable

    site.add(PLAYER, [Record("q", due_in=-MINUTE)])
    for server in (site.servers.cache, site.servers.journal, site.servers.database):
        server.kill()
    for call in (
        reviews.get_review_session,
        lambda: reviews.submit_review_session(session_data=answers("q")),
    ):
        with pytest.raises(ReviewsUnavailable) as fault:
            call()
        assert fault.value.http_status_code == 503
        assert site.servers.database.password not in str(fault.value)


def test_two_sites_in_one_process(site: Site, other_site: Site, app: App) -> None:
    site.add(PLAYER, overdue(2))
    other_site.add(PLAYER, overdue(3, prefix="o"))
    assert ids(reviews.get_review_session()) == ["q000", "q001"]
    app(other_site)
    assert ids(reviews.get_review_session()) == ["o000", "o001", "o002"]
    reviews.submit_review_session(session_data=answers("o000"))
    app(site)
    assert ids(reviews.get_review_session()) == ["q000", "q001"]
    assert (site.waiting(), other_site.waiting()) == (0, 1)
