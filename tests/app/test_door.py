"""The door in front of Frappe (memora.wsgi), before the stand-in for Frappe.

Whether its answers are Frappe's own, `door_differential.py` finds out on a real bench, and
`memora.tests.test_door` in the app's tests.
"""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from werkzeug.test import Client

from memora._engine import OutcomeUnknown
from memora.commands import memora
from memora.services import door_counts, door_site
from memora.services.door_frappe import COMPARED_HERE, fingerprint_of_frappe
from memora.services.door_rules import ToFrappe
from memora.services.door_site import note_site
from memora.wsgi import Door
from tests import frappe_standin as frappe
from tests.app.door_requests import FORECAST, READ, STATUS, SUBMIT
from tests.support.servers import Redis, wait_until
from tests.support.site_under_test import IMPATIENT_WITH_REDIS, PLAYER, Record, Site

SID: Final = "0123456789abcdef" * 3
TOKEN: Final = "token"
ANSWER: Final = {"question_id": "q", "is_correct": True, "time_spent_ms": 3000}


class Web:
    """A site behind the door, with a session of PLAYER as Frappe keeps it."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config: Final = config
        self.asked_frappe = 0
        self._site = frappe.application(config, {}, {SID: PLAYER})
        self.door: Final = Door(self._ask_frappe)
        self.client: Final = Client(self.door, use_cookies=False)
        self.redis: Final = frappe.cache
        self.keep()

    def _ask_frappe(self, environ: Any, start_response: Any) -> Any:
        self.asked_frappe += 1
        return self._site(environ, start_response)

    def keep(self, **changes: Any) -> None:
        """Write the session, its user and Frappe's hooks into redis_cache."""
        now = str(datetime.now(timezone.utc).replace(tzinfo=None))
        data = {
            "user": PLAYER,
            "last_updated": now,
            "session_expiry": "240:00:00",
            "csrf_token": TOKEN,
            **changes,
        }
        prefix = self.config["db_name"]
        user = SimpleNamespace(name=PLAYER, enabled=1, user_type="Website User", first_name="Amal")
        self.redis.hset(f"{prefix}|session", SID, pickle.dumps({"data": data}))
        self.redis.hset(f"{prefix}|last_db_session_update", SID, pickle.dumps(now))
        self.redis.set(f"{prefix}|document_cache::User::{PLAYER}", pickle.dumps(user))
        self.redis.set(f"{prefix}|app_hooks", pickle.dumps({}))

    def ask(self, path: str = READ, body: Any = None, **headers: str) -> Any:
        """The status and the JSON of a call, and whether the door answered."""
        before = self.asked_frappe
        headers = {"Cookie": f"sid={SID}", "X-Frappe-CSRF-Token": TOKEN} | headers
        with closing(self.client.open(
            path, method="GET" if body is None else "POST", json=body, headers=headers
        )) as answer:  # fmt: skip
            return answer.status_code, answer.get_json(), self.asked_frappe == before

    def open_door(self) -> None:
        """Let Frappe say what holds for the site."""
        self.ask()
        assert self.ask()[2]

    def reasons(self) -> set[str]:
        """Why calls went to Frappe that no process has told of yet."""
        return {reason for counts in self.door._counts.values() for reason in counts._counted} - {
            door_counts.ANSWERED
        }


@pytest.fixture
def web(site: Site, app: Callable[..., None], tmp_path: Path) -> Iterator[Web]:
    # Only the tests that say so check how soon a change is seen.
    with patch.object(door_site, "KNOWN_SECONDS", 60.0), patch("memora.wsgi.KNOWN_SECONDS", 60.0):
        site.add(PLAYER, [Record("q"), Record("r")])
        (tmp_path / site.name).mkdir()
        (tmp_path / site.name / "site_config.json").write_text("{}")
        config = dict(frappe.recorded.sites[site.name])
        config |= {"sites_path": str(tmp_path), COMPARED_HERE: f"15:{fingerprint_of_frappe()}"}
        frappe.make_present(config, PLAYER)
        yield Web(config)


def test_for_a_refused_caller_nothing_is_noted_of_the_site(web: Web) -> None:
    with patch("memora.wsgi.note_site", wraps=note_site) as noted:
        status, _answer, is_door = web.ask(Cookie="sid=Guest")
        assert (status // 100, is_door, noted.called) == (4, False, False)
        web.ask()
        assert noted.called
    assert web.ask()[2]


def test_a_session_that_is_frappe_s_is_not_read_for_each_call(web: Web) -> None:
    web.open_door()

    def ask_with_an_end() -> None:
        web.keep(session_end="2099-01-01T00:00:00+00:00")
        assert web.ask()[2] is False
        assert "a session with a fixed end" in web.reasons()
        web.keep()

    with patch("memora.wsgi.FRAPPES_SECONDS", 0.0):
        ask_with_an_end()
        assert web.ask()[2]
    ask_with_an_end()
    for _ in range(3):
        assert web.ask()[2] is False
    # It is no other session's matter.
    other = "f" * 48
    for name in ("session", "last_db_session_update"):
        value = web.redis.hget(f"{web.config['db_name']}|{name}", SID)
        web.redis.hset(f"{web.config['db_name']}|{name}", other, value)
    assert web.ask(Cookie=f"sid={other}")[2]


def test_a_live_session_is_answered_as_frappe_answers_it(web: Web) -> None:
    by_frappe = web.ask()
    by_door = web.ask()
    assert (by_frappe[2], by_door[2]) == (False, True)
    assert by_door[:2] == by_frappe[:2]
    assert by_door[1]["message"]["total_due"] == 2
    for path in (f"{READ}?limit=1", FORECAST, f"{FORECAST}?days=7"):
        status, answer, is_door = web.ask(path)
        assert (status, is_door) == (200, True)
        assert answer == web.ask(path + ("&" if "?" in path else "?") + "x=1")[1]


def test_nobody_is_let_in_whom_frappe_would_not(web: Web) -> None:
    web.open_door()
    for cookie in ("", "sid=Guest", f"sid={SID[:-1]}0", f"sid={SID}; sid=Guest"):
        assert not web.ask(Cookie=cookie)[2]
    assert web.ask(Cookie=f"sid={SID}; user_id=Administrator")[2]
    assert not web.ask(READ, {"limit": 1}, **{"X-Frappe-CSRF-Token": "wrong"})[2]
    for changes in ({"last_updated": None}, {"user": "Guest"}, {"session_expiry": "00:00:00"}):
        web.keep(**changes)
        assert not web.ask()[2]
    web.keep()
    assert web.ask()[2]
    web.redis.hdel(f"{web.config['db_name']}|session", SID)
    assert not web.ask()[2]


def test_a_session_s_user_is_the_one_of_its_record(web: Web, site: Site) -> None:
    site.add_users("other@school.example")
    site.add("other@school.example", [Record("theirs")])
    web.open_door()
    # Warm: what is due for the named user is read with the session.
    assert site.engine().due("other@school.example")["total_due"] == 1
    answer = web.ask(Cookie=f"sid={SID}; user_id=other%40school.example")[1]
    assert [each["question_id"] for each in answer["message"]["questions"]] == ["q", "r"]


class Noticed:
    """Something whose unpickling is noticed."""

    count = 0

    def __setstate__(self, _state: object) -> None:
        Noticed.count += 1


def test_without_a_session_nothing_of_the_named_user_is_looked_at(web: Web) -> None:
    web.open_door()
    kept = Noticed()
    kept.name = PLAYER  # type: ignore[attr-defined]
    web.redis.set(f"{web.config['db_name']}|document_cache::User::{PLAYER}", pickle.dumps(kept))
    for sid, count in (("f" * 48, 0), (SID, 1)):
        assert not web.ask(Cookie=f"sid={sid}; user_id={quote(PLAYER)}")[2]
        assert Noticed.count == count


def test_what_is_due_is_read_with_the_session(web: Web, site: Site) -> None:
    web.open_door()
    named = {"Cookie": f"sid={SID}; user_id={quote(PLAYER)}"}
    for path in (READ, f"{READ}?limit=1"):
        assert web.ask(path, **named) == web.ask(path)
    # A call after the lease also looks whether the cache may be believed.
    for _ in range(100):
        with site.counting() as costs:
            assert web.ask(**named)[1]["message"]["total_due"] == 2
        if (costs[0].statements, costs[0].cache_round_trips) == (0, 2):
            break
    else:
        pytest.fail(f"each call is more than the session's commands and a script: {costs}")
    # A session that Frappe would refuse gets nothing of it.
    web.redis.hdel(f"{web.config['db_name']}|session", SID)
    assert not web.ask(**named)[2]


def test_a_redis_cache_that_frappe_does_not_use_has_no_sessions(web: Web) -> None:
    frappe.make_present(web.config, PLAYER)
    url = web.config["redis_cache"]

    def check(named: str, **more: object) -> None:
        door_site.check_cache(frappe._dict(redis_cache=named, **more))

    for same in (url, f"{url}/0", f"{url}?db=0", f"{url}?socket_timeout=3"):
        check(same)
    others = (f"{url}/7", f"{url}?db=7", "redis://127.0.0.1:1", "rediss" + url[5:], "unix:///x")
    for other in (*others, "redis://"):
        with pytest.raises(ToFrappe, match="which Frappe does not use"):
            check(other)
    with pytest.raises(ToFrappe, match="Sentinel"):
        check(url, redis_cache_sentinel_enabled=1)
    # The first site of the process named a database, and this one does not.
    frappe.local.conf.redis_cache = f"{url}/7"
    check(f"{url}/7")
    with pytest.raises(ToFrappe, match="which Frappe does not use"):
        check(url)


def test_what_is_switched_on_shuts_the_door(web: Web) -> None:
    web.open_door()
    for name in ("maintenance_mode", "rate_limit", "monitor", "developer_mode", "allow_cors"):
        web.config[name] = 1
        web.door._sites.clear()
        for _ in range(2):
            assert not web.ask(Origin="https://elsewhere.example")[2], name
        del web.config[name]
    for hook in ("before_request", "after_request", "auth_hooks"):
        frappe.recorded.hooks[hook] = ["tests.app.test_door.a_hook"]
        web.door._sites.clear()
        for _ in range(2):
            assert not web.ask()[2], hook
        del frappe.recorded.hooks[hook]
    frappe.recorded.server_scripts["_api"] = {"memora.api.reviews.get_review_session": "x"}
    web.door._sites.clear()
    assert [web.ask()[2] for _ in range(2)] == [False, False]
    assert "hooks of another app for each request" in web.reasons()


def a_hook(**_unused: Any) -> None:
    """Of another app."""


def test_a_frappe_that_was_not_compared_gets_everything(web: Web) -> None:
    web.config[COMPARED_HERE] = "15:0123"
    assert [web.ask()[2] for _ in range(3)] == [False] * 3
    web.config[COMPARED_HERE] = f"17:{fingerprint_of_frappe()}"
    web.door._sites.clear()
    assert [web.ask()[2] for _ in range(3)] == [False] * 3
    assert any("was not compared" in reason for reason in web.reasons())


def test_a_patch_of_frappe_is_noticed(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.open_door()
    monkeypatch.setattr(frappe, "make_form_dict", lambda request: frappe._dict())
    web.door._sites.clear()
    assert [web.ask()[2] for _ in range(2)] == [False, False]


def test_a_change_is_seen(web: Web, tmp_path: Path) -> None:
    web.open_door()
    # Frappe's hooks changed in Redis: at once.
    web.redis.set(f"{web.config['db_name']}|app_hooks", pickle.dumps({"auth_hooks": ["x"]}))
    assert [web.ask()[2] for _ in range(2)] == [False, True]
    # A file of the configuration: at once.
    (tmp_path / web.config["db_name"] / "site_config.json").write_text('{"maintenance_mode": 1}')
    assert [web.ask()[2] for _ in range(2)] == [False, True]
    # The recorder: for each call.
    web.redis.set(f"{web.config['db_name']}|recorder-intercept", pickle.dumps(1))
    assert not web.ask()[2]
    web.redis.set(f"{web.config['db_name']}|recorder-intercept", pickle.dumps(False))
    assert web.ask()[2]
    # And after a second, Frappe is asked whatever has changed.
    with patch.object(door_site, "KNOWN_SECONDS", 0.2), patch("memora.wsgi.KNOWN_SECONDS", 0.0):
        web.door._sites.clear()
        # On a slow machine the next call may come too late.
        assert wait_until(lambda: bool(web.ask()[2]))
        time.sleep(0.25)
        assert not web.ask()[2]


def test_several_sites_by_their_names(web: Web) -> None:
    web.open_door()
    named = {"X-Frappe-Site-Name": "another.localhost"}
    assert [web.ask(**named)[2] for _ in range(2)] == [False, True]
    assert [web.ask(Host="third.localhost")[2] for _ in range(2)] == [False, True]
    with patch("memora.wsgi.MOST_KEYS", 4):
        for number in range(20):
            web.ask(Host=f"h{number}.localhost")
        assert len(web.door._sites) <= 4


def test_a_submission_is_taken_once_whoever_finishes_it(web: Web, site: Site) -> None:
    web.open_door()
    sent = {"session_data": {"answers": [ANSWER]}}
    # After the first one a drain must be queued, which is Frappe's: the engine is not asked again.
    status, first, is_door = web.ask(SUBMIT, sent)
    assert (status, is_door) == (200, False)
    assert site.engine().journal_status()["backlog"] == 1
    assert len(frappe.recorded.jobs) == 1
    status, second, is_door = web.ask(SUBMIT, sent)
    assert (status, is_door) == (200, True)
    assert site.engine().journal_status()["backlog"] == 2
    assert len(frappe.recorded.jobs) == 1
    assert first["message"].keys() == second["message"].keys()
    job_id = second["message"]["persistence_job_id"]
    assert web.ask(f"{STATUS}?job_id={job_id}")[1:] == (
        {"message": {"job_id": job_id, "status": "pending", "is_undone": False}},
        True,
    )
    assert web.ask(f"{STATUS}?job_id=unknown")[0] == 404


def test_a_key_in_the_header_counts(web: Web, site: Site) -> None:
    web.open_door()
    sent = {"session_data": {"answers": [ANSWER]}}
    told = [web.ask(SUBMIT, sent, **{"Idempotency-Key": '"once"'}) for _ in range(3)]
    assert site.engine().journal_status()["backlog"] == 1
    assert len({json.dumps(answer["message"], sort_keys=True) for _, answer, _ in told}) == 1
    assert told[2][2]


def test_an_unknown_outcome_is_not_tried_again(web: Web) -> None:
    """What the engine said of a submission is what Frappe tells the student."""
    asked: list[object] = []

    class Unknown:
        """An engine whose journal went away after the append."""

        def submit(self, *arguments: object) -> object:
            asked.append(arguments)
            raise OutcomeUnknown("the journal failed while answers were being saved")

    web.open_door()
    with patch.object(door_site, "engine", Unknown), patch("memora.api.reviews.engine", Unknown):
        web.door._sites.clear()
        web.ask()
        asked.clear()
        status, answer, is_door = web.ask(SUBMIT, {"session_data": {"answers": [ANSWER]}})
    assert (status, is_door, len(asked)) == (503, False, 1)
    assert "may have been saved" in answer["_server_messages"]


def test_what_is_refused_is_refused_by_frappe(web: Web, site: Site) -> None:
    web.open_door()
    for path, body in (
        (f"{READ}?limit=51", None),
        (f"{READ}?subject=Nothing", None),
        (f"{FORECAST}?days=0", None),
        (STATUS, None),
        (SUBMIT, {"session_data": {"answers": []}}),
        (SUBMIT, {}),
    ):
        status, answer, is_door = web.ask(path, body)
        assert (is_door, "exc_type" in answer) == (False, True), path
        assert status != 200
    assert site.engine().journal_status()["backlog"] == 0


@pytest.mark.parametrize("needs", [True, False])
def test_a_loader_says_whether_it_needs_a_request(web: Web, needs: bool) -> None:
    def load(question_ids: list[str]) -> dict[str, dict[str, Any]]:
        return {name: {"text": f"What is {name}?"} for name in question_ids}

    load.needs_no_request = not needs  # type: ignore[attr-defined]
    frappe.recorded.hooks["srs_question_loader"] = [f"{__name__}.loader"]
    with patch.dict(globals(), {"loader": load}):
        told = [web.ask() for _ in range(2)]
    assert [is_door for _, _, is_door in told] == [False, not needs]
    assert told[0][1] == told[1][1]
    assert told[1][1]["message"]["questions"][0]["text"] == "What is q?"


@pytest.mark.parametrize("card", [{"retired": 1}, "nonsense", None])
def test_a_loader_that_retires_or_fails_is_frappe_s(web: Web, card: Any) -> None:
    begins: list[bool] = []

    def load(question_ids: list[str]) -> dict[str, Any]:
        if card is None and begins:
            raise LookupError("it does need Frappe")
        return dict.fromkeys(question_ids, card) if begins else {}

    load.needs_no_request = True  # type: ignore[attr-defined]
    frappe.recorded.hooks["srs_question_loader"] = [f"{__name__}.loader"]
    with patch.dict(globals(), {"loader": load}):
        web.open_door()
        begins.append(True)
        assert web.ask()[0::2] == (200, False)
    assert web.reasons() & {"retired questions", "the srs_question_loader failed"}


@pytest.mark.parametrize("card", [{"retired": 1}, "nonsense"])
def test_a_read_in_safe_mode_is_made_once_whoever_finishes_it(web: Web, card: Any) -> None:
    """Safe Mode has room for one read of a student."""
    cards: dict[str, Any] = {}

    def load(question_ids: list[str]) -> dict[str, Any]:
        return {name: cards[name] for name in question_ids if name in cards}

    load.needs_no_request = True  # type: ignore[attr-defined]
    frappe.recorded.hooks["srs_question_loader"] = [f"{__name__}.loader"]
    with Redis("cache") as other, patch.dict(globals(), {"loader": load}):
        web.config["srs_cache_url"] = other.url
        web.open_door()
        other.kill()
        cards["q"] = card
        status, answer, is_door = web.ask()
    assert (status, is_door) == (200, False)
    assert answer["message"]["is_degraded"]
    asked = [each["question_id"] for each in answer["message"]["questions"]]
    assert asked == (["r"] if card == {"retired": 1} else ["q", "r"])


def test_a_redis_that_hangs_or_is_gone_holds_nobody_up(web: Web, site: Site) -> None:
    with Redis("cache") as other:
        web.config["srs_cache_url"] = site.servers.cache.url
        web.config["redis_cache"] = other.server_url
        web.config["srs_redis_timeout_ms"] = IMPATIENT_WITH_REDIS["redis_timeout_ms"]
        frappe.make_present(web.config, PLAYER)
        web = Web(web.config)
        web.open_door()
        other.pause()
        # The engine's cache is elsewhere, and the stand-in asks no Redis for sessions.
        assert [web.ask()[0::2] for _ in range(3)] == [(200, False)] * 3
        assert web.reasons() >= {door_site.SILENT_REDIS}
        other.resume()
        # It is asked again after a second at most.
        until = time.monotonic() + 30
        while not web.ask()[2]:
            assert time.monotonic() < until
            web.door._sites.clear()
            web.ask()
    assert web.ask()[0::2] == (200, False)


def test_children_of_a_process_answer_too(web: Web) -> None:
    web.open_door()
    children = []
    for _ in range(5):
        child = os.fork()
        if not child:
            told = [web.ask() for _ in range(5)]
            is_right = all(
                is_door and answer["message"]["total_due"] == 2 for _, answer, is_door in told
            )
            os._exit(0 if is_right else 1)
        children.append(child)
    assert web.ask()[2]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 5
    assert web.ask()[2]


def test_other_requests_are_passed_on_untouched(site: Site) -> None:
    passed = []

    def pass_on(environ: Any, start_response: Any) -> list[bytes]:
        passed.append((environ, dict(environ), start_response))
        return [b"frappe"]

    def start(*_unused: Any) -> Any:
        """Of the server."""

    stream = BytesIO(b"x")
    environ = {"PATH_INFO": "/api/method/frappe.ping", "wsgi.input": stream}
    assert Door(pass_on)(environ, start) == [b"frappe"]
    assert passed == [
        (environ, {"PATH_INFO": "/api/method/frappe.ping", "wsgi.input": stream}, start)
    ]
    assert stream.tell() == 0


def test_the_counts_are_told(web: Web) -> None:
    web.open_door()
    for _ in range(3):
        web.ask()
    web.ask(Authorization="token a:b")
    with patch.object(door_counts, "TOLD_EVERY_SECONDS", 0.0):
        web.door._sites.clear()
        web.ask()
    frappe.make_present(web.config)
    counts = door_counts.door_counts()
    assert counts["answered"] == 4
    assert counts["to_frappe"]["an Authorization header"] == 1
    assert counts["since"] is not None


def test_the_command_says_whether_it_is_in_use(web: Web) -> None:
    frappe.make_present(web.config)
    assert "not in use" in told_by_command(web)
    web.open_door()
    with patch.object(door_counts, "TOLD_EVERY_SECONDS", 0.0):
        web.door._sites.clear()
        web.ask()
    frappe.make_present(web.config)
    assert "has answered 1 of " in told_by_command(web)
    assert "once a second, Frappe is asked" in told_by_command(web)
    del web.config[COMPARED_HERE]
    frappe.make_present(web.config)
    assert "compared with" in told_by_command(web)


def told_by_command(web: Web) -> str:
    given = SimpleNamespace(sites=[web.config["db_name"]])
    return str(CliRunner().invoke(memora, ["door"], obj=given, catch_exceptions=False).output)
