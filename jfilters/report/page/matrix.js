// The matrix in small for the first screen, the legend of D with its ruler, and the hatching of what says nothing.
const FEW = "too few kernels";

// Colors of the scale "viridis", in tenths, as Vega draws them.
const VIRIDIS = ["#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151", "#bddf26", "#fde725"];

function scaleColor(part) {
  const place = 10 * Math.max(0, Math.min(1, part)), low = Math.min(9, Math.floor(place));
  const channels = [low, low + 1].map((i) => [1, 3, 5].map((at) => parseInt(VIRIDIS[i].slice(at, at + 2), 16)));
  return `rgb(${channels[0].map((from, i) => Math.round(from + (channels[1][i] - from) * (place - low))).join(" ")})`;
}

const gradient = () => `linear-gradient(to right, ${[...Array(11).keys()].map((i) => scaleColor(i / 10)).join(", ")})`;

// A scale from 0 to `top` by the root of D, its end, and the known kinds of pairs within it.
function legend(top) {
  const at = (value) => `${(100 * Math.sqrt(value / top)).toFixed(1)}%`;
  const marks = page.axes.marks.filter(([kind, value]) => RULER_WORDS[kind] && value <= top);
  const ticks = marks.map(([kind, value], i) => {
    const tick = element("span", { className: `tick level${marks.length - 1 - i}` }, element("span", {}, `${RULER_WORDS[kind]} ${number(value, 2)}`));
    tick.style.left = at(value);
    return tick;
  });
  const bar = element("div", { className: "scale" });
  bar.style.background = gradient();
  return element("div", { className: "legend" },
    element("div", { className: "ends" }, element("span", {}, "D = 0"), element("span", {}, `${number(top, 2)} nats`)),
    element("div", { className: "ruled" }, bar, ...ticks),
    element("p", { className: "note" }, element("i", { className: "hatched", ariaHidden: "true" }), ` ${FEW}: outside the scale`));
}

const RULER_WORDS = { "other seed": "other seed", "other data": "other data", "other task": "other task" };

function hatching(context) {
  const canvas = element("canvas", { width: 6, height: 6 }), pen = canvas.getContext("2d");
  pen.strokeStyle = color("--quiet");
  pen.lineWidth = 1;
  pen.beginPath();
  for (const shift of [-6, 0, 6]) {
    pen.moveTo(shift, 6);
    pen.lineTo(shift + 6, 0);
  }
  pen.stroke();
  return context.createPattern(canvas, "repeat");
}

// The chosen axis in the order of its tree, a square a pair; a link to the matrix that can be asked.
function smallMatrix() {
  const { labels, order } = axis.table, n = labels.length, box = byId("glance-matrix"), top = largestReliable();
  const side = Math.max(3, Math.floor(360 / n)), canvas = element("canvas", { width: n * side, height: n * side, role: "img",
    ariaLabel: `Drift between ${n} groups by ${axis.name}; the section of drift has the numbers` });
  const context = canvas.getContext("2d"), hatch = hatching(context);
  order.forEach((first, i) => order.forEach((second, j) => {
    if (first === second) return;
    const place = pairPlace(first, second), { value, label } = axis.table.pairs;
    context.fillStyle = label[place] === FEW ? hatch : scaleColor(Math.sqrt((value[place] ?? 0) / top));
    context.fillRect(j * side, i * side, side - (side > 6 ? 1 : 0), side - (side > 6 ? 1 : 0));
  }));
  const tell = (event) => {
    const { left, top: above, width } = canvas.getBoundingClientRect(), at = (place) => order[Math.floor((place / width) * n)];
    const [first, second] = [at(event.clientY - above), at(event.clientX - left)];
    if (first === undefined || second === undefined || first === second) return "";
    const record = pairOf(first, second);
    return `${cut(record.names[0], 30)} and ${cut(record.names[1], 30)}: ${record.label === FEW ? FEW : `D = ${number(record.value)}`}`;
  };
  canvas.addEventListener("mousemove", (event) => { byId("glance-pair").textContent = tell(event); });
  canvas.addEventListener("click", () => byId("drift").scrollIntoView());
  const who = glance.models > n && axis.name === "model" ? `${n} of ${whole(glance.models)} models` : quantity(n, axis.name === "model" ? "model" : "group");
  byId("glance-drift-title").textContent = axis.name === "model" ? "Drift between models" : `Drift by ${axis.name}`;
  box.replaceChildren(canvas, legend(top));
  byId("glance-pair").textContent = `${who}, near ones beside each other. Point at a square.`;
}

// Cells of too few kernels in Vega's drawing: SVG has patterns, Vega-Lite has none.
function hatchCells(box, isFew) {
  const svg = box.querySelector("svg");
  if (!svg) return;
  const make = (tag, attributes, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const line = make("path", { d: "M-1,1 l2,-2 M0,6 l6,-6 M5,7 l2,-2", stroke: color("--quiet"), "stroke-width": 1 });
  svg.prepend(make("defs", {}, make("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse" }, line)));
  for (const path of box.querySelectorAll("path[role=button]")) if (isFew(path)) path.setAttribute("fill", "url(#hatch)");
}
