// Charts: Vega-Lite with the colors of the page, drawn again when the theme or the width changes.
const drawings = new Map();
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function theme() {
  const [text, quiet, line] = [color("--text"), color("--quiet"), color("--line")];
  const words = { labelColor: text, titleColor: quiet, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400 };
  return {
    font: getComputedStyle(document.body).fontFamily,
    background: "transparent",
    axis: { ...words, gridColor: line, domainColor: line, tickColor: line },
    header: { ...words, labelFontSize: 12, labelFontWeight: 600, labelPadding: 6 },
    legend: { ...words, labelLimit: 320 },
    view: { stroke: null },
    area: { color: color("--accent") },
    line: { color: color("--accent") },
    point: { color: color("--accent") }, circle: { color: color("--accent") },
    rule: { color: quiet },
    rect: { stroke: null },
  };
}

// Draw a chart of the page into a box. `options`: rows; params by name; fit(spec, width), which sets sizes;
// label, which describes it; renderer; after(view, box), once it is drawn.
function draw(box, name, options) {
  const drawing = { name, options, width: box.clientWidth };
  drawings.set(box, drawing);
  return render(box, drawing);
}

async function render(box, drawing) {
  const { name, options } = drawing;
  const spec = structuredClone(page.charts[name]);
  spec.datasets = { rows: options.rows };
  for (const param of spec.params ?? []) {
    if (param.name in (options.params ?? {})) param.value = options.params[param.name];
  }
  drawing.width = box.clientWidth;
  options.fit?.(spec, drawing.width);
  spec.description = options.label;
  const host = element("div");
  const embedding = await vegaEmbed(host, spec, {
    mode: "vega-lite", actions: false, ast: true, defaultStyle: false, config: theme(),
    renderer: options.renderer ?? "svg", tooltip: { theme: dark.matches ? "dark" : "light" },
  });
  if (drawings.get(box) !== drawing) return embedding.finalize();
  drawing.embedding?.finalize();
  drawing.embedding = embedding;
  box.replaceChildren(host);
  reachIfWide(box, options.label);
  options.after?.(embedding.view, box);
}

// What scrolls can be scrolled by keys.
function reachIfWide(box, label) {
  const wide = box.scrollWidth > box.clientWidth;
  for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", label]]) {
    if (wide) box.setAttribute(name, value);
    else box.removeAttribute(name);
  }
}

function redrawAll() {
  for (const [box, drawing] of drawings) render(box, drawing);
}

let waiting = 0;
function redrawResized() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    for (const [box, drawing] of drawings) {
      if (Math.abs(box.clientWidth - drawing.width) > 8) render(box, drawing);
    }
  }, 150);
}

const NOTHING = 1e-9; // nats: the end of a color scale where no pair is reliable

// Cells of a square matrix: as large as fits, never too small to hit.
function fitMatrix(spec, width, n, top) {
  const names = Math.max(70, Math.min(230, width * 0.3));
  const cell = Math.max(14, Math.min(44, (width - names - 30) / n));
  spec.width = spec.height = { step: cell };
  const { condition } = spec.layer[0].encoding.color;
  Object.assign(condition.scale, { domain: [0, top], clamp: true });
  if (top <= NOTHING) condition.legend = null;
  for (const [name, from] of [["muted", "--line"], ["ink", "--text"]]) {
    spec.params.find((param) => param.name === name).value = color(from);
  }
  for (const layer of spec.layer) layer.encoding.y.axis.labelLimit = names;
  for (const axis of ["x", "y"]) {
    const shown = spec.layer[0].encoding[axis].axis;
    shown.labelFontSize = Math.min(12, axis === "x" ? cell * 0.62 : cell - 2);
    shown.labelOverlap = axis === "x" ? "greedy" : false;
    for (const layer of spec.layer) {
      layer.encoding[axis].scale = { paddingInner: 0.06, paddingOuter: 0 };
    }
  }
}

// Panels side by side: at most `most`, none narrower than `least`; `axis` is the room for the numbers of an
// axis, which every panel has, or the first one alone.
function fitPanels(spec, width, { most, least, height, axis = 40, everyAxis = true }) {
  const gap = 18, room = width - 12 - (everyAxis ? 0 : axis), own = everyAxis ? axis : 0;
  const columns = Math.max(1, Math.min(most, Math.floor((room + gap) / (least + own + gap))));
  spec.columns = columns;
  spec.spec.width = Math.floor((room + gap) / columns - gap - own);
  spec.spec.height = height;
  spec.spacing = gap;
  return spec.spec.width;
}

// Cells of a drawn matrix can be reached: one by Tab, the others by the arrow keys, and Enter selects.
// Vega writes the key of a row, its places, into the label of its cell; here the words of `label` replace it.
function makeReachable(view, box, rows, { label, choose, chosen }) {
  const rowOf = new Map(rows.map((row) => [row.key, row]));
  const cells = new Map(), rowOfCell = new Map();
  for (const path of box.querySelectorAll("path[aria-label]")) {
    const row = rowOf.get(path.getAttribute("aria-label"));
    if (row === undefined) continue;
    cells.set(row.key, path);
    rowOfCell.set(path, row);
    path.setAttribute("role", "button");
    path.setAttribute("aria-label", label(row, path));
    path.removeAttribute("aria-roledescription");
    path.setAttribute("tabindex", "-1");
  }
  const mark = () => {
    for (const [key, path] of cells) path.setAttribute("aria-pressed", String(chosen().includes(key)));
  };
  cells.values().next().value?.setAttribute("tabindex", "0");
  view.addEventListener("click", (_, item) => {
    if (item?.datum?.first === undefined) return;
    choose(item.datum.first, item.datum.second);
    mark();
  });
  box.onkeydown = (event) => {
    const row = rowOfCell.get(event.target);
    if (!row) return;
    const move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (event.key === "Enter" || event.key === " ") {
      choose(row.first, row.second, true);
      mark();
    } else if (move) {
      const next = neighbor(cells, row, move);
      next?.setAttribute("tabindex", "0");
      if (next) event.target.setAttribute("tabindex", "-1");
      next?.focus();
    } else return;
    event.preventDefault();
  };
  mark();
  return mark;
}

// The next cell in that direction, over the empty diagonal.
function neighbor(cells, row, [down, right]) {
  for (const steps of [1, 2]) {
    const cell = cells.get(`${row.first + down * steps} ${row.second + right * steps}`);
    if (cell) return cell;
  }
  return undefined;
}

dark.addEventListener("change", redrawAll);
window.addEventListener("resize", redrawResized);
