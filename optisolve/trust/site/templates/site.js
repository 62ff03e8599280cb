// Sorting, filtering and plots of the leaderboard; no network, no storage.
"use strict";

function sortTable(table, column, kind) {
  const head = table.tHead.rows[0].cells[column];
  const rising = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const cell of table.tHead.rows[0].cells) cell.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", rising === 1 ? "ascending" : "descending");
  const key = (row) => {
    const cell = row.cells[column];
    const text = cell.dataset.sort ?? cell.textContent.trim();
    if (kind === "t") return text;
    const value = Number(text.replace(/,/g, ""));
    return Number.isNaN(value) ? Infinity : value;
  };
  const rows = Array.from(table.tBodies[0].rows, (row) => [key(row), row]);
  rows.sort(([a], [b]) => rising * (kind === "t" ? a.localeCompare(b, "en", { numeric: true }) : a === b ? 0 : a < b ? -1 : 1));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

function filterTable(form) {
  const table = document.getElementById(form.dataset.table);
  const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
  const family = form.elements.family.value, solver = form.elements.solver.value, first = form.elements.first.checked;
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    const fits = words.every((word) => text.includes(word)) && (!family || row.dataset.family === family) &&
      (!solver || row.dataset.solver === solver) && (!first || row.dataset.rank === "1");
    row.hidden = !fits;
    shown += fits;
  }
  form.querySelector("output").textContent = `${shown} of ${table.tBodies[0].rows.length} lines`;
}

// The library is large: it is asked for when the first plot comes near the window, and every plot is drawn then.
const here = document.currentScript.src;
let library;
function plotly() {
  library ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", here).href;
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
  return library;
}

const drawn = new Set();
function drawWhenSeen(scripts) {
  const seen = new IntersectionObserver((entries) => {
    const near = entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target);
    if (!near.length) return;
    near.forEach((plot) => seen.unobserve(plot));
    plotly().then(() => near.forEach((plot) => { drawn.add(scripts.get(plot)); drawPlots([scripts.get(plot)]); }));
  }, { rootMargin: "600px" });
  for (const plot of scripts.keys()) seen.observe(plot);
}

// Labels at 1, 2 and 5 where there is room for them, else at powers of ten.
function logarithmic(traces, side) {
  const values = traces.flatMap((trace) => trace[side] ?? []).filter((value) => value > 0);
  const decades = Math.log10(Math.max(...values) / Math.min(...values));
  if (decades < 1.6) return { type: "log", dtick: "D2", tickformat: ".2~g" };
  return { type: "log", dtick: Math.ceil(decades / 6), exponentformat: "power" };
}

function drawPlots(scripts) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const dashes = ["solid", "dash", "dot", "dashdot"];
  for (const script of scripts) {
    const chart = JSON.parse(script.textContent);
    const traces = chart.traces.map((trace) => {
      const ink = color(`--c${trace.color % 12}`);
      const line = { color: ink, dash: dashes[trace.color % 4], width: 2, shape: "hv" }; // a best value stands until it is beaten
      if (trace.kind === "box") {
        return { type: "box", name: trace.name, y: trace.y, line: { color: ink }, boxpoints: "all", jitter: 0.4, marker: { size: 5 } };
      }
      const edge = trace.kind === "edge"; // of an area whose middle line carries the name
      if (edge) line.width = 0.8;
      const mode = edge || trace.kind === "line" ? "lines" : "markers";
      const group = { legendgroup: trace.name, showlegend: !edge };
      return { type: "scatter", mode, name: trace.name, x: trace.x, y: trace.y, line, marker: { color: ink, size: 7 }, ...group };
    });
    const axis = { gridcolor: color("--grid"), zerolinecolor: color("--rule"), linecolor: color("--rule"), automargin: true };
    Plotly.newPlot(script.dataset.plot, traces, {
      margin: { l: 50, r: 10, t: 10, b: 40 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 13, color: color("--ink") },
      xaxis: { ...axis, title: { text: chart.x, font: { size: 13 } }, ...(chart.log_x && logarithmic(traces, "x")) },
      yaxis: { ...axis, title: { text: chart.y, font: { size: 13 } }, ...(chart.log_y && logarithmic(traces, "y")) },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: color("--muted"), activecolor: color("--ink") },
      showlegend: traces.length > 1 && traces[0].type !== "box",
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 } },
    }, { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] });
  }
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((cell, column) => {
      const button = cell.querySelector("button");
      button.addEventListener("click", () => sortTable(table, column, button.dataset.kind));
    });
  }
  for (const form of document.querySelectorAll("form.filters")) {
    form.addEventListener("input", () => filterTable(form));
    form.addEventListener("submit", (event) => event.preventDefault());
    filterTable(form);
  }
  const scripts = Array.from(document.querySelectorAll("script[data-plot]"));
  drawWhenSeen(new Map(scripts.map((script) => [document.getElementById(script.dataset.plot), script])));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawPlots(drawn));
});
