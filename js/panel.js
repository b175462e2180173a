// The panel of one node: a line that sums the run up, and below it, when open, picture, curves and answers.
import { makeCurves } from "./curves.js";
import { make, setText, words } from "./dom.js";
import { makeFilm } from "./film.js";
import { makeHeat } from "./heat.js";
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
    const [heat, curves, film, notes] = [makeHeat(moved), makeCurves(), makeFilm(), makeNotes()];
    const tabs = makeTabs(id, [["tabSaw", film.element], ["tabNotes", notes.element]]);
    const full = make("div", { class: "avert-full" }, make("div", { class: "avert-upper" }, heat.element, curves.element), tabs.element);
    const empty = make("p", { class: "avert-empty" });
    return { heat, curves, film, notes, tabs, full, empty, element: make("div", { class: "avert-body", id }, full, empty) };
}

/** Tell when an element comes into view, since nothing is drawn out of it. */
function watchView(element, seen) {
    new IntersectionObserver((entries) => seen(entries.at(-1).isIntersecting)).observe(element);
}

/** Make a panel; `nothing` is what it says before any run, `toggled` is called with the pixels that it has grown. */
export function makePanel({ open, nothing, toggled }) {
    const id = `avert-body-${(count += 1)}`;
    const [top, low] = [head(id), body(id, () => soon(panel))];
    const element = make("div", { class: "avert-panel" }, top.button, low.element);
    const state = { open: false, record: null, run: null, inView: false };
    const height = () => HEAD_HEIGHT + (state.open ? BODY_HEIGHT : 0);

    function setOpen(value) {
        state.open = Boolean(value);
        low.element.hidden = !state.open;
        top.button.setAttribute("aria-expanded", String(state.open));
        element.style.setProperty("--avert-height", `${height()}px`);
        soon(panel);
    }
    /** Show a record; null: none. `run` tells one run from the next. */
    function show(record, run = null) {
        if (run !== state.run) {
            low.heat.reset();
            low.tabs.choose(null);
        }
        Object.assign(state, { record, run });
        soon(panel);
    }
    function drawBody(record) {
        low.heat.update(record);
        low.curves.update(record, low.heat.step());
        low.film.update(record);
        low.notes.update(record);
        low.tabs.offer(0, record.saw.length > 0);
        low.tabs.suggest(record.saw.length ? 0 : 1);
    }
    function draw() {
        const { record } = state;
        setText(top.line, summary(record));
        const lamp = !record ? "none" : record.finished === undefined ? "live" : record.finished ? "done" : "stopped";
        top.lamp.dataset.state = lamp;
        if (!state.open || !state.inView) return;
        low.full.hidden = !record;
        low.empty.hidden = Boolean(record);
        setText(low.empty, say(nothing));
        if (record) drawBody(record);
    }
    const panel = { element, height, show, setOpen, draw, state };
    top.button.addEventListener("click", () => {
        const before = height();
        setOpen(!state.open);
        toggled(height() - before);
    });
    watchView(element, (inView) => {
        state.inView = inView;
        if (inView) soon(panel);
    });
    setOpen(open);
    return panel;
}
