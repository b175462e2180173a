// Make a record small enough to be kept in a workflow: pictures first, then maps, then the rest.
import { readBytes, smaller, writeBytes } from "./bytes.js";
import { plain } from "./clean.js";

export const LIMIT = 8192;
const ALL = { picture: 0, seen: 0, maps: 0, side: 0, saw: 8, text: 300, steps: 64, curves: 6, notes: 4 };
// picture, seen: longest side in pixels, 0: none; maps: how many, of `side` places each way.
export const LEVELS = [
    { ...ALL, picture: 128, seen: 64, maps: 12, side: 24, saw: 32, steps: 200, notes: 8 },
    { ...ALL, picture: 96, seen: 48, maps: 8, side: 16, saw: 16, steps: 100 },
    { ...ALL, picture: 64, seen: 32, maps: 8, side: 16, saw: 8, steps: 100 },
    { ...ALL, picture: 48, maps: 8, side: 16, steps: 100 },
    { ...ALL, maps: 8, side: 16 },
    { ...ALL, maps: 4, side: 12, text: 100 },
    { ...ALL, maps: 1, side: 8, text: 100, saw: 4, steps: 32, curves: 4, notes: 2 },
    { ...ALL, text: 60, saw: 2, steps: 24, curves: 3, notes: 1 },
    { ...ALL, text: 40, saw: 0, steps: 16, curves: 1, notes: 1 },
];

export function sizeOf(value) {
    return new TextEncoder().encode(JSON.stringify(value)).length;
}

function round(value) {
    return value === null ? null : Number(value.toPrecision(3));
}

/** Keep `count` entries spread over a list, the last among them. */
export function spread(entries, count) {
    if (entries.length <= count) return entries;
    return Array.from({ length: count }, (_, i) => entries[Math.round(((i + 1) * entries.length) / count) - 1]);
}

function smallMap(map, side) {
    const small = smaller(readBytes(map.data, map.width * map.height), map.width, map.height, side);
    return { step: map.step, width: small.width, height: small.height, top: round(map.top), data: writeBytes(small.bytes) };
}

function smallCurve(curve, level) {
    const steps = curve.steps.map(([step, values]) => [step, Object.fromEntries(Object.entries(values).map(([k, v]) => [k, round(v)]))]);
    return { ...curve, text: plain(curve.text, level.text), steps: spread(steps, level.steps) };
}

function smallSaw(one, level) {
    const negative = one.negative.slice(0, 4).map((text) => plain(text, level.text));
    return { ...one, picture: level.seen ? one.picture : "", said: plain(one.said, level.text), seconds: round(one.seconds), negative };
}

/** Leave out what does not fit at a level. The pictures that are left are as large as before. */
export function compact(record, level) {
    const small = {
        ...record,
        nodes: record.nodes.slice(0, 8),
        steps: spread(record.steps.map(([step, ...values]) => [step, ...values.map(round)]), level.steps),
        curves: record.curves.slice(0, level.curves).map((curve) => smallCurve(curve, level)),
        maps: spread(record.maps, level.maps).map((map) => smallMap(map, level.side)),
        saw: spread(record.saw, level.saw).map((one) => smallSaw(one, level)),
        notes: record.notes.slice(0, level.notes).map((note) => plain(note, level.text)),
    };
    if (!level.picture) delete small.picture;
    return small;
}

/** Make a record that fits into `limit` bytes; `shrink` (url, side) draws a picture smaller, or gives "". */
export async function pack(record, shrink, limit = LIMIT) {
    for (const level of LEVELS) {
        const small = compact(record, level);
        if (small.picture) small.picture = await shrink(small.picture, level.picture);
        for (const one of small.saw) if (one.picture) one.picture = await shrink(one.picture, level.seen);
        if (!small.picture) delete small.picture;
        if (sizeOf(small) <= limit) return small;
    }
    return null;
}
