// Names are random: they tell a reader nothing.
frappe.listview_settings["Player Memory Tracker"] = { hide_name_column: true };
// Students make up ids, and Frappe's lists and reports show text as HTML.
frappe.meta.docfield_map["Player Memory Tracker"].question_id.formatter = (id) =>
	frappe.utils.escape_html(id);
