import frappe
from frappe.utils import getdate
from memora_engine.site_engine import engine


class SRSArchiver:
    def archive_season(self, season: str) -> dict[str, object]:
        frappe.db.commit()  # MariaDB alters no table that an open transaction has read.
        archived = engine().archive(season)
        frappe.clear_document_cache("Game Subscription Season", season)
        return {"success": True, "archived_count": archived["done"]}

    def process_auto_archive(self) -> None:
        due = {"auto_archive": 1, "is_active": 0, "end_date": ("<", getdate())}
        for season in frappe.get_all("Game Subscription Season", filters=due, pluck="name"):
            self.archive_season(season)

    def flag_eligible_for_deletion(self) -> int:
        frappe.db.commit()
        return engine().flag_for_deletion(None, seconds=1_200)


process_auto_archive = SRSArchiver().process_auto_archive
flag_eligible_for_deletion = SRSArchiver().flag_eligible_for_deletion
