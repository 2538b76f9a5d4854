"use strict";
// What the scripts of several pages share: text that shows, elements, numbers, and tables as CSV.

// What would not show, or would reorder the text around it, as an escape; what UTF-8 cannot hold, too.
const escapes = (text, of) => text.replace(of, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
const printable = (text) => escapes(text, /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu);
const number = (value) => value.toLocaleString("en");
const id = (name) => document.getElementById(name);

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// The colour of a score: that of the anchor in whose fifth of the scale it lies.
const anchorOf = (score) => "at" + (10 + 20 * Math.min(4, Math.floor(score / 20)));

// Lines of cells in the manner of `iqassay score --format csv`, so that what reads its files reads this.
function csvOf(lines) {
  const quoted = (value) => {
    const text = escapes(String(value), /\p{Cs}/gu);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return lines.map((line) => line.map(quoted).join(",") + "\n").join("");
}

function save(name, type, ...parts) {
  const place = URL.createObjectURL(new Blob(parts, { type }));
  make("a", { href: place, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(place), 10000);
}
