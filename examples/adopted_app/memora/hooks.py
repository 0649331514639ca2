after_migrate = ["memora.services.partition_manager.prepare_storage"]
after_job = ["memora_engine.site_engine.close_connections"]
clear_cache = ["memora.services.srs_redis_manager.forget_documents"]
doc_events = {
    ("Game Subscription Season", "Game Subject", "Game Topic", "System Settings"): {
        "on_update": "memora.services.srs_redis_manager.document_changed",
        "on_trash": "memora.services.srs_redis_manager.document_changed",
    },
}
scheduler_events = {
    "cron": {"* * * * *": ["memora.services.srs_persistence.drain_safety_net"]},
    "daily_long": [
        "memora.services.srs_archiver.process_auto_archive",
        "memora.services.srs_archiver.flag_eligible_for_deletion",
        "memora.services.srs_reconciliation.reconcile_cache_with_database",
    ],
}
