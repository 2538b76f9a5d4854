
// ---- one picture, large: looked at, kept or rejected, one after another

const KEPT = `iqassay ${count} ${data.picture.folders[0] ?? ""} ${data.picture.name[0] ?? ""}`; // in this browser
const viewer = id("details");
let shown = null; // row
const FRAMES = 20; // of a video, before and after the one that is shown

function remember() {
  try {
    localStorage.setItem(KEPT, JSON.stringify([...marks]));
  } catch {} // a browser that keeps nothing for pages from the disk
}

function recall() {
  try {
    for (const [row, mark] of JSON.parse(localStorage.getItem(KEPT) ?? "[]")) if (row < count) marks.set(row, mark);
  } catch {}
}

function mark(row, what) {
  what ? marks.set(row, what) : marks.delete(row);
  remember();
  const place = order.indexOf(row);
  drawn.get(place)?.remove();
  drawn.delete(place);
  draw();
  tellMarks();
}

function tellMarks() {
  const rejected = [...marks.values()].filter((what) => what === "reject").length;
  id("script").hidden = !rejected;
  id("script").textContent = `Download script for ${number(rejected)} rejected`;
}

const plain = (path) => !/[\n\r\p{Cs}]/u.test(path);

// A shell script that moves what was rejected into a folder beside it, and never over another file.
function asScript() {
  const paths = [...marks].filter(([, what]) => what === "reject").map(([row]) => pathOf(data.picture, row)).filter(plain);
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const lines = paths.map((path) => `mv -n -- ${quoted(path.startsWith("-") ? `./${path}` : path)} rejected/`);
  return ["#!/bin/sh", "# Run it where `iqassay score` was run. Moves what was rejected to rejected/, over no other file.",
    "set -e", "mkdir -p rejected", ...lines, ""].join("\n");
}

function show(row) {
  shown = row;
  const facts = [];
  const fact = (name, ...values) => facts.push(make("dt", {}, name), make("dd", {}, ...values));
  if (!failed(row)) fact("Score", ...scoreOf(row), `, 90 % interval ${data.low[row].toFixed(1)} to ${data.high[row].toFixed(1)}`);
  for (const name of Object.keys(data.versions)) {
    const score = data.also[`score_${name}`][row] ?? null;
    if (score !== null) fact(name, score.toFixed(1));
  }
  const causes = damageOf(row).map((one) =>
    make("p", {}, make("b", {}, `${one.title}, ${one.severity.toFixed(1)} of 5. `), `${one.looks} ${one.remedy}`));
  if (causes.length) fact("Damage", ...causes);
  for (const words of said(row)) fact(failed(row) ? "Not scored" : "Remark", printable(words));
  const path = printable(pathOf(data.picture, row));
  const address = addressOf(row);
  fact("File", address ? make("a", { href: address, target: "_blank", rel: "noopener" }, path) : path);
  const [width, height, bytes] = ["width", "height", "bytes"].map((name) => data.sizes[name]?.[row] ?? null);
  if (width !== null) fact("Size", `${width} × ${height} pixels${bytes === null ? "" : `, ${number(bytes)} bytes`}`);
  if (isFrame(row)) fact("Frame", `number ${data.frames.frame[row]}, at ${timeOf(row).toFixed(3)} s`);
  if (data.reference?.name[row]) fact("Reference", printable(pathOf(data.reference, row)));
  const raws = Object.entries(data.raws).filter(([, values]) => (values[row] ?? null) !== null);
  if (raws.length) fact("Raw values", raws.map(([name, values]) => `${name} ${values[row]}`).join(", "));
  if (!failed(row)) fact("Model", data.models[data.model ? data.model[row] : 0].join(" "));
  viewer.replaceChildren(make("h2", { id: "name" }, nameOf(row)),
    make("div", { className: "large" }, ...largeOf(row, address)), ...stripOf(row), controlsOf(row),
    make("dl", {}, ...facts));
  if (!viewer.open) viewer.showModal();
  viewer.scrollTop = 0;
}

// The file where the browser can show it, else the thumbnails of the page, else words.
function largeOf(row, address) {
  const small = () => {
    const images = [...document.querySelectorAll(`#row${row} .shot img`)].map((image) =>
      make("img", { src: image.src, alt: image.alt || "heatmap" }));
    return images.length ? images : [make("p", { className: "soft" }, "The browser cannot show this file.")];
  };
  if (!address) return small();
  if (isFrame(row)) {
    const film = make("video", { src: `${address}#t=${timeOf(row)}`, controls: true, muted: true, preload: "metadata" });
    film.onerror = () => film.replaceWith(...small());
    return [film];
  }
  const image = make("img", { src: address, alt: printable(data.picture.name[row]) });
  image.onerror = () => image.replaceWith(...small());
  return [image];
}

// The others of its group, the best first, with the probability of that.
function stripOf(row) {
  const group = groupOf(row);
  if (group === null) return [];
  const members = [];
  for (let other = 0; other < count; other++) if (groupOf(other) === group) members.push(other);
  if (isFrame(row)) return filmOf(row, members);
  members.sort((a, b) => data.groups.place[a] - data.groups.place[b]);
  return [make("div", { className: "strip" }, ...members.map((other) => {
    const button = make("button", { type: "button", ariaPressed: other === row, className: marks.get(other) ?? "" },
      `${data.score[other].toFixed(1)}, best with ${data.groups.best[other].toFixed(2)}`);
    const address = pictureOf(other) ?? addressOf(other);
    if (address) {
      const image = make("img", { src: address, alt: printable(data.picture.name[other]) });
      image.onerror = () => image.remove();
      button.prepend(image);
    }
    button.onclick = () => show(other);
    return button;
  }))];
}

// Frames of a video around one of them.
function filmOf(row, frames) {
  frames.sort((a, b) => timeOf(a) - timeOf(b));
  const at = frames.indexOf(row);
  const near = frames.slice(Math.max(0, at - FRAMES), at + FRAMES + 1);
  return [make("div", { className: "strip" }, ...near.map((other) => {
    const words = `${failed(other) ? "not scored" : data.score[other].toFixed(1)} at ${timeOf(other).toFixed(3)} s`;
    const button = make("button", { type: "button", ariaPressed: other === row }, words);
    if (pictureOf(other)) button.prepend(make("img", { src: pictureOf(other), alt: "" }));
    button.onclick = () => show(other);
    return button;
  }))];
}

function controlsOf(row) {
  const button = (words, what, properties = {}) => {
    const made = make("button", { type: "button", className: "act", ...properties }, words);
    made.onclick = what;
    return made;
  };
  const now = marks.get(row);
  return make("div", { className: "acts", role: "group", ariaLabel: "What becomes of the picture" },
    button("← Previous", () => step(-1)), button("Next →", () => step(1)),
    ...(isFrame(row) ? [] : [button("Keep (K)", () => decide("keep"), { ariaPressed: now === "keep" }),
      button("Reject (X)", () => decide("reject"), { ariaPressed: now === "reject" })]),
    button("Close", () => viewer.close()));
}

function step(by) {
  const place = order.indexOf(shown) + by;
  if (place >= 0 && place < order.length) show(order[place]);
}

function decide(what) {
  const row = shown;
  if (isFrame(row)) return; // files are kept or rejected
  mark(row, what);
  const place = order.indexOf(row);
  what && place >= 0 && place + 1 < order.length ? show(order[place + 1]) : show(row);
}

viewer.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), k: () => decide("keep"), x: () => decide("reject"),
    u: () => decide(null) };
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
viewer.addEventListener("close", () => {
  const place = order.indexOf(shown);
  if (place >= 0) list.scrollTop = Math.max(0, place * ROW - list.clientHeight / 2);
  update(true);
});
id("script").addEventListener("click", () => save("move_rejected.sh", "text/x-shellscript", asScript()));

recall();
update();
tellMarks();
