"""Students and seasons with records: deletion is refused; students are renamed or erased."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final, TypedDict

import frappe
from frappe import _
from frappe.model.rename_doc import get_link_fields

from memora._engine import Engine
from memora.services.engine import after_commit, engine
from memora.services.errors import frappe_errors, throw
from memora.services.monitor import POISON
from memora.services.partition_manager import SEASON
from memora.services.storage import ARCHIVE, AUDIT, TRACKER

if TYPE_CHECKING:
    from memora._engine import Forgotten, LoggedAnswer

# Tables that Frappe must not scan.
BIG_TABLES: Final = (TRACKER, ARCHIVE, AUDIT)
RENAMED_AT_A_TIME: Final = 500

# All data of a student: the log of answers, and by DocType each record with all its fields.
KeptRecords = TypedDict(
    "KeptRecords",
    {
        "answers": "list[LoggedAnswer]",
        "Player Memory Tracker": list[dict[str, Any]],
        "Archived Memory Tracker": list[dict[str, Any]],
        "Memory Review Audit": list[dict[str, Any]],
        "Poison Review": list[dict[str, Any]],
        "Suspended Question": list[dict[str, Any]],
    },
)


def check_no_records(document: Any, _event: str | None = None) -> None:
    """Refuse to delete a user or a season that has records, archived or not (hook on_trash).

    Raises:
        frappe.LinkExistsError: there are records, or answers of the user that are not saved yet.
    """
    name = document.name
    if document.doctype == SEASON:
        has_any = any(frappe.db.exists(table, {"season": name}) for table in (TRACKER, ARCHIVE))
    else:
        has_any = has_records(name) or has_waiting_answers(name)
    if has_any:
        message = _("{0} {1} has review records and cannot be deleted.").format(
            _(document.doctype), name
        )
        if document.doctype != SEASON:
            message += " " + _("Erase them first: bench --site SITE memora forget {0}").format(name)
        throw(message, frappe.LinkExistsError)
    if document.doctype != SEASON:
        after_commit(lambda engine: engine.player_changed(name))


def before_rename(_user: Any, _event: str, old: str, new: str, merge: bool = False) -> None:
    """Check that a student's records can take a new name (hook of User).

    Raises:
        frappe.ValidationError: the journal cannot be reached, or both names have records.
    """
    if has_records(old) and has_records(new):
        throw(_("{0} and {1} both have review records and cannot be merged.").format(old, new))
    _drain(old)
    with frappe_errors(for_students=False):
        engine().note_rename(old, new)
    _keep_to_ourselves()


def after_rename(_user: Any, _event: str, old: str, new: str, _merge: bool = False) -> None:
    """Rename a student's records in the transaction that renames the user (hook of User).

    It finds records by an index. Records that arrive under the old name later are renamed right
    after the commit, and by `srs_persistence.drain_safety_net`.
    """
    _leave_to_frappe()
    _drain(old)
    seasons = _seasons()
    for table in (TRACKER, ARCHIVE):
        for season in seasons:
            _rename_records(table, {"player": old, "season": season}, "question_id", new)
    _rename_records(AUDIT, {"player": old}, "name", new)
    _rename_records(POISON, {"player": old}, "name", new)
    frappe.db.sql("update ignore memora_suspended set player = %s where player = %s", (new, old))

    def forget(engine: Engine) -> None:
        engine.player_changed(old)
        engine.carry_renamed()
        for season in seasons:
            for name in (old, new):
                engine.cache_clear(name, season)

    after_commit(forget)


def _drain(player: str) -> None:
    with frappe_errors(for_students=False):
        if has_waiting_answers(player):
            engine().drain(10.0)


def _rename_records(table: str, found: dict[str, str], key: str, new: str) -> None:
    """Rename a student in records, by their whole keys: a range would also lock the gaps.

    It uses SQL because Frappe's `set_value` scans redis_cache for documents each time.
    """
    keys = frappe.get_all(table, filters=found, pluck=key, order_by=key)
    condition = " and ".join(f"`{field}` = %s" for field in found)
    names = ", ".join(
        f"`{field}` = if(`{field}` = %s, %s, `{field}`)" for field in ("owner", "modified_by")
    )
    old = found["player"]
    for first in range(0, len(keys), RENAMED_AT_A_TIME):
        piece = keys[first : first + RENAMED_AT_A_TIME]
        frappe.db.sql(
            f"update `tab{table}` force index (primary) set {names}, player = %s "
            f"where {condition} and `{key}` in %s",
            (old, new, old, new, new, *found.values(), piece),
        )


def _keep_to_ourselves() -> None:
    """Hide memora's large tables from Frappe while it renames a user.

    Frappe looks for links and owners in every record of every table, and locks what it reads: no
    answer could be written for seconds or hours. `after_rename` uses the indexes of those tables
    instead.
    """
    database = frappe.local.db
    tables = database.get_tables()
    database.get_tables = lambda cached=True: [
        name for name in tables if name.removeprefix("tab") not in BIG_TABLES
    ]
    links = get_link_fields("User")
    frappe.flags.link_fields["User"] = [link for link in links if not _is_ours(link)]
    for end in (database.after_commit, database.after_rollback):
        end.add(_leave_to_frappe)


def _is_ours(link: dict[str, Any]) -> bool:
    return link["parent"] in BIG_TABLES and link["fieldname"] == "player"


def _leave_to_frappe() -> None:
    """Show all tables to Frappe again."""
    vars(frappe.local.db).pop("get_tables", None)
    (frappe.flags.link_fields or {}).pop("User", None)


def export(player: str) -> KeptRecords:
    """All data of a student. Answers that wait are saved first. Commits.

    Raises:
        frappe.ValidationError: answers that wait cannot be saved now.
        frappe.DoesNotExistError: no user has this name, and no data was saved under it.
    """
    _drain(player)
    if has_waiting_answers(player):
        message = _("Answers of {0} are on their way to the database. Try again in a minute.")
        throw(message.format(player))
    # The present transaction would not see the answers that were just saved.
    frappe.db.commit()
    kept: KeptRecords = {
        "answers": _all_answers(player),
        TRACKER: _season_by_season(TRACKER, player),
        ARCHIVE: _season_by_season(ARCHIVE, player),
        AUDIT: _all_fields(AUDIT, {"player": player}, "name"),
        POISON: _all_fields(POISON, {"player": player}, "name"),
        # No DocType: the engine keeps them.
        "Suspended Question": [dict(one) for one in engine().suspended_questions(player)],
    }
    _check_known(player, any(kept.values()))
    return kept


def forget(player: str) -> Forgotten:
    """Erase all data of a student.

    Raises:
        frappe.DoesNotExistError: no user has this name, and no data was saved under it.
        memora._engine.MemoraError: a server is down. Calling it again continues.
    """
    forgotten = engine().forget(player)
    _check_known(player, any(forgotten.values()))
    return forgotten


def _check_known(player: str, is_kept: bool) -> None:
    """Check that a name is not a typing error: a user has it, or data was saved under it.

    Raises:
        frappe.DoesNotExistError: neither is true.
    """
    if not is_kept and not frappe.db.exists("User", player):
        message = _("There is no user {0}, and nothing is kept of one.")
        throw(message.format(html.escape(player[:140])), frappe.DoesNotExistError)


def _season_by_season(table: str, player: str) -> list[dict[str, Any]]:
    """A student's records in the live table or the archive, by one index lookup for each season."""
    of_seasons = [{"player": player, "season": season} for season in _seasons()]
    return [record for one in of_seasons for record in _all_fields(table, one, "question_id")]


def _all_answers(player: str) -> list[LoggedAnswer]:
    """A student's log of answers, read in pages so that other threads can run meanwhile."""
    answers: list[LoggedAnswer] = []
    with frappe_errors(for_students=False):
        while page := engine().answers(
            player, None, after=answers[-1]["job_id"] if answers else None
        ):
            answers += page
    return answers


def _all_fields(table: str, filters: dict[str, str], order: str) -> list[dict[str, Any]]:
    return [
        dict(row) for row in frappe.get_all(table, filters=filters, fields=["*"], order_by=order)
    ]


def forget_on_request(request: Any, _event: str) -> None:
    """Erase a student before Frappe makes the user anonymous (Personal Data Deletion Request).

    Frappe would change record after record, and keep them.
    """
    steps = request.deletion_steps or []
    if steps and all(step.status == "Pending" for step in steps):
        with frappe_errors(for_students=False):
            engine().forget(frappe.db.get_value("User", request.email, "name") or request.email)


def has_records(player: str) -> bool:
    """Whether a student has records, archived or not, by one index lookup for each season."""
    filters = [{"player": player, "season": season} for season in _seasons()]
    return any(frappe.db.exists(table, one) for one in filters for table in (TRACKER, ARCHIVE))


def has_waiting_answers(player: str) -> bool:
    """Whether answers of a student wait in the journal.

    Raises:
        frappe.ValidationError: the journal cannot be reached.
    """
    with frappe_errors(for_students=False):
        return engine().has_waiting_answers(player, _seasons())


def _seasons() -> list[str]:
    return [str(season) for season in frappe.get_all(SEASON, filters={}, pluck="name")]
