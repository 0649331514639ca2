import frappe
from memora_engine.site_engine import engine


def reconcile_cache_with_database(sample_size: int = 10_000) -> dict[str, object]:
    cached = {"enable_redis": 1, "archive_status": ("is", "not set")}
    seasons = frappe.get_all("Game Subscription Season", filters=cached, pluck="name")
    found = [engine().reconcile(season, sample_size) for season in seasons]
    records = sum(each["records"] for each in found)
    differing = sum(
        each["missing"] + each["ghost"] + each["wrong_date"] + each["wrong_state"] for each in found
    )
    return {
        "sample_size": records, "discrepancies_found": differing, "auto_corrected": differing,
        "discrepancy_rate": differing / records if records else 0.0,
        "alert_triggered": any(each["is_alarming"] for each in found),
    }  # fmt: skip
