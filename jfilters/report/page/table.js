// Tables that sort by their headings, narrow to what is searched, and hold only the rows in sight if they are long.

const LONG_ROW = 38; // pixels: rows of a long table have one line

// columns: {label, kind: "text" | "number" | "verdict", show(value, row), head}; rows: arrays of values.
// Returns the box and `narrow(keep)`, which returns the number of matching rows.
function makeTable({ caption, columns, rows, limit = Infinity, sorted }) {
  let order = sorted ?? null, keep = () => true;
  const body = element("tbody");
  columns = columns.map((column, place) => ({ ...column, width: column.kind === "text" ? widthOf(rows, place) : 0 }));
  const heads = columns.map((column, place) => heading(column, place));
  const isLong = rows.length > limit;
  const table = element("table", {}, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...heads)), body);
  const box = element("div", { className: isLong ? "box long" : "box", tabIndex: 0, role: "region", ariaLabel: caption }, table);
  const showRows = isLong ? windowed(box, table, body, LONG_ROW, (row) => tableRow(columns, row))
    : (matches) => body.replaceChildren(...matches.map((row) => tableRow(columns, row)));

  function heading(column, place) {
    const button = element("button", { type: "button" }, column.label);
    button.addEventListener("click", () => {
      const up = order?.place === place ? !order.up : column.kind !== "number";
      order = { place, up };
      show();
    });
    return element("th", { scope: "col", className: classOf(column) }, button);
  }

  function show() {
    const matches = rows.filter(keep);
    if (order) matches.sort((a, b) => compared(a[order.place], b[order.place], order.up));
    heads.forEach((head, place) => {
      const way = order?.place === place ? (order.up ? "ascending" : "descending") : "none";
      head.setAttribute("aria-sort", way);
    });
    showRows(matches);
    return matches.length;
  }

  show();
  return { box, narrow: (by) => { keep = by; return show(); } };
}

// Characters that a column of texts is wide at least: its longest text, within bounds.
function widthOf(rows, place) {
  const longest = Math.max(0, ...rows.slice(0, 500).map((row) => String(row[place] ?? "").length));
  return Math.min(longest + 3, 34);
}

const classOf = (column) => (column.kind === "number" ? "number" : "text");

function tableRow(columns, row) {
  const cells = columns.map((column, place) => {
    const shown = column.show ? column.show(row[place], row) : shownCell(row[place], column.kind);
    const cell = element(column.head ? "th" : "td", { className: classOf(column) }, shown);
    if (column.head) cell.scope = "row";
    if (column.kind === "text") cell.style.minWidth = `${column.width}ch`;
    return cell;
  });
  return element("tr", {}, ...cells);
}

function shownCell(value, kind) {
  if (value === null || value === undefined) return "–";
  if (kind === "number") return Number.isInteger(value) ? whole(value) : number(value);
  return kind === "verdict" ? verdictMark(value) : String(value);
}

// Unknown values last, whichever way; verdicts by how worrying they are.
function compared(a, b, up) {
  if (a === null || b === null || a === undefined || b === undefined) {
    return ((a ?? null) === null) - ((b ?? null) === null);
  }
  const worry = page.quality?.order ?? [];
  const places = [worry.indexOf(a), worry.indexOf(b)];
  const way = places.every((place) => place >= 0) ? places[0] - places[1]
    : typeof a === "number" && typeof b === "number" ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });
  return up ? way : -way;
}

function linkButton(text, action) {
  const button = element("button", { type: "button", className: "link" }, text);
  button.addEventListener("click", action);
  return button;
}
