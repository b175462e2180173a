// What is known of a run: parts merged into one record, and what can be read from it. Pure.
import { VERSION, clean } from "./clean.js";

export { clean };

export function empty() {
    return { version: VERSION, nodes: [], steps: [], curves: [], maps: [], saw: [], notes: [] };
}

/** Put entries into a list: one with the same key replaces, others are added; sorted by step where there are steps. */
function put(entries, more, key, join = (_, one) => one) {
    const known = new Map(entries.map((one) => [key(one), one]));
    for (const one of more) known.set(key(one), known.has(key(one)) ? join(known.get(key(one)), one) : one);
    return [...known.values()];
}

const byStep = (a, b) => (a.step ?? a[0]) - (b.step ?? b[0]);
const keyOf = (...values) => JSON.stringify(values);
const stepOf = (one) => one[0];
const joinCurves = (before, now) => ({ ...now, steps: put(before.steps, now.steps, stepOf).sort(byStep) });

/** Merge a cleaned part into a record; gives a new record. */
export function merge(record, part) {
    const { nodes, steps, curves, maps, saw, notes, ...single } = part;
    return {
        ...record,
        ...single,
        nodes: put(record.nodes, nodes, (one) => keyOf(one.id, one.name)),
        steps: put(record.steps, steps, stepOf).sort(byStep),
        curves: put(record.curves, curves, (one) => keyOf(one.node, one.text), joinCurves),
        maps: put(record.maps, maps, (one) => one.step).sort(byStep),
        saw: put(record.saw, saw, (one) => keyOf(one.node, one.step, one.sample)).sort(byStep),
        notes: [...new Set([...record.notes, ...notes])],
    };
}

/** List the ids of the nodes that a record speaks of. */
export function idsOf(record) {
    const ids = [...record.nodes.map((one) => one.id), ...record.curves.map((one) => one.node), ...record.saw.map((one) => one.node)];
    return [...new Set(ids)].filter(Boolean);
}

/** List the steps of which anything is known, in order. */
export function stepsOf(record) {
    const steps = [...record.steps.map(stepOf), ...record.maps.map((one) => one.step)];
    for (const curve of record.curves) steps.push(...curve.steps.map(stepOf));
    return [...new Set(steps)].sort((a, b) => a - b);
}

/** Give the last entry at or before a step. */
export function upTo(entries, step) {
    return entries.findLast((one) => (one.step ?? one[0]) <= step) ?? null;
}

/** Give what one node of a run should show: where curves or answers are its own, only these. */
export function viewFor(record, id) {
    const curves = record.curves.filter((one) => one.node === id);
    const saw = record.saw.filter((one) => one.node === id);
    return { ...record, curves: curves.length ? curves : record.curves, saw: saw.length ? saw : record.saw };
}

/** Give the lines of a chart: {label, points: [[step, value]]}, of the whole run first, then one per negative. */
export function seriesOf(record, name) {
    const column = { share: 2, change: 3 }[name];
    const several = new Set(record.curves.map((curve) => curve.name)).size > 1;
    const lines = record.curves.map((curve) => ({
        label: !curve.text ? curve.name : several ? `${curve.name}: ${curve.text}` : curve.text,
        points: curve.steps.filter((one) => one[1][name] !== undefined).map((one) => [one[0], one[1][name]]),
    }));
    const whole = record.steps.filter((one) => column && one[column] !== null).map((one) => [one[0], one[column]]);
    const inside = record.nodes.filter((one) => one.inside).map((one) => one.name);
    return [{ label: [...new Set(inside)].join(" + "), points: whole }, ...lines].filter((line) => line.points.length);
}

/** Give the parts of the line that sums a run up, as [word, values] for strings.js. */
export function summaryOf(record) {
    const last = stepsOf(record).at(-1) ?? record.saw.at(-1)?.step;
    const parts = [];
    if (last === undefined) parts.push([record.finished === undefined ? "started" : record.finished ? "done" : "stopped"]);
    else if (record.finished === false) parts.push(["stoppedAt", last + 1]);
    else if (record.finished) parts.push(["steps", record.total ?? last + 1]);
    else parts.push(record.total ? ["stepOf", last + 1, record.total] : ["step", last + 1]);
    const known = ["share", "change", "strength", "posterior"].map((name) => [name, seriesOf(record, name)[0]?.points.at(-1)?.[1]]);
    parts.push(...known.filter(([, value]) => value !== undefined).slice(0, 2));
    const said = record.saw.at(-1);
    if (said) parts.push(said.negative.length ? ["avoids", said.negative.join(", ")] : ["looked", record.saw.length]);
    return parts;
}
