// Layers: their quality along depth, one layer with its kernels, and the planes of phenotypes.
const layers = page.layers.columns;
const layerCount = layers.layer.length;
const MEASURES = {
  "H/T": ["variance_entropy_ratio", "H/T (1 looks random)"],
  S: ["sparsity", "S (share of sparse kernels)"],
  O: ["orthogonality", "O (1 is orthogonal)"],
};

function drawDepth() {
  const chosen = byId("depth-model").value, rows = [];
  const places = [...Array(layerCount).keys()].filter((i) => chosen === "" || layers.model[i] === Number(chosen));
  for (const [measure, [name]] of Object.entries(MEASURES)) {
    for (const i of places) {
      if (layers[name][i] === null) continue;
      rows.push({ measure, place: i, relative_depth: layers.relative_depth[i], value: layers[name][i],
        shown: number(layers[name][i]), verdict: layers.verdict[i], layer: layers.layer[i],
        model: page.layers.models[layers.model[i]], limit: measure === "S" ? 0 : 1 });
    }
  }
  const titles = Object.fromEntries(Object.entries(MEASURES).map(([measure, [, title]]) => [measure, title]));
  const verdicts = new Set(rows.map((row) => row.verdict));
  draw(byId("depth"), "depth", {
    rows, params: { titles }, renderer: rows.length > 3000 ? "canvas" : "svg",
    label: `Quality of ${places.length} layers by depth; the layer view has the numbers.`,
    fit: (spec, width) => {
      fitPanels(spec, width, { most: 3, least: 220, height: 220 });
      const { color } = spec.spec.layer[1].encoding;
      color.legend.columns = Math.max(2, Math.min(8, Math.floor(width / 140)));
      color.legend.values = page.quality.order.filter((word) => verdicts.has(word));
    },
    after: (view) => view.addEventListener("click", (_, item) => {
      if (item?.datum?.place !== undefined) showLayerAt(item.datum.place);
    }),
  });
}

function startDepth() {
  const isPart = page.layers.total_models > page.layers.models.length;
  const all = isPart ? `the ${page.layers.models.length} with the most kernels` : "all";
  fillSelect(byId("depth-model"), [["", all], ...page.layers.models.map((name, i) => [i, name])]);
  byId("depth-model").addEventListener("change", drawDepth);
  byId("depth-shares").replaceChildren(makeTable({
    caption: "Degenerate layers by depth decile",
    columns: [{ label: "depth", kind: "text", head: true }, { label: "layers", kind: "number" },
      { label: "degenerate", kind: "number" }, { label: "share", kind: "number", show: (share) => percent(share) }],
    rows: page.quality.shares.map(([label, n, bad]) => [label, n, bad, bad / n]),
  }).box);
  if (page.quality.strip) byId("strip").replaceChildren(stripTable());
  drawDepth();
}

function stripTable() {
  const words = page.quality.order.filter((word) => page.quality.strip.some(([, counts]) => counts[word]));
  return makeTable({
    caption: "Layers of each verdict, for each limit below which a kernel is sparse",
    columns: [{ label: "limit", kind: "number", head: true, show: (eps) => percent(eps) },
      ...words.map((label) => ({ label, kind: "number" }))],
    rows: page.quality.strip.map(([eps, counts]) => [eps, ...words.map((word) => counts[word] ?? 0)]),
  }).box;
}

// Colors of a diverging scale: blue below 0, red above.
function tileColors(values) {
  const [zero, low, high] = ["--tile-zero", "--tile-low", "--tile-high"].map((name) => color(name).split(" ").map(Number));
  return values.map((value) => {
    const end = value < 0 ? low : high, part = Math.min(1, Math.abs(value));
    return zero.map((channel, i) => Math.round(channel + (end[i] - channel) * part));
  });
}

// A kernel as a picture; slices of a third axis lie side by side.
function tile(values, shape, size, label) {
  const [height, width] = shape.length > 1 ? shape.slice(-2) : [1, shape[0]];
  const slices = Math.max(1, values.length / (height * width));
  const across = slices * width + slices - 1, scale = size / Math.max(height, across / (slices > 1 ? 3 : 1));
  const canvas = element("canvas", { className: "tile", width: across, height, role: "img", ariaLabel: label });
  Object.assign(canvas.style, { width: `${across * scale}px`, height: `${height * scale}px` });
  const paint = () => {
    const context = canvas.getContext("2d"), colors = tileColors(values);
    colors.forEach((rgb, i) => {
      const slice = Math.floor(i / (height * width)), inside = i % (height * width);
      context.fillStyle = `rgb(${rgb.join(" ")})`;
      context.fillRect(slice * (width + 1) + (inside % width), Math.floor(inside / width), 1, 1);
    });
  };
  paint();
  dark.addEventListener("change", () => canvas.isConnected && paint());
  return canvas;
}

const optional = (name, text) => (text == null || text === "as stored" ? [] : [[name, text]]);

function layerFacts(i) {
  const random = (name, digits = 3) => (layers[name]?.[i] == null ? "" : ` (random: ${number(layers[name][i], digits)})`);
  const shape = `${whole(layers.out_channels[i])} × ${whole(layers.n_kernels[i] / layers.out_channels[i])} × ${page.basis.shape.join(" × ")}`;
  const rows = [["weight", shape], ["groups", layers.groups[i] == null ? "unknown" : whole(layers.groups[i])],
    ["stored as", layers.dtype[i]], ...optional("effective weight", layers.applied[i]),
    ...optional("network", layers.network[i]), ...optional("note", layers.note[i]),
    ["depth", `${whole(layers.depth[i])} (relative ${number(layers.relative_depth[i])}, from ${layers.depth_source[i]})`],
    ["kernels", whole(layers.n_kernels[i])], ["largest weight", number(layers.max_abs[i])]];
  if (!page.layers.has_quality) return rows;
  return [...rows, ["sparse kernels", `${whole(layers.n_sparse[i])} (S = ${number(layers.sparsity[i])})`],
    ["zero kernels", whole(layers.n_zero[i])],
    ["H, variance entropy", number(layers.variance_entropy[i]) + random("random_variance_entropy")],
    ["H/T", number(layers.variance_entropy_ratio[i])],
    ["O, orthogonality", number(layers.orthogonality[i]) + random("random_orthogonality")]];
}

// The rank of a layer among real ones, in the words of `jfilters nearest`.
function standingText(i) {
  const { standing } = page.layers, above = standing?.above[i] ?? null;
  if (above === null) return "";
  const among = `of ${whole(standing.layers)} real layers`;
  return above === 0 ? `No sparser than any ${among}.` : `Sparser than ${percent(above, 2)} ${among}.`;
}

// The most worrying layer of a model: the first of its kind.
function worstOf(model) {
  let worst = -1;
  for (let i = 0; i < layerCount; i++) {
    if (layers.model[i] === model && (worst < 0 || worry(i) < worry(worst))) worst = i;
  }
  return worst;
}

const worry = (i) => (layers.verdict ? CLASSES.indexOf(verdictOf.get(layers.verdict[i]).class) : 0);

function showLayer() {
  const i = Number(byId("layer-name").value);
  byId("layer-title").textContent = `${layers.layer[i]} of ${page.layers.models[layers.model[i]]}`;
  const verdict = byId("layer-verdict");
  if (page.layers.has_quality) verdict.replaceChildren(verdictMark(layers.verdict[i]), `: ${layers.reason[i]}`);
  else verdict.textContent = "The scan measured no quality: run it again with it for a verdict.";
  byId("layer-standing").textContent = standingText(i);
  facts(byId("layer-facts"), layerFacts(i));
  showTiles(i);
}

function showTiles(i) {
  const box = byId("tiles"), note = byId("tiles-note");
  box.replaceChildren();
  if (!page.tiles) {
    note.textContent = "The scan kept no sample of kernels (--sample 0): there is nothing to draw.";
    return;
  }
  const n = page.tiles.counts[i], d = page.basis.ratio.length, start = tileStarts[i];
  const own = byId("layer-scale").value === "own";
  if (n === 0) {
    note.textContent = `The sample holds no kernel of this layer: it has a part of each model's kernels, and this layer has ${whole(layers.n_kernels[i])}. A larger --sample reaches it.`;
    return;
  }
  const scale = own ? "each to its own largest weight" : "all to the largest weight of the layer";
  note.textContent = `${whole(n)} of ${quantity(page.tiles.sampled[i], "sampled kernel")}, of ${whole(layers.n_kernels[i])} in the layer; scaled ${scale}. Red is positive, blue negative.`;
  for (let k = start; k < start + n; k++) {
    const peak = (tilePeaks[k] / 255) ** 2;
    const taps = Array.from(tileTaps.subarray(k * d, (k + 1) * d), (tap) => ((tap - 128) / 127) * (own ? 1 : peak));
    box.append(tile(taps, page.tiles.shape, 42, `kernel ${k - start + 1}, largest weight ${percent(peak)} of the layer's`));
  }
}

function startsOf(counts) {
  let total = 0;
  return counts.map((count) => (total += count) - count);
}

const tileTaps = page.tiles && bytesOf(page.tiles.taps), tilePeaks = page.tiles && bytesOf(page.tiles.peaks);
const tileStarts = page.tiles && startsOf(page.tiles.counts);

function fillLayers(model) {
  const own = [...Array(layerCount).keys()].filter((i) => layers.model[i] === model);
  fillSelect(byId("layer-name"), own.map((i) => [i, cut(layers.layer[i], 60)]));
}

function showLayerAt(i, scroll = true) {
  byId("layer-model").value = layers.model[i];
  fillLayers(layers.model[i]);
  byId("layer-name").value = i;
  showLayer();
  if (scroll) byId("layers").scrollIntoView();
}

function startLayers() {
  fillSelect(byId("layer-model"), page.layers.models.map((name, i) => [i, cut(name, 60)]));
  byId("layer-model").addEventListener("change", () => { fillLayers(Number(byId("layer-model").value)); showLayer(); });
  byId("layer-name").addEventListener("change", showLayer);
  byId("layer-scale").addEventListener("change", showLayer);
  const { models, total_models: total, total_layers: all, worst } = page.layers;
  byId("layers-shown").textContent = layerCount < all
    ? `Here are ${whole(layerCount)} of ${whole(all)} layers, of ${whole(models.length)} of ${quantity(total, "model")}: those with the most kernels, and the worst one.` : "";
  showLayerAt(worst, false);
}

// Squares of the plane with how full they are, for every group of the chosen axis.
const SQUARE = 0.2;
function planeRows() {
  const points = signedWordsOf(page.points.points), { steps, counts } = page.points, squares = new Map();
  let place = 0;
  counts.forEach((count, layer) => {
    const group = axis.table.layers[layer];
    for (let end = place + count; place < end; place++) {
      if (group === 255) continue;
      const [x, y] = [0, 1].map((side) => Math.floor(points[2 * place + side] / steps / SQUARE));
      const key = `${group} ${x} ${y}`;
      squares.set(key, (squares.get(key) ?? 0) + 1);
    }
  });
  const fullest = new Map();
  for (const [key, count] of squares) {
    const group = key.split(" ", 1)[0];
    fullest.set(group, Math.max(fullest.get(group) ?? 0, count));
  }
  return [...squares].map(([key, count]) => {
    const [group, x, y] = key.split(" ").map(Number);
    return { group, x: x * SQUARE, x2: (x + 1) * SQUARE, y: y * SQUARE, y2: (y + 1) * SQUARE, share: count / fullest.get(String(group)) };
  });
}

function drawPlanes() {
  const { labels, phenotypes } = axis.table;
  const titles = labels.map((label, i) => [label, `${phenotypes[i][0] ?? "too few"} (n = ${whole(phenotypes[i][2])})`]);
  const rows = planeRows(), reach = Math.max(2, ...rows.map((row) => Math.max(Math.abs(row.x), Math.abs(row.x2), Math.abs(row.y), Math.abs(row.y2))));
  byId("plane-note").textContent = page.points.one_of > 1 ? `one of ${page.points.one_of} sampled kernels is drawn` : "";
  draw(byId("planes"), "planes", {
    rows, params: { titles }, renderer: "canvas",
    label: `Planes of ${labels.length} groups: ${titles.map((title) => title.join(", ")).join("; ")}.`,
    fit: (spec, width) => {
      const side = fitPanels(spec, width, { most: 5, least: 130, height: 0, axis: 34, everyAxis: false });
      spec.spec.height = side;
      spec.facet.header.labelLimit = side;
      for (const channel of ["x", "y"]) spec.spec.encoding[channel].scale = { domain: [-reach, reach], nice: false };
    },
  });
}
