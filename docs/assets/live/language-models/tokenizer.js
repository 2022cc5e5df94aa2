// The tokenizers of language-models/tokenizer: type a text, and see its tokens.
import { choice, element, labeled, language, start as begin, stored } from "../runtime.js";

const WORDS = {
  zh: {
    title: "把文本切成词元", text: "文本", trained: "分词器的训练文本", trusted: (end) => `把文本里的 ${end} 当作特殊词元（不安全）`,
    names: { both: "中英文", English: "英文", Chinese: "中文" }, tokens: "词元", number: (token) => `第 ${token} 号词元`,
    example: "你好，世界！Hello, tokenizers: 2026 年 <|end|> 🙂", empty: "输入一段文本。",
    answer: (tokens, characters) => `${tokens} 个词元，${characters} 个字符：每个字符 ${(tokens / characters).toFixed(2)} 个词元。`,
    cut: (most) => `只读前 ${most.toLocaleString("zh")} 个字符。`, shown: (most) => `只显示前 ${most.toLocaleString("zh")} 个词元。`,
    hint: "␣ 是空格，⏎ 是换行。一个词元如果不是完整的字符，就显示它的字节（十六进制）。",
  },
  en: {
    title: "Cut a text into tokens", text: "Text", trained: "Tokenizer trained on", trusted: (end) => `Take ${end} in the text for the special token (unsafe)`,
    names: { both: "English and Chinese", English: "English", Chinese: "Chinese" }, tokens: "Tokens", number: (token) => `token ${token}`,
    example: "Hello, tokenizers: 2026 <|end|> 🙂 你好，世界！", empty: "Type a text.",
    answer: (tokens, characters) => `${tokens} ${tokens === 1 ? "token" : "tokens"} for ${characters} ${characters === 1 ? "character" : "characters"}: ${(tokens / characters).toFixed(2)} tokens a character.`,
    cut: (most) => `Only the first ${most.toLocaleString("en")} characters are read.`, shown: (most) => `Only the first ${most.toLocaleString("en")} tokens are shown.`,
    hint: "␣ is a space, ⏎ a new line. A token that is no whole character shows its bytes, in hexadecimal.",
  },
}[language];

export const lesson = "language-models/tokenizer";
const MOST = 100_000; // characters
const SHOWN = 1000; // tokens

export function start(place) {
  return begin(place, lesson, WORDS.title, build, stored);
}

/** Return a tokenizer as the program's: `encode(text, trusted)` to numbers, and the bytes of each token. */
export function tokenizer({ pattern, end, merges }, name) {
  const ranks = new Map(merges[name].map((pair, rank) => [pair, rank]));
  const tokens = Array.from({ length: 256 }, (_, byte) => [byte]);
  for (const pair of merges[name]) tokens.push([...tokens[pair.charCodeAt(0)], ...tokens[pair.charCodeAt(1)]]);
  const special = tokens.length;
  tokens.push([...new TextEncoder().encode(end)]);
  const known = new Map(); // pieces that were merged before

  function merge(word) {
    for (;;) {
      let best = Infinity;
      for (let at = 0; at + 1 < word.length; at++) best = Math.min(best, ranks.get(word.slice(at, at + 2)) ?? Infinity);
      if (best === Infinity) return word;
      word = word.replaceAll(merges[name][best], String.fromCharCode(256 + best));
    }
  }

  function encode(text, trusted = false) {
    if (trusted) return text.split(end).flatMap((part, number) => [...(number ? [special] : []), ...encode(part)]);
    const numbers = [];
    for (const [piece] of text.matchAll(new RegExp(pattern, "gu"))) {
      if (!known.has(piece)) known.set(piece, merge(String.fromCharCode(...new TextEncoder().encode(piece))));
      for (const character of known.get(piece)) numbers.push(character.charCodeAt(0));
    }
    return numbers;
  }

  return { encode, tokens, special };
}

/** Return what a token looks like: its text, or the bytes of a part of a character. */
function shown(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
    return { text: text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll("\r", "␍"), part: false };
  } catch {
    return { text: bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" "), part: true };
  }
}

function build(panel, { data }, say) {
  const made = {};
  const field = element("textarea", { rows: 4, spellcheck: "false", oninput: update });
  const kind = choice(Object.fromEntries(Object.keys(WORDS.names).map((name) => [name, WORDS.names[name]])), update);
  const trusted = element("input", { type: "checkbox", onchange: update });
  const output = element("p", { class: "live-tokens", tabindex: 0, role: "region", "aria-label": WORDS.tokens });
  const note = element("p", { class: "live-note", role: "status" });

  function update() {
    const written = [...field.value];
    const text = written.slice(0, MOST).join("");
    const { encode, tokens, special } = (made[kind.value] ??= tokenizer(data, kind.value));
    const numbers = encode(text, trusted.checked);
    output.replaceChildren(...numbers.slice(0, SHOWN).map((number) => {
      const { text: word, part } = shown(tokens[number]);
      return element("span", { title: WORDS.number(number), class: number === special ? "live-special" : part ? "live-part" : null }, word);
    }));
    note.textContent = [written.length > MOST ? WORDS.cut(MOST) : "", numbers.length > SHOWN ? WORDS.shown(SHOWN) : ""].join(" ").trim();
    say(numbers.length ? WORDS.answer(numbers.length, Math.min(written.length, MOST)) : WORDS.empty);
  }

  panel.append(
    labeled(WORDS.text, field),
    element("div", { class: "live-buttons" }, labeled(WORDS.trained, kind)),
    element("label", {}, trusted, ` ${WORDS.trusted(data.end)}`),
    element("p", {}, WORDS.tokens),
    output,
    note,
    element("p", { class: "live-hint" }, WORDS.hint),
  );
  field.value = WORDS.example;
  update();
}
