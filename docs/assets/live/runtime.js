// What all live models share. Nothing of it is fetched before a reader starts a model.

const SITE = new URL("../../", import.meta.url);

export const language = document.documentElement.lang === "en" ? "en" : "zh";

const WORDS = {
  zh: {
    loading: "正在载入模型……",
    blocked: "这个浏览器不运行 WebAssembly，模型动不起来。上面是程序存下的结果。",
    missing: (file) =>
      `取不到 ${file}，模型动不起来。上面是程序存下的结果。如果网站是你自己构建的：运行 npm ci --ignore-scripts，再构建一次。`,
    failed: (reason) => `模型动不起来（${reason}）。上面是程序存下的结果。`,
  },
  en: {
    loading: "Loading the model…",
    blocked: "This browser does not run WebAssembly, so the model cannot run. Above is the result that the program stored.",
    missing: (file) =>
      `${file} cannot be loaded, so the model cannot run. Above is the result that the program stored. If you built this site yourself: run npm ci --ignore-scripts and build again.`,
    failed: (reason) => `The model cannot run (${reason}). Above is the result that the program stored.`,
  },
}[language];

/** A reason why a model cannot run, in the reader's words. */
class Trouble extends Error {}

/** Return the address of a file of the site. */
export function address(file) {
  return new URL(file, SITE).href;
}

/** Fetch a file of the site; throw what the reader should be told if it is not there. */
async function get(file) {
  const answer = await fetch(address(file)).catch(() => null);
  if (!answer?.ok) throw new Trouble(WORDS.missing(file));
  return answer;
}

async function engine() {
  if (typeof WebAssembly !== "object") throw new Trouble(WORDS.blocked);
  const file = "assets/ort/ort.wasm.bundle.min.js";
  const [ort, compiled] = await Promise.all([
    import(address(file)).catch(() => {
      throw new Trouble(WORDS.missing(file));
    }),
    get("assets/ort/ort-wasm-simd-threaded.wasm").then((answer) => answer.arrayBuffer()),
  ]);
  ort.env.wasm.numThreads = 1; // threads would need headers that plain servers do not send
  ort.env.wasm.wasmBinary = compiled; // by its address it would need a type that old servers do not send
  return ort;
}

/**
 * Load the model of a lesson and what its program stored for the page.
 * The answer has `data`, of live.json, and `run`, from {name: [type, values, shape]} to the outputs by name.
 */
export async function load(lesson) {
  const [ort, model, data] = await Promise.all([
    engine(),
    get(`results/${lesson}/model.bin`).then((answer) => answer.arrayBuffer()),
    get(`results/${lesson}/live.json`).then((answer) => answer.json()),
  ]);
  const session = await ort.InferenceSession.create(model);
  let last = Promise.resolve(); // a session answers one question at a time
  function run(inputs) {
    const tensors = Object.fromEntries(
      Object.entries(inputs).map(([name, tensor]) => [name, new ort.Tensor(...tensor)]),
    );
    last = last.catch(() => null).then(() => session.run(tensors));
    return last;
  }
  return { data, run };
}

/** Load what the program of a lesson stored for the page, where no network runs; the answer has `data`, of live.json. */
export async function stored(lesson) {
  return { data: await get(`results/${lesson}/live.json`).then((answer) => answer.json()) };
}

/**
 * Start the model of a lesson in its place of the page; `build(panel, model, say)` makes its controls.
 * `fetchModel` brings what it runs: `load` a network, `stored` what the program kept; a model that begins untrained has nothing to bring.
 */
export async function start(place, lesson, title, build, fetchModel = load) {
  const status = element("p", { role: "status", class: "live-status" }, WORDS.loading);
  place.querySelector(".live-status")?.remove();
  place.append(status);
  try {
    const panel = element("div", { role: "group", "aria-label": title, class: "live-panel", tabindex: -1 });
    const [model] = await Promise.all([fetchModel(lesson), style()]);
    await build(panel, model, calmly((text) => (status.textContent = text)));
    place.querySelector("figure").replaceWith(status, panel);
    place.classList.add("live-running");
    panel.focus({ preventScroll: true }); // the button that had the focus goes
  } catch (error) {
    status.textContent = error instanceof Trouble ? error.message : WORDS.failed(error.message);
    throw error;
  }
}

let styled;

/** Bring the style of the controls, once a page. */
function style() {
  styled ??= new Promise((done) => {
    const link = element("link", { rel: "stylesheet", href: address("assets/live/live.css") });
    link.onload = link.onerror = done; // without it the models look plain and work
    document.head.append(link);
  });
  return styled;
}

/** Return a function that passes on a call at once, and of those in quick succession only the last: a live region is read aloud. */
function calmly(call, milliseconds = 300) {
  let timer = null;
  let last = null;
  function pass(given) {
    last = null;
    call(...given);
    timer = setTimeout(() => {
      timer = null;
      if (last) pass(last);
    }, milliseconds);
  }
  return (...given) => (timer === null ? pass(given) : (last = given));
}

/** Return an `update` that runs `work` again after it ended whenever it was asked for meanwhile, never twice at once. */
export function latest(work) {
  let running = null;
  let again = false;
  return function update() {
    again = true;
    running ??= (async () => {
      try {
        while (again) {
          again = false;
          await work();
        }
      } finally {
        running = null;
      }
    })();
    return running;
  };
}

/** Make an element of the page. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Make a control with its label in front. */
export function labeled(text, control) {
  return element("label", {}, element("span", {}, text), control);
}

/** Make a choice among {value: text}. */
export function choice(options, change) {
  return element(
    "select",
    { onchange: change },
    ...Object.entries(options).map(([value, text]) => element("option", { value }, text)),
  );
}

/** Return a share as text, such as 98.2%. */
export function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

/** Make a list of shares with a bar each; `update(shares)` sets them. */
export function bars(names) {
  const rows = names.map((name) => ({ bar: element("span", { class: "live-bar" }), text: element("span", { class: "live-share" }), name }));
  const list = element(
    "ul",
    { class: "live-bars" },
    ...rows.map(({ bar, text, name }) => element("li", {}, element("span", {}, name), element("span", { class: "live-track", "aria-hidden": true }, bar), text)),
  );
  function update(shares) {
    rows.forEach(({ bar, text }, index) => {
      bar.style.width = `${100 * shares[index]}%`;
      text.textContent = percent(shares[index]);
    });
  }
  return { list, update };
}

/** Color the pixels of a canvas: `shade(x, y)` from 0, clear, to 1, full. */
export function heat(canvas, width, height, shade) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const image = context.createImageData(width, height);
  for (let y = 0, place = 0; y < height; y++) {
    for (let x = 0; x < width; x++, place += 4) {
      image.data.set([47, 143, 208, 255 * Math.min(1, shade(x, y))], place);
    }
  }
  context.putImageData(image, 0, 0);
}

/** Return the place of the highest of some numbers. */
export function highest(numbers) {
  return numbers.indexOf(Math.max(...numbers));
}
