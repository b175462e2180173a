// Register the panels with the frontend.
import { make } from "./dom.js";
import { addPanel, growNode, guarded, listen, pageLaysOut, passPointer, passWheel, redrawCanvas, register, typeOf } from "./host.js";
import { KEEP, KEY, REPORT, WATCHER, enter, keep, kept, receive, report, resume, stopAll } from "./live.js";
import { Panel } from "./panel.js";
import { say } from "./strings.js";

const NODES = ["AvertVSF", "AvertNAG", "AvertNASA", "AvertDNG", "AvertSLD", "AvertPerpNeg", "AvertNegativeGuidance", WATCHER, REPORT];
const NAME = "avert_panel";
const MARGIN = 6;
const OWN_KEYS = ["Enter", " ", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];

/** Call `act` after what a node does already on an occasion. */
function after(node, occasion, act) {
    const before = node[occasion];
    node[occasion] = function (...values) {
        const result = before?.apply(this, values);
        return guarded(act, ...values) ?? result;
    };
}

function canScroll(element, event) {
    const room = event.deltaX || event.shiftKey ? element.scrollWidth - element.clientWidth : element.scrollHeight - element.clientHeight;
    return room > 1;
}

/** Leave to the canvas what is its own: zooming and panning; keep from it the keys that the panel answers. */
function share(element) {
    element.addEventListener("keydown", (event) => OWN_KEYS.includes(event.key) && event.stopPropagation());
    element.addEventListener("wheel", (event) => {
        const scrolling = event.target.closest?.(".avert-film, .avert-notes");
        if (scrolling && element.contains(scrolling) && canScroll(scrolling, event)) event.stopPropagation();
        else passWheel(event);
    });
    for (const kind of ["down", "move", "up"]) {
        const middle = (event) => (kind === "move" ? (event.buttons & 4) === 4 : event.button === 1);
        element.addEventListener(`pointer${kind}`, (event) => middle(event) && passPointer(kind, event));
    }
}

function attach(node) {
    const type = typeOf(node);
    const nothing = { [REPORT]: "emptyReport", [WATCHER]: "emptyWatcher" }[type] ?? "emptyNode";
    const toggled = (by) => {
        growNode(node, by);
        keep(node);
    };
    const panel = new Panel({ open: type === REPORT, nothing, toggled });
    share(panel.element);
    addPanel(node, NAME, panel.element, () => panel.height(), () => (pageLaysOut() ? 0 : MARGIN));
    enter(node, panel);
    after(node, "onConfigure", (info) => {
        const stored = kept(node, info?.id);
        if (stored) panel.setOpen(stored.open);
        if (stored && !stored.record) delete node.properties[KEY].run;
        panel.show(stored?.record ?? null);
        redrawCanvas(node);
    });
    if (type === REPORT) after(node, "onExecuted", (output) => report(node, output));
    // The frontend's list of properties would offer the record as a line of text.
    after(node, "onAddPropertyToPanel", (name) => (name === KEY ? true : undefined));
}

function addStyle() {
    document.head.append(make("link", { rel: "stylesheet", href: new URL("./panel.css", import.meta.url).href }));
}

register({
    name: "avert.panel",
    settings: [{ id: KEEP, name: say("settingKeep"), category: ["Avert", "Panel", "Keep"], type: "boolean", defaultValue: true }],
    setup() {
        addStyle();
        listen("avert.run", receive);
        listen("execution_interrupted", stopAll);
        listen("execution_error", stopAll);
    },
    afterConfigureGraph() {
        guarded(resume);
    },
    nodeCreated(node) {
        if (NODES.includes(typeOf(node))) guarded(attach, node);
    },
});
