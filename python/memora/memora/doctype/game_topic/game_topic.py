"""A topic: the engine remembers which there are."""

from __future__ import annotations

from typing import Any

from frappe.model.document import Document

from memora._engine import Engine
from memora.services.engine import after_commit


class GameTopic(Document):
    topic_name: str
    subject: str | None

    def after_rename(self, *_names: Any) -> None:
        after_commit(Engine.links_changed)

    def on_trash(self) -> None:
        after_commit(Engine.links_changed)
