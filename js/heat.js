// Where in the picture the attention on the negative lies: a coloured map over the picture.
import { readBytes } from "./bytes.js";
import { make, setText, slider } from "./dom.js";
import { stepsOf, upTo } from "./record.js";
import { percent, say } from "./strings.js";

const SIDE = 160;
// From dark to bright, also in grey: the greater, the lighter.
const COLOURS = [[13, 8, 60], [88, 16, 110], [155, 41, 100], [215, 72, 66], [245, 125, 21], [250, 193, 40], [252, 255, 164]];

/** Give the colour of a value in 0..1. */
export function colourOf(value) {
    const at = Math.min(Math.max(value, 0), 1) * (COLOURS.length - 1);
    const below = Math.min(Math.floor(at), COLOURS.length - 2);
    return COLOURS[below].map((from, i) => Math.round(from + (COLOURS[below + 1][i] - from) * (at - below)));
}

/** Paint a map; the colours mean the same in every step: `top` is the brightest of all. */
export function paint(canvas, map, top) {
    const bytes = readBytes(map.data, map.width * map.height);
    const context = canvas.getContext("2d");
    if (!bytes || !context) return;
    canvas.width = map.width;
    canvas.height = map.height;
    const pixels = context.createImageData(map.width, map.height);
    bytes.forEach((byte, i) => {
        const value = top > 0 ? (byte / 255) * (map.top / top) : 0;
        // Where there is little, the picture shows through.
        pixels.data.set([...colourOf(value), Math.round(255 * (0.3 + 0.7 * value))], 4 * i);
    });
    context.putImageData(pixels, 0, 0);
}

/** Draw a picture smaller, as a JPEG; "" when it cannot be read. */
export async function shrinkPicture(url, side) {
    const image = new Image();
    image.src = url;
    try {
        await image.decode();
        const factor = Math.min(1, side / Math.max(image.naturalWidth, image.naturalHeight));
        const size = [image.naturalWidth, image.naturalHeight].map((length) => Math.max(1, Math.round(length * factor)));
        const canvas = make("canvas", { width: size[0], height: size[1] });
        canvas.getContext("2d").drawImage(image, 0, 0, ...size);
        return canvas.toDataURL("image/jpeg", 0.7);
    } catch {
        return "";
    }
}

function fit(stage, width, height) {
    const factor = SIDE / Math.max(width, height);
    stage.style.width = `${Math.round(width * factor)}px`;
    stage.style.height = `${Math.round(height * factor)}px`;
}

function parts(moved, faded) {
    const image = make("img", { class: "avert-picture", alt: "", draggable: "false" });
    const canvas = make("canvas", { class: "avert-map", width: 1, height: 1 });
    const stage = make("div", { class: "avert-stage" }, image, canvas);
    const none = make("span", { class: "avert-faint" });
    const step = slider(say("sliderStep"), 0, moved);
    const opacity = slider(say("sliderMap"), 60, faded);
    const [top, ramp] = [make("span"), make("span", { class: "avert-ramp" })];
    ramp.style.background = `linear-gradient(to right, ${COLOURS.map((colour) => `rgb(${colour.join(",")})`).join(",")})`;
    const caption = make("div", { class: "avert-caption avert-number" }, make("span", {}, "0"), ramp, top);
    const box = make("div", { class: "avert-box" }, stage, none);
    return { image, canvas, stage, none, step, opacity, caption, top, element: make("div", { class: "avert-heat" }, box, caption, step.element, opacity.element) };
}

/** Make the map with its sliders; `moved` is called when another step is chosen. */
export function makeHeat(moved) {
    let [steps, chosen, painted] = [[], null, ""];
    const it = parts(choose, fade);
    it.image.addEventListener("load", () => fit(it.stage, it.image.naturalWidth, it.image.naturalHeight));

    function choose(index) {
        // At the end it follows the run.
        chosen = index >= steps.length - 1 ? null : steps[index];
        moved();
    }
    function fade(value) {
        it.canvas.style.opacity = String(value / 100);
        setText(it.opacity.output, `${value}\u00a0%`);
    }
    /** Give the step that is looked at: the chosen one, or the newest; null when there is none. */
    function step() {
        return chosen !== null && steps.includes(chosen) ? chosen : steps.at(-1) ?? null;
    }
    function picture(record) {
        const url = record.picture ?? "";
        if (it.image.getAttribute("src") === url) return;
        if (url) it.image.setAttribute("src", url);
        else it.image.removeAttribute("src");
        it.image.hidden = !url;
    }
    function heat(record) {
        const map = step() === null ? null : upTo(record.maps, step());
        const top = Math.max(...record.maps.map((one) => one.top), 0);
        it.canvas.hidden = !map;
        it.caption.style.visibility = map ? "" : "hidden";
        setText(it.top, percent(top));
        it.caption.setAttribute("aria-label", say("brightest", percent(top)));
        if (!map || painted === `${top} ${map.data}`) return;
        painted = `${top} ${map.data}`;
        paint(it.canvas, map, top);
        if (!record.picture) fit(it.stage, map.width, map.height);
    }
    function update(record) {
        steps = stepsOf(record);
        it.step.input.max = String(Math.max(steps.length - 1, 0));
        it.step.input.disabled = steps.length < 2;
        it.step.input.value = String(Math.max(steps.indexOf(step()), 0));
        setText(it.step.output, step() === null ? "" : String(step() + 1));
        it.opacity.input.disabled = !record.maps.length;
        picture(record);
        heat(record);
        setText(it.none, record.picture || record.maps.length ? "" : say("noPicture"));
    }
    fade(60);
    return { element: it.element, update, step, reset: () => (chosen = null) };
}
