// Replay the records that are ticked, or all that wait.
frappe.listview_settings["Poison Review"] = {
	hide_name_column: true,
	add_fields: ["replayed_at"],
	get_indicator(doc) {
		return doc.replayed_at
			? [__("Replayed"), "green", "replayed_at,is,set"]
			: [__("Waiting"), "red", "replayed_at,is,not set"];
	},
	onload(list) {
		const replay = (names) =>
			frappe
				.xcall("memora.api.srs.replay_poison_reviews", { names })
				.then(({ replayed, failed }) => {
					frappe.show_alert({
						message: __("{0} saved, {1} still cannot be saved", [replayed, failed]),
						indicator: failed ? "orange" : "green",
					});
					list.refresh();
				});
		list.page.add_actions_menu_item(__("Replay"), () =>
			replay(list.get_checked_items().map((item) => item.name))
		);
		list.page.add_menu_item(__("Replay All"), () =>
			frappe.confirm(__("Try to save all records that wait?"), () => replay(null))
		);
	},
};

// Made up by students, or quoting them, and Frappe's lists and reports show text as HTML.
for (const field of ["player", "season", "question_id", "job_id", "reason"]) {
	frappe.meta.docfield_map["Poison Review"][field].formatter = (text) => frappe.utils.escape_html(text);
}
