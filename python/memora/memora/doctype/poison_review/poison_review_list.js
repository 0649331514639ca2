// Replay or dismiss the selected records, or replay all that wait.
frappe.listview_settings["Poison Review"] = {
	hide_name_column: true,
	add_fields: ["replayed_at", "dismissed_at"],
	get_indicator(doc) {
		if (doc.replayed_at) return [__("Replayed"), "green", "replayed_at,is,set"];
		if (doc.dismissed_at) return [__("Dismissed"), "gray", "dismissed_at,is,set"];
		return [__("Waiting"), "red", "replayed_at,is,not set|dismissed_at,is,not set"];
	},
	onload(list) {
		const checked = () => list.get_checked_items().map((item) => item.name);
		const refresh = () => list.refresh();
		list.page.add_actions_menu_item(__("Replay"), () =>
			memora.poison.replay(checked()).then(refresh)
		);
		list.page.add_actions_menu_item(__("Dismiss"), () =>
			memora.poison.dismiss(checked(), refresh)
		);
		list.page.add_menu_item(__("Replay All"), () =>
			frappe.confirm(__("Try to save all records that wait?"), () =>
				memora.poison.replay(null).then(refresh)
			)
		);
	},
};

// Students choose these texts or are quoted in them, and Frappe's lists and reports would show them
// as HTML.
for (const field of ["player", "season", "question_id", "job_id", "reason", "dismissal_reason"]) {
	frappe.meta.docfield_map["Poison Review"][field].formatter = (text) =>
		frappe.utils.escape_html(text);
}
