// What the list and the form of Poison Reviews share. hooks.py adds it to them.
frappe.provide("memora.poison");

// The server takes no more at a time.
memora.poison.MOST_AT_ONCE = 500;

// Without names: all that wait, in the background if they are many.
memora.poison.replay = async (names) => {
	const sum = { replayed: 0, failed: 0 };
	for (const some of names ? memora.poison.parts(names) : [null]) {
		const answer = await frappe.xcall("memora.api.srs.replay_poison_reviews", { names: some });
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

memora.poison.dismiss = (names, then) =>
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
			for (const some of memora.poison.parts(names))
				await frappe.xcall("memora.api.srs.dismiss_poison_reviews", { names: some, reason });
			then();
		},
		__("Dismiss"),
		__("Dismiss")
	);

memora.poison.parts = (names) => {
	const most = memora.poison.MOST_AT_ONCE;
	return Array.from({ length: Math.ceil(names.length / most) }, (_, place) =>
		names.slice(place * most, (place + 1) * most)
	);
};
