// A season's partition, its cache and its archive.
frappe.ui.form.on("Game Subscription Season", {
	setup(frm) {
		frappe.realtime.on("memora_job", (job) => {
			if (job.season !== frm.doc.name) return;
			memora.jobs.on_progress(frm, job, () => follow_running(frm, [job]));
		});
	},

	refresh(frm) {
		if (frm.is_new()) return;
		const status = frm.doc.archive_status;
		if (!frm.doc.partition_created && !status) {
			frm.set_intro(__("The partition for this season's records is being made."));
		}
		if (!memora.jobs.can_manage()) return;
		load_running_jobs(frm);
		if (status !== "Archived" && !frm.doc.is_active) {
			frm.add_custom_button(status ? __("Continue Archive") : __("Archive"), () =>
				confirm_archive(frm)
			);
		}
		if (!status && frm.doc.enable_redis) {
			add_cache_buttons(frm);
		}
	},
});

function add_cache_buttons(frm) {
	const follow = (names) => {
		for (const name of names) follow_job(frm, name);
	};
	const season = frm.doc.name;
	frm.add_custom_button(__("Rebuild Cache"), () => memora.jobs.confirm_rebuild(season, follow));
	frm.add_custom_button(__("Reconcile"), () => memora.jobs.prompt_reconciliation(season, follow));
}

// Follow the jobs of this season that run already.
function load_running_jobs(frm) {
	memora.jobs.subscribe();
	const season = frm.doc.name;
	frappe.db
		.get_list("SRS Job", {
			filters: { season, status: ["in", ["Queued", "Running"]] },
			fields: ["name", "kind", "season", "status"],
		})
		.then((jobs) => {
			if (frm.doc.name !== season) return;
			follow_running(frm, jobs);
			if (
				frm.doc.archive_status === "Archiving" &&
				!jobs.some(({ kind }) => kind === "Archive")
			) {
				frm.set_intro(
					__("Archiving was interrupted. It goes on within the hour, or by the button.")
				);
			}
		});
}

function follow_running(frm, jobs) {
	for (const job of jobs.filter(memora.jobs.is_running)) follow_job(frm, job.name);
}

// Follow a job and show its result. An archive changes the season itself.
function follow_job(frm, name) {
	memora.jobs.follow_job(frm, name, (job) => {
		memora.jobs.show_result(job);
		if (job.kind === "Archive") frm.reload_doc();
		else frm.refresh();
	});
}

function confirm_archive(frm) {
	frappe.warn(
		__("Archive {0}?", [frappe.utils.escape_html(frm.doc.name)]),
		__("All records of this season move to the archive. They cannot be moved back."),
		() =>
			memora.jobs.call(
				"memora.api.srs.archive_season",
				{ season: frm.doc.name, confirm: 1 },
				({ job }) => {
					frappe.show_alert(__("The archive is queued. Its progress is shown here."));
					if (job) follow_job(frm, job);
				}
			),
		__("Archive")
	);
}
