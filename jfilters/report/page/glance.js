// The first screen: four counts, one row a model, the forest, and the matrix of drift in small.
const glance = page.glance, ROW = 46, FEWEST_MODELS_TO_GROUP = 60;
const [nameAt, verdictsAt] = ["model", "verdicts"].map((label) => page.models.columns.findIndex((column) => column.label === label));
const kernelsAt = page.models.columns.findIndex((column) => column.label === "kernels");
const thumbTaps = glance.thumbnails && bytesOf(glance.thumbnails.taps);
const thumbStarts = glance.thumbnails && startsOf(glance.thumbnails.counts);

const modelRows = page.models.rows.map((row, place) => ({
  place, name: row[nameAt], kernels: row[kernelsAt], family: glance.family[place], verdicts: glance.verdicts[place],
}));

function classCounts(verdicts) {
  const counts = { bad: 0, look: 0, good: 0, none: 0 };
  for (const [word, count] of Object.entries(verdicts)) counts[verdictOf.get(word).class] += count;
  return counts;
}

function showTiles4() {
  const { models, families, layers, kernels } = glance;
  const cards = [
    [whole(models), models === 1 ? "model" : "models", page.refused.length ? `${whole(page.refused.length)} left out or read in part` : "all were read", "#models"],
    [families === null ? "?" : whole(families), families === 1 ? "family" : "families", familiesNote(), "#lineage"],
    [verdictsAt < 0 ? "?" : whole(layers.bad + layers.look), layers.bad + layers.look === 1 ? "layer needs a look" : "layers need a look",
      verdictsAt < 0 ? "quality was not measured" : `${signOf.bad} ${whole(layers.bad)} bad, ${signOf.look} ${whole(layers.look)} to look at, of ${whole(layers.all)}`, "#layers"],
    [short(kernels), `kernels ${page.basis.shape.join("×")}`, `${whole(kernels)} in all`, "#basis"],
  ];
  byId("glance-tiles").replaceChildren(...cards.map(([value, noun, note, to]) => element("li", {},
    element(byId(to.slice(1)) ? "a" : "div", { className: "tile4", ...(byId(to.slice(1)) ? { href: to } : {}) },
      element("b", {}, value), " ", element("span", {}, noun), " ", element("small", {}, note)))));
}

function familiesNote() {
  if (glance.families === null) return "kin are not known";
  const kin = glance.family.filter((family) => family !== null).length;
  return kin === 0 ? "no model has kin here" : `${quantity(kin, "model")} with kin`;
}

const short = (value) => (value < 100_000 ? whole(value)
  : new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(value));

const familyColor = (family) => page.family_colors[(family - 1) % page.family_colors.length];

function familyMark(family) {
  if (family === null) return element("i", { className: "family none", ariaHidden: "true" });
  const mark = element("i", { className: "family", title: `family ${family}`, role: "img", ariaLabel: `family ${family}` });
  mark.style.background = familyColor(family);
  return mark;
}

// Bars in the order of depth: the higher, the more worrying, so that color is not all that tells.
const HEIGHTS = { good: 0.34, look: 0.67, bad: 1, none: 0.14 };

function strip(place) {
  const words = [...(glance.strips?.[place] ?? "")].map((digit) => page.verdicts[digit]);
  const counts = classCounts(modelRows[place].verdicts);
  const canvas = element("canvas", { className: "strip", height: 26, role: "img",
    ariaLabel: `layers in order of depth: ${counts.bad} bad, ${counts.look} to look at, ${counts.good} good` });
  const width = Math.max(4, Math.min(10, Math.floor(240 / Math.max(words.length, 1)))), gap = width > 4 ? 2 : 1;
  canvas.width = Math.max(words.length, 1) * width;
  canvas.style.width = `${Math.min(canvas.width, 240)}px`;
  const context = canvas.getContext("2d");
  words.forEach((word, i) => {
    const height = Math.max(3, Math.round(26 * HEIGHTS[word.class]));
    context.fillStyle = color(`--${word.class}`);
    context.fillRect(i * width, 26 - height, width - gap, height);
  });
  return canvas;
}

function thumbnails(place) {
  const box = element("span", { className: "thumbs" });
  if (!glance.thumbnails) return box;
  const d = page.basis.ratio.length, start = thumbStarts[place];
  for (let k = start; k < start + glance.thumbnails.counts[place]; k++) {
    const taps = Array.from(thumbTaps.subarray(k * d, (k + 1) * d), (tap) => (tap - 128) / 127);
    const picture = tile(taps, glance.thumbnails.shape, 26, "");
    picture.removeAttribute("role");
    picture.setAttribute("aria-hidden", "true");
    box.append(picture);
  }
  return box;
}

function countsCell(row) {
  if (verdictsAt < 0) return element("td", { className: "counts" }, "–");
  const counts = classCounts(row.verdicts);
  const words = page.verdicts.filter(({ verdict }) => row.verdicts[verdict]).map(({ verdict }) => `${whole(row.verdicts[verdict])} ${verdict}`);
  const chips = ["bad", "look", "good"].map((kind) => element("span", { className: `count ${kind}${counts[kind] ? "" : " zero"}` },
    element("i", { ariaHidden: "true" }, signOf[kind]), whole(counts[kind])));
  return element("td", { className: "counts" }, element("span", {
    tabIndex: 0, role: "note", ariaLabel: `${counts.bad} bad, ${counts.look} to look at, ${counts.good} good`,
    "data-tip": `${counts.bad} bad, ${counts.look} to look at, ${counts.good} good: ${words.join(", ")}.` }, ...chips));
}

// What all names end with says nothing where there is no room.
const ends = new Set(modelRows.map(({ name }) => /\.[A-Za-z]\w*$/.exec(name)?.[0] ?? ""));
const commonEnd = ends.size === 1 ? [...ends][0] : "";

const shownModel = new Map(page.layers.models.map((name, i) => [name, i]));

function modelRow(row) {
  const to = shownModel.get(row.name), isNarrow = innerWidth < 700;
  const name = nameOf(row.name, isNarrow ? 15 : 31, isNarrow ? commonEnd : "");
  const label = to === undefined ? name : linkButton(name, () => showLayerAt(worstOf(to)));
  return element("tr", {}, element("th", { scope: "row" }, element("span", { className: "labeled" }, familyMark(row.family), label)), countsCell(row),
    element("td", {}, strip(row.place)), ...(glance.thumbnails ? [element("td", {}, thumbnails(row.place))] : []));
}

const ORDERS = {
  "worst first": (a, b) => b.worry - a.worry || a.name.localeCompare(b.name, "en", { numeric: true }),
  family: (a, b) => (a.family ?? Infinity) - (b.family ?? Infinity) || a.place - b.place,
  name: (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }),
  "most kernels": (a, b) => b.kernels - a.kernels,
};

function startGlance() {
  showTiles4();
  for (const row of modelRows) {
    const counts = classCounts(row.verdicts), layers = counts.bad + counts.look + counts.good + counts.none || 1;
    row.worry = (1e6 * (counts.bad > 0) * counts.bad) / layers + counts.look / layers;
  }
  const box = byId("glance-models"), body = element("tbody");
  const heads = ["model", "verdicts", "layers by depth", ...(glance.thumbnails ? ["first kernels"] : [])];
  const table = element("table", { className: "rows" }, element("caption", { className: "unseen" }, "Models at a glance"),
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))), body);
  box.replaceChildren(table);
  const show = windowed(box, table, body, ROW, modelRow);
  fillSelect(byId("glance-order"), Object.keys(ORDERS).map((name) => [name, name]));
  const update = () => {
    const text = byId("glance-search").value.trim().toLowerCase();
    const rows = modelRows.filter((row) => row.name.toLowerCase().includes(text)).sort(ORDERS[byId("glance-order").value]);
    show(rows);
    byId("glance-count").textContent = rows.length === modelRows.length ? quantity(rows.length, "model") : `${whole(rows.length)} of ${whole(modelRows.length)}`;
  };
  byId("glance-search").addEventListener("input", update);
  byId("glance-order").addEventListener("change", update);
  dark.addEventListener("change", update);
  if (!glance.thumbnails) byId("glance-note").textContent = "There are no pictures of kernels: this scan holds none.";
  update();
}
