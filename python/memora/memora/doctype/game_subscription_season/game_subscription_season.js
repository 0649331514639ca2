// A season's partition, and its way to the archive.
const ARCHIVE_STEPS = {
	copying: __("Copying records"),
	verifying: __("Comparing records with their copies"),
	freeing: __("Freeing the partition"),
	clearing: __("Clearing the cache"),
};

frappe.ui.form.on("Game Subscription Season", {
	setup(frm) {
		frappe.realtime.on("memora_archive", (news) => {
			if (news.season === frm.doc.name) show_archive(frm, news);
		});
	},

	refresh(frm) {
		if (frm.is_new()) return;
		const status = frm.doc.archive_status;
		if (!frm.doc.partition_created && !status) {
			frm.set_intro(__("The partition for this season's records is being made."));
		}
		if (!frappe.user.has_role("System Manager")) return;
		if (status === "Archiving") {
			show_archive_status(frm);
		}
		if (status !== "Archived" && !frm.doc.is_active) {
			frm.add_custom_button(status ? __("Continue Archive") : __("Archive"), () => ask_to_archive(frm));
		}
	},
});

function ask_to_archive(frm) {
	frappe.warn(
		__("Archive {0}?", [frm.doc.name]),
		__("All records of this season move to the archive. They cannot be moved back."),
		() =>
			frappe
				.call("memora.api.srs.archive_season", { season: frm.doc.name, confirm: 1 })
				.then(() => frappe.show_alert(__("The archive is queued. Its progress is shown here."))),
		__("Archive")
	);
}

function show_archive_status(frm) {
	frappe.call("memora.api.srs.get_archive_status", { season: frm.doc.name }).then(({ message }) => {
		if (message.is_running) {
			show_archive(frm, message);
		} else {
			frm.set_intro(__("Archiving was interrupted. It is continued within the hour, or by the button."));
		}
	});
}

function show_archive(frm, news) {
	const title = __("Archive");
	if (news.step in ARCHIVE_STEPS) {
		const [done, total] = [news.done, Math.max(news.total, 1)];
		const count = `${done.toLocaleString()} / ${total.toLocaleString()}`;
		frm.dashboard.show_progress(title, (100 * done) / total, `${ARCHIVE_STEPS[news.step]}: ${count}`);
		return;
	}
	frm.dashboard.hide_progress(title);
	if (news.step === "failed") {
		frappe.msgprint({ title, message: frappe.utils.escape_html(news.message), indicator: "red" });
	} else {
		frappe.show_alert({ message: __("{0} is archived.", [frm.doc.name]), indicator: "green" });
	}
	frm.reload_doc();
}
