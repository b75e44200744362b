// Drawing, loading an image, and showing live what the network makes of it.

const page = JSON.parse(document.getElementById("network").textContent);
const network = new Network(page);
const { size } = page.form;
const element = (name) => document.getElementById(`try-${name}`);

const canvas = element("canvas");
const pen = canvas.getContext("2d", { willReadFrequently: true });
const STROKE = canvas.width * 0.085; // about as thick, once it fits the box, as MNIST's
const SHOWN = page.bars; // neurons, the strongest where there are more
const PERCENT = "\u00a0%"; // on the line of its number
const COLOURS = [page.colours.blue, page.colours.orange];

let image = new Uint8Array(size * size);
let last = null; // where the pen is, while it is down
let waiting = false;

/** The image that the drawing is once it is in MNIST's form. */
function fromCanvas() {
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const inks = new Float64Array(data.length / 4);
  for (let i = 0; i < inks.length; i++) inks[i] = data[4 * i + 3] / 255; // how opaque it is
  return normalized(inks, canvas.width, page.form);
}

/** Grey values as ink of some opacity, enlarged without smoothing where the canvas is larger. */
function paint(target, colourOf) {
  const small = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) small.data.set(colourOf(i), 4 * i);
  const buffer = document.createElement("canvas");
  buffer.width = buffer.height = size;
  buffer.getContext("2d").putImageData(small, 0, 0);
  const context = target.getContext("2d");
  context.clearRect(0, 0, target.width, target.height);
  context.imageSmoothingEnabled = false;
  context.drawImage(buffer, 0, 0, target.width, target.height);
}

const inkOf = (pixels) => (i) => [0, 0, 0, pixels[i]];

/** Bring the page up to what `image` is now. `settled`: not in the middle of a stroke, so that it is to be read out. */
function show(settled) {
  paint(element("image"), inkOf(image));
  const empty = image.every((grey) => grey === 0);
  element("result").hidden = element("verdict").hidden = empty;
  element("hint").hidden = !empty;
  if (empty) {
    paint(element("pixels"), () => [0, 0, 0, 0]);
    element("spoken").textContent = "";
    return;
  }
  const said = network.explain(image);
  showVerdict(said, settled);
  showPixels(said.pixels);
  showNeurons(said);
}

function showVerdict({ logit, probability }, settled) {
  const digit = network.digits[logit > 0 ? 1 : 0];
  const sure = sureness(logit);
  element("digit").textContent = digit;
  element("sure").textContent = sure;
  element("logit").textContent = signed(logit);
  element("share").style.width = `${100 * probability}%`;
  const novelty_score = network.novelty_score(image);
  const farther = `${novelty_score.toFixed(1)} times the distance within which 99${PERCENT} of the training images lie`;
  const stranger = novelty_score > 1 ? `It is unlike what the network was trained on: ${farther}.` : "";
  element("stranger").textContent = stranger;
  if (!settled) return;
  const verdict = `The network takes it for ${digit}, with ${sure}, logit ${signed(logit)}.`;
  element("spoken").textContent = `${verdict} ${stranger}`;
}

function showPixels(pixels) {
  const sizes = pixels.map(Math.abs).sort();
  const scale = sizes[Math.floor(page.full * (sizes.length - 1))] || 1;
  const opacity = (value) => Math.round(255 * Math.min(1, Math.abs(value) / scale));
  paint(element("pixels"), (i) => [...COLOURS[pixels[i] > 0 ? 1 : 0], opacity(pixels[i])]);
  element("low").textContent = `≤ ${signed(-scale)}`;
  element("high").textContent = `≥ ${signed(scale)}`;
  const edges = [];
  const bright = (x, y) => x >= 0 && y >= 0 && x < size && y < size && image[y * size + x] > page.outlined;
  for (let y = 0; y <= size; y++) {
    for (let x = 0; x <= size; x++) {
      if (bright(x, y) !== bright(x, y - 1)) edges.push(`M${x} ${y}h1`);
      if (bright(x, y) !== bright(x - 1, y)) edges.push(`M${x} ${y}v1`);
    }
  }
  element("outline").setAttribute("d", edges.join(""));
}

function showNeurons({ pixels, biases, logit, neurons, on, outputBias }) {
  const fromPixels = pixels.reduce((a, b) => a + b);
  const parts = `${signed(fromPixels)} from the pixels, ${signed(biases)} from the biases`;
  element("split").textContent = `${parts}: ${signed(logit)}`;
  const layers = on.map((lit, k) => {
    const count = `${lit.filter(Boolean).length} of ${lit.length}`;
    return on.length > 1 ? `${count} in hidden layer ${k + 1}` : count;
  });
  element("on").textContent = layers.length
    ? `Neurons on: ${layers.join(", ")}.`
    : "There is no hidden layer: the pixels and one bias are all.";
  const byStrength = [...neurons.keys()].sort((a, b) => Math.abs(neurons[b]) - Math.abs(neurons[a]));
  const shown = byStrength.slice(0, SHOWN);
  if (neurons.length <= SHOWN) shown.sort((a, b) => a - b);
  const rows = shown.map((j) => [`neuron ${j}`, on.at(-1)[j], neurons[j]]);
  if (neurons.length > SHOWN) {
    const rest = byStrength.slice(SHOWN).reduce((sum, j) => sum + neurons[j], 0);
    rows.push([`${neurons.length - SHOWN} others`, rest !== 0, rest]);
  }
  rows.push(["output bias", true, outputBias]);
  const largest = Math.max(...rows.map(([, , value]) => Math.abs(value))) || 1;
  element("neurons").replaceChildren(...rows.map(([name, lit, value]) => neuronRow(name, lit, value / largest, value)));
}

/** A row of the table of neurons, as the report's own are. */
function neuronRow(name, lit, length, value) {
  const row = element("row").content.firstElementChild.cloneNode(true);
  const [head, , number] = row.children;
  const bar = row.querySelector("i");
  row.classList.toggle("off", !lit);
  head.textContent = name;
  number.textContent = lit ? signed(value) : "off";
  bar.className = value > 0 ? "up" : "down";
  bar.style.width = `${50 * Math.abs(length)}%`;
  return row;
}

function signed(value) {
  const digits = Math.abs(value) >= 1000 ? 0 : 2;
  const text = Math.abs(value).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return text === "0.00" ? text : (value < 0 ? "−" : "+") + text;
}

/** The probability of the digit that a logit stands for: never a certainty. */
function sureness(logit) {
  const other = 1 / (1 + Math.exp(Math.abs(logit)));
  if (other < 1e-6) return `more than 99.9999${PERCENT}`;
  return `${(100 * (1 - other)).toFixed(Math.max(1, Math.ceil(-Math.log10(other)) - 2))}${PERCENT}`;
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  const scale = canvas.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

function draw(event) {
  // A browser hands over several places of a fast pen at once.
  const places = event.getCoalescedEvents?.() ?? [];
  for (const at of places.length ? places : [event]) {
    const to = place(at);
    pen.beginPath();
    pen.moveTo(...last);
    pen.lineTo(...to);
    pen.stroke();
    last = to;
  }
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    image = fromCanvas();
    show(false);
  });
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  Object.assign(pen, { lineWidth: STROKE, lineCap: "round", lineJoin: "round" });
  element("choice").value = "";
  last = place(event);
  draw(event);
});
canvas.addEventListener("pointermove", (event) => last && draw(event));
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, () => {
    if (!last) return;
    last = null;
    image = fromCanvas();
    show(true);
  });
}

function clear() {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  element("choice").value = "";
  image = new Uint8Array(size * size);
  show(true);
}

element("clear").addEventListener("click", clear);

element("choice").addEventListener("change", ({ target }) => {
  if (target.value === "") return clear();
  // It has MNIST's form already, and goes in as it is.
  image = Uint8Array.from(atob(target.value), (character) => character.charCodeAt(0));
  paint(canvas, inkOf(image));
  show(true);
});

element("area").hidden = false;
show(false);
window.ssnn = { network, image: () => image }; // for the console, and for tests
