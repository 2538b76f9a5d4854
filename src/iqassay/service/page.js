// The page of the service: pictures are dropped, sent one by one, and shown as their records come. What is sent and what
// comes back is the interface that every program uses; see docs.

const data = JSON.parse(id("data").textContent);
const suffixOf = (name) => (name.match(/\.[^./\\]*$/) || [""])[0].toLowerCase();
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const one = id("one");
const two = id("two");

// ---- asking the service

const keep = {
  get token() { return sessionStorage.getItem("iqassay token") || ""; },
  set token(value) { sessionStorage.setItem("iqassay token", value); },
};
const inAddress = new URLSearchParams(location.hash.slice(1)).get("token");
if (inAddress) {
  keep.token = inAddress;
  history.replaceState(null, "", location.pathname);
}
let entered = () => {};

class Refused extends Error {}

// The answer to a request, waited for as long as the service says to come later or does not answer at all.
async function ask(path, fields, options, signal) {
  const form = new FormData();
  let bytes = 0;
  for (const [field, picture] of Object.entries(fields)) {
    if (!picture) continue;
    form.append(field, picture.file, picture.name);
    bytes += picture.file.size;
  }
  if (bytes > data.max_bytes) throw new Refused(`got ${number(bytes)} bytes, want at most ${number(data.max_bytes)}`);
  const query = new URLSearchParams({ model: id("model").value, ...options });
  for (let failures = 0; ; ) {
    const headers = keep.token ? { Authorization: `Bearer ${keep.token}` } : {};
    let answer;
    try {
      answer = await fetch(`${path}?${query}`, { method: "POST", body: form, headers, signal });
    } catch (error) {
      if (signal?.aborted) throw error;
      // A file that was moved or changed since it was chosen cannot be sent; nor can any while the service is away.
      for (const picture of Object.values(fields)) {
        if (picture) await picture.file.slice(0, 1).arrayBuffer().catch(() => { throw new Refused("the file is gone, or has changed"); });
      }
      if (++failures > 5) throw new Refused("the service does not answer");
      tell("The service does not answer. Trying again.");
      await pause(2);
      continue;
    }
    if (answer.ok) return answer;
    if (answer.status === 401) {
      await askForToken();
      continue;
    }
    if (answer.status === 429) {
      await pause(Number(answer.headers.get("Retry-After")) || 1);
      if (signal?.aborted) throw new DOMException("stopped", "AbortError");
      continue;
    }
    const said = await answer.json().catch(() => ({}));
    throw new Refused(said.error || `the service answered ${answer.status}`);
  }
}

let asked = null;
function askForToken() {
  id("entry").hidden = false;
  id("token").focus();
  asked ??= new Promise((done) => {
    entered = () => {
      asked = null;
      done();
    };
  });
  return asked;
}

// ---- pictures, and the order in which they are shown

const pictures = []; // all, as they came
let shown = []; // the same, sorted
const ticked = []; // at most two
let waiting = [];
let running = 0;
let stopping = null; // ends what is being sent
let stopped = false;

const key = {
  came: (picture) => picture.number,
  worst: (picture) => picture.record?.score ?? 1000 + picture.number,
  best: (picture) => (picture.record ? -picture.record.score : 1000 + picture.number),
};
const collator = new Intl.Collator("en", { numeric: true });

function before(a, b) {
  const by = id("sort").value;
  if (by === "name") return collator.compare(a.name, b.name) || a.number - b.number;
  return key[by](a) - key[by](b) || a.number - b.number;
}

function placeOf(picture) {
  let low = 0;
  let high = shown.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(shown[middle], picture) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Put one picture where it belongs, and leave all others alone, so that nothing else loses the focus.
function settle(picture) {
  const at = shown.indexOf(picture);
  if (at >= 0) shown.splice(at, 1);
  const to = placeOf(picture);
  shown.splice(to, 0, picture);
  if (at === to) return;
  const held = picture.card.contains(document.activeElement) && document.activeElement;
  id("pictures").insertBefore(picture.card, shown[to + 1]?.card ?? null);
  if (held) held.focus();
}

function sortAll() {
  shown = [...pictures].sort(before);
  id("pictures").append(...shown.map((picture) => picture.card));
}

function add(files) {
  for (const { file, name } of files) {
    const picture = { number: pictures.length, file, name };
    picture.card = cardOf(picture);
    pictures.push(picture);
    waiting.push(picture);
    draw(picture);
    settle(picture);
  }
  document.body.classList.toggle("busy", pictures.length > 0);
  id("work").hidden = !pictures.length;
  stopped = false;
  work();
}

// ---- scoring

function work() {
  stopping ??= new AbortController();
  while (!stopped && running < data.at_once && waiting.length) scoreOne(waiting.shift(), stopping.signal);
  tell();
}

async function scoreOne(picture, signal) {
  running++;
  picture.error = picture.record = undefined;
  picture.state = "working";
  draw(picture);
  try {
    const answer = await ask("v1/score", { file: picture }, { thumbnail: true }, signal);
    [picture.record] = await answer.json();
    picture.thumbnail = picture.record.thumbnail;
    delete picture.record.thumbnail;
    picture.state = "scored";
  } catch (error) {
    if (signal.aborted) {
      picture.state = "waiting";
      if (pictures[picture.number] === picture) waiting.unshift(picture);
    } else {
      picture.state = "failed";
      picture.error = error instanceof Refused ? error.message : `the page failed: ${error.message}`;
    }
  }
  running--;
  if (pictures[picture.number] !== picture) return; // cleared meanwhile
  draw(picture);
  settle(picture);
  work();
}

function tell(message = "") {
  const done = pictures.filter((picture) => picture.record);
  const failed = pictures.filter((picture) => picture.error).length;
  const scores = done.map((picture) => picture.record.score).sort((a, b) => a - b);
  const parts = [];
  const busy = waiting.length + running > 0;
  const all = `${number(pictures.length)} picture${pictures.length === 1 ? "" : "s"}`;
  parts.push(busy ? `${number(done.length)} of ${all} scored` : all);
  if (scores.length > 1) {
    const middle = scores.length >> 1;
    const median = scores.length % 2 ? scores[middle] : (scores[middle - 1] + scores[middle]) / 2;
    parts.push(`median ${median.toFixed(1)}`, `${scores[0].toFixed(1)} to ${scores.at(-1).toFixed(1)}`);
  }
  if (failed) parts.push(`${number(failed)} could not be scored`);
  if (stopped && waiting.length) parts.push("stopped");
  id("status").textContent = parts.join(" · ") + (message && `. ${message}`);
  id("progress").max = Math.max(1, pictures.length);
  id("progress").value = done.length + failed;
  id("progress").hidden = !busy;
  id("stop").hidden = !busy;
  id("stop").textContent = stopped ? "Go on" : "Stop";
  id("csv").disabled = !done.length && !failed;
}

// ---- a card for each

const titleOf = (name) => (data.kinds[name] || [name.replaceAll("_", " "), "", ""])[0];
const causesOf = (record) => record.distortions.map((found) => `${titleOf(found.name)} ${found.severity.toFixed(1)}`).join(", ");
const baseOf = (name) => name.replace(/^.*[/\\]/, "");

function meaningOf(score) {
  return data.meanings.findLast(([from]) => Number(score.toFixed(1)) >= from)[1];
}

function cardOf(picture) {
  const tick = make("input", { type: "checkbox", ariaLabel: `Tick ${printable(picture.name)} to compare` });
  tick.onchange = () => setTick(picture, tick.checked);
  const open = make("button", { type: "button", className: "open" });
  open.onclick = () => show(picture);
  picture.tick = tick;
  picture.open = open;
  return make("li", { className: "picture" }, open, make("label", { className: "tick" }, tick));
}

function thinScale(record) {
  const bar = make("span", { className: `thin ${anchorOf(record.score)}`, ariaHidden: "true" });
  const range = make("i", {});
  range.style.left = `${record.low}%`;
  range.style.right = `${100 - record.high}%`;
  const at = make("b", {});
  at.style.left = `${record.score}%`;
  bar.append(range, at);
  return bar;
}

function draw(picture) {
  const { record, error } = picture;
  const view = make("span", { className: "view" });
  if (picture.thumbnail) view.append(make("img", { src: picture.thumbnail, alt: "" }));
  else if (picture.state !== "working") view.textContent = error ? "no picture" : "waiting";
  const said = make("span", { className: "said" });
  if (record) {
    said.append(make("span", { className: "score" }, record.score.toFixed(1),
      make("small", {}, `${record.low.toFixed(0)} to ${record.high.toFixed(0)}`)), thinScale(record));
    said.append(make("span", { className: "why" }, causesOf(record) || "No known damage"));
  } else if (error) said.append(make("span", { className: "wrong" }, printable(error)));
  said.append(make("span", { className: "name", title: printable(picture.name) }, printable(picture.name)));
  picture.open.replaceChildren(view, said);
  picture.card.classList.toggle("working", picture.state === "working");
  picture.card.dataset.state = picture.state ?? "waiting";
  picture.tick.disabled = !record;
}

function setTick(picture, on) {
  const at = ticked.indexOf(picture);
  if (at >= 0) ticked.splice(at, 1);
  if (on) ticked.push(picture);
  if (ticked.length > 2) ticked.shift().tick.checked = false;
  picture.tick.checked = on;
  id("compare").disabled = ticked.length < 2;
  id("compare").textContent = ["Tick two to compare", "Tick one more", "Compare the two"][ticked.length];
}

// ---- what the two dialogs show

function topOf(dialog, name, label, ...buttons) {
  const close = make("button", { type: "button", className: "act", ariaLabel: "Close" }, "Close");
  close.onclick = () => dialog.close();
  return make("div", { className: "top" }, make("h2", { id: label, title: name }, name), ...buttons, close);
}

function scoreCard(title, record, words, note = "") {
  const range = make("span", { className: "range" });
  range.style.left = `${record.low}%`;
  range.style.right = `${100 - record.high}%`;
  const at = make("span", { className: "at" });
  at.style.left = `${record.score}%`;
  const interval = `${record.low.toFixed(1)} to ${record.high.toFixed(1)}`;
  const scale = make("div", { className: "scale", role: "img",
    ariaLabel: `${record.score.toFixed(1)} on a scale from 0 to 100, interval ${interval}` }, range, at);
  const card = make("div", { className: "card" }, make("h3", {}, title),
    make("div", { className: "number" }, record.score.toFixed(1), " ", make("small", {}, "of 100")),
    make("p", { className: "meaning" }, words[0].toUpperCase() + words.slice(1) + "."), scale,
    id("meanings").content.cloneNode(true),
    make("p", { className: "soft" }, `90 % interval ${interval}: meant to hold the mean opinion of people nine times out of ten. ${note}`));
  if (record.warnings.length) {
    card.append(make("ul", { className: "warnings" }, ...record.warnings.map((said) => make("li", {}, printable(said)))));
  }
  return card;
}

function damageCard(record) {
  const list = make("ul", { className: "damage" });
  for (const { name, severity } of record.distortions) {
    const [title, looks, remedy] = data.kinds[name] || [titleOf(name), "", ""];
    const bar = make("i", {});
    bar.style.width = `${Math.min(100, 20 * severity)}%`;
    list.append(make("li", {},
      make("div", { className: "row" }, make("h3", {}, title), make("span", { className: "soft" }, `${severity.toFixed(1)} of 5`)),
      make("div", { className: "bar", ariaHidden: "true" }, bar), `${looks} ${remedy}`.trim()));
  }
  const none = make("p", {}, "No damage of a known kind was found.");
  return make("div", { className: "card" }, make("h3", {}, "What is wrong"), record.distortions.length ? list : none);
}

// Pictures on each other. choices: [left, right, words] each; layers: name -> [source, words on it].
let wipes = 0;
function wipeOf(layers, choices, width, height) {
  const stage = make("div", { className: "stage" });
  stage.style.setProperty("--w", width);
  stage.style.setProperty("--h", height);
  for (const [name, [source, words]] of Object.entries(layers)) {
    const side = make("div", { className: "side" }, make("img", { src: source, alt: words }), make("span", { className: "tag" }, words));
    side.dataset.name = name;
    stage.append(side);
  }
  stage.append(make("input", { type: "range", min: 0, max: 100, step: 0.5, value: 50, ariaLabel: "How much is shown of the left picture" }));
  const group = `wipe${++wipes}`;
  const wipe = make("div", { className: "wipe" });
  const buttons = choices.map(([left, right, words], at) =>
    make("label", {}, make("input", { type: "radio", name: group, value: `${left} ${right}`, checked: at === 0 }), words));
  const choice = make("fieldset", { className: "choices" }, make("legend", {}, "Show"), ...buttons);
  choice.hidden = choices.length < 2;
  wipe.append(choice, stage);
  makeWipe(wipe);
  return wipe;
}

// A place to drop the original on. found: gets the file, or null to take it away.
function referenceDrop(reference, words, found) {
  const input = make("input", { type: "file", accept: "image/*," + data.suffixes.join(","), hidden: true, ariaLabel: "The original" });
  input.onchange = () => input.files.length && found({ file: input.files[0], name: input.files[0].name });
  const choose = make("button", { type: "button", className: "act" }, reference ? "Another" : "Choose");
  choose.onclick = () => input.click();
  const place = make("div", { className: "drops" },
    make("p", {}, reference ? make("b", {}, "Against ", printable(baseOf(reference.name))) : words), make("span", { className: "saves" }, choose));
  if (reference) {
    const away = make("button", { type: "button", className: "act" }, "Take away");
    away.onclick = () => found(null);
    place.lastChild.append(away);
  }
  place.append(input);
  place.ondragover = (event) => {
    event.preventDefault();
    place.classList.add("over");
  };
  place.ondragleave = () => place.classList.remove("over");
  place.ondrop = (event) => {
    event.preventDefault();
    event.stopPropagation();
    hideCatch();
    place.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) found({ file, name: file.name });
  };
  return place;
}

const waitFor = (words) => make("div", { className: "wait", role: "status" }, words);
const wrong = (error) => make("p", { className: "card wrong", role: "alert" }, printable(error.message));

// ---- one picture

let looking = null; // what the dialog shows, and what ends its request
let current = null;

async function show(picture) {
  looking?.abort();
  looking = new AbortController();
  const { signal } = looking;
  current = picture;
  const place = shown.indexOf(picture);
  const step = (by, words) => {
    const button = make("button", { type: "button", className: "act step", ariaLabel: words, disabled: !shown[place + by] }, by < 0 ? "‹" : "›");
    button.onclick = () => show(shown[place + by]);
    return button;
  };
  const left = make("div", {}, waitFor(picture.error ? "" : "Looking closer"));
  const facts = make("div", { className: "facts" });
  const held = one.contains(document.activeElement) ? document.activeElement.ariaLabel : "";
  one.replaceChildren(
    topOf(one, printable(picture.name), "onename", step(-1, "Previous picture"), step(1, "Next picture")),
    make("div", { className: "body" }, left, facts));
  const known = () => {
    facts.replaceChildren();
    if (picture.record) facts.append(scoreCard("Score", picture.record, meaningOf(picture.record.score)), damageCard(picture.record));
    facts.append(referenceDrop(picture.reference, "Drop the original here to score against it", (reference) => {
      picture.reference = reference;
      show(picture);
    }));
  };
  known();
  if (!one.open) one.showModal();
  else ([...one.querySelectorAll("button.step:enabled")].find((button) => button.ariaLabel === held) ?? one).focus();
  if (picture.error) return left.replaceChildren(wrong(picture.error.message ? picture.error : new Error(picture.error)));
  try {
    const found = await explained(picture, signal);
    if (current !== picture || signal.aborted) return;
    const { images } = found;
    const map = images.against ? "against" : "quality";
    const layers = { picture: [images.picture, "picture"], [map]: [images[map], "where quality is lost"] };
    const choices = [["picture", map, "Where quality is lost"]];
    if (images.estimate) {
      layers.estimate = [images.estimate, "restored estimate"];
      choices.push(["picture", "estimate", "Restored estimate"]);
    }
    if (images.reference) {
      layers.reference = [images.reference, "original"];
      choices.unshift(["picture", "reference", "Original"]);
      if (images.estimate) choices.push(["estimate", "reference", "Estimate and original"]);
    }
    const heat = make("div", { className: "heat" }, id("heat").content.cloneNode(true));
    const wipe = wipeOf(layers, choices, found.width, found.height);
    const seeHeat = () => (heat.hidden = !wipe.querySelector(".right")?.dataset.name.match(/against|quality/));
    wipe.addEventListener("change", seeHeat);
    seeHeat();
    left.replaceChildren(wipe, heat);
    known();
    if (found.reference_verdict) {
      const beside = found.reference_verdict;
      facts.prepend(scoreCard("Against the original", beside, meaningOf(beside.score), "100 is the same picture."));
    }
    facts.append(moreOf(picture, found, left));
  } catch (error) {
    if (!signal.aborted && current === picture) left.replaceChildren(wrong(error));
  }
}

// What the service says of a picture beyond its record.
async function explained(picture, signal) {
  const fields = { file: picture, reference: picture.reference };
  if (data.restores) return (await ask("v1/explain", fields, { images: true, align: "crop" }, signal)).json();
  const answer = await ask("v1/score", fields, { map: true, align: "crop" }, signal);
  const [record] = await answer.json();
  const source = URL.createObjectURL(picture.file); // where nothing restores, the browser shows the picture itself
  const image = await new Promise((done) => {
    const made = make("img", { src: source });
    made.onload = made.onerror = () => done(made);
  });
  return { width: image.naturalWidth || 640, height: image.naturalHeight || 480,
    images: { picture: source, [picture.reference ? "against" : "quality"]: record.map },
    reference_verdict: picture.reference ? record : undefined };
}

function moreOf(picture, found, left) {
  const list = make("dl", {});
  const fact = (name, value) => list.append(make("dt", {}, name), make("dd", {}, value));
  fact("Size", `${number(found.width)} × ${number(found.height)} pixels`);
  const { record } = picture;
  if (record) {
    fact("Model", `${record.model} ${record.version}`);
    fact("Raw values", Object.entries(record.raw).map(([name, value]) => `${name} ${value}`).join(", "));
  }
  const near = found.nearest?.[0];
  if (near) fact("Nearest", near.level ? `${titleOf(near.name)}, level ${near.level} of 5 (${near.similarity.toFixed(2)})` : "no damage");
  const card = make("div", { className: "card" }, list);
  if (data.restores) {
    const button = make("button", { type: "button", className: "act" }, "Save as a page");
    button.onclick = async () => {
      button.disabled = true;
      try {
        const fields = { file: picture, reference: picture.reference };
        const answer = await ask("v1/explain", fields, { page: true, align: "crop" });
        save(`${baseOf(picture.name)}.html`, "text/html", await answer.text());
      } catch (error) {
        left.prepend(wrong(error));
      }
      button.disabled = false;
    };
    card.append(make("p", { className: "saves" }, button));
  }
  return card;
}

// ---- two pictures

const pair = { reference: null };

async function compareTwo() {
  if (ticked.length < 2) return;
  const [a, b] = ticked;
  looking?.abort();
  looking = new AbortController();
  const { signal } = looking;
  current = pair;
  const left = make("div", {}, waitFor("Comparing"));
  const facts = make("div", { className: "facts" });
  two.replaceChildren(topOf(two, "Two pictures", "twoname"), make("div", { className: "body" }, left, facts));
  const drop = () => referenceDrop(pair.reference, "Drop the original of both here to compare against it", (reference) => {
    pair.reference = reference;
    compareTwo();
  });
  facts.append(drop());
  if (!two.open) two.showModal();
  try {
    const answer = await ask("v1/compare", { a, b, reference: pair.reference }, { images: true, align: "crop" }, signal);
    const found = await answer.json();
    if (signal.aborted) return;
    const names = { a: `A: ${printable(baseOf(a.name))}`, b: `B: ${printable(baseOf(b.name))}` };
    const layers = Object.fromEntries(Object.entries(found.images).map(([name, source]) => [name, [source, names[name] || "original"]]));
    const choices = [["a", "b", "A and B"]];
    if (found.images.reference) choices.push(["a", "reference", "A and the original"], ["b", "reference", "B and the original"]);
    const image = await new Promise((done) => {
      const made = make("img", { src: found.images.a });
      made.onload = made.onerror = () => done(made);
    });
    left.replaceChildren(wipeOf(layers, choices, image.naturalWidth, image.naturalHeight));
    facts.replaceChildren(comparedCard(found, names), drop());
  } catch (error) {
    if (!signal.aborted) left.replaceChildren(wrong(error));
  }
}

function comparedCard(found, names) {
  const sure = Math.max(found.win_probability, 1 - found.win_probability);
  const better = found.difference >= 0 ? "A" : "B";
  const points = Math.abs(found.difference).toFixed(1);
  const words = sure < data.clear ? "No clear difference." : `${better} looks better, by ${points} points.`;
  const share = 100 * found.win_probability;
  const odds = make("div", { className: "odds", role: "img",
    ariaLabel: `People would prefer A with probability ${found.win_probability.toFixed(2)}` });
  for (const [name, width] of [["A", share], ["B", 100 - share]]) {
    const part = make("span", { className: width > 50 ? "more" : "" }, width > 12 ? `${name} ${width.toFixed(0)} %` : "");
    part.style.width = `${width}%`;
    odds.append(part);
  }
  const rows = ["a", "b"].map((side) => make("div", {},
    make("div", { className: "row" }, make("span", {}, names[side]), make("b", {}, found[side].score.toFixed(1))), thinScale(found[side]),
    make("span", { className: "soft" }, causesOf(found[side]) || "No known damage", ...found[side].warnings.map((said) => `; ${printable(said)}`))));
  return make("div", { className: "card" }, make("p", { className: "found" }, words),
    make("p", { className: "soft" }, "Which one people would prefer:"), odds, make("p", {}), make("div", { className: "pairs" }, ...rows));
}

// ---- taking the records away

function asCsv() {  // the columns of `iqassay score --format csv`
  const rows = shown.filter(({ record, error }) => record || error);
  const named = (key) => [...new Set(rows.flatMap(({ record }) => Object.keys(record?.[key] ?? {})))].sort();
  const raws = named("raw"), sizes = ["width", "height", "bytes"];
  const withReference = rows.some(({ record }) => record?.reference);
  const head = ["path", ...(withReference ? ["reference"] : []), "score", "low", "high", ...raws.map((name) => `raw_${name}`),
    "model", "version", ...sizes, "distortions", "warnings", "error"];
  return csvOf([head, ...rows.map(({ name, record, error }) => {
    if (error) return [name, ...head.slice(2).map(() => ""), error];
    return [name, ...(withReference ? [record.reference ?? ""] : []), record.score, record.low, record.high,
      ...raws.map((model) => record.raw[model] ?? ""), record.model, record.version, ...sizes.map((size) => record[size] ?? ""),
      record.distortions.map((found) => `${found.name}:${found.severity}`).join(";"), record.warnings.join("; "), ""];
  })]);
}

// ---- what comes in

const known = (name) => data.suffixes.includes(suffixOf(name));

async function filesIn(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((done, fail) => entry.file(done, fail)).catch(() => null);
    if (file) found.push({ file, name: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail)).catch(() => []);
    if (!some.length) return;
    for (const inner of some) if (inner.isDirectory || known(inner.name)) await filesIn(inner, found);
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return add([...transfer.files].map((file) => ({ file, name: file.name })));
  const found = [];
  for (const entry of entries) await filesIn(entry, found);
  add(found.sort((a, b) => collator.compare(a.name, b.name)));
}

const hideCatch = () => (id("catch").hidden = true);
addEventListener("dragover", (event) => {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  id("catch").hidden = one.open || two.open;
});
addEventListener("dragleave", (event) => event.relatedTarget === null && hideCatch());
addEventListener("drop", (event) => {
  event.preventDefault();
  hideCatch();
  if (!one.open && !two.open) dropped(event.dataTransfer);
});
addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length && !one.open && !two.open) add(files.map((file) => ({ file, name: file.name || "pasted picture" })));
});
for (const [button, input] of [["choose", "files"], ["choosefolder", "folder"]]) {
  id(button).addEventListener("click", () => id(input).click());
  id(input).addEventListener("change", () => {
    const files = [...id(input).files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
    add(input === "folder" ? files.filter(({ name }) => known(name)).sort((a, b) => collator.compare(a.name, b.name)) : files);
    id(input).value = "";
  });
}

// ---- what the controls do

id("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  keep.token = id("token").value.trim();
  id("token").value = "";
  id("entry").hidden = true;
  entered();
});
id("sort").addEventListener("change", sortAll);
id("model").addEventListener("change", () => {
  stopping?.abort();
  stopping = null;
  waiting = [...pictures];
  for (const picture of pictures) {
    picture.record = picture.error = undefined;
    picture.state = "waiting";
    setTick(picture, false);
    draw(picture);
  }
  work();
});
id("stop").addEventListener("click", () => {
  stopped = !stopped;
  if (stopped) {
    stopping?.abort();
    stopping = null;
  }
  work();
});
id("clear").addEventListener("click", () => {
  stopping?.abort();
  stopping = null;
  pictures.length = 0;
  shown = [];
  waiting = [];
  ticked.length = 0;
  id("pictures").replaceChildren();
  add([]);
  id("choose").focus();
});
id("csv").addEventListener("click", () => save("pictures.csv", "text/csv", asCsv()));
id("compare").addEventListener("click", compareTwo);
for (const dialog of [one, two]) {
  dialog.addEventListener("close", () => {
    if (!dialog.open) dialog.replaceChildren();
    if (one.open || two.open) return; // the event came late: what was opened since goes on
    looking?.abort();
    if (current?.open) current.open.focus();
    current = null;
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
}
addEventListener("keydown", (event) => {
  const by = { PageUp: -1, PageDown: 1 }[event.key];
  const next = one.open && by && shown[shown.indexOf(current) + by];
  if (!next) return;
  event.preventDefault();
  show(next);
});

// Arrow keys go from card to card, up and down by the number of columns.
id("pictures").addEventListener("keydown", (event) => {
  const at = shown.findIndex((picture) => picture.card.contains(event.target));
  if (at < 0) return;
  if (event.key.toLowerCase() === "x" && shown[at].record && !event.ctrlKey && !event.metaKey) {
    return setTick(shown[at], !shown[at].tick.checked);
  }
  const columns = getComputedStyle(id("pictures")).gridTemplateColumns.split(" ").length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: shown.length - 1 - at }[event.key];
  if (by === undefined || !shown[at + by]) return;
  event.preventDefault();
  shown[at + by].open.focus();
});
