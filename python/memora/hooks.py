"""The functions of memora that Frappe calls, and when."""

app_name = "memora"
app_title = "Memora"
app_publisher = "memora contributors"
app_description = "Spaced-repetition reviews for students"
app_license = "MIT"
app_logo_url = "/assets/memora/images/memora.svg"

# The tile on the page of apps (/apps, on Frappe 16 /desk).
add_to_apps_screen = [
    {
        "name": "memora",
        "logo": app_logo_url,
        "title": app_title,
        "route": "/app/memora",
        "has_permission": "memora.services.desk.is_for_user",
    }
]

# A fresh install marks patches as done without running them.
after_install = [
    "memora.services.roles.create_roles",
    "memora.services.desk.link_assets",
    "memora.services.storage.install",
    "memora.services.downgrade.note_version",
]
before_migrate = "memora.services.downgrade.refuse_downgrade"
after_migrate = [
    "memora.services.roles.create_roles",
    "memora.services.desk.link_assets",
    "memora.services.storage.prepare_storage",
]
after_uninstall = "memora.services.storage.remove_what_is_left"

after_job = "memora.services.engine.close_connections"
after_request = "memora.services.errors.set_retry_after"

# Every page of the Desk loads it, so it is small.
app_include_js = ["/assets/memora/js/search.js"]

# Frappe sends these scripts as text, after a form's or a page's own. They are not a bundle
# (app_include_js), because `bench build` bundles only apps in the folder apps/, and an app from a
# wheel is not there.
doctype_js = {
    "Game Subscription Season": [
        "public/js/html.js",
        "public/js/format.js",
        "public/js/jobs.js",
        "public/js/scheduling.js",
        "public/js/season.js",
    ],
    "Poison Review": ["public/js/poison.js"],
    "Retired Question": ["public/js/questions.js"],
    "SRS Job": ["public/js/jobs.js"],
}
doctype_list_js = {
    "Archived Memory Tracker": ["public/js/lists.js"],
    "Game Subscription Season": ["public/js/demo_data.js", "public/js/season.js"],
    "Player Memory Tracker": ["public/js/questions.js"],
    "Poison Review": ["public/js/lists.js", "public/js/poison.js"],
    "Retired Question": ["public/js/questions.js"],
    "SRS Job": ["public/js/jobs.js"],
}
page_js = {
    "srs-monitor": [
        "public/js/demo_data.js",
        "public/js/html.js",
        "public/js/format.js",
        "public/js/charts.js",
        "public/js/forecast.js",
        "public/js/jobs.js",
        "public/js/season.js",
        "public/js/warnings.js",
    ]
}

override_whitelisted_methods = {"frappe.client.get_count": "memora.api.counts.get_count"}

scheduler_events = {
    "cron": {
        "* * * * *": [
            "memora.services.srs_persistence.drain_safety_net",
            "memora.services.srs_persistence.watch_cache",
            "memora.services.outages.watch",
            "memora.services.srs_jobs.look_after_jobs",
        ]
    },
    "hourly": [
        "memora.services.partition_manager.create_missing_partitions",
        "memora.services.srs_archiver.resume_archives",
    ],
    "daily_long": [
        "memora.services.partition_manager.drop_left_partitions",
        "memora.services.srs_archiver.process_auto_archive",
        "memora.services.srs_reconciliation.reconcile_cache_with_database",
    ],
    "weekly_long": [
        "memora.services.srs_archiver.flag_eligible_for_deletion",
        "memora.services.training.train_weekly",
    ],
}

# `bench clear-cache` keeps the counters of the door (`memora.wsgi`).
persistent_cache_keys = ["memora_door"]
# `bench clear-cache` also clears what memora has cached about documents. Schedules stay: they are
# in a database of their own.
clear_cache = "memora.services.engine.forget_documents"

# Before it deletes a document, Frappe reads every record that links to it: too many here.
ignore_links_on_delete = [
    "Player Memory Tracker",
    "Archived Memory Tracker",
    "Memory Review Audit",
    "Poison Review",
    "SRS Job",
]
# By default, Log Settings keep these for a year.
default_log_clearing_doctypes = {"SRS Job": 365, "Memory Review Audit": 365}

# Frappe's Personal Data Download reads these. Its Deletion finds them already erased
# (forget_on_request); redact_fields only keeps it from searching all texts of a table for the name.
# The archive is not listed, because Frappe would read all of it for each request; `memora export`
# includes it.
user_data_fields = [
    {"doctype": "Player Memory Tracker", "filter_by": "player", "redact_fields": ["stability"]},
    {"doctype": "Memory Review Audit", "filter_by": "player", "redact_fields": ["answers"]},
    {"doctype": "Poison Review", "filter_by": "player", "redact_fields": ["question_id"]},
]

doc_events = {
    "User": {
        "on_trash": "memora.services.players.check_no_records",
        "before_rename": "memora.services.players.before_rename",
        "after_rename": "memora.services.players.after_rename",
    },
    "Personal Data Deletion Request": {"on_update": "memora.services.players.forget_on_request"},
    "System Settings": {"on_update": "memora.services.engine.notice_time_zone"},
}
