// Rows of a long table: only those in sight are in the document, the room of the others is kept by two rows.
const MARGIN = 8; // rows beyond the edges, so that scrolling shows no gap
const MOST_PRINTED = 200; // rows on paper

// `rows`: what to show; make(row, place) returns a <tr>; all are `height` pixels high inside `box`, which scrolls.
function windowed(box, table, body, height, make) {
  let rows = [], first = -1, last = -1;
  const above = spacer(), below = spacer();

  function spacer() {
    return element("tr", { className: "spacer", ariaHidden: "true" }, element("td"));
  }

  function show(force) {
    const start = Math.max(0, Math.floor(box.scrollTop / height) - MARGIN);
    const end = Math.min(rows.length, start + Math.ceil((box.clientHeight || 600) / height) + 2 * MARGIN);
    if (force !== true && start === first && end === last) return;
    [first, last] = [start, end];
    above.firstChild.style.height = `${start * height}px`;
    below.firstChild.style.height = `${(rows.length - end) * height}px`;
    body.replaceChildren(above, ...rows.slice(start, end).map((row, i) => numbered(make(row), start + i)), below);
  }

  // A screen reader hears the place of a row among all; the heading is row 1.
  function numbered(row, place) {
    row.setAttribute("aria-rowindex", place + 2);
    return row;
  }

  box.addEventListener("scroll", show, { passive: true });
  new ResizeObserver(show).observe(box);
  window.addEventListener("beforeprint", () => body.replaceChildren(...rows.slice(0, MOST_PRINTED).map(make)));
  window.addEventListener("afterprint", () => show(true));
  return (next) => {
    rows = next;
    table.setAttribute("aria-rowcount", rows.length + 1);
    box.scrollTop = 0;
    show(true);
  };
}
