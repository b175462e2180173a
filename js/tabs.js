// A few pages of which one shows, chosen by mouse or by arrow keys.
import { make } from "./dom.js";
import { say } from "./strings.js";

function makeTab(id, [key, page], index) {
    const attributes = { type: "button", role: "tab", class: "avert-tab", id: `${id}-tab-${index}`, "aria-controls": `${id}-page-${index}` };
    const tab = make("button", attributes, say(key));
    page.id = `${id}-page-${index}`;
    const frame = make("div", { role: "tabpanel", class: "avert-page", "aria-labelledby": tab.id }, page);
    return { tab, frame };
}

/** `pages`: [string key, element]. `suggest` opens a page as long as the user has chosen none. */
export function makeTabs(id, pages) {
    const made = pages.map((page, index) => makeTab(id, page, index));
    const list = make("div", { role: "tablist", class: "avert-tabs" }, ...made.map((one) => one.tab));
    let [chosen, open] = [null, null];

    function show(index) {
        if (index === open) return;
        open = index;
        made.forEach(({ tab, frame }, i) => {
            tab.setAttribute("aria-selected", String(i === index));
            tab.tabIndex = i === index ? 0 : -1;
            frame.hidden = i !== index;
        });
    }
    function choose(index) {
        chosen = index;
        if (index !== null) show(index);
    }
    made.forEach(({ tab }, index) => tab.addEventListener("click", () => choose(index)));
    list.addEventListener("keydown", (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!by) return;
        const next = (open + by + made.length) % made.length;
        if (made[next].tab.hidden) return;
        choose(next);
        made[open].tab.focus();
    });
    show(0);
    /** Offer a page, or not: an empty one. */
    function offer(index, wanted) {
        made[index].tab.hidden = !wanted;
        if (!wanted && open === index) show(made.findIndex((one) => !one.tab.hidden));
    }
    const element = make("div", { class: "avert-lower" }, list, ...made.map((one) => one.frame));
    return { element, choose, offer, suggest: (index) => chosen === null && show(index) };
}
