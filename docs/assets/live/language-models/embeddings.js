// The vectors of language-models/embeddings: type a word, and see its neighbors.
import { choice, element, labeled, language, start as begin, stored } from "../runtime.js";

const WORDS = {
  zh: {
    title: "词的近邻", word: "词或字", of: "文本", method: "向量", languages: { English: "英文文档字符串", Chinese: "成语释义" },
    methods: { sgns: "skip-gram", svd: "计数与 SVD" }, empty: "输入一个词。", neighbors: "近邻",
    answer: (word, count, near) => `“${word}”出现 ${count.toLocaleString("zh")} 次，最近的是“${near}”。`,
    unknown: (word, most) => `“${word}”不在最常见的 ${most.toLocaleString("zh")} 个词里。`, like: "相近的写法：",
    times: (count) => `${count.toLocaleString("zh")} 次`, hint: "条形是夹角的余弦，后面是出现的次数。点一个近邻，接着看它的近邻。", first: { English: "rows", Chinese: "龙" },
  },
  en: {
    title: "The neighbors of a word", word: "Word or character", of: "Text", method: "Vectors", languages: { English: "English docstrings", Chinese: "Chinese idioms" },
    methods: { sgns: "skip-gram", svd: "counts and SVD" }, empty: "Type a word.", neighbors: "Neighbors",
    answer: (word, count, near) => `"${word}" occurs ${count.toLocaleString("en")} times; its nearest neighbor is "${near}".`,
    unknown: (word, most) => `"${word}" is not among the ${most.toLocaleString("en")} most frequent words.`, like: "Words that begin alike:",
    times: (count) => `${count.toLocaleString("en")} times`, hint: "The bar is the cosine of the angle; behind it, how often the word occurs. Touch a neighbor to see its own.", first: { English: "rows", Chinese: "龙" },
  },
}[language];

export const lesson = "language-models/embeddings";
const NEAR = 10;
const MOST = 40; // characters of a word

export function start(place) {
  return begin(place, lesson, WORDS.title, build, stored);
}

/** Return the vectors of a language by a method, each of length 1, one behind the other. */
export function vectors(data, name, method) {
  const { words, [method]: packed } = data[name];
  const numbers = Float64Array.from(Int8Array.from(atob(packed), (character) => character.charCodeAt(0)));
  const size = numbers.length / words.length;
  for (let row = 0; row < words.length; row++) {
    const vector = numbers.subarray(row * size, (row + 1) * size);
    const length = Math.hypot(...vector);
    vector.forEach((number, place) => (vector[place] = number / length));
  }
  return { numbers, size };
}

/** Return the nearest words of one, by their numbers: [number, cosine], the nearest first. */
export function nearest({ numbers, size }, word, count = NEAR) {
  const own = numbers.subarray(word * size, (word + 1) * size);
  const found = [];
  for (let other = 0; other < numbers.length / size; other++) {
    let cosine = 0;
    for (let place = 0; place < size; place++) cosine += own[place] * numbers[other * size + place];
    if (other !== word) found.push([other, cosine]);
  }
  return found.sort((one, other) => other[1] - one[1] || one[0] - other[0]).slice(0, count);
}

function build(panel, { data }, say) {
  const made = {};
  const field = element("input", { type: "text", maxlength: MOST, autocomplete: "off", autocapitalize: "off", spellcheck: "false", oninput: update });
  const name = choice(WORDS.languages, () => {
    field.value = WORDS.first[name.value];
    update();
  });
  const method = choice(WORDS.methods, update);
  const list = element("ul", { class: "live-bars live-near", "aria-label": WORDS.neighbors });
  const note = element("p", { class: "live-note", role: "status" });

  function link(number) {
    const { words } = data[name.value];
    return element("button", { type: "button", onclick: () => { field.value = words[number]; update(); field.focus(); } }, words[number]);
  }

  function update() {
    const { words, counts } = data[name.value];
    const word = field.value.trim().toLowerCase().slice(0, MOST);
    const number = words.indexOf(word);
    note.replaceChildren();
    list.replaceChildren();
    if (number < 0) {
      const alike = word ? words.flatMap((other, place) => (other.startsWith(word) ? [place] : [])).slice(0, NEAR) : [];
      if (alike.length) note.append(`${WORDS.like} `, ...alike.flatMap((place) => [link(place), " "]));
      say(word ? WORDS.unknown(word, words.length) : WORDS.empty);
      return;
    }
    const key = `${name.value} ${method.value}`;
    const near = nearest((made[key] ??= vectors(data, name.value, method.value)), number);
    list.append(...near.map(([other, cosine]) => {
      const bar = element("span", { class: "live-bar" });
      bar.style.width = `${100 * Math.max(0, cosine)}%`;
      return element("li", {}, link(other), element("span", { class: "live-track", "aria-hidden": true }, bar),
        element("span", { class: "live-share" }, `${cosine.toFixed(2)} · ${WORDS.times(counts[other])}`));
    }));
    say(WORDS.answer(word, counts[number], words[near[0][0]]));
  }

  panel.append(
    labeled(WORDS.word, field),
    element("div", { class: "live-buttons" }, labeled(WORDS.of, name), labeled(WORDS.method, method)),
    note,
    list,
    element("p", { class: "live-hint" }, WORDS.hint),
  );
  name.value = language === "zh" ? "Chinese" : "English";
  field.value = WORDS.first[name.value];
  update();
}
