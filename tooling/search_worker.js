// The search of the site. It answers what the theme asks of its own worker, which drops the last word of a Chinese
// question: MiniSearch, which stands above, finds and ranks; Chinese is read two characters at a time.

const HAN = /^\p{sc=Han}/u;
const WORD = /\p{sc=Han}+|\p{N}+(?:\.\p{N}+)+|(?:(?!\p{sc=Han})[\p{L}\p{N}\p{M}])+/gu;
// Words that say nothing about what is looked for.
const EMPTY = new Set("a an and are as at be by can do does for from how i in is it of on or that the this to what when where which why with".split(" "));
const EMPTY_CHINESE = /什么是|是什么|为什么|怎么样|怎么|怎样|如何|什么|哪些|哪个|[的了吗呢么]/gu;
const WORTHLESS = 0.05; // results of less than this share of the best score are none
const AROUND = 60; // characters of a text before what was found, and thrice as many behind

let index, entries;

/** Return the words of a text: runs of Chinese characters, numbers, words of other scripts. */
function wordsOf(text) {
  return text.normalize("NFKC").toLowerCase().match(WORD) ?? [];
}

/** Return what is indexed of a word: of Chinese every two characters and the last, so that each character begins a term. */
function termsOf(word) {
  if (!HAN.test(word)) return [word];
  const characters = [...word];
  return characters.map((one, place) => one + (characters[place + 1] ?? ""));
}

/** Return what is asked for of a word: the terms, of Chinese without the last character alone, which its pair holds already. */
function askedOf(word) {
  const terms = termsOf(word);
  return HAN.test(word) && terms.length > 1 ? terms.slice(0, -1) : terms;
}

/** Return the text of a piece of HTML; the marks between Chinese words are the theme's. */
function plain(html) {
  return html
    .replace(/<\/?(?:code|em|strong|a|abbr|span|sub|sup|mark)\b[^>]*>|\u200b/g, "").replace(/<[^>]*>/g, " ")
    .replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, '"').replace(/&#39;/g, "'").replace(/&amp;/g, "&")
    .replace(/\s+/g, " ").trim();
}

function escaped(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function setUp({ docs }) {
  const pages = new Map(docs.filter(({ location }) => !location.includes("#")).map((page) => [page.location, page]));
  entries = docs.map((entry, id) => {
    const page = pages.get(entry.location.split("#")[0]);
    return { id, location: entry.location, boost: entry.boost ?? 1, title: plain(entry.title), text: plain(entry.text), page: page === entry ? null : page };
  });
  index = new MiniSearch({ fields: ["title", "text"], tokenize: (text) => wordsOf(text).flatMap(termsOf), processTerm: (term) => term });
  index.addAll(entries);
}

/** Return what a text is worth as an answer to a question beside its words: its title is the question, or has it in it, or the other way round. */
function worth({ title, text, page }, question) {
  const squeezed = (one) => one.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();
  const name = squeezed(title).split(/ ?[:(]/)[0]; // "Sentiment: praise or blame?", "Recurrent networks (RNN)"
  const [short, long] = [name, question].sort((one, other) => one.length - other.length);
  const titled = short.length > 1 && long.includes(short) ? 1 + (3 * short.length) / long.length : 1;
  return titled * (squeezed(text).includes(question) ? 1.5 : 1) * (page || titled === 1 ? 1 : 3); // a page before its parts
}

/** Return the places of the words that were found in a text, longest first. */
function pattern(found) {
  const parts = found.map((word) => {
    const literal = word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return HAN.test(word) ? literal : `(?<![\\p{L}\\p{N}])${literal}[\\p{L}\\p{N}]*`;
  });
  return new RegExp(parts.join("|") || "(?!)", "giu");
}

/** Return a text as HTML with what was found marked; where it is to be short, what is around that alone. */
function marked(text, places, short) {
  let begin = 0;
  let end = text.length;
  if (short) {
    const first = Math.max(text.search(places), 0);
    begin = first > AROUND ? first - AROUND : 0;
    end = Math.min(text.length, first + 3 * AROUND);
  }
  let made = begin > 0 ? "… " : "";
  let done = begin;
  for (const match of text.slice(0, end).matchAll(places)) {
    if (match.index < begin || !match[0]) continue;
    made += `${escaped(text.slice(done, match.index))}<mark>${escaped(match[0])}</mark>`;
    done = match.index + match[0].length;
  }
  return made + escaped(text.slice(done, end)) + (end < text.length ? " …" : "");
}

function search(question) {
  const asked = question.normalize("NFKC").toLowerCase().replace(/["*+~^]/g, " ").replace(/\s+/g, " ").trim();
  const all = wordsOf(asked);
  const meant = wordsOf(asked.replace(EMPTY_CHINESE, " ")).filter((word) => !EMPTY.has(word));
  const words = [...new Set(meant.length ? meant : all)];
  if (!words.length) return { items: [] };
  const options = {
    tokenize: (text) => text.split(" "),
    processTerm: (term) => term,
    boost: { title: 3 },
    prefix: (term) => !HAN.test(term) || [...term].length === 1,
    fuzzy: (term) => (!HAN.test(term) && term.length > 4 ? 0.2 : false),
    weights: { prefix: 0.5, fuzzy: 0.2 },
  };
  const terms = words.flatMap(askedOf).join(" ");
  const results = index.search(terms, options);

  const groups = new Map();
  const seen = new Map(words.map((word) => [word, askedOf(word)]));
  const share = (matched) => words.filter((word) => askedOf(word).some((part) => matched.includes(part))).length / words.length;
  const scored = results.map((result) => ({
    entry: entries[result.id], matched: result.queryTerms,
    score: result.score * entries[result.id].boost * worth(entries[result.id], asked) * share(result.queryTerms) ** 2, // what holds all words comes first
  }));
  scored.sort((one, other) => other.score - one.score);
  for (const { entry, score, matched } of scored.filter(({ score }) => score > WORTHLESS * scored[0].score)) {
    const page = (entry.page ?? entry).location;
    if (!groups.has(page)) groups.set(page, []);
    const whole = `${entry.title}\n${entry.text}`.normalize("NFKC").toLowerCase();
    const found = {};
    for (const [word, parts] of seen) {
      if (!HAN.test(word) || whole.includes(word)) found[word] = parts.some((part) => matched.includes(part));
      else for (const part of parts) found[part] = matched.includes(part);
    }
    const places = pattern(Object.keys(found).filter((word) => found[word]));
    groups.get(page).push({
      location: entry.location, score, terms: found,
      title: marked(entry.title, places, false), text: marked(entry.text, places, true),
      ...(entry.page && { parent: entry.page }),
    });
  }
  for (const [page, group] of groups) {
    if (group.some(({ location }) => location === page)) continue;
    const { title, text } = entries.find(({ location }) => location === page);
    group.push({ location: page, score: 0, terms: {}, title: escaped(title), text: escaped(text.slice(0, 3 * AROUND)) });
  }
  return { items: [...groups.values()] };
}

// The theme's messages: set up (0) and ready (1), a question (2) and its answer (3).
addEventListener("message", ({ data: { type, data } }) => {
  if (type === 0) {
    setUp(data);
    postMessage({ type: 1 });
  } else if (type === 2) {
    postMessage({ type: 3, data: search(data) });
  }
});
