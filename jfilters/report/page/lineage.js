// The forest: families as nested lists, each model below the one that it came from.
function kinRow([, model, sign, words, numbers, ...further]) {
  const lines = [numbers, ...further].filter((line) => line !== "");
  return element("div", { className: "kin" },
    sign === "" ? null : element("span", { className: "sign", title: sign === "?" ? "direction: cannot tell" : "neither was made from the other" }, `${sign} `),
    element("b", {}, model), words === "" ? null : element("span", { className: "relation" }, ` ${words}`),
    ...lines.map((line) => element("small", {}, line)));
}

function kinTree(rows) {
  const top = element("ul", { className: "tree" }), lists = [top];
  for (const row of rows) {
    const depth = row[0], item = element("li", { className: row[2] === "" ? "" : "undirected" }, kinRow(row));
    lists.length = depth + 1;
    lists[depth].append(item);
    // The list of its children is there when the first of them comes.
    lists[depth + 1] = { append: (child) => {
      lists[depth + 1] = element("ul", {}, child);
      item.append(lists[depth + 1]);
    } };
  }
  return top;
}

function kinFamily({ title, open, rows }) {
  if (open) return element("div", { className: "card" }, element("h3", {}, title), kinTree(rows));
  const fold = element("details", { className: "card" }, element("summary", {}, title));
  // Hundreds of models are made only when they are looked at, or printed.
  const fill = () => fold.children.length < 2 && fold.append(kinTree(rows));
  fold.addEventListener("toggle", fill, { once: true });
  window.addEventListener("beforeprint", fill);
  return fold;
}

function startLineage() {
  const { text, families, strangers, notes } = page.lineage;
  byId("lineage-text").textContent = text;
  byId("lineage-families").replaceChildren(...families.map(kinFamily));
  byId("lineage-notes").textContent = notes.join(" ");
  if (strangers === null) return;
  const names = strangers.names.length === 0 ? null : element("details", {},
    element("summary", {}, "All models without kin"), element("p", { className: "note" }, strangers.names.join(", ")));
  byId("lineage-strangers").replaceChildren(element("p", {}, strangers.text), ...(names === null ? [] : [names]));
}
