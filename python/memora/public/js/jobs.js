// Shared by the season's form, the SRS Job's form and list, and the SRS Monitor. hooks.py adds it.
frappe.provide("memora.jobs");

// Whether the user may begin and cancel jobs. The server checks it too; this only hides buttons.
memora.jobs.can_manage = () => frappe.user.has_role(["System Manager", "Memora Manager"]);

// socket.io delivers a job's progress. After this long without any, the server is polled.
memora.jobs.POLL_AFTER_MS = 3000;

memora.jobs.is_running = (job) => ["Queued", "Running"].includes(job.status);

// An archive must finish.
memora.jobs.can_be_cancelled = (job) =>
	memora.jobs.can_manage() && memora.jobs.is_running(job) && job.kind !== "Archive";

memora.jobs.format_count = (number) =>
	Number(number ?? 0).toLocaleString(undefined, { numberingSystem: "latn" });

// A running job's progress. The total is an estimate; the message names the step.
memora.jobs.progress_text = (job) => {
	if (job.status === "Queued") return __("Waiting for a background worker");
	// A training does not count records.
	if (job.kind === "Training")
		return __("{0}: {1}%", [job.message || __(job.status), Math.round(job.percent)]);
	const records = __("{0} of about {1} records", [
		memora.jobs.format_count(job.done),
		memora.jobs.format_count(job.total),
	]);
	return job.message ? `${job.message}: ${records}` : records;
};

memora.jobs.colour = ({ status }) => {
	const colours = {
		Queued: "yellow",
		Running: "blue",
		Done: "green",
		Failed: "red",
		Interrupted: "orange",
	};
	return colours[status] ?? "gray";
};

memora.jobs.kind_html = (job) => frappe.utils.escape_html(__(job.kind));

// Ask socket.io for progress. Call it each time a page or form is shown: closing a list of SRS Jobs
// ends the subscription.
memora.jobs.subscribe = () =>
	frappe.realtime.socket && frappe.realtime.doctype_subscribe("SRS Job");

// GET a method's answer, or throw an Error with the server's message. frappe.call would open a
// dialog at each failure, which is too much for a caller that polls.
memora.jobs.get = async (method, args = {}) => {
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
	if (response.status === 403)
		throw new Error(__("You are not logged in, or lack the role for this."));
	throw new Error(__("The server answered with error {0}.", [response.status]));
};

// POST to a method. Frappe shows the error that it throws, and the callback is not called.
memora.jobs.call = (method, args, callback) => frappe.xcall(method, args).then(callback, () => {});

// Rebuild a season's cache, once confirmed. `callback` gets the names of the jobs.
memora.jobs.confirm_rebuild = (season, callback) =>
	frappe.confirm(
		[
			__("Rebuild the cache of {0}?", [`<b>${frappe.utils.escape_html(season)}</b>`]),
			__("All its schedules are loaded from the database again."),
			__("Students can read and answer meanwhile."),
		].join(" "),
		() =>
			memora.jobs.call("memora.api.srs.rebuild_season_cache", { season }, ({ job }) => {
				frappe.show_alert(__("The rebuild is queued. Its progress is shown here."));
				callback([job]);
			})
	);

// Reconcile a season; without one, all that use the cache. `callback` gets the names of the jobs.
memora.jobs.prompt_reconciliation = (season, callback) =>
	frappe.prompt(
		[
			{
				fieldname: "sample_size",
				fieldtype: "Select",
				label: __("Compare with the database"),
				options: [
					{
						value: "10000",
						label: __("A sample of {0} records", [memora.jobs.format_count(10000)]),
					},
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
			memora.jobs.call(
				"memora.api.srs.request_reconciliation",
				season ? { sample_size, season } : { sample_size },
				({ jobs }) => {
					frappe.show_alert(
						__("The reconciliation is queued. Its progress is shown here.")
					);
					callback(jobs);
				}
			),
		season
			? __("Reconcile {0}", [frappe.utils.escape_html(season)])
			: __("Reconcile All Seasons"),
		__("Reconcile")
	);

memora.jobs.cancel = (name, callback) =>
	memora.jobs.call("memora.api.srs.cancel_job", { job: name }, (job) => {
		if (memora.jobs.is_running(job)) frappe.show_alert(__("It ends at the next safe place."));
		callback(job);
	});

// Show a job's progress in a form until the job ends or another document is shown. socket.io
// delivers the progress (on_progress); the server is polled now, and while socket.io is silent.
memora.jobs.follow_job = (frm, name, on_end) => {
	frm.memora_followed ??= {};
	frm.memora_followed[name]?.stop();
	const shown = frm.doc.name;
	let updated_at = 0;
	const is_shown = () => frm.doc.name === shown && window.cur_frm === frm;
	const stop = () => {
		clearInterval(timer);
		if (frm.memora_followed[name] === followed) delete frm.memora_followed[name];
	};
	const on_progress = (job) => {
		updated_at = Date.now();
		if (is_shown() && memora.jobs.is_running(job)) {
			memora.jobs.show_progress(frm, job);
			return;
		}
		if (is_shown()) on_end(job);
		stop();
	};
	const poll = () =>
		memora.jobs.get("memora.api.srs.get_job", { job: name }).then(
			(job) => frm.memora_followed[name] === followed && on_progress(job),
			() => {} // the next poll may succeed
		);
	const timer = setInterval(() => {
		if (!is_shown()) stop();
		else if (Date.now() - updated_at > memora.jobs.POLL_AFTER_MS) poll();
	}, memora.jobs.POLL_AFTER_MS);
	const followed = { on_progress, stop };
	frm.memora_followed[name] = followed;
	poll();
};

// Draw a running job's progress in a form, with a button that cancels the job.
memora.jobs.show_progress = (frm, job) => {
	const kind = memora.jobs.kind_html(job);
	const text = `${kind}: ${memora.jobs.progress_text(job)}`;
	frm.dashboard.show_progress(kind, job.percent, text);
	if (!memora.jobs.can_be_cancelled(job)) return;
	const label = __("Cancel {0}", [kind]);
	frm.custom_buttons[label] ??= frm.add_custom_button(label, () =>
		memora.jobs.cancel(job.name, (job) => frm.memora_followed[job.name]?.on_progress(job))
	);
};

// socket.io delivered progress: show it, or call `follow` if the form does not follow the job yet.
memora.jobs.on_progress = (frm, job, follow) => {
	if (window.cur_frm !== frm) return;
	const followed = frm.memora_followed?.[job.name];
	if (followed) followed.on_progress(job);
	else follow();
};

// Say how a job ended.
memora.jobs.show_result = (job) => {
	const result = frappe.utils.escape_html(job.message || __(job.status));
	const message = `<b>${memora.jobs.kind_html(job)}</b>: ${result}`;
	const indicator = job.status === "Cancelled" ? "blue" : memora.jobs.colour(job);
	frappe.show_alert({ message, indicator }, 15);
};
