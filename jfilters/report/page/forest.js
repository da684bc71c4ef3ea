// The forest in small: each family with its color, and below it who came from whom.
const MOST_SMALL = 40; // models in the small forest; the section of lineage has all

function smallForest() {
  const box = byId("glance-forest"), { families, strangers, text } = page.lineage;
  let room = MOST_SMALL;
  const parts = [];
  families.forEach((family, i) => {
    if (room <= 0) return;
    const rows = family.rows.slice(0, room);
    room -= rows.length;
    parts.push(element("li", {}, smallFamily(i + 1, family.rows), element("ul", {}, ...rows.map(smallRow)),
      rows.length < family.rows.length ? element("p", { className: "note" }, `and ${whole(family.rows.length - rows.length)} more`) : null));
  });
  if (parts.length < families.length) parts.push(element("li", { className: "note" }, `and ${quantity(families.length - parts.length, "more family").replace("familys", "families")}`));
  const alone = glance.models - new Set(families.flatMap(({ rows }) => rows.map((row) => row[1]))).size;
  if (families.length && alone) parts.push(element("li", { className: "note" }, `${quantity(alone, "model")} without kin here`));
  box.replaceChildren(...(families.length ? [element("ul", { className: "forest" }, ...parts)] : [element("p", { className: "note" }, strangers?.text ?? text.split(". ", 1)[0].replace(/\.?$/, "."))]));
}

function smallFamily(number, rows) {
  const mark = familyMark(number);
  mark.setAttribute("aria-hidden", "true");
  return element("p", { className: "labeled" }, mark, element("b", {}, `Family ${number}`), element("span", { className: "note" }, quantity(rows.length, "model")));
}

// "fine-tuned from base.pth" below base.pth is "fine-tuned from it"; what is not known takes no words.
function smallRow([depth, name, sign, words]) {
  const relation = words.split("; ", 1)[0].replace(", relation unknown", "");
  const short = sign === "" ? relation.replace(/ from .*/, " from it") : relation;
  const row = element("li", {}, element("span", { ariaHidden: "true" }, depth ? "└ " : ""), nameOf(name, 30),
    short ? element("small", { title: words }, ` ${sign}${sign && " "}${short}`) : null);
  row.style.paddingLeft = `${0.8 * Math.min(depth, 4)}rem`;
  return row;
}
