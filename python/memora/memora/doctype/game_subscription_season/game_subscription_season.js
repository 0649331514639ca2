// A new season waits a moment for its partition.
frappe.ui.form.on("Game Subscription Season", {
	refresh(frm) {
		if (!frm.is_new() && !frm.doc.partition_created) {
			frm.set_intro(__("The partition for this season's records is being made."));
		}
	},
});
