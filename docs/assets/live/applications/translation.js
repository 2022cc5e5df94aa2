// The translator of applications/translation: translate a date, an amount or a name, and see where it looks.
import { choice, element, heat, highest, labeled, language, latest, percent, start as begin } from "../runtime.js";

const WORDS = {
  zh: {
    title: "中英互译：日期、时间、数量、货币",
    text: "原文", to: "译成", zh: "中文", en: "英文", style: "样式（原文和译文的）", width: "束宽", temperature: "温度（只在束宽为 1 时有用；0 即贪心）", again: "再译一次",
    styles: { full: "完整（日期）", long: "长（日期、数量、货币、名称）", medium: "中（日期、区间、带秒的时间）", short: "短（日期、时间、数量、货币）" },
    examples: "测试集里的例子", output: "译文", look: "交叉注意力：每层每个头一张图，每行一个译出的词元，每列一个原文词元。点一张图看大图。",
    head: (layer, number) => `第 ${layer} 层，第 ${number} 个头`,
    empty: "输入一个日期、时间、数量、金额或名称。",
    unknown: (pieces) => `模型从没见过这些字符：${pieces}。它只学过日期、时间、数量、货币和名称，请换一种写法。`,
    long: (most) => `太长了：模型最多读 ${most} 个词元。`,
    answer: (text, share) => `译文：${text}。模型给整句的概率是 ${share}。`,
    unsure: "模型没有把握，这个译文多半不对。",
    endless: "模型没有写完，这个译文多半不对。",
    token: (piece, share) => `${piece}，概率 ${share}`,
  },
  en: {
    title: "Translate dates, times and amounts between Chinese and English",
    text: "Text", to: "Into", zh: "Chinese", en: "English", style: "Style (of both texts)", width: "Beam width", temperature: "Temperature (for a beam width of 1; 0 is greedy)", again: "Translate again",
    styles: { full: "full (dates)", long: "long (dates, quantities, currencies, names)", medium: "medium (dates, intervals, times with seconds)", short: "short (dates, times, quantities, currencies)" },
    examples: "Examples from the test set", output: "Translation", look: "Cross-attention: a map for each layer and head, a row for each token written, a column for each token read. Choose a map to see it large.",
    head: (layer, number) => `layer ${layer}, head ${number}`,
    empty: "Type a date, a time, a quantity, an amount or a name.",
    unknown: (pieces) => `The model has never seen these characters: ${pieces}. It learned only dates, times, quantities, currencies and names; try another wording.`,
    long: (most) => `Too long: the model reads ${most} tokens at most.`,
    answer: (text, share) => `Translation: ${text}. The model gives the whole a probability of ${share}.`,
    unsure: "The model is not sure; this translation is probably wrong.",
    endless: "The model did not come to an end; this translation is probably wrong.",
    token: (piece, share) => `${piece}, probability ${share}`,
  },
}[language];

export const lesson = "applications/translation";
const [START, END] = [1, 2];
const MOST = 60; // tokens to read
const LONGEST = 40; // tokens to write, as in the program

export function start(place) {
  return begin(place, lesson, WORDS.title, build);
}

/** Return the numbers of the pieces of a text, as the program's vocabulary splits it; null for one it lacks. */
export function encode(names, text, ...marks) {
  const numbers = new Map(names.map((name, number) => [name, number]));
  const words = names.filter((name) => /^[A-Za-z]{2,} ?$/.test(name)).sort((one, other) => other.length - one.length);
  const pieces = text.match(new RegExp([...words, "."].join("|"), "gu")) ?? [];
  const all = [...marks.map((mark) => `<${mark}>`), ...pieces];
  return { pieces: all, numbers: all.map((piece) => numbers.get(piece) ?? null) };
}

/** Ask for the token after each of some beginnings of one translation. */
async function ask(model, source, beginnings) {
  const rows = beginnings.length;
  const [given, written] = [source.length, beginnings[0].length];
  const { logarithms, attention } = await model.run({
    source: ["int32", Int32Array.from(beginnings.flatMap(() => source)), [rows, given]],
    target: ["int32", Int32Array.from(beginnings.flat()), [rows, written]],
  });
  return { logarithms: logarithms.data, attention, tokens: logarithms.data.length / rows };
}

/**
 * Translate, as the program's beam search does; width 1 is greedy search, or sampling at a temperature.
 * Call `written(tokens)` after each token. Return {tokens, logarithms, attention, ended}.
 */
export async function translate(model, source, { width = 1, temperature = 0, written = () => {} } = {}) {
  let beams = [{ tokens: [START], logarithms: [], score: 0, ended: false }];
  while (beams[0].tokens.length < LONGEST && !beams.every((beam) => beam.ended)) {
    const { logarithms, tokens } = await ask(model, source, beams.map((beam) => beam.tokens));
    const grown = beams.flatMap((beam, row) => {
      const of = (token) => logarithms[row * tokens + token];
      const add = (token, gain = of(token)) => ({
        tokens: [...beam.tokens, token], logarithms: [...beam.logarithms, gain], score: beam.score + gain, ended: token === END,
      });
      if (beam.ended) return [add(END, 0)]; // goes on free of charge
      const all = Array.from({ length: tokens }, (_, token) => token);
      if (width === 1) return [add(temperature > 0 ? sample(all.map(of), temperature) : highest(all.map(of)))];
      return all.sort((one, other) => of(other) - of(one)).slice(0, width).map((token) => add(token));
    });
    beams = grown.sort((one, other) => other.score - one.score).slice(0, width);
    written(beams[0].tokens.slice(1));
  }
  const [best] = beams;
  const end = best.tokens.indexOf(END);
  const tokens = best.tokens.slice(1, end < 0 ? undefined : end + 1);
  const { attention } = await ask(model, source, [[START, ...tokens.slice(0, -1)]]);
  return { tokens, logarithms: best.logarithms.slice(0, tokens.length), attention, ended: end >= 0 };
}

/** Draw a token by its probability, sharpened (below 1) or flattened (above 1) by the temperature. */
function sample(logarithms, temperature) {
  const most = Math.max(...logarithms);
  const weights = logarithms.map((one) => Math.exp((one - most) / temperature));
  let rest = Math.random() * weights.reduce((one, other) => one + other);
  return Math.max(0, weights.findIndex((weight) => (rest -= weight) <= 0));
}

/** Return the sample with the longest text in a list of one, or none if there is none. */
function longest(found) {
  return found.sort((one, other) => other.given.length - one.given.length).slice(0, 1);
}

async function build(panel, model, say) {
  const { names, samples } = model.data;
  const field = element("input", { type: "text", maxlength: 200, autocomplete: "off", spellcheck: "false", oninput: typed });
  const to = choice({ en: WORDS.en, zh: WORDS.zh }, update);
  const style = choice(WORDS.styles, update);
  const width = element("input", { type: "range", min: 1, max: 5, value: 1, oninput: update });
  const temperature = element("input", { type: "range", min: 0, max: 2, step: 0.1, value: 0, oninput: update });
  const numbers = [width, temperature].map(() => element("output", {}));
  const output = element("p", { class: "live-output", "aria-label": WORDS.output });
  const note = element("p", { class: "live-note", role: "status" });
  const large = element("table", { class: "live-along" });
  const heads = element("div", { class: "live-heads" });
  let head = 0; // the map shown large

  const show = latest(async () => {
    [width, temperature].forEach((range, index) => (numbers[index].textContent = range.value));
    temperature.disabled = width.value > 1;
    const source = encode(names, field.value.normalize("NFC").trim(), to.value, style.value);
    const strange = source.pieces.filter((_, place) => source.numbers[place] === null);
    if (source.numbers.length === 2 || strange.length || source.numbers.length > MOST) {
      for (const part of [output, large, heads]) part.replaceChildren();
      note.textContent = "";
      say(source.numbers.length === 2 ? WORDS.empty : strange.length ? WORDS.unknown([...new Set(strange)].join(" ")) : WORDS.long(MOST));
      return;
    }
    const found = await translate(model, source.numbers, {
      width: Number(width.value), temperature: Number(temperature.value),
      written: (tokens) => output.replaceChildren(tokens.filter((token) => token !== END).map((token) => names[token]).join("")),
    });
    const pieces = found.tokens.map((token) => (token === END ? "⏎" : names[token].replaceAll(" ", "␣")));
    const text = found.tokens.filter((token) => token !== END).map((token) => names[token]).join("");
    const shares = found.logarithms.map(Math.exp);
    output.replaceChildren(...pieces.map((piece, place) =>
      element("span", { title: WORDS.token(piece, percent(shares[place])), class: shares[place] < 0.5 ? "live-doubt" : null }, piece)));
    const whole = shares.reduce((one, other) => one * other, 1);
    note.textContent = !found.ended ? WORDS.endless : whole < 0.5 && !Number(temperature.value) ? WORDS.unsure : "";
    say(WORDS.answer(text, percent(whole)));
    draw(found.attention, source.pieces, pieces);
  });

  /** Draw the attention, (1, layers, heads, rows, columns): every head small, one of them large. */
  function draw({ data, dims: [, layers, count, rows, columns] }, read, written) {
    const size = rows * columns;
    const value = (map, x, y) => data[map * size + y * columns + x];
    const title = (map) => WORDS.head(1 + Math.floor(map / count), 1 + (map % count));
    function choose(map) {
      head = map;
      [...heads.children].forEach((button, index) => button.setAttribute("aria-pressed", index === head));
      large.replaceChildren(
        element("caption", {}, title(head)),
        element("tr", {}, element("td"), ...read.map((piece) => element("th", { scope: "col" }, piece.replaceAll(" ", "␣")))),
        ...written.map((piece, y) =>
          element("tr", {}, element("th", { scope: "row" }, piece), ...read.map((_, x) => {
            const share = value(head, x, y);
            return element("td", { style: `background: rgb(47 143 208 / ${share})`, title: percent(share) });
          })),
        ),
      );
    }
    heads.replaceChildren(...Array.from({ length: layers * count }, (_, map) => {
      const canvas = element("canvas", { "aria-hidden": true });
      heat(canvas, columns, rows, (x, y) => value(map, x, y));
      return element("button", { type: "button", "aria-label": title(map), title: title(map), onclick: () => choose(map) }, canvas);
    }));
    choose(Math.min(head, layers * count - 1));
  }

  function update() {
    return show();
  }

  /** Guess the direction from the script that was typed. */
  function typed() {
    if (/\p{Script=Han}/u.test(field.value)) to.value = "en";
    else if (/[A-Za-z]/.test(field.value)) to.value = "zh";
    return show();
  }

  const shown = ["dates", "times", "intervals", "quantities", "currencies"].flatMap((kind) =>
    ["en", "zh"].flatMap((language) => longest(samples.filter((one) => one.kind === kind && one.to === language))));
  function take(example) {
    field.value = example.given;
    to.value = example.to;
    style.value = example.style;
    return show();
  }

  panel.append(
    element("div", { class: "live-fields" },
      labeled(WORDS.text, field), labeled(WORDS.to, to), labeled(WORDS.style, style),
      labeled(WORDS.width, element("span", {}, width, numbers[0])), labeled(WORDS.temperature, element("span", {}, temperature, numbers[1])),
      element("button", { type: "button", onclick: update }, WORDS.again)),
    element("p", {}, WORDS.examples),
    element("div", { class: "live-buttons" }, ...shown.map((example) => element("button", { type: "button", onclick: () => take(example) }, example.given))),
    element("p", {}, WORDS.output), output, note,
    element("p", {}, WORDS.look), heads,
    element("div", { class: "live-wide", tabindex: 0, role: "region", "aria-label": WORDS.look }, large),
  );
  await take(shown[0]);
}
