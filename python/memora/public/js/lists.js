// Shared by memora's lists. hooks.py adds it.
frappe.provide("memora.lists");

// Say what an empty list means, instead of Frappe's "You haven't created ..." or "No ... found".
// The text also appears with filters of these fields; with others, Frappe's text stays.
memora.lists.when_empty = (list, text, fields = []) => {
	const of_frappe = list.get_no_result_message.bind(list);
	list.get_no_result_message = () => {
		const filters = list.filter_area?.get() ?? [];
		if (filters.some(([_doctype, field]) => !fields.includes(field))) return of_frappe();
		return `<div class="msg-box no-border"><p>${frappe.utils.escape_html(text)}</p></div>`;
	};
};

// A text in a list's column. A long text is cut off at its end, also in a right-to-left list, where
// Frappe would cut off the beginning.
memora.lists.cell = (field, value) => {
	const text = frappe.utils.escape_html(value ?? "");
	return `<a class="filterable ellipsis" dir="auto" style="display: inline-block; max-width: 100%"
		title="${text}" data-filter="${field},=,${text}">${text}</a>`;
};
