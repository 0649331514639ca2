{% include "memora/memora/doctype/srs_job/jobs.js" %}

// A season's partition, its cache, and its way to the archive.
const ARCHIVE_STEPS = {
	copying: __("Copying records"),
	verifying: __("Comparing records with their copies"),
	freeing: __("Freeing the partition"),
	clearing: __("Clearing the cache"),
};

frappe.ui.form.on("Game Subscription Season", {
	setup(frm) {
		frappe.realtime.on("memora_archive", (news) => {
			if (news.season !== frm.doc.name) return;
			memora.jobs.hear(frm, "archive", news, () => follow_archive(frm));
		});
		frappe.realtime.on("memora_job", (job) => {
			if (job.season !== frm.doc.name || job.kind === "Archive") return;
			memora.jobs.hear(frm, job.name, job, () => follow_running(frm, [job]));
		});
	},

	refresh(frm) {
		if (frm.is_new()) return;
		const status = frm.doc.archive_status;
		if (!frm.doc.partition_created && !status) {
			frm.set_intro(__("The partition for this season's records is being made."));
		}
		if (!frappe.user.has_role("System Manager")) return;
		if (status === "Archiving") follow_archive(frm);
		if (status !== "Archived" && !frm.doc.is_active) {
			frm.add_custom_button(status ? __("Continue Archive") : __("Archive"), () => ask_to_archive(frm));
		}
		if (!status && frm.doc.enable_redis) {
			add_cache_buttons(frm);
			find_running(frm);
		}
	},
});

function add_cache_buttons(frm) {
	const follow = (names) => names.forEach((name) => follow_job(frm, name));
	const season = frm.doc.name;
	frm.add_custom_button(__("Rebuild Cache"), () => memora.jobs.ask_to_rebuild(season, follow));
	frm.add_custom_button(__("Reconcile"), () => memora.jobs.ask_to_reconcile(season, follow));
}

// What somebody else began, or this form before it was closed.
function find_running(frm) {
	memora.jobs.subscribe();
	const season = frm.doc.name;
	frappe.db
		.get_list("SRS Job", {
			filters: { season, status: ["in", ["Queued", "Running"]] },
			fields: ["name", "kind", "season", "status"],
		})
		.then((jobs) => frm.doc.name === season && follow_running(frm, jobs));
}

// The archive has news of its own.
function follow_running(frm, jobs) {
	jobs.filter((job) => job.kind !== "Archive" && memora.jobs.is_running(job)).forEach((job) =>
		follow_job(frm, job.name)
	);
}

function follow_job(frm, name) {
	memora.jobs.follow_job(frm, name, (job) => {
		memora.jobs.tell(job);
		frm.refresh();
	});
}

function ask_to_archive(frm) {
	frappe.warn(
		__("Archive {0}?", [frappe.utils.escape_html(frm.doc.name)]),
		__("All records of this season move to the archive. They cannot be moved back."),
		() =>
			frappe.call("memora.api.srs.archive_season", { season: frm.doc.name, confirm: 1 }).then(() => {
				frappe.show_alert(__("The archive is queued. Its progress is shown here."));
				follow_archive(frm);
			}),
		__("Archive")
	);
}

function follow_archive(frm) {
	const ask = () => memora.jobs.ask("memora.api.srs.get_archive_status", { season: frm.doc.name });
	memora.jobs.follow(frm, "archive", ask, (news) => show_archive(frm, news));
}

// Returns whether more news are to come.
function show_archive(frm, news) {
	const title = __("Archive");
	if (news.status === "Not Archived") return true;
	if (news.status === "Archiving" && !news.is_running) {
		frm.set_intro(__("Archiving was interrupted. It goes on within the hour, or by the button."));
		return true;
	}
	if (news.step in ARCHIVE_STEPS) {
		const total = Math.max(news.total, 1);
		const count = `${news.done.toLocaleString()} / ${total.toLocaleString()}`;
		frm.dashboard.show_progress(title, (100 * news.done) / total, `${ARCHIVE_STEPS[news.step]}: ${count}`);
		return true;
	}
	if (news.step === "failed") {
		frappe.msgprint({ title, message: frappe.utils.escape_html(news.message), indicator: "red" });
	} else if (frm.doc.archive_status !== "Archived") {
		const season = frappe.utils.escape_html(frm.doc.name);
		frappe.show_alert({ message: __("{0} is archived.", [season]), indicator: "green" });
	}
	frm.reload_doc();
	return false;
}
