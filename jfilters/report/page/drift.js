// Drift: the matrix of an axis, the pair that is looked at, all pairs as a table, and the ridges of groups.
let pair = [0, 1];
let markChosen = () => {};
const MARKS = { shifted: "●", "within null": "○" };

function centers() {
  return page.axes.edges.slice(1).map((edge, i) => (edge + page.axes.edges[i]) / 2);
}

// The record of a pair of groups of the current axis.
function pairOf(i, j) {
  const place = pairPlace(i, j), { pairs, labels, sizes } = axis.table;
  const numbers = Object.fromEntries(["value", "debiased", "effect", "effect_low", "effect_high", "sampling_95", "p", "smallest_p", "label", "reason"].map((x) => [x, pairs[x][place]]));
  const d = page.axes.components;
  const parts = Array.from(axis.table.parts.subarray(place * d, (place + 1) * d), (part) => part / 65535);
  return { ...numbers, parts, names: [labels[i], labels[j]], sizes: [sizes[i], sizes[j]] };
}

// A row a cell; `first` and `second` are places in the order of the tree, `groups` those of the groups.
function matrixRows() {
  const { order } = axis.table, n = order.length, rows = [];
  const top = largestReliable();
  for (let first = 0; first < n; first++) {
    for (let second = 0; second < n; second++) {
      if (first === second) continue;
      const record = pairOf(order[first], order[second]), reliable = record.label !== FEW;
      const mark = MARKS[record.label] ?? "";
      rows.push({
        first, second, key: `${first} ${second}`, value: record.value, from: record.names[0], to: record.names[1], D: `${number(record.value)} nats`,
        "sampling 95 %": `below ${number(record.sampling_95)}`, p: number(record.p), verdict: record.label, light: record.value > 0.42 * top, reliable,
        mark: reliable && n <= 10 ? `${number(record.value, 2)} ${mark}`.trim() : mark,
      });
    }
  }
  return rows;
}

// The largest D between groups of enough kernels: the end of the color scale.
function largestReliable() {
  const { value, label } = axis.table.pairs;
  return Math.max(...value.map((x, k) => (label[k] === FEW ? 0 : x ?? 0)), NOTHING);
}

function drawMatrix() {
  const { labels, order } = axis.table, n = labels.length, top = largestReliable();
  const rows = matrixRows();
  byId("matrix-legend").replaceChildren(legend(top));
  draw(byId("matrix"), "matrix", {
    rows,
    params: { names: order.map((group, i) => `${i + 1}  ${cut(labels[group], 40)}`) },
    label: `Drift D between ${n} groups by ${axis.name}; the pairs are in the table below.`,
    fit: (spec, width) => {
      fitMatrix(spec, width, n, top);
      spec.layer[0].encoding.color.condition.legend = null;
    },
    after: (view, box) => {
      const small = new Set();
      markChosen = makeReachable(view, box, rows, {
        label: (x, path) => {
          if (!x.reliable) small.add(path);
          return `${x.from} and ${x.to}: D ${x.D}, ${x.verdict}`;
        },
        choose: (first, second, byKey) => choosePair(order[first], order[second], byKey),
        chosen: () => {
          const places = pair.map((group) => order.indexOf(group));
          return [places.join(" "), places.reverse().join(" ")];
        },
      });
      hatchCells(box, (path) => small.has(path));
    },
  });
}

function choosePair(first, second, moveFocus = false) {
  pair = [first, second];
  showPair();
  markChosen();
  if (moveFocus) byId("pair").focus();
}

function pairSentences(record) {
  const [a, b] = record.sizes;
  const group = ([units, models, layers, kernels], name) =>
    `${name}: ${quantity(units, "unit")} (${quantity(models, "model")}), ${quantity(layers, "layer")}, ${quantity(kernels, "kernel")}.`;
  const nullText = record.sampling_95 === null ? ""
    : ` The 95 % quantile of the sampling null is ${number(record.sampling_95)}; less the mean of that null, D0 = ${number(record.debiased)}.`;
  const between = record.effect_low === null ? "" : `, 95 % over units ${number(record.effect_low, 2)} to ${number(record.effect_high, 2)}`;
  const effect = record.effect === null ? "" : ` Between the populations of units, U = ${number(record.effect)}${between}.`;
  const p = record.p === null ? ` No p: ${record.reason ?? "see the note above the matrix"}.`
    : ` p = ${number(record.p, 2)}, corrected for the number of pairs; the smallest possible p of one pair is ${number(record.smallest_p, 2)}.`;
  const most = record.parts.indexOf(Math.max(...record.parts));
  const part = record.value > 0 ? ` Component ${most + 1} contributes ${percent(record.parts[most])}.` : "";
  return `D = ${number(record.value)} nats: ${record.label}.${nullText}${effect}${p}${part} ${group(a, record.names[0])} ${group(b, record.names[1])}`;
}

function showPair() {
  const [i, j] = pair, record = pairOf(i, j);
  byId("pair-first").value = i;
  byId("pair-second").value = j;
  byId("pair-title").textContent = `${record.names[0]} and ${record.names[1]}`;
  byId("pair-text").textContent = pairSentences(record);
  const rows = [], titles = [], d = record.parts.length, [from, to] = seenRange();
  const caption = byId("overlay").clientWidth > 600 ? "component " : "";
  for (let component = 0; component < d; component++) {
    titles.push(`${caption}${component + 1} · ${percent(record.parts[component], 2)} of D`);
    [["first", i], ["second", j]].forEach(([side, group]) => {
      const density = axis.table.densities(group, component);
      centers().forEach((coefficient, bin) => {
        if (coefficient >= from && coefficient <= to) rows.push({ component, side, coefficient, density: density[bin] });
      });
    });
  }
  draw(byId("overlay"), "overlay", {
    rows, params: { titles, pair: record.names },
    label: `Densities of ${record.names.join(" and ")} along ${d} components.`,
    fit: (spec, width) => {
      spec.facet.header.labelLimit = fitPanels(spec, width, { most: 3, least: 105, height: 110, axis: 34 });
    },
  });
}

// The range of coefficients in which any group has visible density.
function seenRange() {
  const table = axis.table;
  table.range ??= (() => {
    let [low, high] = [Infinity, -Infinity];
    const middle = centers();
    for (let component = 0; component < page.axes.components; component++) {
      const least = table.peaks[component] / 200;
      for (let group = 0; group < table.labels.length; group++) {
        table.densities(group, component).forEach((density, bin) => {
          if (density > least) [low, high] = [Math.min(low, middle[bin]), Math.max(high, middle[bin])];
        });
      }
    }
    return [low - 0.1, high + 0.1];
  })();
  return table.range;
}

function drawRidges() {
  const { labels } = axis.table, n = labels.length, d = page.axes.components;
  const box = byId("ridge-chart"), first = Number(byId("ridge-component").value || 0);
  const wide = box.clientWidth > 720 ? 3 : 1;
  const start = Math.min(first, Math.max(0, d - wide)), [from, to] = seenRange(), rows = [];
  const middle = centers(), overlap = n > 25 ? 1.6 : 1.25;
  for (let component = start; component < Math.min(start + wide, d); component++) {
    for (let group = 0; group < n; group++) {
      axis.table.densities(group, component).forEach((density, bin) => {
        if (middle[bin] < from || middle[bin] > to) return;
        const top = group - (overlap * density) / axis.table.peaks[component];
        rows.push({ component: component + 1, group, name: labels[group], coefficient: middle[bin], base: group, top });
      });
    }
  }
  draw(box, "ridges", {
    rows, params: { names: labels },
    label: `Densities of the coefficients of ${n} groups by ${axis.name}.`,
    fit: (spec, width) => {
      const names = Math.max(70, Math.min(230, width * 0.3)), step = n > 25 ? 18 : 28;
      spec.spec.width = (width - names - 20 - 14 * wide) / wide;
      spec.spec.height = (n + overlap) * step;
      Object.assign(spec.spec.encoding.y, { scale: { domain: [n - 0.5, -overlap], nice: false, zero: false } });
      Object.assign(spec.spec.encoding.y.axis, { values: labels.map((_, i) => i), labelLimit: names });
      spec.spacing = 14;
    },
  });
}

function axisNote() {
  const { table } = axis, notes = [];
  if (table.groups > table.labels.length) {
    notes.push(`the ${table.labels.length} groups with the most kernels of ${whole(table.groups)}; narrow the report with --where for others`);
  }
  const d = page.basis.ratio.length;
  if (page.axes.components < d) notes.push(`densities along the first ${page.axes.components} of ${d} components`);
  if (table.unknown) notes.push(`${quantity(table.unknown, "layer")} without a label`);
  if (table.pairs.p.every((p) => p === null)) {
    notes.push("no test: too many pairs, or units that cannot be split in another way");
  }
  const [unit, units, models] = table.tested;
  notes.unshift(`${quantity(units, "unit")} (${quantity(models, "model")}); a unit is ${unit}`);
  return [...notes, ...table.warnings].join("; ");
}

function showPairTable() {
  const n = axis.table.labels.length, rows = [];
  for (let j = 1; j < n; j++) {
    for (let i = 0; i < j; i++) {
      const record = pairOf(i, j);
      rows.push([record.names[0], record.names[1], record.value, record.sampling_95, record.debiased, record.effect, record.p, record.label, i, j]);
    }
  }
  // Largest first, and last what sampling alone may have made.
  const few = (row) => Number(row[7] === "too few kernels");
  rows.sort((a, b) => few(a) - few(b) || (b[2] ?? 0) - (a[2] ?? 0));
  const link = (text, row) => linkButton(text, () => { choosePair(row[8], row[9], true); });
  const { box } = makeTable({
    caption: `All ${whole(rows.length)} pairs by ${axis.name}`, rows, limit: 20,
    columns: [{ label: "first", kind: "text", head: true, show: link }, { label: "second", kind: "text" },
      ...["D", "sampling 95 %", "D0", "U", "p"].map((label) => ({ label, kind: "number" })),
      { label: "verdict", kind: "text" }],
  });
  byId("pair-table").replaceChildren(box);
}

function showAxis() {
  const { labels, pairs } = axis.table, options = labels.map((label, i) => [i, label]);
  fillSelect(byId("pair-first"), options);
  fillSelect(byId("pair-second"), options);
  const largest = pairs.value.indexOf(Math.max(...pairs.value.map((value, k) => (pairs.label[k] === "too few kernels" ? -1 : value ?? -1))));
  pair = placesOf(Math.max(largest, 0));
  byId("axis-note").textContent = axisNote();
  drawMatrix();
  showPair();
  showPairTable();
  drawRidges();
}

function placesOf(place) {
  let j = 1;
  while ((j * (j + 1)) / 2 <= place) j++;
  return [place - (j * (j - 1)) / 2, j];
}

function showRanking() {
  const { rows, left_out: leftOut } = page.axes.ranking;
  const { box } = makeTable({
    caption: "Axes by D0", sorted: { place: 4, up: false },
    rows: rows.map((x) => [x.axis, x.groups, x.units, x.median, x.debiased, x.maximum, x.p, x.furthest.join(" | ")]),
    columns: [
      { label: "axis", kind: "text", head: true,
        show: (name) => linkButton(name, () => { axis.choose(name); byId("drift").scrollIntoView(); byId("axis").focus(); }) },
      ...["groups", "units", "median", "D0", "max", "p"].map((label) => ({ label, kind: "number" })),
      { label: "furthest apart", kind: "text" }],
  });
  byId("axes-table").replaceChildren(box);
  const notes = [...Object.entries(leftOut).map(([name, why]) => `${name}: left out, ${why}`),
    ...Object.entries(page.axes.same).map(([name, same]) => `${name} makes the same groups as ${same}`)];
  if (page.axes.left_out.length) notes.push(`not compared: ${page.axes.left_out.join(", ")} (jfilters report --by compares them)`);
  for (const row of rows) {
    if (row.few) notes.push(`${row.axis}: ${quantity(row.few, "pair")} of too few kernels to be read, left out`);
    notes.push(...row.warnings.map((warning) => `${row.axis}: ${warning}`));
  }
  byId("axes-note").textContent = notes.length ? `${notes.join("; ")}.` : "";
}

function startDrift() {
  const names = Object.keys(page.axes.tables);
  for (const select of document.querySelectorAll("select.axis")) {
    fillSelect(select, names.map((name) => [name, name]));
    select.addEventListener("change", () => axis.choose(select.value));
  }
  fillSelect(byId("ridge-component"), page.basis.ratio.slice(0, page.axes.components).map((ratio, i) => [i, `${i + 1} (${percent(ratio)})`]));
  byId("ridge-component").addEventListener("change", drawRidges);
  for (const [id, other] of [["pair-first", "pair-second"], ["pair-second", "pair-first"]]) {
    byId(id).addEventListener("change", () => {
      let [first, second] = [byId("pair-first"), byId("pair-second")].map((select) => Number(select.value));
      if (first === second) {
        const free = first === 0 ? 1 : 0;
        if (other === "pair-second") second = free; else first = free;
      }
      choosePair(first, second);
    });
  }
  byId("ruler").textContent = `${page.axes.ruler[0].toUpperCase()}${page.axes.ruler.slice(1)}.`;
  axis.listeners.push(showAxis);
  showRanking();
  return names[0];
}
