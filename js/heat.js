// Where in the picture the attention on the negative lies: a coloured map over the picture.
import { readBytes } from "./bytes.js";
import { make, setText, slider } from "./dom.js";
import { stepsOf, upTo } from "./record.js";
import { percent, say } from "./strings.js";

const SIDE = 160;
// Of the map over the picture, in per cent.
const OPACITY = 60;
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
    const opacity = slider(say("sliderMap"), OPACITY, faded);
    const [top, ramp] = [make("span"), make("span", { class: "avert-ramp" })];
    ramp.style.background = `linear-gradient(to right, ${COLOURS.map((colour) => `rgb(${colour.join(",")})`).join(",")})`;
    const caption = make("div", { class: "avert-caption avert-number" }, make("span", {}, "0"), ramp, top);
    const box = make("div", { class: "avert-box" }, stage, none);
    return { image, canvas, stage, none, step, opacity, caption, top, element: make("div", { class: "avert-heat" }, box, caption, step.element, opacity.element) };
}

/** The map with its sliders; `moved` is called when another step is chosen. */
export class Heat {
    #steps = [];
    // null: it follows the run.
    #chosen = null;
    #painted = "";
    #parts;

    constructor(moved) {
        this.#parts = parts((index) => {
            this.#chosen = index >= this.#steps.length - 1 ? null : this.#steps[index];
            moved();
        }, (value) => this.#fade(value));
        const { image, stage } = this.#parts;
        image.addEventListener("load", () => fit(stage, image.naturalWidth, image.naturalHeight));
        this.#fade(OPACITY);
        this.element = this.#parts.element;
    }

    reset() {
        this.#chosen = null;
    }

    /** Give the step that is looked at: the chosen one, or the newest; null when there is none. */
    step() {
        return this.#chosen !== null && this.#steps.includes(this.#chosen) ? this.#chosen : this.#steps.at(-1) ?? null;
    }

    update(record) {
        const { step, opacity, none } = this.#parts;
        this.#steps = stepsOf(record);
        step.input.max = String(Math.max(this.#steps.length - 1, 0));
        step.input.disabled = this.#steps.length < 2;
        step.input.value = String(Math.max(this.#steps.indexOf(this.step()), 0));
        setText(step.output, this.step() === null ? "" : String(this.step() + 1));
        opacity.input.disabled = !record.maps.length;
        this.#showPicture(record.picture ?? "");
        this.#showMap(record);
        setText(none, record.picture || record.maps.length ? "" : say("noPicture"));
    }

    #fade(value) {
        const { canvas, opacity } = this.#parts;
        canvas.style.opacity = String(value / 100);
        setText(opacity.output, `${value}\u00a0%`);
    }

    #showPicture(url) {
        const { image } = this.#parts;
        image.hidden = !url;
        if (image.getAttribute("src") === url) return;
        if (url) image.setAttribute("src", url);
        else image.removeAttribute("src");
    }

    #showMap(record) {
        const { canvas, caption, top, stage } = this.#parts;
        const map = this.step() === null ? null : upTo(record.maps, this.step());
        const most = Math.max(...record.maps.map((one) => one.top), 0);
        canvas.hidden = !map;
        caption.style.visibility = map ? "" : "hidden";
        setText(top, percent(most));
        caption.setAttribute("title", say("brightest", percent(most)));
        if (map && !record.picture) fit(stage, map.width, map.height);
        if (!map || this.#painted === `${most} ${map.width} ${map.data}`) return;
        this.#painted = `${most} ${map.width} ${map.data}`;
        paint(canvas, map, most);
    }
}
