"""What people read is in their language."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator

import pytest

from memora.api import reviews
from tests import frappe_standin as frappe
from tests import translations
from tests.support.site_under_test import SEASON, Site, session

App = Callable[..., None]

SOURCE = translations.ROOT / "src"


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
    assert "ar" in translations.languages()


def test_the_files_are_up_to_date() -> None:
    for path, text in translations.files().items():
        assert path.read_bytes() == text, f"{path.name} is out of date: run `make translations`"


@pytest.mark.parametrize("language", translations.languages())
def test_every_message_is_translated_with_its_values(language: str) -> None:
    translated = translations.translations(language)
    for message in translations.messages():
        found = translated.get(message.text, message.context)
        assert found is not None, f"{message.file}: {message.text} is not in {language}.po"
        assert found.string, f"{message.file}: {message.text} is not translated"
        assert found.string != message.text
        assert places(str(found.string)) == places(message.text)


@pytest.mark.parametrize("language", translations.languages())
def test_frappe_reads_each_translation(language: str) -> None:
    read = frappe.get_translations_from_csv(language, "memora")
    for text, context, _file in translations.messages():
        assert (f"{text}:{context}" if context else text) in read


def test_the_engine_says_each_sentence_that_is_listed() -> None:
    source = "\n".join(path.read_text("utf-8") for path in SOURCE.rglob("*.rs"))
    source = re.sub(r"\\\n\s*", "", source)
    said = {re.sub(r"\{[^{}]*\}", "{}", text) for text in re.findall(r'"([^"\n]+)"', source)}
    said |= {f"Nothing was saved: {text}." for text in said}
    for message in translations.from_the_engine():
        assert re.sub(r"\{\d\}", "{}", message.text) in said, message.text


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
