// Replay saves the record after all. Dismiss gives it up, with a reason.
frappe.ui.form.on("Poison Review", {
	refresh(frm) {
		if (frm.doc.replayed_at) return;
		const reload = () => frm.reload_doc();
		frm.add_custom_button(__("Replay"), () =>
			memora.poison.replay([frm.doc.name]).then(reload)
		);
		if (frm.doc.dismissed_at) return;
		frm.add_custom_button(__("Dismiss"), () => memora.poison.dismiss([frm.doc.name], reload));
	},
});
