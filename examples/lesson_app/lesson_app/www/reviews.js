const page = () => document.getElementById("reviews");
const when = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** Call a method of the site. Returns its answer, or throws an Error with a message for students. */
async function call(method, args = {}) {
	const reply = await fetch(`/api/method/${method}`, {
		method: "POST",
		headers: { "Content-Type": "application/json", "X-Frappe-CSRF-Token": frappe.csrf_token },
		body: JSON.stringify(args),
	}).catch(() => Promise.reject(new Error("The school does not answer.")));
	const body = await reply.json().catch(() => ({}));
	if (reply.ok) return body.message;
	const messages = JSON.parse(body._server_messages ?? "[]").map((each) => JSON.parse(each));
	const html = messages.map((each) => each.message).join(" ") || `Error ${reply.status}`;
	const text = new DOMParser().parseFromString(html, "text/html").body.textContent;
	throw Object.assign(new Error(text), { isRefused: reply.status === 417 });
}

/** Show a text and buttons. Returns the label of the button that the student clicks. */
function choose(text, labels) {
	return new Promise((resolve) => {
		const paragraph = Object.assign(document.createElement("p"), { textContent: text });
		const buttons = labels.map((label) => {
			const button = document.createElement("button");
			button.className = "btn btn-default mr-2";
			button.textContent = label;
			button.onclick = () => resolve(label);
			return button;
		});
		page().replaceChildren(paragraph, ...buttons);
	});
}

/** Ask each card until the answer is right. Returns the attempts and the time for each. */
async function ask(cards) {
	const interactions = [];
	for (const { question_id, text, choices, answer } of cards) {
		const began = Date.now();
		let attempts_count = 1;
		while ((await choose(attempts_count > 1 ? `Not yet. ${text}` : text, choices)) !== answer)
			attempts_count += 1;
		const [answered_at, duration_ms] = [new Date(), Date.now() - began];
		const is_correct = attempts_count === 1;
		interactions.push({ question_id, is_correct, attempts_count, duration_ms, answered_at });
	}
	return interactions;
}

// This student's answers that the school has not acknowledged.
const mine = () => `answers of ${page().dataset.student}: `;
const waiting = () => Object.keys(localStorage).filter((each) => each.startsWith(mine()));

/** Send waiting answers. Each submission has a name, so it counts once, however often it is sent. */
async function send() {
	for (const name of waiting().sort()) {
		await call(...JSON.parse(localStorage[name])).catch((error) => {
			if (!error.isRefused) throw new Error(`${error.message} Your answers wait here.`);
			return choose(error.message, ["OK"]);
		});
		delete localStorage[name];
	}
}

async function save(method, args) {
	const submission_id = `${Date.now()}-${Math.random()}`;
	localStorage[mine() + submission_id] = JSON.stringify([method, { ...args, submission_id }]);
	await send();
	const { days } = await call("memora.api.reviews.get_forecast");
	const coming = days.map((each, day) => each.due && `${each.due} ${when.format(day, "day")}`);
	await choose(`Saved. Reviews that come: ${coming.filter(Boolean).join(", ")}.`, ["OK"]);
}

async function show() {
	await send();
	const due = await call("memora.api.reviews.get_review_session", { limit: 10 });
	const cards = due.questions.filter((each) => each.text);
	const text = due.message ?? `Questions that are due: ${due.total_due}`;
	if ((await choose(text, cards.length ? ["Review", "Lesson"] : ["Lesson"])) === "Review") {
		const answers = await ask(cards);
		await save("memora.api.reviews.submit_review_session", { session_data: { answers } });
	} else {
		const interactions = await ask(await call("lesson_app.lessons.get_lesson"));
		await save("lesson_app.lessons.finish_lesson", { interactions });
	}
}

frappe.ready(async () => {
	for (;;) await show().catch((error) => choose(error.message, ["Try again"]));
});
