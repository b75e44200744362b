// The trained network, computed in double precision from the parameters in the page.

/** Decode an array of the page, float32 or float64, as doubles in C order. */
function numbers({ shape, bytes, base64 }) {
  const raw = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(raw.buffer);
  const length = shape.reduce((product, n) => product * n, 1);
  const read = bytes === 4 ? view.getFloat32 : view.getFloat64;
  const littleEndian = true; // whatever the machine is
  return Float64Array.from({ length }, (_, i) => read.call(view, bytes * i, littleEndian));
}

class Network {
  constructor({ digits, features, mean, std, layers, novelty }) {
    this.digits = digits;
    this.features = features;
    this.mean = numbers(mean);
    this.std = numbers(std);
    this.layers = layers.map(({ W, b }) => ({ W: numbers(W), b: numbers(b), inputs: W.shape[1], outputs: W.shape[0] }));
    this.novelty = {
      greyLevels: novelty.greyLevels,
      mean: numbers(novelty.mean),
      components: numbers(novelty.components),
      columns: novelty.components.shape[2],
      limit: numbers(novelty.limit),
    };
  }

  /**
   * The logit of an image (784 grey values), and its exact attribution: given which neurons are on, the network is
   * linear, and the logit is the sum of the contributions of the pixels and of the biases.
   */
  explain(image) {
    const { features, mean, std, layers } = this;
    const input = Float64Array.from(features, (pixel, i) => (image[pixel] - mean[i]) / std[i]);
    const activations = [input];
    for (const layer of layers) {
      const sums = affine(layer, activations.at(-1));
      activations.push(layer === layers.at(-1) ? sums : sums.map((z) => Math.max(z, 0)));
    }
    const logit = activations.at(-1)[0];
    let slope = Float64Array.of(1);
    let biases = 0;
    for (let k = layers.length - 1; k >= 0; k--) {
      biases += slope.reduce((sum, s, i) => sum + s * layers[k].b[i], 0);
      slope = transposed(layers[k], slope);
      if (k > 0) slope = slope.map((s, j) => (activations[k][j] > 0 ? s : 0));
    }
    const pixels = new Float64Array(image.length);
    features.forEach((pixel, i) => (pixels[pixel] = slope[i] * input[i]));
    const hidden = activations.slice(1, -1);
    return {
      logit,
      probability: logit >= 0 ? 1 / (1 + Math.exp(-logit)) : 1 - 1 / (1 + Math.exp(logit)),
      pixels,
      biases,
      on: hidden.map((A) => Array.from(A, (a) => a > 0)),
      neurons: hidden.length ? Array.from(hidden.at(-1), (a, j) => layers.at(-1).W[j] * a) : [],
      outputBias: layers.at(-1).b[0],
    };
  }

  /** How unlike the training images an image is: above 1 for one training image in a hundred. */
  noveltyScore(image) {
    const { greyLevels, mean, components, columns, limit } = this.novelty;
    const n = image.length;
    const distances = Array.from(limit, (within, c) => {
      const along = new Float64Array(columns);
      let square = 0;
      for (let i = 0; i < n; i++) {
        const difference = image[i] / greyLevels - mean[c * n + i];
        square += difference * difference;
        for (let j = 0; j < columns; j++) along[j] += difference * components[(c * n + i) * columns + j];
      }
      for (const a of along) square -= a * a;
      return Math.sqrt(Math.max(square, 0)) / within;
    });
    return Math.min(...distances);
  }
}

/** W a + b of one layer. */
function affine({ W, b, inputs }, a) {
  return b.map((bias, i) => {
    let sum = bias;
    for (let j = 0; j < inputs; j++) sum += W[i * inputs + j] * a[j];
    return sum;
  });
}

/** The transpose of W times s. */
function transposed({ W, inputs, outputs }, s) {
  const product = new Float64Array(inputs);
  for (let i = 0; i < outputs; i++) {
    if (s[i] === 0) continue;
    for (let j = 0; j < inputs; j++) product[j] += W[i * inputs + j] * s[i];
  }
  return product;
}
