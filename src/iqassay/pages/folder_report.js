// The table of all pictures: narrowed and sorted in memory, and drawn as far as it can be seen, so that a hundred
// thousand rows cost no more than twenty. The rest of the page works without this script.

const data = JSON.parse(document.getElementById("data").textContent);
const count = data.score.length;
const ROW = 52; // pixels, as in folder_report.css
const BEYOND = 10; // rows drawn above and below what is seen
const MOST = 300000; // rows listed: browsers end at some 17 million pixels
const UNLIKE = data.words.map((words) => words.includes("unlike the training data"));
const form = id("filters");
const fields = ["text", "kind", "from", "below"].map((name) => form.elements[name]);
const list = id("list");
const body = id("rows");
const [above, below] = document.querySelectorAll(".gap td");

const pathOf = (paths, row) => paths.folders[paths.folder[row]] + paths.name[row];
const failed = (row) => data.score[row] === null;
const said = (row) => (data.remarks[row] || []).map((word) => data.words[word]);

function damageOf(row) {
  const found = data.damage[row] || [];
  const pairs = [];
  for (let i = 0; i < found.length; i += 2) {
    const [name, title, looks, remedy] = data.kinds[found[i]];
    pairs.push({ name, title, looks, remedy, severity: found[i + 1] / 100 });
  }
  return pairs;
}

// ---- which rows, in which order

let order = []; // rows that pass the filters, sorted
let sorting = { by: "score", down: false };
const ticked = new Set();
let lowered; // paths in small letters, once somebody looks for one
const ranks = {}; // what is sorted by: a number for each row, NaN for none

const marks = new Map(); // row -> "keep" or "reject", see folder_report_view.js

const kinds = {
  kept: (row) => marks.get(row) === "keep",
  rejected: (row) => marks.get(row) === "reject",
  open: (row) => !failed(row) && !marks.has(row),
  none: (row) => !failed(row) && !data.damage[row],
  unlike: (row) => !failed(row) && (data.remarks[row] || []).some((word) => UNLIKE[word]),
  error: failed,
};

function kindTest(value) {
  if (value in kinds) return kinds[value];
  if (value.startsWith("word")) {
    const word = Number(value.slice(4));
    return (row) => !failed(row) && (data.remarks[row] || []).includes(word);
  }
  const kind = Number(value);
  return (row) => (data.damage[row] || []).some((found, at) => at % 2 === 0 && found === kind);
}

function passing() {
  const [name, kind, from, to] = fields.map((field) => field.value);
  const text = name.trim().toLowerCase();
  const tests = [];
  if (kind) tests.push(kindTest(kind));
  if (from !== "") tests.push((row) => !failed(row) && data.score[row] >= Number(from));
  if (to !== "" && Number(to) < 100) tests.push((row) => !failed(row) && data.score[row] < Number(to));
  if (text) {
    lowered ??= data.score.map((_, row) => printable(pathOf(data.picture, row)).toLowerCase());
    tests.push((row) => lowered[row].includes(text));
  }
  const rows = [];
  for (let row = 0; row < count; row++) if (tests.every((test) => test(row))) rows.push(row);
  return rows;
}

function rankBy(key) {
  if (ranks[key]) return ranks[key];
  const all = Array.from({ length: count }, (_, row) => row);
  const numbers = {
    score: (row) => data.score[row] ?? NaN,
    width: (row) => (failed(row) ? NaN : data.high[row] - data.low[row]),
    damage: (row) => (data.damage[row] ? Math.max(...damageOf(row).map((one) => one.severity)) : NaN),
  };
  if (key in numbers) return (ranks[key] = Float64Array.from(all, numbers[key]));
  const texts = all.map((row) => (key === "path" ? pathOf(data.picture, row) : said(row).join("; ")));
  const { compare } = new Intl.Collator("en", { numeric: true });
  all.sort((a, b) => compare(texts[a], texts[b]));
  ranks[key] = new Float64Array(count);
  all.forEach((row, rank) => (ranks[key][row] = texts[row] ? rank : NaN));
  return ranks[key];
}

function sort(rows) {
  const rank = rankBy(sorting.by);
  const sign = sorting.down ? -1 : 1;
  // What has none comes last, both ways; what is equal stays in the order of the results.
  return rows.sort((a, b) => isNaN(rank[a]) - isNaN(rank[b]) || sign * (rank[a] - rank[b]) || a - b);
}

// ---- stacks: of each group the best that passes, and the others under it once it is opened

// The frames of a video are a stack too: the first of the order on top, the others by their time.

const isFrame = (row) => (data.frames.frame?.[row] ?? null) !== null;
const timeOf = (row) => data.frames.time[row];
const groupOf = (row) => data.groups.group?.[row] ?? (isFrame(row) ? pathOf(data.picture, row) : null);
const opened = new Set(); // groups
const stacks = new Map(); // group -> its rows that pass, the best first

function fold(rows) {
  stacks.clear();
  if (!id("fold")?.checked) return rows;
  for (const row of rows) {
    const group = groupOf(row);
    if (group !== null) stacks.has(group) ? stacks.get(group).push(row) : stacks.set(group, [row]);
  }
  for (const stack of stacks.values()) {
    if (isFrame(stack[0])) stack.splice(1, Infinity, ...stack.slice(1).sort((a, b) => timeOf(a) - timeOf(b)));
    else stack.sort((a, b) => data.groups.place[a] - data.groups.place[b]);
  }
  return rows.flatMap((row) => {
    const stack = stacks.get(groupOf(row));
    if (!stack) return [row];
    if (stack[0] !== row) return [];
    return opened.has(groupOf(row)) ? stack : [row];
  });
}

function update(stay = false) {
  order = fold(sort(passing()));
  if (stay !== true) list.scrollTop = 0;
  drawn.forEach((row) => row.remove());
  drawn.clear();
  id("empty").hidden = order.length > 0;
  id("table").ariaRowCount = order.length + 1;
  for (const button of document.querySelectorAll("[data-filter]")) {
    const wanted = new URLSearchParams(button.dataset.filter);
    button.setAttribute("aria-pressed", fields.every((field) => field.value === (wanted.get(field.name) ?? "")));
  }
  tell();
  draw();
}

function tell(message = "") {
  const shown = order.length === count || stacks.size ? `${number(count)} pictures` : `${number(order.length)} of ${number(count)} pictures`;
  const folded = stacks.size ? `, ${number(stacks.size)} stack${stacks.size === 1 ? "" : "s"}` : "";
  const more = order.length > MOST ? `, the first ${number(MOST)} listed` : "";
  id("status").textContent = shown + folded + more + (ticked.size ? `, ${number(ticked.size)} ticked` : "") + (message && `. ${message}`);
  const chosen = number(ticked.size || order.length);
  id("copy").textContent = `Copy ${chosen} path${chosen === "1" ? "" : "s"}`;
  id("csv").textContent = `Download ${chosen} row${chosen === "1" ? "" : "s"} as CSV`;
  id("copy").disabled = id("csv").disabled = chosen === "0";
  const ticks = order.reduce((sum, row) => sum + ticked.has(row), 0);
  id("tickall").checked = ticks > 0 && ticks === order.length;
  id("tickall").indeterminate = ticks > 0 && ticks < order.length;
}

// ---- drawing what is seen

const drawn = new Map(); // place in the order -> its <tr>

function draw() {
  const length = Math.min(order.length, MOST);
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - BEYOND);
  const end = Math.min(length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + BEYOND);
  for (const [place, row] of drawn) {
    if (place >= first && place < end) continue;
    row.remove();
    drawn.delete(place);
  }
  let after = null; // rows that stay are not touched, so that what has the focus keeps it
  for (let place = end - 1; place >= first; place--) {
    if (!drawn.has(place)) {
      drawn.set(place, rowOf(order[place], place));
      body.insertBefore(drawn.get(place), after);
    }
    after = drawn.get(place);
  }
  above.style.height = `${first * ROW}px`;
  below.style.height = `${Math.max(0, length - end) * ROW}px`;
}

function nameOf(row) {
  return printable(data.picture.name[row]) + (isFrame(row) ? ` at ${timeOf(row).toFixed(3)} s` : "");
}

function rowOf(row, place) {
  const name = nameOf(row);
  const tick = make("input", { type: "checkbox", checked: ticked.has(row), ariaLabel: `Tick ${name}` });
  tick.onchange = () => {
    tick.checked ? ticked.add(row) : ticked.delete(row);
    tell();
  };
  const causes = failed(row) ? "could not be scored" : damageOf(row).map((one) => `${one.title} ${one.severity.toFixed(1)}`).join(", ");
  const words = said(row).map(printable).join("; ");
  const folder = make("bdi", {}, printable(data.picture.folders[data.picture.folder[row]]));
  const open = make("button", { type: "button", className: "open" }, make("span", {}, make("span", {}, name),
    make("span", { className: "folder soft wide" }, folder), make("span", { className: "soft narrow" }, causes)));
  const image = pictureOf(row) ?? (isFrame(row) ? null : addressOf(row));
  if (image) {
    const small = make("img", { src: image, alt: "", decoding: "async" });
    small.onerror = () => small.remove(); // gone, or of a kind that browsers do not show
    open.prepend(small);
  }
  open.onclick = () => show(row);
  const head = make("th", { scope: "row", title: name }, open);
  const stack = stacks.get(groupOf(row));
  if (stack?.[0] === row && stack.length > 1) {
    const group = groupOf(row);
    const more = make("button", { type: "button", className: "stack", ariaExpanded: opened.has(group),
      ariaLabel: isFrame(row) ? `${stack.length} frames of one video` : `${stack.length} pictures of one scene` }, `${opened.has(group) ? "−" : "+"}${stack.length - 1}`);
    more.onclick = () => {
      opened.has(group) ? opened.delete(group) : opened.add(group);
      update(true);
    };
    head.append(more);
  }
  const classes = [marks.get(row) ?? "", stack && stack[0] !== row ? "under" : ""].filter(Boolean);
  return make("tr", { ariaRowIndex: place + 2, className: classes.join(" ") },
    make("td", {}, tick),
    head,
    make("td", {}, ...scoreOf(row)),
    make("td", { className: "wide" }, failed(row) ? "" : `${data.low[row].toFixed(1)} to ${data.high[row].toFixed(1)}`),
    make("td", { className: "wide" }, make("div", { title: causes }, causes)),
    make("td", { className: "wide" }, make("div", { title: words }, words)));
}

function scoreOf(row) {
  if (failed(row)) return ["–"];
  return [make("span", { className: `dot ${anchorOf(data.score[row])}` }), data.score[row].toFixed(1)];
}

// The file itself, as seen from the page; the browser makes a thumbnail of it once its row is drawn.
function addressOf(row) {
  const place = data.places[data.picture.folder[row]];
  const name = data.picture.name[row];
  return place && name.isWellFormed?.() !== false ? place + encodeURIComponent(name) : null;
}

const pictureOf = (row) => document.querySelector(`#row${row} .shot img`)?.src;

// ---- taking rows away

const chosen = () => (ticked.size ? [...ticked].sort((a, b) => a - b) : order);

async function copy() {
  const paths = chosen().map((row) => pathOf(data.picture, row));
  const whole = paths.filter((path) => !/[\n\r\p{Cs}]/u.test(path)); // the others are no line of text
  const text = whole.join("\n") + "\n";
  const left = paths.length - whole.length;
  const done = await navigator.clipboard.writeText(text).then(() => true, () => copyOldWay(text));
  if (!done) return tell("The browser does not let this page copy.");
  tell(`Copied ${number(whole.length)}${left ? `, left out ${number(left)} with a line break or broken letters` : ""}.`);
}

function copyOldWay(text) {
  const area = make("textarea", { value: text });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

// The columns of `iqassay score --format csv`, so that what reads its files reads this.
function asCsv(rows) {
  const has = (columns) => Object.keys(columns);
  const at = (columns, name, row) => columns[name][row] ?? "";
  const names = Object.keys(data.versions);
  const sizes = has(data.sizes);
  const lines = [["path", ...(data.reference ? ["reference"] : []), ...has(data.frames), ...has(data.groups), "score", "low", "high",
    ...names.flatMap((name) => ["score", "low", "high", "version"].map((key) => `${key}_${name}`)),
    ...has(data.raws).map((name) => `raw_${name}`), "model", "version", ...sizes, "distortions", "warnings", "error"]];
  for (const row of rows) {
    const path = [pathOf(data.picture, row), ...(data.reference ? [pathOf(data.reference, row)] : []),
      ...has(data.frames).map((name) => at(data.frames, name, row))];
    if (failed(row)) {
      lines.push([...path, ...Array(lines[0].length - path.length - 1).fill(""), said(row).join("; ")]);
      continue;
    }
    const also = (name) => [...["score", "low", "high"].map((key) => at(data.also, `${key}_${name}`, row)),
      at(data.also, `score_${name}`, row) === "" ? "" : data.versions[name]];
    lines.push([...path, ...has(data.groups).map((name) => at(data.groups, name, row)),
      data.score[row], data.low[row], data.high[row], ...names.flatMap(also),
      ...has(data.raws).map((name) => at(data.raws, name, row)), ...data.models[data.model ? data.model[row] : 0],
      ...sizes.map((name) => at(data.sizes, name, row)),
      damageOf(row).map((one) => `${one.name}:${one.severity}`).join(";"), said(row).join("; "), ""]);
  }
  return csvOf(lines);
}

const download = () => save("pictures.csv", "text/csv", asCsv(chosen()));

// ---- what the controls do

let waiting = 0;
const soon = (what) => () => {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(what);
};
list.addEventListener("scroll", soon(draw), { passive: true });
addEventListener("resize", soon(draw));
form.addEventListener("input", soon(() => update()));
form.addEventListener("reset", () => setTimeout(update)); // after the values have gone
form.addEventListener("submit", (event) => event.preventDefault());
id("copy").addEventListener("click", copy);
id("csv").addEventListener("click", () => save("pictures.csv", "text/csv", asCsv(chosen())));
id("fold")?.addEventListener("change", update);
id("tickall").addEventListener("change", () => {
  for (const row of order) id("tickall").checked ? ticked.add(row) : ticked.delete(row);
  drawn.forEach((row, place) => (row.querySelector("input").checked = ticked.has(order[place])));
  tell();
});

for (const head of document.querySelectorAll("[data-sort]")) {
  head.firstElementChild.addEventListener("click", () => {
    const by = head.dataset.sort;
    const first = by === "width" || by === "damage"; // the largest first, where that is what is looked for
    sorting = { by, down: sorting.by === by ? !sorting.down : first };
    for (const other of document.querySelectorAll("[data-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
    update();
  });
}

// A bar, or a number of the summary: the table shows its pictures, or all again.
for (const button of document.querySelectorAll("[data-filter]")) {
  const choose = () => {
    const wanted = new URLSearchParams(button.getAttribute("aria-pressed") === "true" ? "" : button.dataset.filter);
    for (const field of fields) field.value = wanted.get(field.name) ?? "";
    update();
    if (wanted.size) id("all").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  };
  button.addEventListener("click", choose);
  if (button.tagName === "BUTTON") continue;
  button.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose();
  });
}

for (const image of document.querySelectorAll("[data-same]")) image.src = id(image.dataset.same).src;
for (const button of document.querySelectorAll(".flip")) {
  button.addEventListener("click", () => button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true"));
}
id("maps")?.addEventListener("change", () => {
  for (const button of document.querySelectorAll(".flip")) button.setAttribute("aria-pressed", id("maps").checked);
});
