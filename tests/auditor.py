"""The auditor: what students were told against what the table says, once all is quiet."""

from __future__ import annotations

import time

from memora._engine import Engine
from tests.ledger import unix
from tests.load import NEVER, QUESTIONS, Students, differences
from tests.site_under_test import SEASON, Site


def audit(students: Students, site: Site, engine: Engine) -> list[str]:
    """Everything that is wrong: records, audit records, what is set aside, what is read and cached."""
    wrong = []
    audited = {row["name"] for row in site.sql("SELECT name FROM `tabMemory Review Audit`")}
    for player in students.names:
        ledger = students.ledger(player)
        ledger.read()
        rows = site.rows(player)
        wrong += [f"{player} has a row for {name}" for name in rows.keys() - set(QUESTIONS)]
        for name, states in ledger.states.items():
            row = rows.get(name)
            if not (NEVER in states if row is None else any(state.fits(row) for state in states)):
                wrong.append(f"{player}, {name}: the table has {row}, the ledger allows {states}")
        lost = [job for job in ledger.acknowledged if job not in audited]
        wrong += [f"{player}: submission {job} was acknowledged and has no audit record" for job in lost]
        wrong += audit_reading(students, site, engine, player)
    poison = site.sql("SELECT player, reason FROM `tabPoison Review`")
    return wrong + [f"set aside: {row}" for row in poison]


def audit_reading(students: Students, site: Site, engine: Engine, player: str) -> list[str]:
    """What a student reads now, and whether the cache says the same as the table."""
    found = engine.due(player, limit=50)
    now = time.time()
    wrong = [f"{player}: {what}" for what in differences(students.ledger(player), found, now, now)]
    if found["source"] != "cache" or found["is_degraded"]:
        wrong.append(f"{player} is read from {found['source']}, degraded: {found['is_degraded']}")
    dates = {name: float(int(unix(row["next_review_date"]))) for name, row in site.rows(player).items()}
    if engine.cache_scores(player, SEASON) != dates:
        wrong.append(f"{player}: the cache differs from the table")
    return wrong
