"""One student's record of one question in one season, edited by hand.

Students' answers do not use this class: the engine writes them in bulk.
"""

from __future__ import annotations

import time
import unicodedata
from datetime import datetime
from typing import Final

import frappe
from frappe import _
from frappe.model.document import Document
from frappe.utils import cint

from memora.services.engine import after_commit
from memora.services.errors import throw
from memora.services.ladders import highest_stability
from memora.services.partition_manager import SEASON
from memora.services.storage import TRACKER

LONGEST_QUESTION_ID: Final = 140


class PlayerMemoryTracker(Document):
    player: str
    season: str
    question_id: str
    stability: int
    next_review_date: datetime
    last_review_date: datetime | None
    subject: str | None
    topic: str | None
    answered_at_us: int
    memory_stability: float
    memory_difficulty: float
    lapses: int

    def validate(self) -> None:
        self.validate_season_is_open()
        self.validate_question_id()
        self.validate_stability()
        self.validate_is_first()

    def validate_season_is_open(self) -> None:
        """Refuse changes to records of a season that is archived or being archived.

        Locks the season until the transaction ends, so that its archiving cannot begin meanwhile.
        """
        if frappe.db.get_value(SEASON, self.season, "archive_status", for_update=True):
            throw(_("{0} is archived: its records can no longer change.").format(self.season))

    def validate_question_id(self) -> None:
        """Refuse an id that the cache or the database would not store unchanged."""
        if not 1 <= len(self.question_id or "") <= LONGEST_QUESTION_ID:
            throw(_("A question id must have 1 to {0} characters.").format(LONGEST_QUESTION_ID))
        has_control = any(unicodedata.category(letter) == "Cc" for letter in self.question_id)
        if has_control or self.question_id != self.question_id.strip():
            throw(_("A question id must not have control characters, or a space at either end."))

    def validate_stability(self) -> None:
        scheduling = frappe.db.get_value(SEASON, self.season, "scheduling")
        highest = highest_stability(scheduling)
        if not 0 <= cint(self.stability) <= highest:
            throw(_("Stability must be from 0 to {0}.").format(highest))

    def validate_is_first(self) -> None:
        """Refuse a second record with a clear message, before the primary key does."""
        if not self.is_new():
            return
        key = {"player": self.player, "season": self.season, "question_id": self.question_id}
        if frappe.db.exists(TRACKER, key):
            message = _("{0} already has a record of this question in {1}.")
            throw(message.format(self.player, self.season), frappe.DuplicateEntryError)

    def before_save(self) -> None:
        # Earlier answers that are still on their way must not undo this edit.
        self.answered_at_us = max(time.time_ns() // 1000, cint(self.answered_at_us) + 1)
        before = self.get_doc_before_save()
        if before and cint(before.stability) != cint(self.stability):
            # The next answer starts from the rung that this edit sets.
            self.memory_stability = self.memory_difficulty = 0

    def on_update(self) -> None:
        self.forget_cache()

    def on_trash(self) -> None:
        self.validate_season_is_open()
        self.forget_cache()

    def forget_cache(self) -> None:
        """Make the student's next read load the database."""
        player, season = self.player, self.season
        after_commit(lambda engine: engine.cache_clear(player, season))
