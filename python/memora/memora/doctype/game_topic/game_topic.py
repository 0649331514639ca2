"""A topic: the engine remembers which ones exist."""

from __future__ import annotations

from frappe import _
from frappe.model.document import Document

from memora._engine import Engine
from memora.services.engine import after_commit
from memora.services.errors import throw


class GameTopic(Document):
    topic_name: str
    subject: str | None

    def before_rename(self, *_names: object) -> None:
        throw(_("A topic cannot be renamed: the records of students have its name."))

    def on_trash(self) -> None:
        after_commit(Engine.links_changed)
