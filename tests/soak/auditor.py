"""The auditor: compares what students were told with the table, once all is quiet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from memora._engine import Engine
from tests.soak.ledger import Ledger, Moment, unix
from tests.soak.load import MOST_WRONG, NEVER, QUESTIONS, Students, differences
from tests.support.servers import wait_until
from tests.support.site_under_test import SEASON, Site

if TYPE_CHECKING:
    from memora._engine import DueAnswer

TRUST_SECONDS: Final = 5.0


def audit(students: Students, site: Site, engine: Engine) -> list[str]:
    """All errors: in records, audit records, Poison Reviews, reads and the cache."""
    wrong = []
    audits = site.sql("SELECT name, player FROM `tabMemory Review Audit`")
    # The name is the primary key, so none is duplicate.
    audited = {str(row["name"]) for row in audits}
    audits_of = Counter(str(row["player"]) for row in audits)
    # A process may first need to look whether the cache may be believed, and whom drains have
    # marked.
    wait_until(lambda: is_looked_at(site, engine.due(students.names[0])), TRUST_SECONDS)
    for player in students.names:
        ledger = students.ledger(player)
        ledger.read()
        # No process has served them since theirs died.
        ledger.settle(students.time.now(), MOST_WRONG)
        rows = site.rows(player)
        wrong += [f"{player} has a row for {name}" for name in rows.keys() - set(QUESTIONS)]
        for name, states in ledger.states.items():
            row = rows.get(name)
            if not (NEVER in states if row is None else any(state.fits(row) for state in states)):
                wrong.append(f"{player}, {name}: the table has {row}, the ledger allows {states}")
        wrong += [f"{player}: {what}" for what in audit_jobs(ledger, audited, audits_of[player])]
        wrong += audit_log(ledger, engine, player)
        wrong += audit_reading(students, site, engine, player)
    poison = site.sql("SELECT player, reason FROM `tabPoison Review`")
    return wrong + [f"set aside: {row}" for row in poison]


def is_looked_at(site: Site, found: DueAnswer) -> bool:
    """Whether an answer is from a cache that lacks no known answer."""
    return found["source"] == "cache" and not site.sql("SELECT 1 FROM memora_unshown LIMIT 1")


def audit_jobs(ledger: Ledger, audited: set[str], records: int) -> list[str]:
    """Whether each acknowledged submission has its audit record, and none has a second name.

    Args:
        ledger: of one student.
        audited: the names of all audit records.
        records: how many of them are the student's.
    """
    lost = [job for job in ledger.acknowledged if job not in audited]
    wrong = [f"submission {job} was acknowledged and has no audit record" for job in lost]
    wrong += [
        f"submission {job} was acknowledged {times} times"
        for job, times in twice(ledger.acknowledged)
    ]
    if not len(ledger.acknowledged) <= records <= ledger.begun:
        wrong.append(
            f"{records} audit records of {ledger.begun} submissions, "
            f"{len(ledger.acknowledged)} acknowledged"
        )
    return wrong


def audit_log(ledger: Ledger, engine: Engine, player: str) -> list[str]:
    """Whether the answers of undone submissions do not count, and all others do."""
    wrong, after = [], None
    while page := engine.answers(player, SEASON, limit=1_000, after=after):
        after = page[-1]["job_id"]
        for answer in page:
            job, is_counted = answer["job_id"], answer["is_counted"]
            if (
                is_counted
                if job in ledger.undone
                else not is_counted and job not in ledger.perhaps_undone
            ):
                wrong.append(f"{player}: answers of {job} count: {is_counted}")
    return wrong


def twice(names: Sequence[str]) -> list[tuple[str, int]]:
    """The names that occur more than once, and how often."""
    return [(name, times) for name, times in Counter(names).items() if times > 1]


def audit_reading(students: Students, site: Site, engine: Engine, player: str) -> list[str]:
    """What a student reads now, and whether cache and table agree."""
    found = engine.due(player, limit=50)
    now = students.time.now()
    wrong = [
        f"{player}: {what}"
        for what in differences(students.ledger(player), found, Moment(now, now))
    ]
    if found["source"] != "cache" or found["is_degraded"]:
        wrong.append(f"{player} is read from {found['source']}, degraded: {found['is_degraded']}")
    dates = {
        name: float(int(unix(row["next_review_date"]))) for name, row in site.rows(player).items()
    }
    cached = engine.cache_scores(player, SEASON)
    if cached != dates:
        differing = sorted(cached.items() ^ dates.items())
        wrong.append(
            f"{player}: the cache differs from the table: {differing}; the ledger ends with "
            f"{students.path(player).read_text()[-1000:]}"
        )
    return wrong
