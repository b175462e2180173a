// Bytes as text and back, and attention maps in fewer places. Pure.

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Read base64 text that must stand for exactly `count` bytes; null when it does not. */
export function readBytes(text, count) {
    if (typeof text !== "string" || text.length !== Math.ceil(count / 3) * 4) return null;
    const bytes = new Uint8Array(count);
    for (let at = 0, byte = 0; at < text.length; at += 4) {
        let group = 0;
        for (let i = 0; i < 4; i += 1) {
            const letter = text[at + i];
            const value = LETTERS.indexOf(letter);
            const padding = letter === "=" && at + i >= text.length - 2;
            if (value < 0 && !padding) return null;
            group = group * 64 + Math.max(value, 0);
        }
        for (const shift of [16, 8, 0]) if (byte < count) bytes[byte++] = (group >> shift) & 255;
    }
    return bytes;
}

export function writeBytes(bytes) {
    const out = [];
    for (let at = 0; at < bytes.length; at += 3) {
        const group = (bytes[at] << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
        for (let i = 0; i < 4; i += 1) out.push(at + i > bytes.length ? "=" : LETTERS[(group >> (18 - 6 * i)) & 63]);
    }
    return out.join("");
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
