"""What students read is in their language."""

from __future__ import annotations

import ast
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import memora
from memora.api import reviews
from memora.services.messages import TO_STUDENTS
from tests import frappe_standin as frappe
from tests.support.site_under_test import SEASON, Site, session

App = Callable[..., None]

PACKAGE = Path(str(memora.__file__)).parent
LANGUAGES = sorted(path.stem for path in (PACKAGE / "translations").glob("*.csv"))
SPEAK_TO_STUDENTS = ("api/arguments.py", "api/reviews.py", "services/errors.py")
# No method for students tells them.
TO_ADMINISTRATORS = {
    "Nothing was done. {0} To do it, set confirm.",
    "This cannot be done now: {0}",
    "memora failed: {0}",
}


def sentences() -> set[str]:
    """All that students can be told."""
    found = set(TO_STUDENTS)
    for name in SPEAK_TO_STUDENTS:
        for node in ast.walk(ast.parse((PACKAGE / name).read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "_"
            ):
                found.add(ast.literal_eval(node.args[0]))
    return found - TO_ADMINISTRATORS


def places(text: str) -> list[str]:
    """The places for values in a sentence."""
    return sorted(place for _, place, _, _ in string.Formatter().parse(text) if place is not None)


@pytest.fixture
def arabic(app: App) -> Iterator[None]:
    """A student who reads Arabic."""
    frappe.local.lang = "ar"
    yield
    del frappe.local.lang


def test_arabic_is_there() -> None:
    assert "ar" in LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_translated_with_its_values(language: str) -> None:
    translations = frappe.get_translations_from_csv(language, "memora")
    assert sentences() <= set(translations)
    for sentence, translation in translations.items():
        assert translation != sentence
        assert places(translation) == places(sentence)


@pytest.mark.usefixtures("arabic")
def test_a_sentence_of_the_app_in_arabic(site: Site) -> None:
    with pytest.raises(frappe.ValidationError, match="يجب أن يكون limit عددًا صحيحًا من 1 إلى 50"):
        reviews.get_review_session(limit=51)


@pytest.mark.usefixtures("arabic")
def test_sentences_of_the_engine_in_arabic_with_their_values(site: Site) -> None:
    with pytest.raises(
        frappe.ValidationError, match="الحد الأقصى 50 إجابة في المرة الواحدة، وليس 51"
    ):
        reviews.submit_review_session(session_data=session(*(f"q{number}" for number in range(51))))
    with pytest.raises(frappe.ValidationError, match="لا توجد إجابات"):
        reviews.submit_review_session(responses=[])
    site.sql(
        "UPDATE `tabGame Subscription Season` SET archive_status = 'Archiving' WHERE name = %s",
        [SEASON],
    )
    with pytest.raises(frappe.ValidationError, match=f"تمت أرشفة {SEASON}|لا يوجد موسم نشط"):
        reviews.submit_review_session(session_data=session("q"))


@pytest.mark.usefixtures("arabic")
def test_what_tells_a_programmer_stays_as_it_is(site: Site) -> None:
    with pytest.raises(frappe.ValidationError, match="quality is a whole number from 0 to 5"):
        reviews.submit_review_session(responses=[{"question_id": "q", "quality": 9}])
