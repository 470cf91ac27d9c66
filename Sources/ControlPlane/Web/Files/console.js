// Makes the console nicer; nothing in it needs this file.
"use strict";

// An invitation's link has its token behind the #, which no server sees. It goes into the field, and out of the address.
function takeToken() {
  const field = document.querySelector("input[data-from-fragment]");
  if (!field || location.hash.length < 2) return;
  field.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname + location.search);
}

// A chart shows what its table says: the first column names, each column marked as a series is drawn.
function drawChart(box) {
  const table = document.getElementById(box.dataset.chartOf);
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...table.tBodies[0].rows].reverse();
  const style = getComputedStyle(document.documentElement);
  const colour = name => style.getPropertyValue(name).trim();
  const columns = heads.map((head, at) => [head, at]).filter(([head]) => "series" in head.dataset);
  const datasets = columns.map(([head, at], series) => ({
    label: head.textContent, data: rows.map(row => Number(row.cells[at].dataset.value)), maxBarThickness: 36,
    backgroundColor: colour(`--chart-${series % 8 + 1}`), borderColor: colour(`--chart-${series % 8 + 1}`),
  }));
  box.hidden = false;
  // The chart says it; whoever wants the figures opens them.
  table.closest("details").open = false;
  const axis = {
    grid: {color: colour("--line")},
    ticks: {color: colour("--muted"), maxRotation: 0, autoSkipPadding: 20},
  };
  new Chart(box.querySelector("canvas"), {
    type: box.dataset.chartKind, data: {labels: rows.map(row => row.cells[0].textContent.trim()), datasets},
    options: {
      maintainAspectRatio: false, animation: false,
      scales: {
        x: {...axis, grid: {display: false}},
        y: {...axis, beginAtZero: true, title: {display: true, text: box.dataset.chartUnit, color: colour("--muted")}},
      },
      plugins: {legend: {position: "bottom", labels: {color: colour("--text"), boxWidth: 14}}},
    },
  });
}

// A problem of a card leads to its line in the field, where it can be mended.
function goToLine(event) {
  const link = event.target.closest('a[href^="#line-"]');
  const field = document.querySelector("main textarea");
  if (!link || !field) return;
  event.preventDefault();
  const lines = field.value.split("\n");
  const at = Math.min(Number(link.hash.slice(6)), lines.length) - 1;
  const begin = lines.slice(0, at).reduce((sum, line) => sum + line.length + 1, 0);
  field.focus();
  field.setSelectionRange(begin, begin + lines[at].length);
  const height = parseFloat(getComputedStyle(field).lineHeight);
  field.scrollTop = Math.max(0, at * height - field.clientHeight / 2);
}

takeToken();
document.addEventListener("click", goToLine);
const charts = typeof Chart === "undefined" ? [] : document.querySelectorAll("[data-chart-of]");
charts.forEach(drawChart);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (charts.length > 0) location.reload();
});
