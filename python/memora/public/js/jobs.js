// What the season's form, the SRS Job's form and list, and the SRS Monitor share. hooks.py adds it to them.
frappe.provide("memora.jobs");

// News come by themselves while socket.io works; after so long without any, the server is asked.
memora.jobs.ASK_AFTER_MS = 3000;

memora.jobs.is_running = (job) => ["Queued", "Running"].includes(job.status);

// An archive has to come to its end.
memora.jobs.can_be_cancelled = (job) => memora.jobs.is_running(job) && job.kind !== "Archive";

memora.jobs.count = (number) => Number(number ?? 0).toLocaleString();

// How far a job is; while it runs its total is an estimate, and its message one of memora's own words for the step.
memora.jobs.progress = (job) => {
	if (job.status === "Queued") return __("Waiting for a background worker");
	const records = __("{0} of about {1} records", [
		memora.jobs.count(job.done),
		memora.jobs.count(job.total),
	]);
	return job.message ? `${job.message}: ${records}` : records;
};

memora.jobs.colour = (job) =>
	({ Queued: "yellow", Running: "blue", Done: "green", Failed: "red", Interrupted: "orange" })[
		job.status
	] || "gray";

memora.jobs.kind = (job) => frappe.utils.escape_html(__(job.kind));

// Have the news sent. To be called whenever something is shown: closing a list of SRS Jobs ends it.
memora.jobs.subscribe = () =>
	frappe.realtime.socket && frappe.realtime.doctype_subscribe("SRS Job");

// Ask without Frappe's dialogs: who asks every few seconds shows a failure in a place of its own.
memora.jobs.ask = async (method, args = {}) => {
	const response = await fetch(`/api/method/${method}?${new URLSearchParams(args)}`, {
		headers: { Accept: "application/json" },
		signal: AbortSignal.timeout(30000),
	}).catch(() => {
		throw new Error(__("The server does not answer."));
	});
	const answer = await response.json().catch(() => ({}));
	if (response.ok) return answer.message;
	const messages = JSON.parse(answer._server_messages || "[]").map((text) => JSON.parse(text));
	if (messages.length) throw new Error(frappe.utils.html2text(messages.at(-1).message));
	if (response.status === 403) throw new Error(__("You are not logged in as a System Manager."));
	throw new Error(__("The server answered with error {0}.", [response.status]));
};

// Do something on the server. Frappe shows what it refuses.
memora.jobs.act = (method, args, then) => frappe.xcall(method, args).then(then, () => {});

memora.jobs.ask_to_rebuild = (season, then) =>
	frappe.confirm(
		[
			__("Rebuild the cache of {0}?", [`<b>${frappe.utils.escape_html(season)}</b>`]),
			__("All its schedules are loaded from the database again."),
			__("Students go on reading and answering meanwhile."),
		].join(" "),
		() =>
			memora.jobs.act("memora.api.srs.rebuild_season_cache", { season }, ({ job }) => {
				frappe.show_alert(__("The rebuild is queued. Its progress is shown here."));
				then([job]);
			})
	);

// Without a season: all that use the cache.
memora.jobs.ask_to_reconcile = (season, then) =>
	frappe.prompt(
		[
			{
				fieldname: "sample_size",
				fieldtype: "Select",
				label: __("Compare with the database"),
				options: [
					{ value: "10000", label: __("A sample of {0} records", [memora.jobs.count(10000)]) },
					{ value: "0", label: __("Everything that is cached") },
				],
				default: "10000",
				reqd: 1,
				description: __(
					"What differs is corrected: the database wins, except over answers still on their way to it."
				),
			},
		],
		({ sample_size }) =>
			memora.jobs.act(
				"memora.api.srs.trigger_reconciliation",
				season ? { sample_size, season } : { sample_size },
				({ jobs }) => {
					frappe.show_alert(__("The reconciliation is queued. Its progress is shown here."));
					then(jobs);
				}
			),
		season ? __("Reconcile {0}", [frappe.utils.escape_html(season)]) : __("Reconcile All Seasons"),
		__("Reconcile")
	);

memora.jobs.cancel = (name, then) =>
	memora.jobs.act("memora.api.srs.cancel_job", { job: name }, (job) => {
		if (memora.jobs.is_running(job)) frappe.show_alert(__("It ends at the next safe place."));
		then(job);
	});

// Show news of something in a form: those that `hear` brings, and, now and whenever there were none for a while,
// those that `ask` promises. `show` says whether more are to come.
memora.jobs.follow = (frm, what, ask, show) => {
	frm.memora_followed ??= {};
	frm.memora_followed[what]?.stop();
	const shown = frm.doc.name;
	let heard_at = 0;
	const is_shown = () => frm.doc.name === shown && window.cur_frm === frm;
	const stop = () => {
		clearInterval(timer);
		if (frm.memora_followed[what] === followed) delete frm.memora_followed[what];
	};
	const hear = (news) => {
		heard_at = Date.now();
		if (!is_shown() || !show(news)) stop();
	};
	const ask_now = () =>
		ask().then(
			(news) => frm.memora_followed[what] === followed && hear(news),
			() => {} // asked again soon
		);
	const timer = setInterval(() => {
		if (!is_shown()) stop();
		else if (Date.now() - heard_at > memora.jobs.ASK_AFTER_MS) ask_now();
	}, memora.jobs.ASK_AFTER_MS);
	const followed = { hear, stop };
	frm.memora_followed[what] = followed;
	ask_now();
};

// News came by themselves: show them, or begin to follow.
memora.jobs.hear = (frm, what, news, follow) => {
	if (window.cur_frm !== frm) return;
	const followed = frm.memora_followed?.[what];
	if (followed) followed.hear(news);
	else follow();
};

// Show a job's progress in a form, with a button that cancels it, until it ends.
memora.jobs.follow_job = (frm, name, then) => {
	const show = (job) => {
		if (!memora.jobs.is_running(job)) {
			then(job);
			return false;
		}
		const kind = memora.jobs.kind(job);
		frm.dashboard.show_progress(kind, job.percent, `${kind}: ${memora.jobs.progress(job)}`);
		const label = __("Cancel {0}", [kind]);
		const cancel = () => memora.jobs.cancel(name, (job) => frm.memora_followed[name]?.hear(job));
		if (memora.jobs.can_be_cancelled(job))
			frm.custom_buttons[label] ??= frm.add_custom_button(label, cancel);
		return true;
	};
	memora.jobs.follow(
		frm,
		name,
		() => memora.jobs.ask("memora.api.srs.get_job", { job: name }),
		show
	);
};

// How a job ended.
memora.jobs.tell = (job) => {
	const message = `<b>${memora.jobs.kind(job)}</b>: ${frappe.utils.escape_html(job.message || __(job.status))}`;
	const indicator = job.status === "Cancelled" ? "blue" : memora.jobs.colour(job);
	frappe.show_alert({ message, indicator }, 15);
};
