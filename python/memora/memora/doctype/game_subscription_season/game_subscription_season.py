"""A season: its rules, its partition, and the engine's copy of its settings."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import getdate

from memora._engine import Engine
from memora.memora.doctype.season_subject_ladder.season_subject_ladder import SeasonSubjectLadder
from memora.services.engine import after_commit
from memora.services.errors import throw
from memora.services.ladders import fill_cleared, scheduling_of
from memora.services.players import check_no_records
from memora.services.seasons import active_seasons
from memora.services.srs_redis_manager import rebuild_soon

NAME: Final = re.compile(r"SEASON-[0-9]{4}(-[A-Z0-9_]+)?")
# The partition has the season's name, and MariaDB's names have at most this many characters.
LONGEST_NAME: Final = 64
PARTITION_JOB: Final = "memora.services.partition_manager.create_season_partition"


class GameSubscriptionSeason(Document):
    season_name: str
    start_date: date
    end_date: date
    is_active: int
    enable_redis: int
    auto_archive: int
    partition_created: int
    archive_status: str | None
    fast_seconds: float | None
    slow_seconds: float | None
    ladder_days: str | None
    subject_ladders: list[SeasonSubjectLadder] | None
    scheduler: str | None
    desired_retention: float | None
    longest_interval_days: int | None
    fsrs_parameters: str | None
    scheduling: str | None
    train_weekly: int
    fsrs_training: str | None

    def validate(self) -> None:
        self.keep_what_is_set_by_itself()
        self.validate_season_name()
        self.validate_dates()
        self.validate_auto_archive()
        self.validate_active()
        self.validate_scheduling()

    def keep_what_is_set_by_itself(self) -> None:
        """Restore read-only fields: Frappe's form does not change them, but HTTP calls can."""
        before = self.get_doc_before_save()
        self.partition_created = before.partition_created if before else 0
        self.archive_status = before.archive_status if before else None
        if self.flags.memora_training:
            return
        self.fsrs_training = before.fsrs_training if before else None
        if not before:
            # A copy of another season begins with the parameters that were trained there.
            return
        self.fsrs_parameters = before.fsrs_parameters
        trained = {row.subject: row.fsrs_parameters for row in before.subject_ladders or []}
        for row in self.subject_ladders or []:
            row.fsrs_parameters = trained.get(row.subject)

    def validate_season_name(self) -> None:
        if not NAME.fullmatch(self.season_name or "") or len(self.season_name) > LONGEST_NAME:
            throw(
                _(
                    "A season name must be SEASON-YYYY or SEASON-YYYY-SUFFIX, the suffix of A-Z, "
                    "0-9 and _."
                )
            )

    def validate_dates(self) -> None:
        if getdate(self.end_date) < getdate(self.start_date):
            throw(_("A season cannot end before it starts."))

    def validate_auto_archive(self) -> None:
        if self.auto_archive and self.is_active:
            throw(_("A season cannot be archived while it is active."))

    def validate_active(self) -> None:
        if self.archive_status and self.is_active:
            throw(_("{0} is archived and cannot become active again.").format(self.name))

    def validate_scheduling(self) -> None:
        fill_cleared(self)
        self.scheduling = scheduling_of(self)

    def before_rename(self, *_names: object) -> None:
        throw(_("A season cannot be renamed: its records and its partition have its name."))

    def after_insert(self) -> None:
        # The timeout is longer than the attempts to change the table's partitions take.
        frappe.enqueue(PARTITION_JOB, timeout=900, season=self.name, enqueue_after_commit=True)

    def onload(self) -> None:
        # The form's title says which season students see.
        self.set_onload("active_seasons", active_seasons())

    def on_update(self) -> None:
        self.warn_of_others()
        before = self.get_doc_before_save()
        # Schedules that were cached before enable_redis was switched off lack answers given since.
        is_back = bool(before and self.enable_redis and not before.enable_redis)
        after_commit(lambda engine: engine.season_changed(is_back))
        if is_back:
            name = self.name
            frappe.db.after_commit.add(lambda: rebuild_soon(name))

    def warn_of_others(self) -> None:
        """Say which of several active seasons students see: a school may briefly have two."""
        seen, *unseen = active_seasons() or [self.name]
        if not self.is_active or not unseen:
            return
        frappe.msgprint(
            _(
                "Students see one active season: {0}. Nobody sees {1}, although it is active too."
            ).format(seen, ", ".join(unseen)),
            title=_("Several seasons are active"),
            indicator="orange",
        )

    def on_trash(self) -> None:
        check_no_records(self)
        name = self.name
        after_commit(Engine.season_changed)
        after_commit(lambda engine: engine.forget_archive(name))
