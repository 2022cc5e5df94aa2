// The network of foundations/neuron, learning in the page: plain JavaScript, nothing is loaded for it.
import { choice, element, labeled, language, percent, start as begin } from "../runtime.js";

const WORDS = {
  zh: {
    title: "一个正在学习的小网络",
    plane: "平面上的点和网络的判断。方向键移动十字，回车放一个点，退格删掉最近的点",
    brushes: "点一下平面，放一个", orange: "橙色圆点", blue: "蓝色方点", erase: "橡皮",
    learn: "开始学习", pause: "暂停", one: "走一步", reset: "重新开始", clear: "清空",
    rate: (rate) => `学习率：${rate}`, units: "隐藏单元", set: "数据", curve: "损失随步数的变化",
    sets: { moons: "两个月牙", xor: "异或", circles: "圆环", clouds: "两团" },
    numbers: (step, loss, share, count) => `第 ${step} 步 · 损失 ${loss} · ${count} 个点里对了 ${share}`,
    told: (step, loss, share) => `走了 ${step} 步，损失 ${loss}，对了 ${share}。`,
    placed: (name, x, y, count) => `${name}：${x}，${y}。现在有 ${count} 个点。`,
    erased: (count) => `删掉了一个点，还剩 ${count} 个。`, nothing: "这附近没有点。",
    empty: "先放几个点，两种颜色都要有，或者挑一组数据。", one_color: "只有一种颜色：再放几个另一种颜色的点。",
    full: (count) => `最多 ${count} 个点：先擦掉几个，或者清空。`,
    wild: (loss) => `学习率太大，每一步都迈过了头，损失到过 ${loss}。调小它，再点“重新开始”。`,
    hint: "背景越深，网络越有把握。学习的时候，放点、改学习率都可以。",
  },
  en: {
    title: "A small network that learns",
    plane: "Points in the plane, and what the network says. Arrow keys move the cross, Enter places a point, Backspace deletes the nearest",
    brushes: "A click on the plane places", orange: "an orange dot", blue: "a blue square", erase: "or erases",
    learn: "Learn", pause: "Pause", one: "One step", reset: "Start over", clear: "Clear the points",
    rate: (rate) => `Learning rate: ${rate}`, units: "Hidden units", set: "Points", curve: "The loss by step",
    sets: { moons: "two moons", xor: "XOR", circles: "circles", clouds: "two clouds" },
    numbers: (step, loss, share, count) => `Step ${step} · loss ${loss} · ${share} of ${count} points right`,
    told: (step, loss, share) => `After ${step} steps the loss is ${loss}, and ${share} is right.`,
    placed: (name, x, y, count) => `Placed ${name} at ${x}, ${y}: ${count} points.`,
    erased: (count) => `One point less: ${count} are left.`, nothing: "No point is near.",
    empty: "Place some points of both colors, or choose a set of points.", one_color: "There is only one color: place points of the other, too.",
    full: (count) => `No more than ${count} points: erase some, or clear them.`,
    wild: (loss) => `The learning rate is too large: steps overshoot, and the loss was as high as ${loss}. Lower it, then start over.`,
    hint: "The deeper the background, the surer the network. While it learns, you can place points and change the learning rate.",
  },
}[language];

export const lesson = "foundations/neuron";
const REACH = 2; // the plane shows both inputs from -REACH to REACH
const SIDE = 640; // pixels of the plane
const CELLS = 80; // the background is that fine
const PER_FRAME = 10; // steps
const MOST = 500; // points
const COLORS = ["224, 123, 57", "47, 143, 208"]; // of label 0 and of label 1

export function start(place) {
  return begin(place, lesson, WORDS.title, build, () => null);
}

/** Return a network of two inputs, hidden units with tanh, and one score, with random numbers as PyTorch draws them. */
export function fresh(units, random = Math.random) {
  const draw = (inputs) => (2 * random() - 1) / Math.sqrt(inputs);
  const w1 = Array.from({ length: units }, () => [draw(2), draw(2)]);
  const b1 = w1.map(() => draw(2));
  return { w1, b1, w2: w1.map(() => draw(units)), b2: draw(units) };
}

/** Return the hidden values and the score of a point, [x, y]; a positive score means label 1. */
export function forward({ w1, b1, w2, b2 }, [x, y]) {
  const hidden = w1.map(([u, v], unit) => Math.tanh(u * x + v * y + b1[unit]));
  return { hidden, score: hidden.reduce((sum, value, unit) => sum + w2[unit] * value, b2) };
}

export function probability(score) {
  return 1 / (1 + Math.exp(-score));
}

/** Return the mean cross entropy over points, {at: [x, y], label}, and its gradient, shaped like the network. */
export function backward(network, points) {
  const { w1, w2 } = network;
  const by = { w1: w1.map(() => [0, 0]), b1: w1.map(() => 0), w2: w2.map(() => 0), b2: 0 };
  let loss = 0;
  for (const { at, label } of points) {
    const { hidden, score } = forward(network, at);
    loss += (Math.max(score, 0) - score * label + Math.log1p(Math.exp(-Math.abs(score)))) / points.length;
    const byScore = (probability(score) - label) / points.length;
    by.b2 += byScore;
    hidden.forEach((value, unit) => {
      by.w2[unit] += byScore * value;
      const bySum = byScore * w2[unit] * (1 - value * value);
      by.b1[unit] += bySum;
      by.w1[unit][0] += bySum * at[0];
      by.w1[unit][1] += bySum * at[1];
    });
  }
  return { loss, by };
}

/** Move a network one step against the gradient; return the loss before it. */
export function descend(network, points, rate) {
  const { loss, by } = backward(network, points);
  network.w1.forEach((weights, unit) => {
    weights[0] -= rate * by.w1[unit][0];
    weights[1] -= rate * by.w1[unit][1];
    network.b1[unit] -= rate * by.b1[unit];
    network.w2[unit] -= rate * by.w2[unit];
  });
  network.b2 -= rate * by.b2;
  return loss;
}

/** Return 100 points of a set, every other one with label 1. */
export function sample(kind, random = Math.random) {
  const blur = (size) => size * (random() + random() + random() - 1.5);
  return Array.from({ length: 100 }, (_, index) => {
    const label = index % 2;
    const angle = random() * (kind === "moons" ? Math.PI : 2 * Math.PI);
    const [x, y, size] = {
      moons: () => (label ? [0.55 - Math.cos(angle), 0.3 - Math.sin(angle), 0.35] : [Math.cos(angle) - 0.55, Math.sin(angle) - 0.3, 0.35]),
      xor: () => [index % 4 < 2 ? 1 : -1, (index % 4 < 2) === Boolean(label) ? -1 : 1, 0.55],
      circles: () => [(label ? 0.5 : 1.4) * Math.cos(angle), (label ? 0.5 : 1.4) * Math.sin(angle), 0.3],
      clouds: () => [label ? 0.8 : -0.8, label ? 0.5 : -0.5, 0.75],
    }[kind]();
    return { at: [x + blur(size), y + blur(size)], label };
  });
}

function short(number) {
  return number < 1000 ? number.toFixed(3) : number.toExponential(1);
}

async function build(panel, _, say) {
  const plane = element("canvas", { class: "live-plane", role: "application", tabindex: 0, "aria-label": WORDS.plane, width: SIDE, height: SIDE });
  const curve = element("canvas", { class: "live-curve", role: "img", "aria-label": WORDS.curve, width: 640, height: 240 });
  const surface = element("canvas", { width: CELLS, height: CELLS });
  const numbers = element("p", { class: "live-numbers" });
  let points = sample("moons");
  let network = fresh(8);
  let losses = [];
  let brush = 0; // the label of the next point, or null to erase
  let cross = [0, 0]; // where the keyboard is
  let frame = null; // while it learns
  let spoken = 0; // the step that was last told
  let wild = false; // told that the rate is too large

  const rateOf = () => 10 ** Number(slider.value);
  const right = () => points.filter(({ at, label }) => forward(network, at).score > 0 === Boolean(label)).length / points.length;
  const onPlane = (value) => ((value + REACH) / (2 * REACH)) * SIDE; // the second input points up: see `spot`
  const spot = ([x, y]) => [onPlane(x), SIDE - onPlane(y)];

  /** Show the network, the points, the numbers and the loss as they are. */
  function show() {
    const context = plane.getContext("2d", { willReadFrequently: true });
    const small = surface.getContext("2d");
    const image = small.createImageData(CELLS, CELLS);
    for (let row = 0, place = 0; row < CELLS; row++) {
      for (let column = 0; column < CELLS; column++, place += 4) {
        const at = [((2 * column + 1) / CELLS - 1) * REACH, (1 - (2 * row + 1) / CELLS) * REACH];
        const share = probability(forward(network, at).score);
        const color = COLORS[share > 0.5 ? 1 : 0].split(",").map(Number);
        image.data.set([...color, 25 + 180 * Math.abs(share - 0.5)], place);
      }
    }
    small.putImageData(image, 0, 0);
    context.clearRect(0, 0, SIDE, SIDE);
    context.drawImage(surface, 0, 0, SIDE, SIDE);
    context.lineWidth = 2;
    context.strokeStyle = "white";
    for (const { at, label } of points) {
      const [x, y] = spot(at);
      context.fillStyle = `rgb(${COLORS[label]})`;
      context.beginPath();
      label ? context.rect(x - 8, y - 8, 16, 16) : context.arc(x, y, 9, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    }
    if (document.activeElement === plane) {
      const [x, y] = spot(cross);
      context.strokeStyle = getComputedStyle(plane).color;
      context.lineWidth = 3;
      context.beginPath();
      context.moveTo(x - 18, y), context.lineTo(x + 18, y), context.moveTo(x, y - 18), context.lineTo(x, y + 18);
      context.stroke();
    }
    showCurve();
    numbers.textContent = points.length ? WORDS.numbers(losses.length, short(backward(network, points).loss), percent(right()), points.length) : WORDS.empty;
  }

  function showCurve() {
    const context = curve.getContext("2d");
    const { width, height } = curve;
    const top = losses.reduce((most, loss) => Math.max(most, loss), 0.7);
    context.clearRect(0, 0, width, height);
    context.strokeStyle = `rgb(${COLORS[1]})`;
    context.lineWidth = 4;
    context.beginPath();
    const every = Math.max(1, Math.floor(losses.length / width)); // a line has no more corners than pixels
    for (let step = 0; step < losses.length; step += every) context.lineTo((step / Math.max(1, losses.length - 1)) * width, height - 4 - (losses[step] / top) * (height - 8));
    context.stroke();
  }

  function tell() {
    spoken = losses.length;
    const loss = points.length && backward(network, points).loss;
    if (!points.length) say(WORDS.empty);
    else if (wild) say(WORDS.wild(short(Math.max(...losses.slice(-PER_FRAME)))));
    else if (points.every(({ label }) => label === points[0].label)) say(WORDS.one_color);
    else say(WORDS.told(losses.length, short(loss), percent(right())));
  }

  function learn(steps) {
    for (let step = 0; step < steps && points.length; step++) losses.push(descend(network, points, rateOf()));
    const before = wild;
    wild = losses.slice(-PER_FRAME).some((loss) => !(loss < 1)); // an untrained network has about ln 2
    show();
    if (wild !== before || losses.length >= spoken + 1000) tell();
  }

  function run() {
    learn(PER_FRAME);
    frame = points.length && panel.isConnected ? requestAnimationFrame(run) : null;
    if (frame === null) pause();
  }

  function pause() {
    if (frame !== null) cancelAnimationFrame(frame);
    frame = null;
    toggle.textContent = WORDS.learn;
    tell();
  }

  function go() {
    if (!points.length) return tell();
    toggle.textContent = WORDS.pause;
    frame = requestAnimationFrame(run);
  }

  function reset() {
    network = fresh(Number(units.value));
    losses = [];
    spoken = 0;
    wild = false;
    show();
    tell();
  }

  /** Place a point, or erase the nearest within a fifth of the unit. */
  function put(at, label) {
    const [x, y] = at.map((value) => value.toFixed(1));
    if (label === null) {
      const near = points.map((point) => Math.hypot(point.at[0] - at[0], point.at[1] - at[1]));
      const nearest = near.indexOf(Math.min(...near));
      const found = near[nearest] < 0.2;
      if (found) points.splice(nearest, 1);
      say(found ? WORDS.erased(points.length) : WORDS.nothing);
    } else if (points.length >= MOST) {
      say(WORDS.full(MOST));
    } else {
      points.push({ at, label });
      say(WORDS.placed(label ? WORDS.blue : WORDS.orange, x, y, points.length));
    }
    show();
  }

  plane.addEventListener("click", (event) => {
    const box = plane.getBoundingClientRect();
    cross = [((event.clientX - box.left) / box.width) * 2 - 1, 1 - ((event.clientY - box.top) / box.height) * 2].map((value) => REACH * value);
    put([...cross], brush);
  });
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  plane.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (move) cross = cross.map((value, axis) => Math.min(REACH, Math.max(-REACH, Math.round(10 * value + move[axis]) / 10)));
    else if (event.key === "Enter" || event.key === " ") put([...cross], brush);
    else if (event.key === "Backspace" || event.key === "Delete") put([...cross], null);
    else return;
    event.preventDefault();
    show();
  });
  for (const kind of ["focus", "blur"]) plane.addEventListener(kind, show);

  const brushes = [[0, WORDS.orange], [1, WORDS.blue], [null, WORDS.erase]].map(([label, name]) =>
    element("button", { type: "button", "aria-pressed": String(label === brush), onclick: ({ target }) => {
      brush = label;
      for (const button of brushes) button.setAttribute("aria-pressed", String(button === target));
    } }, name));
  const button = (name, onclick) => element("button", { type: "button", onclick }, name);
  const toggle = button(WORDS.learn, () => (frame === null ? go() : pause()));
  const slider = element("input", { type: "range", min: -2, max: 2, step: 0.1, value: 0, oninput: () => rateChanged() });
  const rate = labeled("", slider);
  function rateChanged() {
    const told = rateOf() < 1 ? rateOf().toPrecision(2) : rateOf().toPrecision(2).replace(/e\+(\d)/, (_, power) => `e${power}`);
    rate.firstChild.textContent = WORDS.rate(Number(told));
    slider.setAttribute("aria-valuetext", Number(told));
  }
  const counts = Object.fromEntries([1, 2, 3, 4, 8, 16].map((count) => [count, String(count)]));
  const units = choice(counts, reset);
  units.value = "8";
  const sets = choice(WORDS.sets, () => {
    points = sample(sets.value);
    reset();
    if (frame === null) go();
  });

  panel.append(
    element("div", { class: "live-columns" },
      element("div", {},
        plane,
        element("p", {}, WORDS.brushes),
        element("div", { class: "live-buttons" }, ...brushes)),
      element("div", {},
        element("div", { class: "live-buttons" },
          toggle,
          button(WORDS.one, () => (frame === null ? (learn(1), tell()) : pause())),
          button(WORDS.reset, reset),
          button(WORDS.clear, () => { points = []; reset(); })),
        element("div", { class: "live-buttons" }, labeled(WORDS.set, sets), labeled(WORDS.units, units), rate),
        numbers,
        element("p", {}, WORDS.curve),
        curve)),
    element("p", { class: "live-hint" }, WORDS.hint),
  );
  rateChanged();
  reset();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) go();
}
