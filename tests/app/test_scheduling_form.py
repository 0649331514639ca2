"""A season's form: FSRS is trained, and the schedulers are compared, in a real browser."""

from __future__ import annotations

import json

from memora.services import training
from tests import frappe_standin as frappe
from tests.administrators.test_training import badly
from tests.app.test_desk_page import Browser, Desk, browser, desk
from tests.support.answer_logs import a_term, add_logs
from tests.support.site_under_test import SEASON, Site

__all__ = ["browser", "desk"]

FORM = "Game Subscription Season"


def test_a_season_is_trained_in_its_form(site: Site, browser: Browser) -> None:
    add_logs(site, a_term(10, 30, 6, badly))
    browser.open("form", FORM, SEASON)
    browser.sees(".form-dashboard", "Overview")
    browser.sees_no(".memora-training")
    browser.click("Train")
    browser.sees(".modal", SEASON, "only if answers that training does not see prove it")
    assert frappe.recorded.jobs == []
    browser.click("Yes", ".modal")
    browser.sees(".desk-alert", "The training is queued")
    browser.sees(".form button", "Cancel Training")
    frappe.recorded.run_jobs()
    browser.sees(".desk-alert", "Training", "the new parameters are used")
    browser.sees(".memora-training tbody tr", "Questions without a Row", "1,800", "→", "Used")


def test_its_progress_is_told_in_percent(site: Site, browser: Browser) -> None:
    site.insert(
        "SRS Job", name="j1", kind="Training", season=SEASON, status="Running",
        started_at=site.now(), modified=site.now(), done=250, total=1000,
        message="Reading answers",
    )  # fmt: skip
    browser.open("form", FORM, SEASON)
    browser.sees(".progress-area", "Training: Reading answers: 25%")


def test_what_was_not_better_or_too_little_is_told(site: Site, browser: Browser) -> None:
    fit = {"log_loss": 0.44951, "rmse_of_bins": 0.05, "auc": 0.68}
    found = {"answers": 5_230, "predicted": 4_000, "held_out": 800}
    kept = {
        "at": str(site.now()),
        "found": [
            {"subject": None, "before": fit, "after": fit, "is_used": False, **found},
            {"subject": "<b>Art", "before": None, "after": None, "is_used": False, **found},
        ],
    }
    site.sql(f"UPDATE `tab{FORM}` SET fsrs_training = %s", (json.dumps(kept),))
    browser.open("form", FORM, SEASON)
    browser.sees(".memora-training tbody", "5,230", "0.450 → 0.450", "0.680", "Not Better")
    browser.sees(".memora-training tbody", "<b>Art", "\u2013", "Too Few Answers")


def test_the_schedulers_are_compared_in_its_form(site: Site, browser: Browser) -> None:
    browser.open("form", FORM, SEASON)
    browser.click("Compare Schedulers")
    browser.sees(".memora-comparison", "an ordinary student is assumed", "1,000 questions")
    browser.sees(".memora-ways tbody tr", "Ladder, as Set", "of 1,000")
    for way in ("FSRS, 85%", "FSRS, 90%", "FSRS, 95%"):
        browser.sees(".memora-ways tbody", way)
        browser.sees(".memora-chart", f"{way}: ")
    add_logs(site, a_term(10, 30, 6, badly))
    training.train_season(SEASON)
    browser.click("Compare Schedulers")
    browser.sees(".memora-comparison", "as the trained parameters say", "60% of them are right")
    sections = browser.run("return document.querySelectorAll('.memora-comparison').length")
    assert sections == 1


def test_a_teacher_sees_the_training_and_no_buttons(
    site: Site, browser: Browser, desk: Desk
) -> None:
    add_logs(site, a_term(10, 30, 6, badly))
    training.train_season(SEASON)
    desk.user = "teacher@school.example"
    frappe.recorded.roles[desk.user] = ["Memora Teacher"]
    browser.open("form", FORM, SEASON)
    browser.sees(".memora-training tbody tr", "Used")
    browser.sees_no(".form button", "Train")
    browser.sees_no(".form button", "Compare Schedulers")
