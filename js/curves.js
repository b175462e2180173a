// Line charts over the steps of a run.
import { draw, make, setText, words } from "./dom.js";
import { seriesOf, stepsOf, upTo } from "./record.js";
import { say, shown } from "./strings.js";

const CHARTS = [["share", "chartShare"], ["change", "chartChange"], ["strength", "chartStrength"], ["posterior", "chartPosterior"]];
// Lines differ by dash and by the sign in the legend too, not by colour alone.
const DASHES = ["", "6 3", "2 2", "7 2 2 2"];
const MOST_LINES = 4;
const [WIDTH, HEIGHT, EDGE] = [200, 40, 3];

function scale(lines, total) {
    const values = lines.flatMap((line) => line.points.map((point) => point[1]));
    const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
    const width = Math.max(total - 1, 1);
    return {
        high,
        x: (step) => EDGE + (step / width) * (WIDTH - 2 * EDGE),
        y: (value) => HEIGHT - EDGE - ((value - low) / (high - low || 1)) * (HEIGHT - 2 * EDGE),
    };
}

function lineOf(line, look, at) {
    const points = line.points.map(([step, value]) => `${at.x(step).toFixed(1)},${at.y(value).toFixed(1)}`);
    const style = { class: `avert-line avert-colour-${look}`, "stroke-dasharray": DASHES[look] };
    if (points.length > 1) return draw("polyline", { ...style, points: points.join(" ") });
    // One point is no line yet: a dot stands for it.
    return draw("polyline", { class: `${style.class} avert-point`, points: `${points[0]} ${points[0]}` });
}

function key(label, look) {
    const sign = draw("svg", { viewBox: "0 0 20 6", class: "avert-sign", "aria-hidden": true });
    sign.append(draw("line", { x1: 0, x2: 20, y1: 3, y2: 3, class: `avert-line avert-colour-${look}`, "stroke-dasharray": DASHES[look] }));
    return make("span", { class: "avert-key" }, sign, words("span", "avert-label", label));
}

function plot(name, label, lines, looks, total, step) {
    const at = scale(lines, total);
    const picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "avert-plot", role: "img", "aria-label": label });
    picture.append(draw("line", { x1: EDGE, x2: WIDTH - EDGE, y1: at.y(0), y2: at.y(0), class: "avert-axis" }));
    if (step !== null) picture.append(draw("line", { x1: at.x(step), x2: at.x(step), y1: 0, y2: HEIGHT, class: "avert-cursor" }));
    picture.append(...lines.map((line) => lineOf(line, looks.get(line.label), at)));
    return make("div", { class: "avert-frame" }, picture, make("span", { class: "avert-top avert-number" }, shown(name, at.high)));
}

function chart([name, title, lines], looks, total, step) {
    const now = step === null ? null : upTo(lines[0].points, step);
    const value = now ? shown(name, now[1]) : "";
    const number = make("span", { class: "avert-number" }, value);
    const head = make("div", { class: "avert-chart-head" }, make("span", { class: "avert-title" }, title), number);
    return make("div", { class: "avert-chart" }, head, plot(name, `${title} ${value}`, lines, looks, total, step));
}

/** Give each label its own look, the same in every chart. */
function looksOf(known) {
    const labels = [...new Set(known.flatMap(([, , lines]) => lines.map((line) => line.label)))];
    return new Map(labels.map((label, index) => [label, index % DASHES.length]));
}

export function makeCurves() {
    const charts = make("div", { class: "avert-charts" });
    const keys = make("div", { class: "avert-keys" });
    const none = make("p", { class: "avert-faint" });
    const element = make("div", { class: "avert-curves" }, charts, keys, none);
    /** Draw a record, with a mark at `step` (null: none). */
    function update(record, step) {
        const total = Math.max(record.total ?? 0, (stepsOf(record).at(-1) ?? 0) + 1);
        const all = CHARTS.map(([name, title]) => [name, say(title), seriesOf(record, name).slice(0, MOST_LINES)]);
        const known = all.filter(([, , lines]) => lines.length);
        const looks = looksOf(known);
        charts.replaceChildren(...known.map((one) => chart(one, looks, total, step)));
        const named = [...looks].filter(([label]) => label);
        keys.replaceChildren(...named.map(([label, look]) => key(label, look)));
        setText(none, known.length ? "" : say("noCurves"));
        none.hidden = known.length > 0;
    }
    return { element, update };
}
