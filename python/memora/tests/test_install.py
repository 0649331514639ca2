"""The result of the app's installation, and that repeating it changes nothing."""

from __future__ import annotations

from unittest.mock import patch

import frappe
from frappe.boot import get_bootinfo
from frappe.desk import desk_page
from frappe.desk.form.meta import get_meta
from frappe.model.meta import trim_table
from frappe.tests.utils import FrappeTestCase

from memora._engine import __version__ as engine_version
from memora.services.downgrade import refuse_downgrade
from memora.services.engine import engine
from memora.services.storage import prepare_storage


class TestInstall(FrappeTestCase):
    def definition(self, doctype: str = "Player Memory Tracker") -> str:
        return str(frappe.db.sql(f"show create table `tab{doctype}`")[0][1])

    def test_the_engine_fits_the_app(self) -> None:
        import memora

        self.assertEqual(memora.__version__, engine_version)

    def test_a_downgrade_is_refused(self) -> None:
        installed = {"app_name": "memora"}
        noted = frappe.db.get_value("Installed Application", installed, "app_version")
        self.assertEqual(noted, engine_version)
        refuse_downgrade()
        frappe.db.set_value("Installed Application", installed, "app_version", "99.0.0")
        with self.assertRaisesRegex(frappe.ValidationError, "what memora 99.0.0 has written"):
            refuse_downgrade()

    def test_the_table_has_its_keys_collation_and_partitions(self) -> None:
        definition = self.definition()
        for part in (
            "PRIMARY KEY (`player`,`season`,`question_id`)",
            "KEY `name` (`name`)",
            "KEY `player_season_next_review_date` (`player`,`season`,`next_review_date`)",
            "COLLATE=utf8mb4_nopad_bin",
            "PARTITION BY LIST  COLUMNS(`season`)",
            "PARTITION `p_default` DEFAULT",
        ):
            self.assertIn(part, definition)
        self.assertNotIn("KEY `modified`", definition)

    def test_preparing_again_changes_nothing(self) -> None:
        before = self.definition()
        self.assertEqual(engine().prepare_storage(), [])
        prepare_storage()
        self.assertEqual(self.definition(), before)

    def test_a_schema_sync_leaves_the_tables_alone(self) -> None:
        for doctype in ("Player Memory Tracker", "Archived Memory Tracker", "Memory Review Audit"):
            before = self.definition(doctype)
            frappe.db.updatedb(doctype)
            self.assertEqual(self.definition(doctype), before)

    def test_the_log_of_answers_is_hidden_and_stays(self) -> None:
        self.assertIn("`_answer_log` blob INVISIBLE", self.definition("Memory Review Audit"))
        self.assertNotIn("_answer_log", trim_table("Memory Review Audit", dry_run=True))

    def test_the_archive_has_its_keys(self) -> None:
        definition = self.definition("Archived Memory Tracker")
        for part in ("PRIMARY KEY (`season`,`player`,`question_id`)", "COLLATE=utf8mb4_nopad_bin"):
            self.assertIn(part, definition)

    def test_opening_the_desk_counts_no_records(self) -> None:
        # Without a module's own sidebar, Frappe 16 lists the DocTypes with the most records.
        with patch.object(frappe.db, "sql", wraps=frappe.db.sql) as sql:
            get_bootinfo()
        statements = [str(call) for call in sql.call_args_list]
        self.assertTrue(statements)
        self.assertEqual([sql for sql in statements if "Memory Tracker`" in sql], [])

    def test_every_hook_leads_somewhere(self) -> None:
        hooks = frappe.get_hooks(app_name="memora")
        events = hooks.scheduler_events
        paths = [
            *hooks.after_install,
            *hooks.after_migrate,
            *hooks.after_request,
            *events["hourly"],
        ]
        paths += [*events["cron"]["* * * * *"], *events["daily_long"], *events["weekly_long"]]
        paths += [
            *hooks.doc_events["User"]["on_trash"],
            *hooks.doc_events["System Settings"]["on_update"],
        ]
        for path in paths:
            self.assertTrue(callable(frappe.get_attr(path)), path)

    def test_frappes_scheduler_has_each_job_as_often_as_asked(self) -> None:
        asked = frappe.get_hooks("scheduler_events", app_name="memora")
        jobs = {
            method: (name.replace("_", " ").title(), None)
            for name, methods in asked.items()
            if name != "cron"
            for method in methods
        }
        for cron, methods in asked["cron"].items():
            jobs |= dict.fromkeys(methods, ("Cron", cron))
        self.assertIn("memora.services.srs_archiver.process_auto_archive", jobs)
        for method, (frequency, cron) in jobs.items():
            fields = ["frequency", "cron_format", "stopped"]
            found = frappe.db.get_value("Scheduled Job Type", {"method": method}, fields)
            self.assertEqual(found and found[0], frequency, method)
            self.assertEqual((found[1] or None, found[2]), (cron, 0), method)

    def test_forms_lists_and_the_monitor_have_the_scripts_that_they_share(self) -> None:
        for doctype, kind, shared in (
            ("Game Subscription Season", "__js", "jobs"),
            ("SRS Job", "__js", "jobs"),
            ("SRS Job", "__list_js", "jobs"),
            ("Poison Review", "__js", "poison"),
            ("Poison Review", "__list_js", "poison"),
        ):
            script = get_meta(doctype, cached=False).get(kind)
            self.assertIn(f'frappe.provide("memora.{shared}")', script, doctype)
        script = desk_page.get("srs-monitor").script
        for shared in ("jobs", "charts", "format"):
            self.assertIn(f'frappe.provide("memora.{shared}")', script)

    def test_passwords_stay_out_of_the_error_log(self) -> None:
        with (
            patch("memora.site_engine._time_zones", {}),
            patch("memora.site_engine.get_system_timezone", side_effect=KeyError("no settings")),
        ):
            try:
                engine()
            except KeyError:
                logged = frappe.get_traceback(with_context=True)
        self.assertIn("no settings", logged)
        self.assertNotIn(frappe.conf.db_password, logged)
