// Names that are cut in the middle, verdicts with their class, and what explains them when pointed at.
const verdictOf = new Map(page.verdicts.map((entry) => [entry.verdict, entry]));
const CLASSES = ["bad", "look", "good", "none"];
const signOf = Object.fromEntries(page.verdicts.map((entry) => [entry.class, entry.sign]));

// The two ends of a long name: both tell more than its middle.
function cut(name, most = 34) {
  const letters = [...name];
  if (letters.length <= most) return name;
  const head = Math.ceil((most - 1) * 0.4);
  return `${letters.slice(0, head).join("")}…${letters.slice(head - most + 1).join("")}`;
}

// A name as text; where it is cut, the whole one is its title, and what a screen reader says.
function nameOf(name, most, end = "") {
  const short = cut(name.slice(0, name.length - end.length), most);
  if (short === name) return element("span", { className: "name" }, name);
  return element("span", { className: "name", title: name }, element("span", { ariaHidden: "true" }, short),
    element("span", { className: "unseen" }, name));
}

// Text with names in it: strings, and [name] for a name.
const sentence = (parts) => parts.map((part) => (Array.isArray(part) ? nameOf(part[0], 40) : part));

function verdictMark(word) {
  const { sign, explanation, class: kind } = verdictOf.get(word);
  return element("span", { className: `verdict ${kind}`, tabIndex: 0, role: "note", ariaLabel: `${word}, ${classWords(kind)}`, "data-tip": `${classWords(kind)}. ${explanation}` },
    element("i", { ariaHidden: "true" }, sign), word);
}

const classWords = (kind) => ({ good: "Good", look: "Worth a look", bad: "Bad", none: "No statement" })[kind];

// One box explains whatever is pointed at or has the focus; Escape hides it.
const tip = element("div", { id: "tip", role: "tooltip", hidden: true });
byId("main").append(tip);
let tipOwner = null;

function showTip(owner) {
  hideTip();
  tipOwner = owner;
  tip.textContent = owner.dataset.tip;
  owner.setAttribute("aria-describedby", "tip");
  tip.hidden = false;
  const { left, top, bottom } = owner.getBoundingClientRect(), { offsetWidth: width, offsetHeight: height } = tip;
  tip.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - width - 8))}px`;
  tip.style.top = `${bottom + height + 8 < innerHeight ? bottom + 6 : Math.max(4, top - height - 6)}px`;
}

function hideTip() {
  tipOwner?.removeAttribute("aria-describedby");
  tipOwner = null;
  tip.hidden = true;
}

for (const [name, isShown] of [["mouseover", true], ["focusin", true], ["mouseout", false], ["focusout", false]]) {
  document.addEventListener(name, (event) => {
    const owner = event.target.closest?.("[data-tip]");
    if (owner && isShown) showTip(owner);
    else if (owner) hideTip();
  });
}
document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
document.addEventListener("scroll", hideTip, { passive: true, capture: true });
