// The recurrent network of models/rnn: type a name, and watch it read.
import { bars, element, heat, highest, labeled, language, latest, percent, start as begin } from "../runtime.js";

const WORDS = {
  zh: {
    title: "一个名称属于哪种语言",
    name: "名称", examples: "测试集里的名称", along: "读完每个字符之后的概率", state: "第二层 LSTM 的隐藏状态：每列一个字符，每行一个数", language: "语言",
    empty: "输入一个国家、语言或货币的名称，任何一种拼写都行。",
    unknown: (letters) => `网络在训练中没见过这些字符：${letters}，只能当作未知字符读。`,
    cut: (most) => `只读前 ${most} 个字符。`,
    answer: (name, share) => `网络认为是${name}，概率 ${share}。`,
    hint: "网络只认识这十种语言，其他语言的名称，它也会归入其中一种。",
  },
  en: {
    title: "Which language is a name from?",
    name: "Name", examples: "Names of the test set", along: "The probabilities after each character", state: "The hidden state of the second LSTM layer: a column for each character, a row for each number", language: "language",
    empty: "Type the name of a country, a language or a currency, in whatever spelling.",
    unknown: (letters) => `The network saw none of these characters in training: ${letters}. It reads them as unknown.`,
    cut: (most) => `Only the first ${most} characters are read.`,
    answer: (name, share) => `The network says ${name}, with probability ${share}.`,
    hint: "The network knows these ten languages. It puts a name from any other language into one of them, too.",
  },
}[language];

export const lesson = "models/rnn";
const MOST = 60; // characters
const UNKNOWN = 1;
const EXAMPLES = 12;

export function start(place) {
  return begin(place, lesson, WORDS.title, build);
}

/** Return the probabilities and the state after each character; `known` keeps what has been read before. */
export async function read(model, name, known = new Map()) {
  const { letters, states } = model.data;
  const zeros = () => new Float32Array(states.reduce((one, other) => one * other));
  let step = { hidden: zeros(), cell: zeros() };
  const steps = [];
  let prefix = "";
  for (const character of name) {
    prefix += character;
    if (!known.has(prefix)) {
      const letter = Int32Array.of(letters[character] ?? UNKNOWN);
      const { probabilities, next_hidden, next_cell } = await model.run({
        letter: ["int32", letter, [1]], hidden: ["float32", step.hidden, states], cell: ["float32", step.cell, states],
      });
      known.set(prefix, { probabilities: probabilities.data, hidden: next_hidden.data, cell: next_cell.data });
    }
    step = known.get(prefix);
    steps.push(step);
  }
  return steps;
}

async function build(panel, model, say) {
  const names = new Intl.DisplayNames([language], { type: "language" });
  const languages = model.data.languages.map((code) => names.of(code));
  const width = model.data.states.at(-1); // of the state of one layer
  const chart = bars(languages);
  const table = element("table", { class: "live-along" });
  const state = element("canvas", { class: "live-state", role: "img", "aria-label": WORDS.state });
  const note = element("p", { class: "live-note", role: "status" });
  const field = element("input", { type: "text", maxlength: MOST, autocomplete: "off", spellcheck: "false", oninput: update });
  let known = new Map();

  const show = latest(async () => {
    const written = [...field.value.normalize("NFC").trim()];
    const characters = written.slice(0, MOST);
    const strange = [...new Set(characters.filter((one) => !(one in model.data.letters)))];
    note.textContent = [strange.length ? WORDS.unknown(strange.join(" ")) : "", written.length > MOST ? WORDS.cut(MOST) : ""].join(" ").trim();
    if (known.size > 2000) known = new Map();
    const steps = await read(model, characters.join(""), known);
    const last = steps.at(-1)?.probabilities ?? languages.map(() => 0);
    chart.update(last);
    table.replaceChildren(
      element("caption", {}, WORDS.along),
      element("tr", {}, element("th", { scope: "col" }, WORDS.language), ...characters.map((one) => element("th", { scope: "col" }, one === " " ? "␣" : one))),
      ...languages.map((name, row) =>
        element("tr", {}, element("th", { scope: "row" }, name), ...steps.map(({ probabilities }) => {
          const share = probabilities[row];
          const shade = 0.45 * share; // the number on it can be read in both color schemes
          return element("td", { style: `background: rgb(47 143 208 / ${shade})` }, share < 0.005 ? "" : String(Math.round(100 * share)));
        })),
      ),
    );
    heat(state, Math.max(1, steps.length), width, (x, y) => (steps.length ? Math.abs(steps[x].hidden[width + y]) : 0));
    state.style.width = `${Math.max(1, steps.length) * 1.2}rem`;
    const best = highest([...last]);
    say(steps.length ? WORDS.answer(languages[best], percent(last[best])) : WORDS.empty);
  });

  function update() {
    return show();
  }

  panel.append(
    labeled(WORDS.name, field),
    note,
    element("p", {}, WORDS.examples),
    element("div", { class: "live-buttons" }, ...model.data.samples.names.slice(0, EXAMPLES).map((name) =>
      element("button", { type: "button", onclick: () => { field.value = name; update(); } }, name))),
    chart.list,
    element("div", { class: "live-wide", tabindex: 0, role: "region", "aria-label": WORDS.along }, table),
    element("p", {}, WORDS.state),
    element("div", { class: "live-wide", tabindex: 0, role: "region", "aria-label": WORDS.state }, state),
    element("p", { class: "live-hint" }, WORDS.hint),
  );
  field.value = model.data.samples.names[0];
  await show();
}
