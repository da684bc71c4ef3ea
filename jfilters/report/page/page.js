// Everything else of the page, and its start: sections that the scan cannot fill go, the rest is filled.
function keepSections() {
  const sections = [];
  for (const section of document.querySelectorAll("main > section")) {
    const needs = section.dataset.needs.split(" ");
    const filled = needs.every((name) => page[name] && page[name].length !== 0);
    if (filled) sections.push(section);
    else section.remove();
  }
  for (const panel of document.querySelectorAll(".panel[data-needs]")) if (!page[panel.dataset.needs]) panel.remove();
  const links = sections.map((section) => {
    const heading = section.querySelector("h2");
    heading.id = `${section.id}-title`;
    section.setAttribute("aria-labelledby", heading.id);
    return element("li", {}, element("a", { href: `#${section.id}` }, heading.textContent));
  });
  byId("toc").replaceChildren(...links);
  watchSections(sections);
}

// The link of the section that is being read says so.
function watchSections(sections) {
  const links = new Map(sections.map((section) => [section.id, document.querySelector(`#toc a[href="#${section.id}"]`)]));
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) for (const [id, link] of links) {
        if (id === target.id) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }
  }, { rootMargin: "-20% 0px -75% 0px" });
  sections.forEach((section) => watcher.observe(section));
}

// A finding in short, and behind a click the numbers, the nulls and what was left out.
function showFindings() {
  byId("findings").replaceChildren(...page.findings.map(({ title, text, why, to }) => element("li", {},
    element("h4", {}, title),
    element("div", {}, element("p", {}, ...sentence(text), " ", byId(to) ? element("a", { href: `#${to}`, ariaLabel: `Show: ${title}` }, "Show") : null),
      why.length ? element("details", {}, element("summary", { ariaLabel: `Why: ${title}` }, "why"), element("ul", {}, ...why.map((parts) => element("li", {}, ...sentence(parts))))) : null))));
}

function startModels() {
  const { columns, rows, total } = page.models;
  const verdictAt = columns.findIndex((column) => column.kind === "verdicts");
  const has = (row, word) => row[verdictAt].split(", ").some((part) => part === word || part.endsWith(` ${word}`));
  const shown = new Map(page.layers.models.map((name, i) => [name, i]));
  const link = (name) => (shown.has(name)
    ? linkButton(nameOf(name), () => showLayerAt(worstOf(shown.get(name)))) : nameOf(name));
  const table = makeTable({
    caption: total > rows.length ? `The ${whole(rows.length)} models with the most kernels, of ${whole(total)}` : "All models",
    columns: columns.map((column, i) => (i === 0 ? { ...column, head: true, show: link } : column)), rows, limit: 100,
  });
  byId("model-table").replaceChildren(table.box);
  const words = (page.quality?.order ?? []).filter((word) => rows.some((row) => has(row, word)));
  if (verdictAt < 0) byId("model-verdict-label").remove();
  else fillSelect(byId("model-verdict"), [["", "any"], ...words.map((word) => [word, word])]);
  const narrow = () => {
    const text = byId("model-search").value.trim().toLowerCase(), word = byId("model-verdict")?.value ?? "";
    const count = table.narrow((row) => (word === "" || has(row, word))
      && row.some((cell) => String(cell ?? "").toLowerCase().includes(text)));
    byId("model-count").textContent = `${whole(count)} of ${quantity(rows.length, "model")}`;
  };
  byId("model-search").addEventListener("input", narrow);
  byId("model-verdict")?.addEventListener("change", narrow);
  narrow();
}

function showBasis() {
  const { components, mean, ratio, weights, shape } = page.basis;
  const largest = Math.max(...components.flat().map(Math.abs)), peak = Math.max(...mean.map(Math.abs)) || 1;
  let total = 0;
  const pictures = components.map((taps, i) => {
    total += ratio[i];
    const uniform = Math.abs(weights[i] - ratio[i]) > 1e-6 ? element("span", {}, element("br"), `weight ${percent(weights[i])}`) : null;
    return element("figure", {}, tile(taps.map((tap) => tap / largest), shape, 84, `component ${i + 1}`),
      element("figcaption", {}, element("b", {}, `${i + 1}: ${percent(ratio[i])}`), element("br"), `together ${percent(Math.min(1, total))}`, uniform));
  });
  pictures.push(element("figure", {}, tile(mean.map((tap) => tap / peak), shape, 84, "mean"),
    element("figcaption", {}, element("b", {}, "mean"), element("br"), `at most ${number(peak, 2)}`)));
  byId("basis-pictures").replaceChildren(...pictures);
}

const STEPS = {
  previous: "D from the step before", first: "D from the first step", last: "D from the last step",
  "H/T": "H/T (1 looks random)", S: "S (share of sparse kernels)", O: "O (1 is orthogonal)",
};
const STEP_FIELDS = { "H/T": "variance_entropy_ratio", S: "sparsity", O: "orthogonality" };
const REFERENCES = { "H/T": 1, O: 1 };

function showRun() {
  const run = page.trajectories.runs[Number(byId("run").value)], rows = [];
  for (const measure of Object.keys(STEPS)) {
    for (const point of run.points) {
      const value = point[STEP_FIELDS[measure] ?? measure];
      if (value === null) continue;
      rows.push({ measure, step: point.step, model: point.model, value, shown: number(value),
        reference: measure === "last" ? point.null_95 : REFERENCES[measure] ?? 0 });
    }
  }
  const share = percent(page.trajectories.settled_share);
  byId("run-text").textContent = `${quantity(run.points.length, "step")}. ${run.settled === null
    ? "It never moved beyond the null of sampling."
    : `Settled from step ${whole(run.settled)} on: from there less than ${share} of the way, or no more than the null, remains to the last step.`}`;
  const { runs, total } = page.trajectories;
  if (runs.length < total) byId("run-text").textContent += ` The ${runs.length} runs with the most steps are here, of ${whole(total)}.`;
  draw(byId("steps"), "steps", {
    rows, params: { titles: STEPS }, label: `Drift and quality of ${run.run} over ${run.points.length} steps.`,
    fit: (spec, width) => fitPanels(spec, width, { most: 3, least: 220, height: 170 }),
  });
}

function startTrajectories() {
  fillSelect(byId("run"), page.trajectories.runs.map(({ run }, i) => [i, run]));
  byId("run").addEventListener("change", showRun);
  showRun();
}

const plusMinus = (value, error) => (value === null ? "–" : `${number(value)} ± ${number(error, 2)}`);

function showDensities() {
  const { by, groups, pairs } = page.densities[Number(byId("density-axis").value)];
  const labels = groups.map(([label]) => label), rows = [];
  const top = Math.max(...pairs.flatMap((x) => [x.forward, x.backward]), NOTHING);
  for (const x of pairs) {
    const [i, j] = [labels.indexOf(x.first), labels.indexOf(x.second)];
    for (const [first, second, value, error] of [[i, j, x.forward, x.forward_error], [j, i, x.backward, x.backward_error]]) {
      if (value === null) continue;
      const mark = x.distinguishable ? "" : "○";
      rows.push({ first, second, key: `${first} ${second}`, value: Math.max(value, 0), from: labels[first], to: labels[second], D: plusMinus(value, error),
        "sampling 95 %": "–", p: "–", verdict: x.distinguishable ? "distinguishable" : "within its error", light: value > 0.42 * top, reliable: true,
        mark: labels.length <= 8 ? `${number(value, 2)} ${mark}`.trim() : mark });
    }
  }
  draw(byId("density-matrix"), "matrix", {
    rows, params: { names: labels.map((label, i) => `${i + 1}  ${label}`) },
    label: `KL divergences between the densities of ${labels.length} groups by ${by}; the table has the numbers.`,
    fit: (spec, width) => {
      fitMatrix(spec, width, labels.length, top);
      spec.layer[0].encoding.color.condition.legend.title = "KL(row || column), nats";
      for (const tip of spec.layer[0].encoding.tooltip) if (tip.field === "D") tip.title = "KL, nats";
      spec.layer[0].encoding.tooltip = spec.layer[0].encoding.tooltip.filter((tip) => !["sampling 95 %", "p"].includes(tip.field));
      spec.layer[0].mark.cursor = "default";
    },
  });
  byId("density-table").replaceChildren(makeTable({
    caption: `Divergences by ${by}, in nats ± standard error`, limit: 20, sorted: { place: 4, up: false },
    rows: pairs.map((x) => [x.first, x.second, x.forward, x.backward, x.jeffreys, x.distinguishable ? "yes" : "no", x]),
    columns: [{ label: "first", kind: "text", head: true }, { label: "second", kind: "text" },
      ...["forward", "backward", "jeffreys"].map((name) => ({
        label: { forward: "KL(first || second)", backward: "KL(second || first)", jeffreys: "sum of both" }[name],
        kind: "number", show: (value, row) => plusMinus(value, row[6][`${name}_error`]) })),
      { label: "distinguishable", kind: "text" }],
  }).box);
}

function startDensities() {
  fillSelect(byId("density-axis"), page.densities.map(({ by }, i) => [i, by]));
  byId("density-axis").addEventListener("change", showDensities);
  showDensities();
}

function showProvenance() {
  facts(byId("provenance-facts"), page.provenance.facts);
  const { hashes, total } = page.provenance;
  byId("hash-table").replaceChildren(makeTable({
    caption: hashes.length < total ? `The first ${whole(hashes.length)} of ${whole(total)} checkpoints; scan.json has all` : "All checkpoints that were read",
    rows: hashes, columns: [{ label: "model", kind: "text", head: true }, { label: "format", kind: "text" },
      { label: "bytes", kind: "number" }, { label: "sha256", kind: "text" }],
  }).box);
}

function showRefused() {
  byId("refused-table").replaceChildren(makeTable({
    caption: "Checkpoints that were not wholly read", rows: page.refused, limit: 50,
    columns: [{ label: "checkpoint", kind: "text", head: true }, { label: "status", kind: "text" }, { label: "reason", kind: "text" }],
  }).box);
}

keepSections();
startGlance();
showFindings();
if (page.lineage) {
  startLineage();
  smallForest();
}
startModels();
showBasis();
startLayers();
showProvenance();
if (page.quality) startDepth();
if (page.refused.length) showRefused();
if (page.axes) {
  const first = startDrift();
  if (page.points) axis.listeners.push(drawPlanes);
  axis.listeners.push(smallMatrix);
  dark.addEventListener("change", smallMatrix);
  axis.choose(page.glance.models > FEWEST_MODELS_TO_GROUP && page.axes.tables.family ? "family" : first);
}
if (page.trajectories) startTrajectories();
if (page.densities) startDensities();
document.documentElement.dataset.ready = "true";
