// The only module that touches the host's frontend.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

export function register(extension) {
    app.registerExtension(extension);
}

/** Run what is ours: where it fails, it fails alone, and neither a run nor the loading of a workflow with it. */
export function guarded(act, ...values) {
    try {
        return act(...values);
    } catch (error) {
        console.error("Avert: the panel failed.", error);
        return undefined;
    }
}

/** Call `act` with the detail of each message of this kind that the server sends to this tab. */
export function listen(kind, act) {
    api.addEventListener(kind, (event) => guarded(act, event.detail));
}

export function setting(id, otherwise) {
    try {
        const value = app.extensionManager?.setting?.get?.(id) ?? app.ui?.settings?.getSettingValue?.(id);
        return value ?? otherwise;
    } catch {
        return otherwise;
    }
}

export function locale() {
    return String(setting("Comfy.Locale", "en"));
}

function root() {
    // The older frontend has `graph` only; in the newer one that name is deprecated.
    return app.rootGraph ?? app.graph;
}

/** Name the open workflow, so that what belongs to another one is not shown here. */
export function openGraph() {
    return root()?.id ?? null;
}

/** Find a node by its id in execution: "5:12" is node 12 inside the subgraph node 5. */
export function findNode(id) {
    let graph = root();
    let node = null;
    for (const part of String(id).split(":")) {
        node = graph?.getNodeById?.(part) ?? null;
        graph = node?.subgraph;
    }
    return node;
}

/** List every node, also those inside subgraphs, each once. */
export function allNodes(graph = root(), seen = new Set()) {
    if (!graph || seen.has(graph)) return [];
    seen.add(graph);
    return [...(graph.nodes ?? graph._nodes ?? [])].flatMap((node) => [node, ...(node.subgraph ? allNodes(node.subgraph, seen) : [])]);
}

export function typeOf(node) {
    return node.comfyClass ?? node.type ?? "";
}

function linkOf(graph, id) {
    if (id == null || !graph) return null;
    return graph.getLink?.(id) ?? graph.links?.get?.(id) ?? graph.links?.[id] ?? null;
}

/** List the nodes that feed an input: the one it is linked to, across the borders of subgraphs. */
function feeders(node, input) {
    const link = linkOf(node.graph, input.link);
    if (!link) return [];
    const origin = node.graph.getNodeById?.(link.origin_id);
    if (origin?.subgraph) {
        const output = origin.subgraph.outputs?.[link.origin_slot];
        const inner = (output?.linkIds ?? []).map((id) => linkOf(origin.subgraph, id));
        return inner.map((one) => one && origin.subgraph.getNodeById(one.origin_id)).filter(Boolean);
    }
    if (origin) return [origin];
    // The link comes from the subgraph's own border: go on at every node that stands for the subgraph.
    const outside = allNodes().filter((one) => one.subgraph && one.subgraph === node.graph);
    return outside.flatMap((one) => (one.inputs?.[link.origin_slot] ? feeders(one, one.inputs[link.origin_slot]) : []));
}

/** List the nodes upstream of a node; `first` chooses its inputs, `further` those of the nodes found. */
export function upstream(node, first, further) {
    const found = new Set();
    const walk = (one, choose) => {
        for (const input of one.inputs ?? []) {
            if (!choose(input)) continue;
            for (const next of feeders(one, input)) {
                if (found.has(next)) continue;
                found.add(next);
                walk(next, further);
            }
        }
    };
    walk(node, first);
    return [...found];
}

/** Put an element on a node as a widget that is never saved nor sent; `height` tells how high it is now. */
export function addPanel(node, name, element, height, margin) {
    const high = () => height() + 2 * margin();
    const options = { serialize: false, margin: 6, getMinHeight: high, getMaxHeight: high };
    const widget = node.addDOMWidget(name, name, element, options);
    widget.serialize = false;
    widget.options.serialize = false;
    return widget;
}

/** In Nodes 2.0 the page lays nodes out, else the canvas does. */
export function pageLaysOut() {
    return Boolean(setting("Comfy.VueNodes.Enabled", false));
}

/** Make a node higher or lower by what its panel has grown, but never too small for its contents. */
export function growNode(node, by) {
    const least = node.computeSize?.()?.[1] ?? 0;
    node.setSize?.([node.size[0], Math.max(node.size[1] + by, least)]);
    redrawCanvas(node);
}

export function redrawCanvas(node) {
    (node.graph ?? root())?.setDirtyCanvas?.(true, true);
}

/** Let the canvas zoom when the wheel turns over a panel. In Nodes 2.0 the node does so itself. */
export function passWheel(event) {
    if (!pageLaysOut()) app.canvas?.processMouseWheel?.(event);
}

/** Let the canvas pan with the middle button over a panel, as over the frontend's own text boxes. */
export function passPointer(kind, event) {
    if (pageLaysOut()) return;
    const handlers = { down: "processMouseDown", move: "processMouseMove", up: "processMouseUp" };
    app.canvas?.[handlers[kind]]?.(event);
}
