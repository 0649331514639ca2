"""Students for `make bench-http ARGS="--bench ..."`: each with 1,000 records, 20 of them due.

    cd sites && PYTHONPATH=CLONE ../env/bin/python -m benches.http_students --site SITE \\
        --password PASSWORD

For a site for tests only. It makes the users that `--students` of the bench logs in, and a season
if none is active. What is due stays due: submissions answer the other questions.
"""

from __future__ import annotations

import argparse
import time
from datetime import timedelta
from typing import Final

import frappe
from frappe.utils import now_datetime
from frappe.utils.password import update_password

from benches import dataset
from memora.services.engine import engine

USER: Final = "memora-bench-{}@example.com"
RECORDS: Final = 1000
HOUR: Final = 3600.0
# As many as one call of the engine takes.
STATES_A_CALL: Final = 500

State = tuple[str, int, float, str | None, str | None]


def active_season() -> str:
    """The name of the season that is active; a new one if none is."""
    found: str | None = frappe.db.get_value("Game Subscription Season", {"is_active": 1})
    if found:
        return found
    today = now_datetime().date()
    season = {
        "doctype": "Game Subscription Season",
        "season_name": f"SEASON-{today.year}-MEMORA_BENCH",
        "is_active": 1,
        "start_date": today,
        "end_date": today + timedelta(days=30),
    }
    return str(frappe.get_doc(season).insert(ignore_permissions=True).name)


def make_user(name: str, password: str) -> None:
    """A student who can log in."""
    if not frappe.db.exists("User", name):
        user = {"doctype": "User", "email": name, "enabled": 1, "first_name": "Nur"}
        frappe.get_doc(user).insert(ignore_permissions=True)
    update_password(name, password)
    frappe.db.commit()


def states() -> list[State]:
    """The records of a student: 20 are due since some hours, the others next month."""
    now = time.time()
    due, later = now - HOUR, now + 30 * 24 * HOUR
    return [
        (
            dataset.question_id(number),
            1 + number % 4,
            due - number * HOUR if number < dataset.STAYS_DUE else later + number * HOUR,
            None,
            None,
        )
        for number in range(RECORDS)
    ]


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--site", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--students", type=int, default=200)
    options = parser.parse_args()
    frappe.init(options.site)
    frappe.connect()
    # Frappe makes 60 users an hour otherwise.
    frappe.flags.in_import = True
    season = active_season()
    frappe.db.commit()
    given = states()
    for number in range(options.students):
        name = USER.format(number)
        make_user(name, options.password)
        for first in range(0, RECORDS, STATES_A_CALL):
            engine().set_states(name, season, given[first : first + STATES_A_CALL])
    while engine().journal_status()["backlog"]:
        engine().drain(10.0)
    print(
        f"{options.students} students in {season}, each with {RECORDS} records, "
        f"{dataset.STAYS_DUE} of them due"
    )


if __name__ == "__main__":
    main()
