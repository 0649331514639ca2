// Shared by the lists and forms that retire questions and restore them. hooks.py adds it.
frappe.provide("memora.questions");

// The most questions that the server takes in one call.
memora.questions.MOST = 1000;

// Retire these questions, in as many calls as needed.
memora.questions.retire = (ids) =>
	memora.questions.change("retire_questions", "retired", ids, (count) =>
		__("{0} questions retired", [count])
	);

// Restore these questions.
memora.questions.restore = (ids) =>
	memora.questions.change("restore_questions", "restored", ids, (count) =>
		__("{0} questions restored", [count])
	);

memora.questions.change = async (method, answer, ids, message) => {
	let count = 0;
	for (let first = 0; first < ids.length; first += memora.questions.MOST) {
		const some = ids.slice(first, first + memora.questions.MOST);
		count += (await frappe.xcall(`memora.api.srs.${method}`, { ids: some }))[answer];
	}
	frappe.show_alert({ message: message(count), indicator: "green" });
};

// Ask for ids, one a line, and retire them. `callback` is called when that is done.
memora.questions.ask = (callback, ids = []) =>
	frappe.prompt(
		[
			{
				fieldname: "ids",
				fieldtype: "Small Text",
				label: __("Question Ids"),
				reqd: 1,
				default: ids.join("\n"),
				description: __(
					"One in each line. No student is asked them any more; their records stay."
				),
			},
		],
		async (given) => {
			const lines = given.ids.split("\n").map((line) => line.trim());
			await memora.questions.retire([...new Set(lines.filter((line) => line))]);
			callback();
		},
		__("Retire Questions"),
		__("Retire")
	);
