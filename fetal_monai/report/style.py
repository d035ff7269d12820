"""The look of the page and its only script: sorting and filtering. Both are written into the page itself."""

__all__ = ["CSS", "SCRIPT"]

CSS = """
:root { --ink: #1a2330; --muted: #566273; --line: #dfe4ea; --surface: #f6f8fa; --accent: #0b6470;
  --check: #855000; --check-line: #e9a320; --check-bg: #fff7e6;
  --stop: #a01c1c; --stop-line: #d9534f; --stop-bg: #fdf1f0; --note-line: #9aa7b5; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: #fff; color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", sans-serif; }
main, header, footer { max-width: 1200px; margin: 0 auto; padding: 0 24px; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid #3aa6b5; outline-offset: 2px; border-radius: 3px; }
h1 { font-size: 30px; line-height: 1.2; margin: 4px 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 20px; line-height: 1.3; margin: 0 0 4px; }
h3 { font-size: 16px; margin: 28px 0 12px; }
p { margin: 0 0 8px; }
section { margin: 40px 0 0; }
small, .quiet { color: var(--muted); font-size: 14px; }
.eyebrow { color: var(--accent); font-weight: 600; font-size: 14px; padding-top: 28px; margin: 0; }
.research { display: inline-block; margin: 10px 0 0; padding: 5px 12px; border: 1.5px solid var(--ink);
  border-radius: 4px; font-weight: 600; font-size: 14px; }
.mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: 13px;
  overflow-wrap: anywhere; }
.name { overflow-wrap: anywhere; }

.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 12px; margin: 24px 0 0; padding: 0;
  list-style: none; }
.tiles li { border: 1px solid var(--line); border-top: 4px solid var(--accent); border-radius: 6px;
  padding: 10px 16px 12px; }
.tiles b { display: block; font-size: 30px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tiles .check { border-top-color: var(--check-line); } .tiles .check b { color: var(--check); }
.tiles .stop { border-top-color: var(--stop-line); } .tiles .stop b { color: var(--stop); }
.tiles .none { border-top-color: var(--line); } .tiles .none b { color: var(--muted); }

.failed { border: 1px solid var(--stop-line); border-left-width: 6px; background: var(--stop-bg);
  border-radius: 6px;
  padding: 18px 22px 14px; }
.failed h2 { color: var(--stop); }
.failed ul { margin: 12px 0; padding: 0; list-style: none; }
.failed li { padding: 9px 0; border-top: 1px solid #f0cfcd; }
.failed li p { margin: 2px 0 0; overflow-wrap: anywhere; }

.overview { display: grid; grid-template-columns: minmax(0, 7fr) minmax(0, 4fr); gap: 40px; }
.overview > :only-child { grid-column: 1 / -1; }
.overview section { min-width: 0; }
.stacked { display: block; } .stacked .wide { max-width: 900px; }
.stacked .bars { columns: 3 280px; column-gap: 40px; } .bars li { break-inside: avoid; }
svg { display: block; width: 100%; height: auto; margin: 8px 0; }
svg text { fill: var(--muted); font-size: 12px; }
svg .axis { fill: var(--ink); font-size: 13px; }
.narrow { display: none; }
.key { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 0 0 6px; padding: 0; list-style: none; }
.key svg { display: inline-block; width: 18px; height: 14px; margin: 0 6px 0 0; vertical-align: -2px; }
.bars { list-style: none; margin: 12px 0 0; padding: 0; }
.bars li { margin: 0 0 14px; }
.bars .row { display: flex; justify-content: space-between; gap: 12px; font-weight: 600; font-size: 15px; }
.bars .track { height: 8px; background: #edf0f3; border-radius: 4px; margin: 3px 0; overflow: hidden; }
.bars .fill { height: 100%; min-width: 3px; background: var(--accent); border-radius: 4px; }
.bars .note .fill { background: var(--note-line); }
.bars .check .fill { background: var(--check-line); }
.bars .stop .fill { background: var(--stop-line); }

.tools { display: flex; flex-wrap: wrap; align-items: end; gap: 10px 16px; margin: 12px 0; }
.tools label { font-size: 14px; color: var(--muted); }
.tools input, .tools select { display: block; font: inherit; font-size: 16px; color: var(--ink); padding: 7px 10px;
  border: 1px solid #b9c2cc; border-radius: 6px; background: #fff; min-height: 42px; }
.tools input { width: 260px; max-width: 100%; }
.tools output { font-size: 14px; color: var(--muted); padding-bottom: 10px; }
.scroll { overflow: auto; max-height: 560px; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: 14px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 7px 10px; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top;
  background: #fff; }
th { position: sticky; top: 0; z-index: 2; background: var(--surface); padding: 0; vertical-align: bottom;
  border-bottom: 2px solid #c7cfd8; }
th button { font: inherit; font-weight: 600; line-height: 1.25; color: inherit; background: none; border: 0;
  cursor: pointer;
  width: 100%; min-width: 64px; padding: 9px 10px; text-align: inherit; }
th button:hover { background: #e9eef2; }
th button small { display: block; font-weight: 400; font-size: 13px; }
th i::after { content: "\\2195"; font-style: normal; color: #a3aeba; margin-left: 4px; }
th[aria-sort=ascending] i::after { content: "\\2191"; color: var(--accent); }
th[aria-sort=descending] i::after { content: "\\2193"; color: var(--accent); }
.text { text-align: left; }
td.text:last-child { min-width: 150px; }
td:first-child a { display: block; width: max-content; max-width: 240px; overflow-wrap: anywhere; }
th:first-child, td:first-child { position: sticky; left: 0; z-index: 1; }
th:first-child { z-index: 3; }
tr.check td:first-child { box-shadow: inset 5px 0 var(--check-line); }
tr.stop td:first-child { box-shadow: inset 5px 0 var(--stop-line); }
tr.check td { background: var(--check-bg); } tr.stop td { background: var(--stop-bg); }
tr.stop td.number { color: var(--muted); text-decoration: line-through; text-decoration-color: var(--stop-line); }
tr[hidden], .card[hidden] { display: none; }
.badge { display: inline-block; margin: 0 4px 3px 0; padding: 1px 8px; border-radius: 10px; font-size: 13px;
  line-height: 1.45;
  white-space: nowrap; border: 1px solid var(--note-line); color: #40495a; background: #fff; }
.badge.check { border-color: var(--check-line); background: #ffedc7; color: #6d4100; }
.badge.stop { border-color: var(--stop-line); background: #fbdcda; color: #8d1616; }

.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 18px;
  align-items: stretch; }
.card { border: 1px solid var(--line); border-radius: 8px; overflow: hidden; content-visibility: auto;
  contain-intrinsic-size: auto 520px; scroll-margin-top: 16px; }
.card.check { border-color: var(--check-line); border-top-width: 5px; }
.card.stop { border-color: var(--stop-line); border-top-width: 5px; }
.card:target { box-shadow: 0 0 0 3px #3aa6b5; }
.card .picture { display: block; aspect-ratio: 3 / 2; background: #05080c; color: #c6ced8; text-align: center; }
.card img { width: 100%; height: 100%; object-fit: contain; display: block; }
.card .picture span { display: inline-block; padding-top: 28%; font-size: 14px; }
.card .body { padding: 12px 16px 14px; }
.card h4 { margin: 0 0 8px; font-size: 14px; font-weight: 600; color: var(--muted); overflow-wrap: anywhere; }
.lead { margin: 0 0 10px; }
.lead span { display: block; font-size: 14px; color: var(--muted); }
.lead b { display: block; font-size: 26px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.lead .none { color: var(--muted); font-size: 20px; font-weight: 500; }
.stop .lead b:not(.none) { color: var(--muted); font-weight: 500; text-decoration: line-through 2px var(--stop-line); }
.lead em { font-style: normal; font-weight: 600; font-size: 14px; color: var(--stop); }
.check .lead em { color: var(--check); }
dl { display: grid; grid-template-columns: 1fr auto; gap: 3px 14px; margin: 0 0 8px; font-size: 14px; }
dt { color: var(--muted); } dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
dd small { display: block; font-size: 13px; }
summary { cursor: pointer; font-size: 14px; color: var(--accent); margin: 0 0 6px; }
.source { font-size: 13px; color: var(--muted); border-top: 1px solid var(--line); padding-top: 8px; margin: 10px 0 0; }
.why { list-style: none; margin: 0 0 10px; padding: 0; font-size: 14px; }
.why li { border-left: 4px solid var(--note-line); padding: 1px 0 1px 10px; margin: 0 0 8px; line-height: 1.4; }
.why li.check { border-color: var(--check-line); } .why li.stop { border-color: var(--stop-line); }
.why b { display: block; } .why .check b { color: var(--check); } .why .stop b { color: var(--stop); }

.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); gap: 18px 28px; }
.charts figure { margin: 0; break-inside: avoid; }
.charts figcaption { font-weight: 600; font-size: 15px; }
.groups th { position: static; text-align: left; padding: 7px 10px 0; border: 0; font-size: 13px; color: var(--muted); }
.groups th + th { border-left: 1px solid var(--line); }
td small { display: block; font-size: 13px; white-space: nowrap; }
.beyond { color: var(--check); font-weight: 600; }
.volumes { grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)); }
.volumes .card { contain-intrinsic-size: auto 760px; } .volumes .picture { aspect-ratio: 5 / 2; }
.values th, .values td { position: static !important; box-shadow: none !important; background: none; border: 0;
  padding: 2px 0 2px 10px; vertical-align: middle; }
.values th { text-align: left; font-weight: 400; color: var(--muted); padding-left: 0; }
.values .head th { font-weight: 600; color: var(--ink); padding-top: 10px; border-bottom: 1px solid var(--line); }
.values td { white-space: nowrap; } .values td:nth-child(3) { width: 104px; } .values td:last-child { width: 62px; }
.values svg { width: 96px; margin: 0 0 0 auto; }

.lesions { margin: 12px 0 0; font-size: 13px; }
.lesions caption { text-align: left; font-weight: 600; padding: 0 0 3px; border-bottom: 1px solid var(--line); }
.lesions th, .lesions td { position: static !important; box-shadow: none !important; background: none; border: 0;
  padding: 2px 0 2px 8px; line-height: 1.3; }
.lesions thead th { text-align: right; font-weight: 400; color: var(--muted); }
.lesions tbody th { text-align: left; padding-left: 0; font-weight: 600; }

.about { grid-template-columns: minmax(110px, auto) 1fr; gap: 6px 24px; font-size: 15px; margin-top: 12px; }
.about dd { text-align: left; overflow-wrap: anywhere; }
.files { display: flex; flex-wrap: wrap; gap: 6px 20px; }
footer { margin-top: 48px; padding: 18px 24px 40px; border-top: 1px solid var(--line); font-size: 14px;
  color: var(--muted); }

@media (max-width: 860px) { .overview { grid-template-columns: minmax(0, 1fr); gap: 0; } }
@media (max-width: 560px) {
  .values { font-size: 13px; } .values th { padding-left: 0; } .values td { padding-left: 5px; }
  .values td small { font-size: 12px; } .values td:nth-child(3) { width: 57px; } .values svg { width: 52px; }
  .values td:nth-child(4) { width: 50px; } .volumes .card .body { padding: 12px 10px; }
  main, header, footer { padding-left: 16px; padding-right: 16px; }
  h1 { font-size: 25px; } .tiles { grid-template-columns: 1fr 1fr; } .failed { padding: 14px 16px 10px; }
  .wide { display: none; } .narrow { display: block; } .tools label, .tools input, .tools select { width: 100%; }
  .cards { grid-template-columns: minmax(0, 1fr); } .card { contain-intrinsic-size: auto 560px; }
  td:first-child a { max-width: 130px; }
  .about { grid-template-columns: minmax(0, 1fr); gap: 0; } .about dd { margin: 0 0 10px; }
}
@page { size: A4; margin: 14mm 13mm 18mm;
  @bottom-left { content: "For research use only. Not for clinical use."; font: 8pt sans-serif; color: #566273; }
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #566273; } }
@media print {
  body { font-size: 10pt; } * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main, header, footer { max-width: none; padding: 0; } .tools, .screen, th i { display: none; }
  #provenance { break-inside: avoid; }
  .eyebrow { padding-top: 0; } section { margin-top: 20px; } h2, h3 { break-after: avoid; }
  .overview { display: block; } .bars { columns: 2; column-gap: 32px; }
.failed li { break-inside: avoid; }
  .overview .wide { display: block; max-width: 135mm; } .narrow { display: none; } .chart { break-inside: avoid; }
  .scroll { overflow: visible; max-height: none; border: 0; }
  table { font-size: 7pt; } th, td { position: static !important; padding: 2px 4px; }
  th button { min-width: 0; padding: 2px 0; } th button small, .badge { font-size: 6.5pt; }
  td.text { min-width: 0; } .badge { padding: 0 4px; white-space: normal; } tr { break-inside: avoid; }
  thead { display: table-row-group; }
  td:first-child a { max-width: 80px; }
  .cards { grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 10px; }
  .card { break-inside: avoid; content-visibility: visible; } .card .body { padding: 8px 10px; }
  .card dl, .why, .card h4, .lead span, .source { font-size: 8pt; } .lead b { font-size: 14pt; }
.card details { display: none; }
  .volumes { grid-template-columns: repeat(2, minmax(0, 1fr)); } .charts { grid-template-columns: repeat(3, 1fr); }
  .values { font-size: 8pt; } .values th, .values td { padding: 1px 0 1px 6px; }
}
"""

SCRIPT = """
(() => {
  const table = document.querySelector("table");
  const body = table && table.tBodies[0];
  const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const key = (row, place, numeric) => {
    const cell = row.cells[place];
    const text = cell.dataset.v ?? cell.textContent.trim();
    return text === "" ? null : numeric ? Number(text) : text;
  };
  const sort = (head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const numeric = head.dataset.type === "number";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = Array.from(body.rows, (row) => [key(row, head.cellIndex, numeric), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const sign = numeric ? a - b : order.compare(a, b);
      return down ? -sign : sign;
    });
    body.append(...rows.map(([, row]) => row));
  };
  if (table) for (const head of [...table.tHead.rows].at(-1).cells)
    head.querySelector("button").addEventListener("click", () => sort(head));

  const search = document.getElementById("search");
  const which = document.getElementById("which");
  if (!search) return;
  const items = Array.from(document.querySelectorAll("[data-name]"));
  const filter = () => {
    const words = search.value.trim().toLowerCase();
    let shown = 0;
    for (const item of items) {
      const level = item.dataset.level;
      const fits = which.value === "all" || which.value.split(" ").includes(level);
      item.hidden = !(fits && item.dataset.name.toLowerCase().includes(words));
      if (item.tagName === "TR" && !item.hidden) shown += 1;
    }
    for (const group of document.querySelectorAll(".group"))
      group.hidden = !group.querySelector(".card:not([hidden])");
    document.getElementById("shown").textContent = `${shown} of ${body.rows.length} shown`;
  };
  search.addEventListener("input", filter);
  which.addEventListener("change", filter);
})();
"""
