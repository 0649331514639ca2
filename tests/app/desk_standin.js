// The stand-in for Frappe's Desk: what memora's scripts use of it, and nothing else.
//
// Each function has the name of its original in Frappe 15 and does the same, only smaller, without
// jQuery and without socket.io: `frappe.realtime.deliver` brings events. What Frappe shows as HTML
// is HTML here, too.

// The errors that scripts did not catch.
window.complaints = [];
window.addEventListener("error", (event) => window.complaints.push(event.message));
window.addEventListener("unhandledrejection", (event) =>
	window.complaints.push(JSON.stringify(event.reason))
);

window.__ = (text, values = []) => text.replace(/{(\d+)}/g, (_, index) => values[index]);

window.frappe = {
	boot: JSON.parse(document.getElementById("boot").textContent),
	pages: {},
	listview_settings: {},
	// By DocType and field; a `formatter` makes the HTML that lists and reports show.
	meta: { docfield_map: {} },

	provide(path) {
		path.split(".").reduce((place, name) => (place[name] ??= {}), window);
	},
	set_route: (...route) => (window.went_to = route.join("/")),

	// -- asking the server ---------------------------------------------------------------------
	async call(opts, args) {
		if (typeof opts === "string") opts = { method: opts, args };
		const body = new URLSearchParams();
		for (const [name, value] of Object.entries(opts.args ?? {}))
			body.set(name, value instanceof Object ? JSON.stringify(value) : (value ?? ""));
		const url = `/api/method/${opts.method}`;
		const is_get = opts.type === "GET";
		const response = await (is_get
			? fetch(`${url}?${body}`)
			: fetch(url, { method: "POST", body }));
		const answer = await response.json();
		if (response.ok) {
			opts.callback?.(answer);
			return answer;
		}
		const messages = JSON.parse(answer._server_messages ?? "[]").map(
			(text) => JSON.parse(text).message
		);
		frappe.msgprint(
			messages[0] ?? (response.status === 403 ? "Not permitted" : "Server Error")
		);
		opts.error?.(answer);
		throw answer;
	},
	xcall: (method, args) =>
		new Promise((resolve, reject) =>
			frappe
				.call({
					method,
					args,
					callback: (r) => resolve(r.message),
					error: (r) => reject(r?.message),
				})
				.catch(() => {})
		),
	db: {
		get_list: (doctype, args) =>
			frappe
				.call({
					method: "frappe.desk.reportview.get_list",
					args: { doctype, ...args },
					type: "GET",
				})
				.then((r) => r.message),
	},

	// -- dialogs ----------------------------------------------------------------------------------
	dialog(title, body, primary_label, primary_action) {
		const dialog = add(document.body, "div", "modal");
		add(dialog, "h4", "modal-title").innerHTML = title;
		add(dialog, "div", "modal-body").append(body);
		const primary = add(dialog, "button", "btn-primary", primary_label);
		primary.onclick = () => {
			primary_action();
			dialog.remove();
		};
		add(dialog, "button", "btn-close", "Close").onclick = () => dialog.remove();
	},
	confirm: (message, action) => frappe.dialog("Confirm", from_html(message), "Yes", action),
	warn: (title, message, action, label) =>
		frappe.dialog(title, from_html(message), label, action),
	prompt(fields, callback, title, label) {
		const body = document.createElement("div");
		const inputs = fields.map((field) => {
			add(body, "label", "", field.label);
			const select = add(body, "select");
			for (const { value, label } of field.options) select.add(new Option(label, value));
			select.name = field.fieldname;
			select.value = field.default;
			add(body, "p").innerHTML = field.description;
			return select;
		});
		const values = () => Object.fromEntries(inputs.map(({ name, value }) => [name, value]));
		frappe.dialog(title, body, label, () => callback(values()));
	},
	msgprint(message) {
		add(document.body, "div", "msgprint").innerHTML = message.message ?? message;
	},
	show_alert(message) {
		add(document.body, "div", "desk-alert").innerHTML = message.message ?? message;
	},

	// -- pieces -----------------------------------------------------------------------------------
	user: { has_role: (roles) => [roles].flat().some((role) => frappe.boot.roles.includes(role)) },
	realtime: {
		heard: [],
		on(event, callback) {
			frappe.realtime.heard.push([event, callback]);
		},
		deliver(event, message) {
			const callbacks = frappe.realtime.heard.filter(([name]) => name === event);
			for (const [, callback] of callbacks) callback(message);
		},
	},
	utils: {
		escape_html(text) {
			const places = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
			return text ? String(text).replace(/[&<>"']/g, (character) => places[character]) : "";
		},
		html2text: (html) => from_html(html).textContent,
	},
	datetime: {
		str_to_user: (text) => text.slice(0, 19),
		prettyDate: () => "just now",
		convert_to_user_tz: (text) => ({ format: () => text.slice(11, 16) }),
	},
	// Numbers in place of lines.
	Chart: class {
		constructor(place, { data }) {
			this.place = place;
			this.update(data);
		}
		update({ datasets }) {
			this.place.textContent = datasets
				.map(({ name, values }) => `${name}: ${values.join(" ")}`)
				.join("\n");
		}
	},
	ui: {
		make_app_page({ title }) {
			const head = add(document.body, "div", "page-head");
			add(head, "h3", "", title);
			const indicator = add(head, "span", "indicator-pill");
			return {
				main: [add(document.body, "div", "layout-main")],
				add_inner_button: (label, action) =>
					(add(head, "button", "", label).onclick = action),
				add_menu_item: (label, action) => (add(head, "button", "", label).onclick = action),
				set_indicator: (label) => (indicator.textContent = label),
				clear_indicator: () => (indicator.textContent = ""),
			};
		},
		form: { events: {}, on: (doctype, events) => (frappe.ui.form.events[doctype] = events) },
	},
};

function add(place, tag, classes = "", text = "") {
	const element = document.createElement(tag);
	element.className = classes;
	element.textContent = text;
	place.append(element);
	return element;
}

function from_html(html) {
	return Object.assign(document.createElement("div"), { innerHTML: html });
}

// -- a form --------------------------------------------------------------------------------------
class Form {
	constructor(doctype, name) {
		Object.assign(this, { doctype, doc: { name }, custom_buttons: {} });
		this.place = add(document.body, "div", "form");
		this.events = frappe.ui.form.events[doctype];
		this.dashboard = {
			show_progress: (title, percent, message) => {
				const shown =
					this.place.querySelector(`[title="${title}"]`) ?? add(this.progress, "div");
				shown.title = title;
				shown.innerHTML = `<div class="progress-bar"></div><p></p>`;
				shown.querySelector(".progress-bar").style.width = `${parseInt(percent, 10)}%`;
				shown.querySelector("p").textContent = message;
			},
		};
	}
	is_new() {
		return false;
	}
	async reload_doc() {
		const { doctype, doc } = this;
		const args = { doctype, name: doc.name };
		this.doc = (await frappe.call({ method: "frappe.client.get", args, type: "GET" })).message;
		this.refresh();
	}
	refresh() {
		this.place.textContent = "";
		this.custom_buttons = {};
		this.intro = add(this.place, "div", "form-message");
		this.progress = add(this.place, "div", "progress-area");
		this.events.refresh(this);
	}
	add_custom_button(label, action) {
		const button = add(this.place, "button", "", label);
		button.onclick = action;
		this.custom_buttons[label] = button;
		return button;
	}
	disable_save() {}
	set_intro(text) {
		this.intro.textContent = text;
	}
}

// -- where to ------------------------------------------------------------------------------------
const script = (path) => fetch(`/script/${path}`).then((response) => response.text());

window.desk = {
	async page(name) {
		const wrapper = document.body;
		frappe.pages[name] = wrapper;
		add(document.head, "script").textContent = await script(
			`page/${name}/${name}.js`.replaceAll("-", "_")
		);
		wrapper.on_page_load(wrapper);
		wrapper.on_page_show(wrapper);
	},
	async form(doctype, name) {
		const folder = doctype.toLowerCase().replaceAll(" ", "_");
		new Function(await script(`doctype/${folder}/${folder}.js`))();
		const frm = new Form(doctype, name);
		window.cur_frm = frm;
		frm.events.setup?.(frm);
		await frm.reload_doc();
	},
	async list(doctype) {
		const folder = doctype.toLowerCase().replaceAll(" ", "_");
		new Function(await script(`doctype/${folder}/${folder}_list.js`))();
		const place = add(document.body, "div", "result");
		(await frappe.db.get_list(doctype, { fields: ["name", "status"] })).forEach((doc) => {
			const [label, colour] = frappe.listview_settings[doctype].get_indicator(doc);
			add(place, "span", `indicator-pill ${colour}`, label);
		});
	},
};
