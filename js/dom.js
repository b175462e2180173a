// Small helpers to build elements. Text only ever goes in as text.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
}

export function make(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
}

export function draw(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Make an element for text of which nobody knows what it is: its direction is its own affair. */
export function words(tag, name, text = "") {
    return make(tag, { class: `${name} avert-words`, dir: "auto" }, text);
}

/** Set a text only where it has changed, so that nothing is laid out for nothing. */
export function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
}

/** Make a slider with a label in front and its value behind. */
export function slider(label, value, heard) {
    const input = make("input", { type: "range", min: 0, max: 100, step: 1, class: "avert-slider", "aria-label": label });
    const output = make("output", { class: "avert-number" });
    input.value = String(value);
    input.addEventListener("input", () => heard(Number(input.value)));
    const element = make("label", { class: "avert-slide" }, make("span", {}, label), input, output);
    return { element, input, output };
}
