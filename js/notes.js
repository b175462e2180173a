// What else a user should know of a run: the model, the nodes that took part, and notes.
import { make, words } from "./dom.js";
import { say } from "./strings.js";

function fact(name, text) {
    return make("div", { class: "avert-fact" }, make("span", { class: "avert-name" }, name), words("span", "avert-value", text));
}

export function makeNotes() {
    const element = make("div", { class: "avert-notes", tabindex: "0" });
    let before = "";
    function update(record) {
        const now = JSON.stringify([record.model, record.nodes, record.notes]);
        if (now === before) return;
        before = now;
        const nodes = record.nodes.map((one) => `${one.name} (${[one.id, say(one.inside ? "inside" : "outside")].filter(Boolean).join(", ")})`);
        element.replaceChildren(
            ...record.notes.map((note) => words("p", "avert-note", note)),
            ...(record.model ? [fact(say("model"), record.model)] : []),
            ...(nodes.length ? [fact(say("nodes"), nodes.join("; "))] : []),
        );
    }
    return { element, update };
}
