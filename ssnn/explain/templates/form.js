// Normalize a drawing as MNIST's images are, like ssnn.data.pictures: crop, fit into the box, centre the mass.
// A drawing has no paper, so there is no background and no dirt to remove.

/** Round to the nearest integer, half to even, as Python does. */
function rounded(x) {
  const up = Math.round(x);
  return up - x === 0.5 && up % 2 !== 0 ? up - 1 : up;
}

/**
 * Grey values, size x size, of a square drawing of side x side opacities between 0 and 1; all 0 if it is blank.
 */
function normalized(drawing, side, { size, box, centre, edge }) {
  // Plain loops over the pixels of the drawing, because this runs while the pen moves.
  let top = side, bottom = -1, left = side, right = -1;
  for (let i = 0; i < drawing.length; i++) {
    if (drawing[i] <= edge) continue; // fainter pixels are blur around a stroke
    const y = Math.floor(i / side), x = i % side;
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    [left, right] = [Math.min(left, x), Math.max(right, x)];
  }
  const grey = new Uint8Array(size * size);
  if (bottom < 0) return grey;
  const height = bottom - top + 1, width = right - left + 1;
  const cropped = new Float64Array(height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const ink = drawing[(top + y) * side + left + x];
      if (ink > edge) cropped[y * width + x] = ink;
    }
  }
  const fitted = (length) => Math.max(1, rounded((box * length) / Math.max(height, width)));
  const h = fitted(height), w = fitted(width);
  // Resize along the rows, transpose, resize along the former columns, transpose back.
  const narrow = transposedImage(resized(cropped, height, width, w), height, w);
  const digit = transposedImage(resized(narrow, w, height, h), w, h);
  const perColumn = new Float64Array(w), perRow = new Float64Array(h);
  digit.forEach((value, i) => {
    perColumn[i % w] += value;
    perRow[Math.floor(i / w)] += value;
  });
  const y0 = start(perRow, size, centre), x0 = start(perColumn, size, centre);
  const brightest = digit.reduce((a, b) => Math.max(a, b));
  digit.forEach((value, i) => {
    grey[(y0 + Math.floor(i / w)) * size + x0 + (i % w)] = rounded((255 * value) / brightest);
  });
  return grey;
}

/** Resize every row of an image (height x width) to another width; Hamming's window has no negative lobes. */
function resized(image, height, width, target) {
  const scale = width / target, reach = Math.max(scale, 1);
  const result = new Float64Array(height * target);
  for (let x = 0; x < target; x++) {
    const middle = (x + 0.5) * scale;
    const first = Math.max(0, Math.trunc(middle - reach + 0.5));
    const last = Math.min(width, Math.trunc(middle + reach + 0.5));
    const weights = Array.from({ length: last - first }, (_, i) => hamming((first + i - middle + 0.5) / reach));
    const total = weights.reduce((a, b) => a + b);
    for (let y = 0; y < height; y++) {
      let sum = 0;
      for (let i = first; i < last; i++) sum += weights[i - first] * image[y * width + i];
      result[y * target + x] = sum / total;
    }
  }
  return result;
}

function hamming(x) {
  const angle = Math.PI * x;
  if (x === 0) return 1;
  return Math.abs(x) < 1 ? (Math.sin(angle) / angle) * (0.54 + 0.46 * Math.cos(angle)) : 0;
}

/** Transpose an image (height x width). */
function transposedImage(image, height, width) {
  return Float64Array.from({ length: height * width }, (_, i) => image[(i % height) * width + Math.floor(i / height)]);
}

/** Where a digit has to start along an axis for its mass to be centred, as far as the field allows. */
function start(profile, size, centre) {
  const mass = profile.reduce((a, b) => a + b);
  const middle = profile.reduce((sum, value, i) => sum + value * i, 0) / mass;
  return Math.min(Math.max(0, rounded(centre - middle)), size - profile.length);
}
