// What a vision-language model was shown, what it said, and what was avoided from then on.
import { make, words } from "./dom.js";
import { say, short } from "./strings.js";

// What is no answer; the others are ("phrases", "nothing").
const TROUBLE = ["failed", "refused", "unreadable"];

/** Say what is avoided, and from when on if the answer changed it. */
function effect(one) {
    const negative = one.negative.length ? one.negative.join(", ") : say("nothing");
    return one.used === null ? say("asBefore", negative) : say("inForce", one.used + 1, negative);
}

function card(one) {
    const when = one.sample ? say("seenOf", one.step + 1, one.sample + 1) : say("seen", one.step + 1);
    const seconds = one.seconds === null ? null : say("seconds", short(one.seconds));
    const kind = TROUBLE.includes(one.kind) ? say(one.kind) : null;
    const head = words("div", "avert-when avert-number", [when, seconds, kind].filter(Boolean).join(" \u00b7 "));
    const picture = one.picture ? make("img", { class: "avert-shot", src: one.picture, alt: "", draggable: "false" }) : make("div", { class: "avert-shot" });
    const said = words("div", "avert-said", one.said);
    const text = make("div", { class: "avert-text" }, head, said, words("div", "avert-force", effect(one)));
    return make("li", { class: `avert-card${kind ? " avert-failed" : ""}` }, picture, text);
}

export function makeFilm() {
    const element = make("ol", { class: "avert-film", tabindex: "0" });
    const cards = new Map();
    /** Show a record's answers; what has not changed is not made anew. */
    function update(record) {
        const atEnd = element.scrollLeft + element.clientWidth >= element.scrollWidth - 8;
        const known = new Set(record.saw);
        for (const one of cards.keys()) if (!known.has(one)) cards.delete(one);
        for (const one of record.saw) if (!cards.has(one)) cards.set(one, card(one));
        const wanted = record.saw.map((one) => cards.get(one));
        if (wanted.length !== element.children.length || wanted.some((one, i) => one !== element.children[i])) {
            element.replaceChildren(...wanted);
            if (atEnd) element.scrollLeft = element.scrollWidth;
        }
    }
    return { element, update };
}
