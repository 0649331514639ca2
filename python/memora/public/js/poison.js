// Shared by the list and the form of Poison Reviews. hooks.py adds it.
frappe.provide("memora.poison");

// The most names that the server accepts in one call.
memora.poison.MAX_NAMES = 500;

// Replay these records. Without names: all that wait, in the background if there are many.
memora.poison.replay = async (names) => {
	const sum = { replayed: 0, failed: 0 };
	for (const chunk of names ? memora.poison.chunks(names) : [null]) {
		const answer = await frappe.xcall("memora.api.srs.replay_poison_reviews", { names: chunk });
		if (answer.job) {
			frappe.show_alert(__("They are replayed in the background."));
			frappe.set_route("Form", "SRS Job", answer.job);
			return;
		}
		sum.replayed += answer.replayed;
		sum.failed += answer.failed;
	}
	frappe.show_alert({
		message: __("{0} saved, {1} still cannot be saved", [sum.replayed, sum.failed]),
		indicator: sum.failed ? "orange" : "green",
	});
};

// Ask for a reason and give these records up. `callback` is called when that is done.
memora.poison.dismiss = (names, callback) =>
	frappe.prompt(
		[
			{
				fieldname: "reason",
				fieldtype: "Small Text",
				label: __("Reason"),
				reqd: 1,
				description: __("The records are kept, with this reason, and wait no more."),
			},
		],
		async ({ reason }) => {
			for (const chunk of memora.poison.chunks(names))
				await frappe.xcall("memora.api.srs.dismiss_poison_reviews", {
					names: chunk,
					reason,
				});
			callback();
		},
		__("Dismiss"),
		__("Dismiss")
	);

// The names in lists that the server accepts.
memora.poison.chunks = (names) => {
	const size = memora.poison.MAX_NAMES;
	return Array.from({ length: Math.ceil(names.length / size) }, (_, index) =>
		names.slice(index * size, (index + 1) * size)
	);
};
