// The poet of language-models/chinese: give it a first line, or the heads of the lines, and it writes a quatrain.
import { choice, element, labeled, language, latest, percent, start as begin } from "../../runtime.js";

const WORDS = {
  zh: {
    title: "写一首绝句", mode: "写法", modes: { line: "给出首句", heads: "藏头诗" }, text: { line: "首句（五个字或七个字）", heads: "藏头（一到四个字）" },
    size: "每句", sizes: { 0: "由模型断句", 5: "五个字", 7: "七个字" }, temperature: "温度", again: "再写一首", simple: "显示简体", poem: "诗",
    empty: { line: "给出首句，五个字或七个字。", heads: "给出藏在句首的字，一到四个。" }, long: { line: "首句要五个字或七个字。", heads: "藏头最多四个字。" },
    unknown: (signs) => `模型不认识这些字：${signs}。换成唐诗里常见的字试试。`, answer: (poem) => `写好了：${poem}`,
    other: (sign, share) => `“${sign}”的概率是 ${share}。在这里也可以写：`, forced: (sign) => `“${sign}”是你给的。模型自己会写：`, change: (sign, share) => `改成 ${sign}，${share}`,
    hint: "点诗里的一个字，看模型在那里还想过哪些字；选一个，后面就从那里重写。输入简体字，按《全唐诗》里最常用的那个繁体字理解：“后”当作“後”，不作皇后的“后”。选了字数，就由网页替模型数字数。",
    first: { line: "明月照高楼", heads: "春夏秋冬" },
  },
  en: {
    title: "Write a quatrain", mode: "Given", modes: { line: "the first line", heads: "the first character of each line" }, text: { line: "First line (5 or 7 Chinese characters)", heads: "First characters (1 to 4 of them)" },
    size: "A line has", sizes: { 0: "as many as the model likes", 5: "5 characters", 7: "7 characters" }, temperature: "Temperature", again: "Write another", simple: "Show simplified characters", poem: "The poem",
    empty: { line: "Type a first line of 5 or 7 Chinese characters.", heads: "Type the first characters of the lines, 1 to 4 of them." }, long: { line: "A first line has 5 or 7 characters.", heads: "There are 4 lines, so 4 characters at most." },
    unknown: (signs) => `The model does not know these: ${signs}. Try characters that are common in Tang poems.`, answer: (poem) => `Written: ${poem}`,
    other: (sign, share) => `The probability of ${sign} is ${share}. It could also be:`, forced: (sign) => `You gave ${sign}. The model itself would write:`, change: (sign, share) => `change to ${sign}, ${share}`,
    hint: "Tap a character to see what else the model considered there; choose one, and the model rewrites what follows. A simplified character is read as the most frequent traditional one in these poems. If you choose the length of the lines, the page counts for the model.",
    first: { line: "明月照高樓", heads: "春夏秋冬" },
  },
}[language];

export const lesson = "language-models/chinese/tang-quatrains";
const [STOP, RARE] = [0, 1];
const LONGEST = 63; // tokens: the model was trained on 64
const LINES = 4;
const SHOWN = 8; // other characters for a place

export function start(place) {
  return begin(place, lesson, WORDS.title, build);
}

/**
 * Return the tokens of the characters of a text without its marks, null for an unknown one. Simplified ones are the most frequent
 * traditional; but a text in which one is traditional is so as a whole: the 里 of 千里江陵一日還 is no 裏.
 */
export function encode(data, text) {
  const [names, simplified] = [[...data.names], [...data.simplified]];
  const signs = [...text.normalize("NFC").replaceAll(/[\s\p{P}]/gu, "")];
  const traditional = signs.some((sign) => names.includes(sign) && !simplified.includes(sign));
  const tokens = signs.map((sign) => {
    const found = (traditional ? [names, simplified] : [simplified, names]).map((list) => list.indexOf(sign, 2)).find((token) => token >= 2);
    return found ?? null;
  });
  return { signs, tokens };
}

/** Return the logits of the token after some tokens. */
export async function ask(model, tokens) {
  const { logits } = await model.run({ tokens: ["int32", Int32Array.from(tokens), [tokens.length]] });
  return Array.from(logits.data);
}

/** Return probabilities from logits: at a temperature of 0 the highest has all. */
export function chances(logits, temperature) {
  const most = Math.max(...logits);
  const weights = logits.map((one) => (temperature > 0 ? Math.exp((one - most) / temperature) : Number(one === most)));
  const total = weights.reduce((one, other) => one + other);
  return weights.map((weight) => weight / total);
}

/** Draw a token by probabilities; `random` is from 0 to 1. */
function draw(shares, random) {
  let rest = random;
  const found = shares.findIndex((share) => (rest -= share) < 0);
  return found < 0 ? shares.indexOf(Math.max(...shares)) : found;
}

/** Keep the form: tell the logits of what cannot stand after these tokens apart, where a line has `size` characters; 0 leaves it free. */
export function formed(logits, tokens, comma, stop, size) {
  const kept = logits.map((one, token) => (token === RARE ? -Infinity : one));
  if (!size) return kept;
  const marks = [STOP, comma, stop];
  const lines = tokens.filter((token) => marks.includes(token)).length; // that have begun
  const written = tokens.length - 1 - tokens.findLastIndex((token) => marks.includes(token));
  const only = lines > LINES ? STOP : written === size ? (lines % 2 ? comma : stop) : null;
  return kept.map((one, token) => ((only === null ? marks.includes(token) : token !== only) ? -Infinity : one));
}

/**
 * Write on from the tokens of a poem, of which the first is STOP; line number i begins with the i-th of the `heads`.
 * Call `written(tokens)` after each token; return the tokens, without the STOP at the end, and for each the probabilities at its place.
 */
export async function compose(model, given, { heads = [], size = 0, temperature = 1, random = Math.random, written = () => {} } = {}) {
  const names = [...model.data.names];
  const [comma, stop] = ["，", "。"].map((mark) => names.indexOf(mark));
  const [tokens, places] = [[STOP], []];
  while (tokens.length <= LONGEST) {
    const shares = chances(formed(await ask(model, tokens), tokens, comma, stop, size), temperature);
    const lines = tokens.filter((token) => [STOP, comma, stop].includes(token)).length;
    const head = [STOP, comma, stop].includes(tokens.at(-1)) ? heads[lines - 1] : undefined;
    const next = given[tokens.length] ?? head ?? draw(shares, random());
    if (next === STOP) break;
    tokens.push(next);
    places.push(shares);
    written(tokens);
  }
  return { tokens: tokens.slice(1), places };
}

async function build(panel, model, say) {
  const { data } = model;
  const [names, simplified] = [[...data.names], [...data.simplified]];
  const mode = choice(WORDS.modes, () => ((field.value = WORDS.first[mode.value]), typed()));
  const field = element("input", { type: "text", maxlength: 40, autocomplete: "off", spellcheck: "false", oninput: () => typed() });
  const name = element("span", {});
  const size = choice(WORDS.sizes, () => typed());
  const temperature = element("input", { type: "range", min: 0, max: 1.5, step: 0.1, value: 0.8, oninput: () => typed() });
  const number = element("output", {});
  const simple = element("input", { type: "checkbox", onchange: () => render() });
  const poem = element("div", { class: "live-poem", lang: "zh", role: "group", "aria-label": WORDS.poem });
  const note = element("p", { class: "live-note" });
  const others = element("div", { class: "live-buttons" });
  let found = { tokens: [], places: [] };
  let prefix = [STOP]; // what stays when the poem is written anew

  const sign = (token) => (simple.checked ? simplified : names)[token];

  /** Show the poem, a line a row, each character a button. */
  function render() {
    const rows = [[]];
    found.tokens.forEach((token, place) => {
      const mark = "，。".includes(names[token]);
      rows.at(-1).push(mark ? sign(token) : element("button", { type: "button", onclick: () => choose(place) }, sign(token)));
      if (mark) rows.push([]);
    });
    poem.replaceChildren(...rows.filter((row) => row.length).map((row) => element("p", {}, ...row)));
    note.textContent = "";
    others.replaceChildren();
  }

  /** Show what else might stand at a place. */
  function choose(place) {
    if (!found.places.length) return; // it is still being written
    const [token, shares] = [found.tokens[place], found.places[place]];
    const told = percent(shares[token]);
    note.textContent = shares[token] ? WORDS.other(sign(token), told) : WORDS.forced(sign(token));
    const order = shares.map((_, one) => one).filter((one) => one !== token && one > RARE && shares[one]).sort((a, b) => shares[b] - shares[a]);
    others.replaceChildren(...order.slice(0, SHOWN).map((one) =>
      element("button", { type: "button", "aria-label": WORDS.change(sign(one), percent(shares[one])), onclick: () => {
        prefix = [STOP, ...found.tokens.slice(0, place), one];
        return show();
      } }, `${sign(one)} ${percent(shares[one])}`)));
  }

  const show = latest(async () => {
    number.textContent = Number(temperature.value).toFixed(1);
    name.textContent = WORDS.text[mode.value];
    const kind = mode.value;
    const { signs, tokens } = encode(data, field.value.slice(0, 200));
    const strange = [...new Set(signs.filter((_, place) => tokens[place] === null))];
    const fits = kind === "line" ? [5, 7].includes(signs.length) : signs.length <= LINES;
    const trouble = !signs.length ? WORDS.empty[kind] : !fits ? WORDS.long[kind] : strange.length ? WORDS.unknown(strange.join(" ")) : null;
    if (trouble) {
      found = { tokens: [], places: [] };
      render();
      say(trouble);
      return;
    }
    const given = kind === "line" && prefix.length === 1 ? [STOP, ...tokens, names.indexOf("，")] : prefix;
    const lines = Number(size.value) && (kind === "line" ? signs.length : Number(size.value));
    found = await compose(model, given, {
      heads: kind === "heads" ? tokens : [], size: lines, temperature: Number(temperature.value),
      written: (some) => ((found = { tokens: some.slice(1), places: [] }), render()),
    });
    render();
    say(WORDS.answer(found.tokens.map(sign).join("")));
  });

  /** Begin anew. */
  function typed() {
    prefix = [STOP];
    return show();
  }

  panel.append(
    element("div", { class: "live-fields" }, element("label", {}, name, field), labeled(WORDS.mode, mode), labeled(WORDS.size, size), labeled(WORDS.temperature, element("span", {}, temperature, number)),
      element("button", { type: "button", onclick: () => typed() }, WORDS.again)),
    element("label", {}, simple, ` ${WORDS.simple}`),
    poem, note, others,
    element("p", { class: "live-hint" }, WORDS.hint),
  );
  simple.checked = language === "zh";
  field.value = WORDS.first.line;
  await typed();
}
