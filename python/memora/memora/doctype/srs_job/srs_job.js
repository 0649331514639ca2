// The form follows a job while it runs.
frappe.ui.form.on("SRS Job", {
	setup(frm) {
		frappe.realtime.on("memora_job", (job) => {
			if (job.name !== frm.doc.name || !memora.jobs.is_running(frm.doc)) return;
			memora.jobs.on_progress(frm, job, () => follow(frm));
		});
	},

	refresh(frm) {
		frm.disable_save();
		memora.jobs.subscribe();
		if (memora.jobs.is_running(frm.doc)) follow(frm);
	},
});

function follow(frm) {
	memora.jobs.follow_job(frm, frm.doc.name, () => frm.reload_doc());
}
