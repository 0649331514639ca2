// A season's partition, and its way to the archive.
const ARCHIVE_STEPS = {
	copying: __("Copying records"),
	verifying: __("Comparing records with their copies"),
	freeing: __("Freeing the partition"),
	clearing: __("Clearing the cache"),
};
// News come by themselves while socket.io works; after so long without any, the server is asked.
const ASK_AFTER_MS = 3000;

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
		if (status === "Archiving") follow_archive(frm);
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
			frappe.call("memora.api.srs.archive_season", { season: frm.doc.name, confirm: 1 }).then(() => {
				frappe.show_alert(__("The archive is queued. Its progress is shown here."));
				follow_archive(frm);
			}),
		__("Archive")
	);
}

// Asks how far the archive is, now and whenever there was no news for a while, until it is done.
function follow_archive(frm) {
	clearInterval(frm.archive_timer);
	const season = frm.doc.name;
	const ask = () =>
		frappe.call("memora.api.srs.get_archive_status", { season }).then(({ message: news }) => {
			if (frm.doc.name !== season) return;
			if (news.is_running || news.status === "Archived") {
				show_archive(frm, news);
			} else if (news.status === "Archiving") {
				frm.set_intro(__("Archiving was interrupted. It goes on within the hour, or by the button."));
			}
		});
	frm.archive_news_at = 0;
	frm.archive_timer = setInterval(() => {
		if (frm.doc.name !== season || window.cur_frm !== frm) {
			clearInterval(frm.archive_timer);
		} else if (Date.now() - frm.archive_news_at > ASK_AFTER_MS) {
			ask();
		}
	}, ASK_AFTER_MS);
	ask();
}

function show_archive(frm, news) {
	const title = __("Archive");
	frm.archive_news_at = Date.now();
	if (news.step in ARCHIVE_STEPS) {
		const total = Math.max(news.total, 1);
		const count = `${news.done.toLocaleString()} / ${total.toLocaleString()}`;
		frm.dashboard.show_progress(title, (100 * news.done) / total, `${ARCHIVE_STEPS[news.step]}: ${count}`);
		return;
	}
	clearInterval(frm.archive_timer);
	frm.dashboard.hide_progress(title);
	if (news.step === "failed") {
		frappe.msgprint({ title, message: frappe.utils.escape_html(news.message), indicator: "red" });
	} else if (frm.doc.archive_status !== "Archived") {
		frappe.show_alert({ message: __("{0} is archived.", [frm.doc.name]), indicator: "green" });
	}
	frm.reload_doc();
}
