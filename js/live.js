// Which run belongs to which nodes, and what of it is kept in the workflow.
import { VERSION } from "./clean.js";
import { pack } from "./compact.js";
import { shrinkPicture } from "./heat.js";
import { allNodes, findNode, openGraph, setting, typeOf, upstream } from "./host.js";
import { clean, empty, idsOf, merge, viewFor } from "./record.js";

export const KEY = "avert_run";
export const KEEP = "Avert.KeepRuns";
export const REPORT = "AvertReport";
export const WATCHER = "AvertVLMNegative";
const MOST_RUNS = 8;
// node -> its panel; gone with the node.
const panels = new WeakMap();
// id of a run -> {record, graph, unseen}: whether something came while another workflow was open
const runs = new Map();

export function enter(node, panel) {
    panels.set(node, panel);
}

const isModel = (input) => input.type === "MODEL" || input.type === "*";
const byName = (name) => (input) => input.name === name;
const isNegative = (input) => input.type === "AVERT_NEGATIVE" || input.type === "*";

/** List [node, id in execution] of the nodes that show a run: those that take part, the models that watch for them, and reports on them. */
export function showing(record) {
    const part = idsOf(record).map((id) => [findNode(id), id]).filter(([node]) => node && panels.has(node));
    const nodes = new Set(part.map(([node]) => node));
    const watchers = [...nodes].flatMap((node) => upstream(node, byName("negative"), isNegative)).filter((node) => typeOf(node) === WATCHER);
    const reports = allNodes().filter((node) => typeOf(node) === REPORT && upstream(node, byName("model"), isModel).some((one) => nodes.has(one)));
    const more = [...watchers, ...reports].filter((node) => panels.has(node) && !nodes.has(node));
    return [...part, ...[...new Set(more)].map((node) => [node, null])];
}

/** Keep a small form of what a panel shows with its node, so that it comes back with the workflow. */
export async function keep(node) {
    const { state } = panels.get(node);
    const { record } = state;
    const ended = record && record.finished !== undefined;
    // While a run goes on, the one before it stays kept.
    const wanted = setting(KEEP, true) ? (ended ? await pack(record, shrinkPicture) : kept(node, node.id)?.record) : null;
    // Another run may have begun meanwhile.
    if (state.record !== record) return;
    node.properties[KEY] = { version: VERSION, node: String(node.id), open: state.open, ...(wanted ? { run: wanted } : {}) };
}

/** Read what was kept; null when there is nothing to be read. A copy of a node does not keep the run of another. */
export function kept(node, id) {
    const stored = node.properties?.[KEY];
    if (typeof stored !== "object" || stored === null || stored.version !== VERSION) return null;
    const own = typeof stored.node === "string" && stored.node === String(id);
    const run = own && stored.run?.version === VERSION ? clean(stored.run) : null;
    return { open: stored.open === true, record: run && { finished: false, ...run } };
}

function show(run, known) {
    const { record, graph } = known;
    known.unseen = graph !== openGraph();
    if (known.unseen) return;
    for (const [node, id] of showing(record)) {
        panels.get(node).show(id === null ? record : viewFor(record, id), run);
        if (record.finished !== undefined) keep(node);
    }
}

/** Show in a workflow that has just been opened what goes on in it, and what came while another one was. */
export function resume() {
    for (const [run, known] of runs) {
        if (known.record.finished === undefined || known.unseen) show(run, known);
    }
}

/** Take a part of a run from the server. */
export function receive(detail) {
    const run = detail?.run;
    const part = clean(detail?.part);
    if (typeof run !== "string" || part === null) return;
    const known = runs.get(run) ?? { record: empty(), graph: openGraph() };
    runs.delete(run);
    runs.set(run, { ...known, record: merge(known.record, part) });
    if (runs.size > MOST_RUNS) runs.delete(runs.keys().next().value);
    show(run, runs.get(run));
}

/** Take the whole record that a report gives when it has been executed. */
export function report(node, output) {
    const record = clean(Array.isArray(output?.avert) ? output.avert[0] : null);
    const panel = panels.get(node);
    if (record === null || !panel) return;
    panel.show(merge(empty(), { finished: true, ...record }), panel.state.run);
    keep(node);
}

/** Say of runs that go on that they have stopped: the server told that the prompt broke off. */
export function stopAll() {
    for (const [run, known] of runs) {
        if (known.record.finished !== undefined) continue;
        known.record = { ...known.record, finished: false };
        show(run, known);
    }
}
