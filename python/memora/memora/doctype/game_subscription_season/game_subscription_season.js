// The form of a season: its state, its cache and its archive.
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
		show_summary(frm);
		show_training(frm);
		if (!memora.jobs.can_manage()) return;
		load_running_jobs(frm);
		add_scheduling_buttons(frm);
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

function add_scheduling_buttons(frm) {
	frm.add_custom_button(__("Compare Schedulers"), () => memora.scheduling.compare(frm));
	frm.add_custom_button(__("Train"), () =>
		memora.scheduling.confirm_training(frm.doc.name, (name) => follow_job(frm, name))
	);
}

function show_training(frm) {
	if (!frm.doc.fsrs_training) return;
	const shown = memora.scheduling.training(JSON.parse(frm.doc.fsrs_training));
	frm.dashboard.add_section(shown.text, __("Last Training"));
	frm.dashboard.show();
}

// Follow the jobs of this season that are already running.
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
					__(
						"Archiving was interrupted. It continues within the hour, or when you press the button."
					)
				);
			}
		});
}

function follow_running(frm, jobs) {
	for (const job of jobs.filter(memora.jobs.is_running)) follow_job(frm, job.name);
}

// Follow a job and show its result. An archive and a training change the season itself.
function follow_job(frm, name) {
	memora.jobs.follow_job(frm, name, (job) => {
		memora.jobs.show_result(job);
		if (["Archive", "Training"].includes(job.kind)) frm.reload_doc();
		else frm.refresh();
	});
}

// Show the season's state: its numbers, its last jobs, its archive.
async function show_summary(frm) {
	const season = frm.doc.name;
	const asked = {};
	frm.memora_asked = asked;
	const summary = await get_summary(season).catch((error) => ({ error }));
	// The form was drawn again meanwhile and asks itself, or it shows another season.
	if (frm.memora_asked !== asked || frm.doc.name !== season) return;
	const shown = summary.error
		? memora.html`<p class="text-muted">${summary.error.message}</p>`
		: memora.seasons.summary(frm.doc, summary);
	frm.dashboard.add_section(shown.text, __("Overview"));
	frm.dashboard.show();
}

function get_summary(season) {
	return memora.jobs.get("memora.api.srs.get_season_summary", { season });
}

// Ask for the season's name before it is archived, and say how many records will move.
async function confirm_archive(frm) {
	const season = frm.doc.name;
	const summary = await get_summary(season).catch(() => ({}));
	const message = [
		what_will_move(summary),
		__("They cannot be moved back, and nobody can answer in this season again."),
	];
	const dialog = new frappe.ui.Dialog({
		title: __("Archive {0}?", [frappe.utils.escape_html(season)]),
		fields: [
			{
				fieldname: "message",
				fieldtype: "HTML",
				options: memora.html`<p>${message.join(" ")}</p>`.text,
			},
			{
				fieldname: "season",
				fieldtype: "Data",
				reqd: 1,
				label: __("Type the season's name to confirm"),
			},
		],
		primary_action_label: __("Archive"),
		primary_action(values) {
			if (values.season.trim() !== season) {
				frappe.msgprint(__("Type {0} to archive it.", [frappe.utils.escape_html(season)]));
				return;
			}
			dialog.hide();
			request_archive(frm);
		},
	});
	dialog.get_primary_btn().removeClass("btn-primary").addClass("btn-danger");
	dialog.show();
}

function what_will_move({ records, are_records_estimated, archive }) {
	const { format_count } = memora.jobs;
	if (archive)
		return __("{0} of about {1} records have been copied to the archive.", [
			format_count(archive.step === "copying" ? archive.done : archive.total),
			format_count(archive.total),
		]);
	if ((records ?? null) === null)
		return __("All records of this season will move to the archive.");
	return are_records_estimated
		? __("About {0} records will move to the archive.", [memora.seasons.rounded(records)])
		: __("{0} records will move to the archive.", [format_count(records)]);
}

function request_archive(frm) {
	memora.jobs.call(
		"memora.api.srs.archive_season",
		{ season: frm.doc.name, confirm: 1 },
		({ job }) => {
			frappe.show_alert(__("The archive is queued. Its progress is shown here."));
			if (job) follow_job(frm, job);
		}
	);
}
