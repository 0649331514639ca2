import frappe
from memora_engine.site_engine import engine


def prepare_storage() -> None:
    frappe.db.commit()  # MariaDB alters no table that an open transaction has read.
    engine().remove_duplicates()
    for change in engine().prepare_storage():
        print(f"memora: {change}")


def create_season_partition(season: str) -> bool:
    frappe.db.commit()
    was_made = engine().create_partition(season)
    made = {"partition_created": 1}
    frappe.db.set_value("Game Subscription Season", season, made, update_modified=False)
    return was_made
