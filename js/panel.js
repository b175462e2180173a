// The panel of one node: a line that sums the run up, and below it, when open, picture, curves and answers.
import { makeCurves } from "./curves.js";
import { make, setText, words } from "./dom.js";
import { makeFilm } from "./film.js";
import { Heat } from "./heat.js";
import { makeNotes } from "./notes.js";
import { summaryOf } from "./record.js";
import { percent, say, shown } from "./strings.js";
import { makeTabs } from "./tabs.js";

export const HEAD_HEIGHT = 28;
export const BODY_HEIGHT = 360;
// The newest state of panels that wait for the next frame.
const waiting = new Set();
let asked = false;
let count = 0;

function flush() {
    asked = false;
    const now = [...waiting];
    waiting.clear();
    for (const panel of now) panel.draw();
}

/** Draw a panel in the next frame, at most once. */
function soon(panel) {
    waiting.add(panel);
    if (asked) return;
    asked = true;
    requestAnimationFrame(flush);
}

const WRITTEN = { share: percent, change: percent, posterior: percent, strength: (value) => shown("strength", value) };

/** Write the line that sums a run up. */
export function summary(record) {
    if (!record) return say("noRun");
    return summaryOf(record).map(([key, ...values]) => say(key, ...values.map((value) => WRITTEN[key]?.(value) ?? value))).join(" \u00b7 ");
}

function head(id) {
    const line = words("span", "avert-summary");
    const lamp = make("span", { class: "avert-lamp", "aria-hidden": true });
    const chevron = make("span", { class: "avert-chevron", "aria-hidden": true });
    const button = make("button", { type: "button", class: "avert-head", "aria-controls": id }, chevron, lamp, line);
    return { button, line, lamp };
}

function body(id, moved) {
    const [heat, curves, film, notes] = [new Heat(moved), makeCurves(), makeFilm(), makeNotes()];
    const tabs = makeTabs(id, [["tabSaw", film.element], ["tabNotes", notes.element]]);
    const full = make("div", { class: "avert-full" }, make("div", { class: "avert-upper" }, heat.element, curves.element), tabs.element);
    const empty = make("p", { class: "avert-empty" });
    return { heat, curves, film, notes, tabs, full, empty, element: make("div", { class: "avert-body", id }, full, empty) };
}

/** Tell when an element comes into view, since nothing is drawn out of it. */
function watchView(element, seen) {
    new IntersectionObserver((entries) => seen(entries.at(-1).isIntersecting)).observe(element);
}

/** A panel; `nothing` is what it says before any run, `toggled` is called with the pixels that it has grown. */
export class Panel {
    state = { open: false, record: null, run: null, inView: false };
    #head;
    #body;
    #nothing;

    constructor({ open, nothing, toggled }) {
        const id = `avert-body-${(count += 1)}`;
        this.#nothing = nothing;
        this.#head = head(id);
        this.#body = body(id, () => soon(this));
        this.element = make("div", { class: "avert-panel" }, this.#head.button, this.#body.element);
        this.#head.button.addEventListener("click", () => {
            const before = this.height();
            this.setOpen(!this.state.open);
            toggled(this.height() - before);
        });
        watchView(this.element, (inView) => {
            this.state.inView = inView;
            if (inView) soon(this);
        });
        this.setOpen(open);
    }

    height() {
        return HEAD_HEIGHT + (this.state.open ? BODY_HEIGHT : 0);
    }

    setOpen(value) {
        this.state.open = Boolean(value);
        this.#body.element.hidden = !this.state.open;
        this.#head.button.setAttribute("aria-expanded", String(this.state.open));
        this.element.style.setProperty("--avert-height", `${this.height()}px`);
        soon(this);
    }

    /** Show a record; null: none. `run` tells one run from the next. */
    show(record, run = null) {
        if (run !== this.state.run) {
            this.#body.heat.reset();
            this.#body.tabs.choose(null);
        }
        Object.assign(this.state, { record, run });
        soon(this);
    }

    draw() {
        const { record, open, inView } = this.state;
        const { full, empty } = this.#body;
        setText(this.#head.line, summary(record));
        this.#head.lamp.dataset.state = !record ? "none" : record.finished === undefined ? "live" : record.finished ? "done" : "stopped";
        if (!open || !inView) return;
        full.hidden = !record;
        empty.hidden = Boolean(record);
        setText(empty, say(this.#nothing));
        if (record) this.#drawBody(record);
    }

    #drawBody(record) {
        const { heat, curves, film, notes, tabs } = this.#body;
        heat.update(record);
        curves.update(record, heat.step());
        film.update(record);
        notes.update(record);
        tabs.offer(0, record.saw.length > 0);
        tabs.suggest(record.saw.length ? 0 : 1);
    }
}
