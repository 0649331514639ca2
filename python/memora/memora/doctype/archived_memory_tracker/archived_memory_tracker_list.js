frappe.listview_settings["Archived Memory Tracker"] = {
	hide_name_column: true,
	onload(list) {
		memora.lists.when_empty(
			list,
			__(
				"All is well: no season is archived yet. Its records come here when a season that is over is archived."
			)
		);
	},
};
// Students choose question ids, and Frappe's lists and reports would show them as HTML.
frappe.meta.docfield_map["Archived Memory Tracker"].question_id.formatter = (id) =>
	frappe.utils.escape_html(id);
