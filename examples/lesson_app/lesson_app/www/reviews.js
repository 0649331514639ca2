// In how many days a question of each stability comes again: docs/lessons.md.
const AFTER_LESSON = [0, 0, 2, 4, 7];
const AFTER_REVIEW = [0, 1, 3, 7, 14];
const when = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** Call a method of the site: its answer, or an Error with the message for the student. */
async function call(method, args = {}) {
	const reply = await fetch(`/api/method/${method}`, {
		method: "POST",
		headers: { "Content-Type": "application/json", "X-Frappe-CSRF-Token": frappe.csrf_token },
		body: JSON.stringify(args),
	}).catch(() => {
		throw new Error("The school does not answer.");
	});
	const body = await reply.json().catch(() => ({}));
	if (reply.ok) return body.message;
	const messages = JSON.parse(body._server_messages ?? "[]").map((each) => JSON.parse(each));
	const html = messages.map((each) => each.message).join(" ") || `Error ${reply.status}`;
	throw new Error(new DOMParser().parseFromString(html, "text/html").body.textContent);
}

/** Show a text and buttons; the label that the student clicks. */
function choose(text, labels) {
	return new Promise((resolve) => {
		const paragraph = document.createElement("p");
		paragraph.textContent = text;
		const buttons = labels.map((label) => {
			const button = document.createElement("button");
			button.className = "btn btn-default mr-2";
			button.textContent = label;
			button.onclick = () => resolve(label);
			return button;
		});
		document.getElementById("reviews").replaceChildren(paragraph, ...buttons);
	});
}

/** Ask each card until the answer is right: what the student needed for it. */
async function ask(cards) {
	const interactions = [];
	for (const { question_id, text, choices, answer } of cards) {
		const began = Date.now();
		let attempts_count = 1;
		while ((await choose(attempts_count > 1 ? `Not yet. ${text}` : text, choices)) !== answer)
			attempts_count += 1;
		interactions.push({ question_id, attempts_count, duration_ms: Date.now() - began });
	}
	return interactions;
}

/** Send answers until they are safe. Those that arrived count again if they are sent again. */
async function save(method, args, days) {
	for (;;) {
		try {
			const { new_stability_counts } = await call(method, args);
			const coming = Object.entries(new_stability_counts)
				.filter(([, count]) => count)
				.map(([stability, count]) => `${count} ${when.format(days[stability], "day")}`);
			return await choose(`Saved. Questions that come again: ${coming.join(", ")}.`, ["OK"]);
		} catch (error) {
			const text = `${error.message} Answers that arrived count twice if you send them again.`;
			if ((await choose(text, ["Send again", "Give up"])) === "Give up") return;
		}
	}
}

async function show() {
	const due = await call("memora.api.reviews.get_review_session", { limit: 10 });
	const cards = due.questions.filter((each) => each.text);
	const text = due.message ?? `Questions that are due: ${due.total_due}`;
	if ((await choose(text, cards.length ? ["Review", "Lesson"] : ["Lesson"])) === "Review") {
		const responses = (await ask(cards)).map((each) => ({
			question_id: each.question_id,
			quality: each.attempts_count === 1 ? 4 : 1,
			response_time_ms: each.duration_ms,
		}));
		await save("memora.api.reviews.submit_review_session", { responses }, AFTER_REVIEW);
	} else {
		const interactions = await ask(await call("lesson_app.lessons.get_lesson"));
		await save("lesson_app.lessons.finish_lesson", { interactions }, AFTER_LESSON);
	}
}

frappe.ready(async () => {
	for (;;) await show().catch((error) => choose(error.message, ["Try again"]));
});
