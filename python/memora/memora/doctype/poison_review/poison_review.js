// Replay: save the record after all.
frappe.ui.form.on("Poison Review", {
	refresh(frm) {
		if (frm.doc.replayed_at) {
			return;
		}
		frm.add_custom_button(__("Replay"), () =>
			frappe
				.xcall("memora.api.srs.replay_poison_reviews", { names: [frm.doc.name] })
				.then(({ failed }) => {
					frappe.show_alert({
						message: failed ? __("It still cannot be saved") : __("Saved"),
						indicator: failed ? "orange" : "green",
					});
					frm.reload_doc();
				})
		);
	},
});
