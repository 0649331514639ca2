// The stand-in for Frappe's Desk: only what memora's scripts use.
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

window.__ = (text, values = []) =>
	(frappe._messages[text] || text).replace(/{(\d+)}/g, (_, index) => values[index]);

window.frappe = {
	boot: JSON.parse(document.getElementById("boot").textContent),
	_messages: JSON.parse(document.getElementById("boot").textContent).__messages,
	pages: {},
	listview_settings: {},
	// By DocType and field; a `formatter` makes the HTML that lists and reports show.
	meta: { docfield_map: {} },

	provide(path) {
		path.split(".").reduce((place, name) => (place[name] ??= {}), window);
	},
	set_route: (...route) => (window.went_to = route.join("/")),
	model: { can_create: (doctype) => frappe.boot.user.can_create.includes(doctype) },
	new_doc: (doctype) => (window.went_to = `new ${doctype}`),

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
	prompt(fields, callback, title, label) {
		const dialog = new frappe.ui.Dialog({
			title,
			fields,
			primary_action_label: label,
			primary_action(values) {
				dialog.hide();
				callback(values);
			},
		});
		dialog.show();
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
				// Frappe's menus; here they are closed.
				add_actions_menu_item: () => {},
				set_indicator: (label) => (indicator.textContent = label),
				clear_indicator: () => (indicator.textContent = ""),
			};
		},
		Dialog: class {
			constructor({ title, fields, primary_action_label, primary_action }) {
				this.place = document.createElement("div");
				this.place.className = "modal";
				add(this.place, "h4", "modal-title").innerHTML = title;
				const body = add(this.place, "div", "modal-body");
				const inputs = fields.map((field) => add_field(body, field)).filter(Boolean);
				this.primary = add(this.place, "button", "btn-primary", primary_action_label);
				// Frappe asks again for required fields.
				this.primary.onclick = () =>
					inputs.every(({ required, value }) => value || !required) &&
					primary_action(
						Object.fromEntries(inputs.map(({ name, value }) => [name, value]))
					);
				add(this.place, "button", "btn-close", "Close").onclick = () => this.hide();
			}
			show() {
				document.body.append(this.place);
			}
			hide() {
				this.place.remove();
			}
			// The part of jQuery that memora uses.
			get_primary_btn() {
				const { primary } = this;
				const button = {
					removeClass(name) {
						primary.classList.remove(name);
						return button;
					},
					addClass(name) {
						primary.classList.add(name);
						return button;
					},
				};
				return button;
			}
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

// A field of a dialog; what it returns has `name`, `value` and `required`.
function add_field(place, { fieldname, fieldtype, label, description, options, reqd, ...field }) {
	if (fieldtype === "HTML") {
		add(place, "div").innerHTML = options;
		return null;
	}
	add(place, "label", "", label);
	const input = add(place, { Select: "select", "Small Text": "textarea" }[fieldtype] ?? "input");
	for (const { value, label } of options ?? []) input.add(new Option(label, value));
	Object.assign(input, { name: fieldname, value: field.default ?? "", required: Boolean(reqd) });
	add(place, "p").innerHTML = description ?? "";
	return input;
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
			add_section: (html, label) => {
				const section = add(this.sections, "div", "form-dashboard-section");
				add(section, "div", "section-head", label);
				add(section, "div", "section-body").innerHTML = html;
			},
			show: () => {},
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
		this.buttons = add(this.place, "div", "page-actions");
		this.intro = add(this.place, "div", "form-message");
		this.progress = add(this.place, "div", "progress-area");
		this.sections = add(this.place, "div", "form-dashboard");
		this.events.refresh(this);
	}
	add_custom_button(label, action) {
		const button = add(this.buttons, "button", "", label);
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
		// Without the fields' definitions, formatters have a place to be.
		frappe.meta.docfield_map[doctype] ??= new Proxy({}, { get: () => ({}) });
		new Function(await script(`doctype/${folder}/${folder}_list.js`))();
		window.cur_list = new List(doctype);
		await window.cur_list.start();
	},
};

// -- a list
// ----------------------------------------------------------------------------------------
class List {
	constructor(doctype) {
		this.doctype = doctype;
		this.settings = frappe.listview_settings[doctype];
		this.page = frappe.ui.make_app_page({ title: doctype });
		this.place = add(this.page.main[0], "div", "result");
		this.no_result = add(this.page.main[0], "div", "no-result");
		this.filter_area = { get: () => window.list_filters ?? [] };
	}
	async start() {
		this.settings.onload?.(this);
		await this.refresh();
	}
	async refresh() {
		// Frappe adds a DocType's status by itself.
		const status = this.settings.get_indicator ? ["status"] : [];
		const fields = ["name", ...(this.settings.add_fields ?? status)];
		this.data = await frappe.db.get_list(this.doctype, { fields });
		this.render_list();
		this.settings.refresh?.(this);
	}
	render_list() {
		this.place.textContent = "";
		this.no_result.innerHTML = this.data.length ? "" : this.get_no_result_message();
		for (const doc of this.data) this.render_row(doc);
	}
	render_row(doc) {
		const row = add(this.place, "div", "list-row", doc.name);
		add(row, "input", "list-row-checkbox").type = "checkbox";
		const [label, colour] = this.settings.get_indicator?.(doc) ?? [];
		if (label) add(row, "span", `indicator-pill ${colour}`, label);
		const { button } = this.settings;
		if (button?.show(doc)) {
			const shown = add(row, "button", "btn-action", button.get_label(doc));
			shown.title = button.get_description(doc);
			shown.onclick = () => button.action(doc);
		}
	}
	get_no_result_message() {
		return `No ${this.doctype} found`;
	}
	get_checked_items() {
		const boxes = [...this.place.querySelectorAll(".list-row-checkbox")];
		return this.data.filter((_doc, index) => boxes[index].checked);
	}
}
