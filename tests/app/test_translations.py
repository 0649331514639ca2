"""People read messages in their language."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator

import pytest
from frappe import _

from memora.api import reviews
from memora.services.administrators import alert_administrators
from memora.services.messages import translated, translated_warning
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
        assert set(places(str(found.string))) == set(places(message.text))


def test_values_and_commands_keep_their_direction_in_arabic() -> None:
    for text, isolated in (
        ("من {0} إلى {1}.", "من \u2068{0}\u2069 إلى \u2068{1}\u2069."),
        ("نشطة: {}", "نشطة: \u2068{}\u2069"),
        ("نفّذ: bench --site SITE memora forget {0}",
         "نفّذ: \u2066bench --site SITE memora forget {0}\u2069"),
        ("حدّده بالخيار --site.", "حدّده بالخيار \u2066--site\u2069."),
        ("بثقة 95% أو {0}%", "بثقة \u206895%\u2069 أو \u2068{0}%\u2069"),
        ("افتح redis_queue", "افتح redis_queue"),
    ):  # fmt: skip
        assert translations.isolated(text) == isolated
        assert translations.isolated(isolated) == isolated


@pytest.mark.parametrize("language", translations.languages())
def test_frappe_reads_each_translation(language: str) -> None:
    read = frappe.get_translations_from_csv(language, "memora")
    for text, context, _file in translations.messages():
        assert (f"{text}:{context}" if context else text) in read


def test_the_engine_says_each_sentence_that_is_listed() -> None:
    source = "\n".join(path.read_text("utf-8") for path in SOURCE.rglob("*.rs"))
    source = re.sub(r"\\\n\s*", "", source)
    texts = [text.replace('\\"', '"') for text in re.findall(r'"((?:[^"\\\n]|\\.)+)"', source)]
    said = {re.sub(r"\{[^{}]*\}", "{}", text) for text in texts}
    said |= {f"Nothing was saved: {text}." for text in said}
    said |= {f"Nothing was undone: {text}" for text in said}
    said |= {
        text.replace("{} no {}", f"There is no {link}")
        for text in said
        for link in ("subject", "topic")
    }
    for message in translations.from_the_engine():
        assert re.sub(r"\{\d\}", "{}", message.text) in said, message.text


@pytest.mark.usefixtures("arabic")
def test_a_sentence_of_the_app_in_arabic(site: Site) -> None:
    with pytest.raises(
        frappe.ValidationError, match=r"يجب أن يكون .limit. عددًا صحيحًا من .1. إلى .50."
    ):
        reviews.get_review_session(limit=51)


@pytest.mark.usefixtures("arabic")
def test_sentences_of_the_engine_in_arabic_with_their_values(site: Site) -> None:
    with pytest.raises(
        frappe.ValidationError, match=r"الحد الأقصى للإجابات في المرة الواحدة .50.، وليس .51."
    ):
        reviews.submit_review_session(session_data=session(*(f"q{number}" for number in range(51))))
    with pytest.raises(frappe.ValidationError, match="لا توجد إجابات"):
        reviews.submit_review_session(responses=[])
    site.sql(
        "UPDATE `tabGame Subscription Season` SET archive_status = 'Archiving' WHERE name = %s",
        [SEASON],
    )
    with pytest.raises(frappe.ValidationError, match=f"تمت أرشفة .{SEASON}.|لا يوجد موسم نشط"):
        reviews.submit_review_session(session_data=session("q"))


@pytest.mark.usefixtures("arabic")
def test_what_tells_a_programmer_stays_as_it_is(site: Site) -> None:
    with pytest.raises(frappe.ValidationError, match="quality must be a whole number from 0 to 5"):
        reviews.submit_review_session(responses=[{"question_id": "q", "quality": 9}])


def test_each_administrator_is_told_in_their_own_language(site: Site, app: App) -> None:
    arabic = "manager@arabic.example"
    frappe.recorded.roles[arabic] = ["Memora Manager"]
    frappe.recorded.languages[arabic] = "ar"
    alert_administrators(lambda: (translated("There is no season 2."), _("All Seasons")), "/app")
    english_note, arabic_note = frappe.recorded.notifications
    assert english_note["users"] == [frappe.MANAGER]
    assert english_note["subject"] == "There is no season 2."
    assert arabic_note["users"] == [arabic]
    assert arabic_note["email_content"] == "كل المواسم"


def test_a_warning_of_several_sentences_in_arabic(arabic: None) -> None:
    warning = translated_warning(
        "redis_queue loses unsaved answers when it crashes: set appendonly yes, first with "
        "CONFIG SET, then in its file. redis_queue has "
        "replicas (2), and none must confirm answers: a failover loses what the replica lacks. "
        "Set srs_journal_replicas to 2."
    )
    assert warning
    assert not re.search(r"unsaved|none is asked|Set ", warning)
