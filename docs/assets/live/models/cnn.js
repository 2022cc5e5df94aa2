// The convolutional network of models/cnn: draw a digit, or give it a picture.
import { address, bars, element, heat, highest, language, latest, percent, start as begin } from "../runtime.js";

const WORDS = {
  zh: {
    title: "手写数字识别模型",
    draw: "在这里写一个数字；用键盘的话，请在下面挑一个样本",
    clear: "清除", colors: "换一组颜色", photo: "用一张照片", sees: "网络看到的", maps: "卷积层 {} 的特征图",
    samples: "测试集里的样本，前六个对网络最难", sample: (label, guess) => (label === guess ? `样本 ${label}` : `样本 ${label}，曾被认成 ${guess}`),
    empty: "先写一个数字，或者挑一个样本。", answer: (digit, share) => `网络认为是 ${digit}，概率 ${share}。`,
    unreadable: "这个文件打不开：请选一张照片（PNG、JPEG 或 WebP）。", blank: "照片里找不到数字：请拍一个写在白纸上的数字，让它占满画面的大部分。",
    hint: "网络只见过单个数字。别的东西，它也只能说成某个数字。",
  },
  en: {
    title: "Recognize a handwritten digit",
    draw: "Draw a digit here; with a keyboard, pick a sample below",
    clear: "Clear", colors: "Other colors", photo: "Use a photograph", sees: "What the network sees", maps: "Feature maps of convolution {}",
    samples: "Samples of the test set; the first six are the hardest for the network", sample: (label, guess) => (label === guess ? `sample of ${label}` : `sample of ${label}, taken for ${guess}`),
    empty: "Draw a digit, or pick a sample.", answer: (digit, share) => `The network says ${digit}, with probability ${share}.`,
    unreadable: "This file cannot be opened: choose a photograph (PNG, JPEG or WebP).", blank: "No digit found in the photograph: take one of a digit on white paper that fills most of the picture.",
    hint: "The network has only ever seen single digits. It can call anything else only a digit, too.",
  },
}[language];

export const lesson = "models/cnn";
const SIDE = 32; // the network's images
const CELLS = 8; // the data is that coarse: see `fit`
const PAD = 256; // the canvas to draw on
const HARDEST = 6; // so many samples come first
const SHOWN = 16; // samples to pick from; live.json holds more, for the tests

export function start(place) {
  return begin(place, lesson, WORDS.title, build);
}

/** Return what the network makes of pixels, 32 x 32 x 3 numbers from 0 to 255. */
export function ask(model, pixels) {
  const planes = new Float32Array(3 * SIDE * SIDE); // color by color, as PyTorch wants them
  for (let place = 0; place < SIDE * SIDE; place++) {
    for (let color = 0; color < 3; color++) planes[color * SIDE * SIDE + place] = pixels[3 * place + color];
  }
  return model.run({ image: ["float32", planes, [1, 3, SIDE, SIDE]] });
}

/** Return the pixels of every sample: they lie in one picture, eight in a row. */
export async function samples(count) {
  const picture = new Image();
  picture.src = address(`results/${lesson}/samples.png`);
  await picture.decode();
  const { context } = blank(picture.width, picture.height);
  context.drawImage(picture, 0, 0);
  return Array.from({ length: count }, (_, index) =>
    opaque(context.getImageData(SIDE * (index % 8), SIDE * Math.floor(index / 8), SIDE, SIDE).data),
  );
}

function blank(width, height = width) {
  const canvas = element("canvas", { width, height });
  return { canvas, context: canvas.getContext("2d", { willReadFrequently: true }) };
}

/** Leave the alpha channel away. */
function opaque(data) {
  return data.filter((_, place) => place % 4 !== 3);
}

/**
 * Bring ink into the form of the training data, as its makers did: the digit fills a square of 32 x 32
 * black or white dots, and each cell of 4 x 4 dots becomes the share of its ink. Return 8 x 8 shares.
 * `ink` is a canvas whose alpha is the ink. Return null where there is none.
 */
export function fit(ink) {
  const { width, height } = ink;
  const alpha = ink.getContext("2d").getImageData(0, 0, width, height).data;
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0, place = 3; y < height; y++) {
    for (let x = 0; x < width; x++, place += 4) {
      if (alpha[place] > 127) {
        left = Math.min(left, x), right = Math.max(right, x), top = Math.min(top, y), bottom = Math.max(bottom, y);
      }
    }
  }
  if (right < left) return null;
  const [wide, high] = [right - left + 1, bottom - top + 1];
  const scale = SIDE / Math.max(wide, high);
  const { context } = blank(SIDE);
  context.imageSmoothingQuality = "high";
  context.drawImage(ink, left, top, wide, high, (SIDE - wide * scale) / 2, (SIDE - high * scale) / 2, wide * scale, high * scale);
  const dots = context.getImageData(0, 0, SIDE, SIDE).data;
  const shares = new Float32Array(CELLS * CELLS);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      if (dots[4 * (y * SIDE + x) + 3] > 127) shares[CELLS * (y >> 2) + (x >> 2)] += 1 / 16;
    }
  }
  return shares;
}

/** Paint 8 x 8 shares of ink as the program paints its digits: smoothly enlarged, one color upon another. */
export function paint(shares, paper, ink) {
  const pixels = new Uint8Array(SIDE * SIDE * 3);
  const near = (place) => {
    const from = Math.min(CELLS - 1, Math.max(0, (place + 0.5) / 4 - 0.5));
    const first = Math.floor(from);
    return [first, Math.min(first + 1, CELLS - 1), from - first];
  };
  for (let y = 0; y < SIDE; y++) {
    const [top, bottom, down] = near(y);
    for (let x = 0; x < SIDE; x++) {
      const [left, right, along] = near(x);
      const row = (line) => shares[CELLS * line + left] * (1 - along) + shares[CELLS * line + right] * along;
      const share = row(top) * (1 - down) + row(bottom) * down;
      for (let color = 0; color < 3; color++) {
        pixels[3 * (y * SIDE + x) + color] = paper[color] + (ink[color] - paper[color]) * share;
      }
    }
  }
  return pixels;
}

/** Draw two colors that can be told apart, by the program's rule. */
function draw() {
  const color = () => Array.from({ length: 3 }, () => 255 * Math.random());
  const bright = ([red, green, blue]) => (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
  const paper = color();
  let ink = color();
  while (Math.abs(bright(ink) - bright(paper)) < 0.3) ink = color();
  return { paper, ink };
}

/** Find the ink of a photograph: what differs from the color of its border. Return {canvas, paper, ink} or null. */
export async function readPhoto(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, PAD / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const { canvas, context } = blank(width, height);
  context.fillStyle = "white"; // below transparent parts
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const image = context.getImageData(0, 0, width, height);
  const pixel = (x, y) => [...image.data.slice(4 * (y * width + x), 4 * (y * width + x) + 3)];
  const border = [];
  for (let x = 0; x < width; x++) border.push(pixel(x, 0), pixel(x, height - 1));
  for (let y = 0; y < height; y++) border.push(pixel(0, y), pixel(width - 1, y));
  const median = (numbers) => numbers.sort((one, other) => one - other)[Math.floor(numbers.length / 2)];
  const paper = [0, 1, 2].map((color) => median(border.map((found) => found[color])));
  const distance = new Float32Array(width * height);
  for (let place = 0; place < distance.length; place++) {
    distance[place] = Math.hypot(...paper.map((value, color) => image.data[4 * place + color] - value));
  }
  const strong = distance.slice().sort()[Math.floor(0.98 * distance.length)];
  if (strong < 40) return null; // nothing stands out
  const sum = [0, 0, 0];
  let count = 0;
  distance.forEach((far, place) => {
    const isInk = far > strong / 2;
    for (let color = 0; color < 3; color++) sum[color] += isInk ? image.data[4 * place + color] : 0;
    count += isInk;
    image.data[4 * place + 3] = isInk ? 255 : 0;
  });
  if (count > 0.6 * distance.length) return null; // a picture, not a digit on paper
  context.putImageData(image, 0, 0);
  return { canvas, paper, ink: sum.map((total) => total / count) };
}

async function build(panel, model, say) {
  const pictures = await samples(model.data.samples.labels.length);
  const pad = blank(PAD);
  const seen = element("canvas", { class: "live-seen", role: "img", "aria-label": WORDS.sees });
  const maps = [1, 2].map((layer) => element("canvas", { class: "live-maps", role: "img", "aria-label": WORDS.maps.replace("{}", layer) }));
  const chart = bars(model.data.classes);
  let colors = draw();
  let shown = null; // pixels, or null for an empty canvas

  const update = latest(async () => {
    if (shown === null) {
      chart.update(model.data.classes.map(() => 0));
      for (const canvas of [seen, ...maps]) heat(canvas, 1, 1, () => 0);
      say(WORDS.empty);
      return;
    }
    const { probabilities, maps1, maps2 } = await ask(model, shown);
    picture(seen, shown);
    chart.update(probabilities.data);
    [maps1, maps2].forEach((layer, index) => mosaic(maps[index], layer));
    const best = highest(probabilities.data);
    say(WORDS.answer(model.data.classes[best], percent(probabilities.data[best])));
  });

  function show(pixels) {
    shown = pixels;
    return update();
  }

  /** Show the ink of a canvas in the present colors. */
  function showInk() {
    const shares = fit(pad.canvas);
    return show(shares && paint(shares, colors.paper, colors.ink));
  }

  function color() {
    const css = (one) => `rgb(${one.map(Math.round)})`;
    pad.canvas.style.background = css(colors.paper);
    pad.context.globalCompositeOperation = "source-atop"; // repaint the ink that is there
    pad.context.fillStyle = css(colors.ink);
    pad.context.fillRect(0, 0, PAD, PAD);
    pad.context.globalCompositeOperation = "source-over";
    Object.assign(pad.context, { strokeStyle: css(colors.ink), lineWidth: PAD / 10, lineCap: "round", lineJoin: "round" });
  }

  function clear() {
    pad.context.clearRect(0, 0, PAD, PAD);
    return showInk();
  }

  pad.canvas.setAttribute("role", "img");
  pad.canvas.setAttribute("aria-label", WORDS.draw);
  pad.canvas.className = "live-pad";
  let last = null; // where the pen is, while it is down
  function move(event) {
    if (last === null) return;
    for (const point of [...(event.getCoalescedEvents?.() ?? []), event]) {
      const box = pad.canvas.getBoundingClientRect();
      const next = [((point.clientX - box.left) * PAD) / box.width, ((point.clientY - box.top) * PAD) / box.height];
      pad.context.beginPath();
      pad.context.moveTo(...last);
      pad.context.lineTo(...next);
      pad.context.stroke();
      last = next;
    }
    showInk();
  }
  pad.canvas.addEventListener("pointerdown", (event) => {
    pad.canvas.setPointerCapture(event.pointerId);
    const box = pad.canvas.getBoundingClientRect();
    last = [((event.clientX - box.left) * PAD) / box.width, ((event.clientY - box.top) * PAD) / box.height];
    move(event);
  });
  pad.canvas.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) pad.canvas.addEventListener(end, () => (last = null));

  async function photo({ target }) {
    const [file] = target.files;
    target.value = ""; // so that the same file can be chosen again
    if (!file) return;
    let found;
    try {
      found = await readPhoto(file);
    } catch {
      return say(WORDS.unreadable);
    }
    if (!found) return say(WORDS.blank);
    colors = { paper: found.paper, ink: found.ink };
    pad.context.clearRect(0, 0, PAD, PAD);
    pad.context.drawImage(found.canvas, (PAD - found.canvas.width) / 2, (PAD - found.canvas.height) / 2);
    color();
    await showInk();
  }

  const { labels, probabilities: known } = model.data.samples;
  const picks = pictures.slice(0, SHOWN).map((pixels, index) => {
    const name = WORDS.sample(model.data.classes[labels[index]], model.data.classes[highest(known[index])]);
    const { canvas } = blank(SIDE);
    picture(canvas, pixels);
    canvas.setAttribute("aria-hidden", true);
    return element("button", { type: "button", "aria-label": name, title: name, onclick: () => {
      pad.context.clearRect(0, 0, PAD, PAD);
      show(pixels);
    } }, canvas);
  });

  panel.append(
    element("div", { class: "live-columns" },
      element("div", {},
        pad.canvas,
        element("div", { class: "live-buttons" },
          element("button", { type: "button", onclick: clear }, WORDS.clear),
          element("button", { type: "button", onclick: () => { colors = draw(); color(); showInk(); } }, WORDS.colors),
          element("label", { class: "live-file" }, WORDS.photo, element("input", { type: "file", accept: "image/*", onchange: photo })))),
      element("div", {}, chart.list, element("p", {}, WORDS.sees), seen)),
    element("p", {}, WORDS.samples),
    element("div", { class: "live-picks" }, ...picks),
    ...maps.flatMap((canvas, index) => [element("p", {}, WORDS.maps.replace("{}", index + 1)), canvas]),
    element("p", { class: "live-hint" }, WORDS.hint),
  );
  color();
  await show(pictures[HARDEST]);
}

/** Show pixels on a canvas. */
function picture(canvas, pixels) {
  canvas.width = canvas.height = SIDE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const image = context.createImageData(SIDE, SIDE);
  for (let place = 0; place < SIDE * SIDE; place++) {
    image.data.set([pixels[3 * place], pixels[3 * place + 1], pixels[3 * place + 2], 255], 4 * place);
  }
  context.putImageData(image, 0, 0);
}

/** Show feature maps, (1, count, side, side), sixteen in a row, each as bright as it gets. */
function mosaic(canvas, { data, dims: [, count, side] }) {
  const highest = Array.from({ length: count }, (_, map) => Math.max(1e-6, ...data.subarray(map * side * side, (map + 1) * side * side)));
  const step = side + 1; // a line of gap
  heat(canvas, 16 * step, Math.ceil(count / 16) * step, (x, y) => {
    const map = 16 * Math.floor(y / step) + Math.floor(x / step);
    if (x % step === side || y % step === side || map >= count) return 0;
    return data[map * side * side + (y % step) * side + (x % step)] / highest[map];
  });
}
