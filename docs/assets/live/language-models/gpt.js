// The GPT of language-models/gpt: type a text, see what may come next, and let it write.
import { element, labeled, language, latest, percent, start as begin } from "../runtime.js";

const WORDS = {
  zh: {
    title: "接着写", text: "文本", temperature: "温度", next: "下一个字节的概率", one: "写一个字节", many: (count) => `写 ${count} 个字节`, stop: "停",
    empty: "输入一段文本，至少一个字符。", cut: (most) => `模型只读最后 ${most} 个字节。`,
    answer: (name, share) => `最可能的下一个字节：${name}，概率 ${share}。`,
    add: (name) => `接上 ${name}`,
    hint: "␣ 是空格，⏎ 是换行，0x 开头的是汉字等字符的一部分。点一个字节就接上它。温度越低，越偏向最可能的字节；温度为 0 时，总是写最可能的。模型学的是英文文档字符串。",
    first: "Return the ",
  },
  en: {
    title: "Let it go on", text: "Text", temperature: "Temperature", next: "Probability of the next byte", one: "Write one byte", many: (count) => `Write ${count} bytes`, stop: "Stop",
    empty: "Type a text, of one character at least.", cut: (most) => `The model reads only the last ${most} bytes.`,
    answer: (name, share) => `Likeliest next byte: ${name}, probability ${share}.`,
    add: (name) => `add ${name}`,
    hint: "␣ is a space, ⏎ a new line; what begins with 0x is part of a character such as 你. Touch a byte to add it. The lower the temperature, the more the likely bytes are preferred; at 0, the likeliest is always written. The model has learned from English docstrings.",
    first: "Return the ",
  },
}[language];

export const lesson = "language-models/gpt";
const SHOWN = 8; // bytes with a bar
const MANY = 100; // bytes written at a time

export function start(place) {
  return begin(place, lesson, WORDS.title, build);
}

/** Return the logits of the byte after some bytes, of which the model reads the last. */
export async function ask(model, bytes) {
  const read = bytes.slice(-model.data.length);
  const { logits } = await model.run({ tokens: ["int32", Int32Array.from(read), [read.length]] });
  return logits.data.slice(-256);
}

/** Return probabilities from logits: at a temperature of 0 the highest has all. */
export function chances(logits, temperature) {
  const most = Math.max(...logits);
  const weights = Array.from(logits, (one) => (temperature > 0 ? Math.exp((one - most) / temperature) : Number(one === most)));
  const total = weights.reduce((one, other) => one + other);
  return weights.map((weight) => weight / total);
}

/** Draw a number by probabilities; `random` is from 0 to 1. */
export function draw(shares, random = Math.random()) {
  let rest = random;
  const found = shares.findIndex((share) => (rest -= share) < 0);
  return found < 0 ? shares.indexOf(Math.max(...shares)) : found;
}

/** Return a byte as a reader sees it. */
export function named(byte) {
  if (byte === 32) return "␣";
  if (byte === 10) return "⏎";
  return byte > 32 && byte < 127 ? String.fromCharCode(byte) : `0x${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}

async function build(panel, model, say) {
  const { length } = model.data;
  const field = element("textarea", { rows: 6, spellcheck: "false", autocomplete: "off", autocapitalize: "off", oninput: typed });
  const temperature = element("input", { type: "range", min: 0, max: 1.5, step: 0.1, value: 0.8, oninput: () => show() });
  const number = element("output", {});
  const list = element("ul", { class: "live-bars live-near", "aria-label": WORDS.next });
  const note = element("p", { class: "live-note", role: "status" });
  const one = element("button", { type: "button", onclick: () => write(1) }, WORDS.one);
  const many = element("button", { type: "button", onclick: () => (many.textContent === WORDS.stop ? (stop(), show()) : write(MANY)) }, WORDS.many(MANY));
  let bytes = []; // what the field shows: the last of them may be half a character
  let turn = 0; // grows when a new text begins, and when writing begins or ends

  function stop() {
    turn += 1;
    many.textContent = WORDS.many(MANY);
    return turn;
  }

  function typed() {
    stop();
    bytes = [...new TextEncoder().encode(field.value)];
    return show();
  }

  function add(byte) {
    bytes.push(byte);
    field.value = new TextDecoder().decode(Uint8Array.from(bytes));
    field.scrollTop = field.scrollHeight;
  }

  async function write(count) {
    const mine = stop();
    if (count > 1) many.textContent = WORDS.stop;
    for (let written = 0; written < count; written++) {
      const shares = chances(await ask(model, bytes), Number(temperature.value));
      if (mine !== turn) return;
      add(draw(shares));
      await new Promise(requestAnimationFrame); // the page shows it, and hears the button
      if (mine !== turn) return;
    }
    stop();
    await show();
  }

  const show = latest(async () => {
    number.textContent = Number(temperature.value).toFixed(1);
    one.disabled = many.disabled = !bytes.length;
    note.textContent = bytes.length > length ? WORDS.cut(length) : "";
    if (!bytes.length) {
      list.replaceChildren();
      say(WORDS.empty);
      return;
    }
    const shares = chances(await ask(model, bytes), Number(temperature.value));
    const order = shares.map((_, byte) => byte).sort((a, b) => shares[b] - shares[a]).slice(0, SHOWN);
    list.replaceChildren(...order.map((byte) => {
      const bar = element("span", { class: "live-bar" });
      bar.style.width = `${100 * shares[byte]}%`;
      const button = element("button", { type: "button", "aria-label": WORDS.add(named(byte)), onclick: () => { stop(); add(byte); show(); } }, named(byte));
      return element("li", {}, button, element("span", { class: "live-track", "aria-hidden": true }, bar), element("span", { class: "live-share" }, percent(shares[byte])));
    }));
    say(WORDS.answer(named(order[0]), percent(shares[order[0]])));
  });

  panel.append(
    labeled(WORDS.text, field),
    element("div", { class: "live-buttons" }, one, many, labeled(WORDS.temperature, element("span", {}, temperature, number))),
    note,
    element("p", {}, WORDS.next),
    list,
    element("p", { class: "live-hint" }, WORDS.hint),
  );
  field.value = WORDS.first;
  await typed();
}
