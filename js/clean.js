// Take from what others wrote (a server, a workflow file of a stranger) only what a record may hold. Pure.
import { readBytes } from "./bytes.js";

export const VERSION = 1;
const TEXT = 300;
// As the server writes them, and as a canvas does.
const PICTURE = /^data:image\/(jpeg|png)(,(%[0-9A-F]{2})+|;base64,[A-Za-z0-9+/]+={0,2})$/;
const PICTURE_CHARACTERS = 4_000_000;
const MOST = { nodes: 64, steps: 2000, curves: 64, maps: 512, saw: 512, notes: 32, negative: 32 };
const NUMBERS = ["strength", "posterior", "change"];
// Control characters, and those that turn the direction of what follows them.
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Make one line of plain text, cut at `most` characters. */
export function plain(value, most = TEXT) {
    if (typeof value !== "string" && typeof value !== "number") return "";
    const line = String(value).slice(0, 4 * most + 400).replace(/\s+/g, " ").replace(CONTROL, "\ufffd").trim();
    // By characters: half an emoji is none.
    const characters = [...line];
    return characters.length > most ? `${characters.slice(0, most - 1).join("")}\u2026` : line;
}

export function number(value) {
    return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function whole(value, most = 100_000) {
    return Number.isInteger(value) && value >= 0 && value <= most ? value : null;
}

function list(value, most, take) {
    return Array.isArray(value) ? value.slice(0, most).map(take).filter((one) => one !== null) : [];
}

function isObject(value) {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function picture(value) {
    return typeof value === "string" && value.length <= PICTURE_CHARACTERS && PICTURE.test(value) ? value : "";
}

function node(value) {
    return isObject(value) ? { id: plain(value.id, 100), name: plain(value.name, 40), inside: value.inside === true } : null;
}

function step(value) {
    if (!Array.isArray(value) || whole(value[0]) === null) return null;
    return [value[0], number(value[1]), number(value[2]), number(value[3])];
}

function curve(value) {
    if (!isObject(value)) return null;
    const steps = list(value.steps, MOST.steps, (one) => {
        if (!Array.isArray(one) || whole(one[0]) === null || !isObject(one[1])) return null;
        const known = NUMBERS.filter((name) => number(one[1][name]) !== null);
        return [one[0], Object.fromEntries(known.map((name) => [name, one[1][name]]))];
    });
    return { node: plain(value.node, 100), name: plain(value.name, 40), text: plain(value.text), steps };
}

function map(value) {
    if (!isObject(value) || whole(value.step) === null) return null;
    const [width, height, top] = [whole(value.width, 256), whole(value.height, 256), number(value.top)];
    if (!width || !height || top === null || top < 0 || readBytes(value.data, width * height) === null) return null;
    return { step: value.step, width, height, top, data: value.data };
}

function saw(value) {
    if (!isObject(value) || whole(value.step) === null) return null;
    return {
        node: plain(value.node, 100),
        step: value.step,
        sample: whole(value.sample) ?? 0,
        picture: picture(value.picture),
        said: plain(value.said),
        kind: plain(value.kind, 40),
        seconds: number(value.seconds),
        used: whole(value.used),
        negative: list(value.negative, MOST.negative, (one) => plain(one) || null),
    };
}

/** Read a record or a part of one; null when it is none, or of a version that this does not know. */
export function clean(value) {
    if (!isObject(value) || (value.version !== undefined && value.version !== VERSION)) return null;
    const record = {
        version: VERSION,
        nodes: list(value.nodes, MOST.nodes, node),
        steps: list(value.steps, MOST.steps, step),
        curves: list(value.curves, MOST.curves, curve),
        maps: list(value.maps, MOST.maps, map),
        saw: list(value.saw, MOST.saw, saw),
        notes: list(value.notes, MOST.notes, (one) => plain(one) || null),
    };
    if (plain(value.model)) record.model = plain(value.model, 60);
    if (whole(value.total)) record.total = value.total;
    if (picture(value.picture)) record.picture = value.picture;
    if (typeof value.finished === "boolean") record.finished = value.finished;
    return record;
}
