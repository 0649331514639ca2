// The names are random, so the list hides them. The questions of selected records can be retired.
frappe.listview_settings["Player Memory Tracker"] = {
	hide_name_column: true,
	onload(list) {
		list.page.add_actions_menu_item(__("Retire Questions"), () => {
			const ids = list.get_checked_items().map((item) => item.question_id);
			memora.questions.ask(() => list.refresh(), [...new Set(ids)]);
		});
	},
};
// Students choose question ids, and Frappe's lists and reports would show them as HTML.
frappe.meta.docfield_map["Player Memory Tracker"].question_id.formatter = (id) =>
	frappe.utils.escape_html(id);
