// Restore the question.
frappe.ui.form.on("Retired Question", {
	refresh(frm) {
		frm.disable_save();
		frm.add_custom_button(__("Restore"), () =>
			memora.questions
				.restore([frm.doc.name])
				.then(() => frappe.set_route("List", "Retired Question"))
		);
	},
});

frappe.meta.docfield_map["Retired Question"].question_id.formatter = (text) =>
	frappe.utils.escape_html(text);
