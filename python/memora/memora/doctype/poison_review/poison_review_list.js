// Replay or dismiss the selected records, or replay all that wait.
frappe.listview_settings["Poison Review"] = {
	hide_name_column: true,
	add_fields: ["replayed_at", "dismissed_at"],
	get_indicator(doc) {
		if (doc.replayed_at) return [__("Replayed"), "green", "replayed_at,is,set"];
		if (doc.dismissed_at) return [__("Dismissed"), "gray", "dismissed_at,is,set"];
		return [__("Waiting"), "red", "replayed_at,is,not set|dismissed_at,is,not set"];
	},
	formatters: {
		season: (value) => memora.lists.cell("season", value),
		reason: (value) => memora.lists.cell("reason", value),
	},
	// A row's own button, if there is room for it.
	button: {
		show: (doc) => !doc.replayed_at && !doc.dismissed_at,
		get_label: () => __("Replay"),
		get_description: () => __("Save this record after all"),
		action: (doc) => memora.poison.replay([doc.name]).then(() => window.cur_list?.refresh()),
	},
	onload(list) {
		const refresh = () => list.refresh();
		const with_checked = (action) => () => {
			const names = list.get_checked_items().map((item) => item.name);
			if (names.length) action(names);
			else frappe.show_alert(__("Select records first."));
		};
		const replay = with_checked((names) => memora.poison.replay(names).then(refresh));
		const dismiss = with_checked((names) => memora.poison.dismiss(names, refresh));
		list.page.add_inner_button(__("Replay"), replay);
		list.page.add_inner_button(__("Dismiss"), dismiss);
		list.page.add_actions_menu_item(__("Replay"), replay);
		list.page.add_actions_menu_item(__("Dismiss"), dismiss);
		list.page.add_inner_button(__("Replay All"), () =>
			frappe.confirm(__("Try to save all records that wait?"), () =>
				memora.poison.replay(null).then(refresh)
			)
		);
		memora.lists.when_empty(list, __("All is well: no answer failed to be saved."), [
			"replayed_at",
			"dismissed_at",
		]);
	},
};

// Students choose these texts or are quoted in them, and Frappe's lists and reports would show them
// as HTML.
for (const field of ["player", "season", "question_id", "job_id", "reason", "dismissal_reason"]) {
	frappe.meta.docfield_map["Poison Review"][field].formatter = (text) =>
		frappe.utils.escape_html(text);
}
