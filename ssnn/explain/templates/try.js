// Draw or load an image, and show live what the network predicts and why.

const page = JSON.parse(document.getElementById("network").textContent);
const network = new Network(page);
const { size } = page.form;
const element = (name) => document.getElementById(`try-${name}`);

const canvas = element("canvas");
const pen = canvas.getContext("2d", { willReadFrequently: true });
const STROKE_WIDTH = canvas.width * 0.085; // about that of MNIST once the drawing fits the box
const { maxBars } = page; // neurons that are shown, the strongest where there are more
const PERCENT = "\u00a0%"; // never on a line of its own
const COLOURS = [page.colours.blue, page.colours.orange];

let image = new Uint8Array(size * size);
let last = null; // position of the pen while it is down
let isScheduled = false;

/** The drawing, normalized as MNIST's images are. */
function fromCanvas() {
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const inks = new Float64Array(data.length / 4);
  for (let i = 0; i < inks.length; i++) inks[i] = data[4 * i + 3] / 255; // opacity
  return normalized(inks, canvas.width, page.form);
}

/** Paint 28x28 pixels, enlarged without smoothing where the canvas is larger. */
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

/** Update the page to the current `image`. `settled`: no stroke is under way, so screen readers announce it. */
function show(settled) {
  paint(element("image"), inkOf(image));
  const empty = image.every((grey) => grey === 0);
  element("result").hidden = element("prediction").hidden = empty;
  element("hint").hidden = !empty;
  if (empty) {
    paint(element("pixels"), () => [0, 0, 0, 0]);
    element("announcement").textContent = "";
    return;
  }
  const explained = network.explain(image);
  showPrediction(explained, settled);
  showPixels(explained.pixels);
  showNeurons(explained);
}

function showPrediction({ logit, probability }, settled) {
  const digit = network.digits[logit > 0 ? 1 : 0];
  const percent = confidence(logit);
  element("digit").textContent = digit;
  element("confidence").textContent = percent;
  element("logit").textContent = signed(logit);
  element("share").style.width = `${100 * probability}%`;
  const score = network.noveltyScore(image);
  const farther = `${score.toFixed(1)} times the distance within which 99${PERCENT} of the training images lie`;
  const novelty = score > 1 ? `It is unlike what the network was trained on: ${farther}.` : "";
  element("novelty").textContent = novelty;
  if (!settled) return;
  const prediction = `The network takes it for ${digit}, with ${percent}, logit ${signed(logit)}.`;
  element("announcement").textContent = `${prediction} ${novelty}`;
}

function showPixels(pixels) {
  const sizes = pixels.map(Math.abs).sort();
  const scale = sizes[Math.floor(page.fullColourQuantile * (sizes.length - 1))] || 1;
  const opacity = (value) => Math.round(255 * Math.min(1, Math.abs(value) / scale));
  paint(element("pixels"), (i) => [...COLOURS[pixels[i] > 0 ? 1 : 0], opacity(pixels[i])]);
  element("low").textContent = `≤ −${magnitude(scale)}`;
  element("high").textContent = `≥ +${magnitude(scale)}`;
  const edges = [];
  const bright = (x, y) => x >= 0 && y >= 0 && x < size && y < size && image[y * size + x] > page.outlineThreshold;
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
  element("attribution").textContent = `${parts}: ${signed(logit)}`;
  const layers = on.map((lit, k) => {
    const count = `${lit.filter(Boolean).length} of ${lit.length}`;
    return on.length > 1 ? `${count} in hidden layer ${k + 1}` : count;
  });
  element("on").textContent = layers.length
    ? `Neurons on: ${layers.join(", ")}.`
    : "There is no hidden layer: the logit is the sum of the pixels and one bias.";
  const byStrength = [...neurons.keys()].sort((a, b) => Math.abs(neurons[b]) - Math.abs(neurons[a]));
  const shown = byStrength.slice(0, maxBars);
  if (neurons.length <= maxBars) shown.sort((a, b) => a - b);
  const rows = shown.map((j) => [`neuron ${j}`, on.at(-1)[j], neurons[j]]);
  if (neurons.length > maxBars) {
    const rest = byStrength.slice(maxBars).reduce((sum, j) => sum + neurons[j], 0);
    rows.push([`${neurons.length - maxBars} others`, rest !== 0, rest]);
  }
  rows.push(["output bias", true, outputBias]);
  const largest = Math.max(...rows.map(([, , value]) => Math.abs(value))) || 1;
  element("neurons").replaceChildren(...rows.map(([name, lit, value]) => neuronRow(name, lit, value / largest, value)));
}

/** A row of the table of neurons, like those of the report. */
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

/** A number that is not negative with two decimals, or two significant digits where that is more. */
function magnitude(value) {
  return 0 < value && value < 0.1 ? value.toPrecision(2) : signed(value).replace("+", "");
}

/** The probability of the predicted digit in percent, and never 100 %. */
function confidence(logit) {
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
  // A browser reports several positions of a fast pen in one event.
  const places = event.getCoalescedEvents?.() ?? [];
  for (const at of places.length ? places : [event]) {
    const to = place(at);
    pen.beginPath();
    pen.moveTo(...last);
    pen.lineTo(...to);
    pen.stroke();
    last = to;
  }
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    image = fromCanvas();
    show(false);
  });
}

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  Object.assign(pen, { lineWidth: STROKE_WIDTH, lineCap: "round", lineJoin: "round" });
  if (element("choice").value !== "") clear(); // a drawing does not begin on an image
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

/** Show the image that is chosen in the list. */
function choose(settled) {
  const { value } = element("choice");
  if (value === "") return clear();
  // It is normalized already.
  image = Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
  paint(canvas, inkOf(image));
  show(settled);
}

element("choice").addEventListener("change", () => choose(true));

element("area").hidden = false;
choose(false); // the page opens with an example
window.ssnn = { network, image: () => image }; // for the console and the tests
