// What the panel says. Values go in at {0}, {1}.
import { locale } from "./host.js";

const ENGLISH = {
    emptyReport: "No run yet. While a picture forms, this shows what the negative does: where, how much, and when.",
    emptyNode: "No run yet. While a picture forms, this shows how much this node changes, step by step.",
    emptyWatcher: "No run yet. While a picture forms, this shows what the vision-language model sees and says.",
    noRun: "no run yet",
    started: "started",
    done: "done",
    stopped: "stopped",
    stoppedAt: "stopped at step {0}",
    steps: "{0} steps",
    step: "step {0}",
    stepOf: "step {0} of {1}",
    share: "share {0}",
    change: "change {0}",
    strength: "strength {0}",
    posterior: "posterior {0}",
    avoids: "avoids {0}",
    looked: "looked {0}\u00d7",
    chartShare: "attention on the negative",
    chartChange: "change",
    chartStrength: "strength",
    chartPosterior: "posterior",
    noCurves: "no numbers yet",
    noPicture: "no picture",
    sliderStep: "Step",
    sliderMap: "Map",
    brightest: "brightest: {0} of the attention",
    tabSaw: "Seen and said",
    tabNotes: "About this run",
    model: "Model",
    nodes: "Nodes",
    inside: "inside the attention",
    outside: "on predictions",
    seen: "step {0}",
    seenOf: "step {0}, picture {1}",
    seconds: "{0} s",
    inForce: "from step {0}: {1}",
    asBefore: "as before: {0}",
    failed: "failed",
    refused: "refused",
    unreadable: "no list",
    nothing: "nothing to avoid",
    settingKeep: "Keep what the last run did in the workflow (shown again when it is reopened)",
};

const CHINESE = {
    emptyReport: "尚未运行。生成图像时，这里会显示负面提示词的作用：在哪里、多强、何时。",
    emptyNode: "尚未运行。生成图像时，这里会逐步显示此节点带来的改变。",
    emptyWatcher: "尚未运行。生成图像时，这里会显示视觉语言模型看到的画面和给出的回答。",
    noRun: "尚未运行",
    started: "已开始",
    done: "完成",
    stopped: "已中断",
    stoppedAt: "在第 {0} 步中断",
    steps: "共 {0} 步",
    step: "第 {0} 步",
    stepOf: "第 {0} / {1} 步",
    share: "占比 {0}",
    change: "变化 {0}",
    strength: "强度 {0}",
    posterior: "后验 {0}",
    avoids: "避免 {0}",
    looked: "已查看 {0} 次",
    chartShare: "负面提示词的注意力占比",
    chartChange: "变化",
    chartStrength: "强度",
    chartPosterior: "后验",
    noCurves: "暂无数据",
    noPicture: "暂无图像",
    sliderStep: "步",
    sliderMap: "热图",
    brightest: "最亮处：注意力的 {0}",
    tabSaw: "所见与回答",
    tabNotes: "关于本次运行",
    model: "模型",
    nodes: "节点",
    inside: "作用于注意力内部",
    outside: "作用于预测",
    seen: "第 {0} 步",
    seenOf: "第 {0} 步，第 {1} 张",
    seconds: "{0} 秒",
    inForce: "自第 {0} 步：{1}",
    asBefore: "不变：{0}",
    failed: "出错",
    refused: "拒绝回答",
    unreadable: "没有列表",
    nothing: "没有需要避免的内容",
    settingKeep: "在工作流中保留上次运行的结果（重新打开时再次显示）",
};

/** Choose the table for a locale; what a table lacks is said in English. */
export function stringsFor(name) {
    return name.toLowerCase().startsWith("zh") ? { ...ENGLISH, ...CHINESE } : ENGLISH;
}

/** Say something in the user's language. */
export function say(key, ...values) {
    const text = stringsFor(locale())[key] ?? key;
    return text.replace(/\{(\d)\}/g, (_, index) => String(values[Number(index)] ?? ""));
}

/** Write a part of 1 as per cent with two digits that count. */
export function percent(value) {
    const hundred = value * 100;
    const digits = Math.abs(hundred) >= 9.95 || hundred === 0 ? 0 : Math.abs(hundred) >= 0.0995 ? 1 : 2;
    return `${hundred.toFixed(digits)}\u00a0%`;
}

export function short(value) {
    return value === 0 ? "0" : Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(2)).toString();
}

/** Write a number as its kind is written. */
export function shown(name, value) {
    return name === "strength" ? short(value) : percent(value);
}
