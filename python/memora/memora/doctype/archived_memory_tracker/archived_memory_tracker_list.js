frappe.listview_settings["Archived Memory Tracker"] = {
	hide_name_column: true,
	onload(list) {
		memora.lists.when_empty(
			list,
			__(
				"All is well: no season is archived yet. When a season is archived, its records appear here."
			)
		);
	},
};
// Students choose question ids, and Frappe's lists and reports would show them as HTML.
frappe.meta.docfield_map["Archived Memory Tracker"].question_id.formatter = (id) =>
	frappe.utils.escape_html(id);
