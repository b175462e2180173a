// Bytes as text and back, and attention maps in fewer places. Pure.

/** Read hexadecimal digits that must stand for exactly `count` bytes; null when they do not. */
export function readBytes(text, count) {
    if (typeof text !== "string" || text.length !== 2 * count || !/^[0-9a-f]*$/.test(text)) return null;
    return Uint8Array.from({ length: count }, (_, at) => parseInt(text.slice(2 * at, 2 * at + 2), 16));
}

export function writeBytes(bytes) {
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Average a map of width x height down to at most `side` places each way: {width, height, bytes}. */
export function smaller(bytes, width, height, side) {
    const factor = Math.max(1, Math.max(width, height) / side);
    const w = Math.max(1, Math.round(width / factor));
    const h = Math.max(1, Math.round(height / factor));
    const out = new Uint8Array(w * h);
    for (let y = 0; y < h; y += 1) {
        for (let x = 0; x < w; x += 1) out[y * w + x] = mean(bytes, width, span(x, w, width), span(y, h, height));
    }
    return { width: w, height: h, bytes: out };
}

function span(index, count, length) {
    const from = Math.floor((index * length) / count);
    return [from, Math.max(from + 1, Math.floor(((index + 1) * length) / count))];
}

function mean(bytes, width, [x0, x1], [y0, y1]) {
    let sum = 0;
    for (let y = y0; y < y1; y += 1) for (let x = x0; x < x1; x += 1) sum += bytes[y * width + x];
    return Math.round(sum / ((x1 - x0) * (y1 - y0)));
}
