// Makes the credits page nicer; nothing on it needs this file.
"use strict";

// A pending purchase: looks for its end, and shows it then. The element stays, since screen readers announce what changes
// in it, and nothing of a page that is loaded anew.
function followPurchase() {
  const news = document.querySelector("[data-pending]");
  if (!news) return;
  let looks = 0;
  const look = async () => {
    looks += 1;
    try {
      const reply = await fetch(location.href, {headers: {accept: "text/html"}});
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      if (reply.ok && !page.querySelector("[data-pending]")) return showPurchase(news, page);
    } catch {
      // Offline for a moment: the next look may succeed.
    }
    if (looks < 200) setTimeout(look, looks < 15 ? 1000 : 5000);
  };
  setTimeout(look, 1000);
}

// What the purchase changed, of the page as it is now.
function showPurchase(news, page) {
  const end = page.querySelector(".news");
  if (!end) return location.reload();
  document.querySelectorAll("main > .notice").forEach(notice => notice.remove());
  document.querySelector("main").prepend(...page.querySelectorAll("main > .notice"));
  for (const part of ["balance-title", "recent-title"]) {
    const section = `[aria-labelledby=${part}]`;
    document.querySelector(section).replaceWith(page.querySelector(section));
  }
  news.removeAttribute("data-pending");
  news.className = end.className;
  news.replaceChildren(...end.childNodes);
}

// `12345.6` as `12,345.6`, digit by digit: a number of JavaScript could round it.
function grouped(decimal) {
  const [whole, fraction] = decimal.split(".");
  const marked = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? marked : `${marked}.${fraction}`;
}

// Whole units of 10^-digits as a decimal without zeros at its end.
function decimal(units, digits, fractionMin = 0) {
  const text = units.padStart(digits + 1, "0");
  let fraction = text.slice(-digits).replace(/0+$/, "");
  fraction = fraction.padEnd(fractionMin, "0");
  return grouped(text.slice(0, -digits) + (fraction ? `.${fraction}` : ""));
}

// The estimator: asks as one types, and shows the last answer only.
function estimateAsTyped() {
  const form = document.querySelector("form[data-estimate]");
  if (!form) return;
  const result = form.querySelector("[data-result]");
  let timer, asked = 0;
  const show = (...parts) => result.replaceChildren(...parts);
  const ask = async () => {
    asked += 1;
    const mine = asked;
    const count = name => form.elements[name].value.trim() === "" ? 0 : Number(form.elements[name].value);
    const body = {
      model: form.elements.model.value, inputTokens: count("input"), cachedInputTokens: count("cached"),
      outputTokens: count("output"),
    };
    try {
      const reply = await fetch(form.dataset.estimate, {
        method: "POST", body: JSON.stringify(body),
        headers: {"content-type": "application/json", "x-csrf-token": form.dataset.csrf},
      });
      const answer = await reply.json();
      if (mine !== asked) return;
      if (!reply.ok) return show(answer.error);
      const credits = document.createElement("strong");
      credits.textContent = decimal(answer.millicredits, 3);
      const dollars = document.createElement("span");
      dollars.className = "fine";
      dollars.textContent = `≈ $${decimal(answer.millicredits, 6, 2)}`;
      show(credits, " credits ", dollars);
    } catch {
      if (mine === asked) show("The price cannot be asked for right now.");
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 200);
  });
}

// The chart shows what its table says.
function drawChart() {
  const box = document.querySelector("[data-chart-of]");
  if (!box || typeof Chart === "undefined") return;
  const rows = [...document.getElementById(box.dataset.chartOf).tBodies[0].rows];
  const days = daysBetween(box.dataset.from, box.dataset.to);
  const models = [...new Set(rows.map(row => row.dataset.model))].sort();
  const style = getComputedStyle(document.documentElement);
  const colour = name => style.getPropertyValue(name).trim();
  const datasets = models.map((model, at) => {
    const byDay = new Map(rows.filter(row => row.dataset.model === model)
      .map(row => [row.dataset.day, Number(row.dataset.millicredits) / 1000]));
    return {
      label: model, data: days.map(day => byDay.get(day) ?? 0), maxBarThickness: 36,
      backgroundColor: colour(`--chart-${at % 8 + 1}`),
    };
  });
  box.hidden = false;
  const axis = {stacked: true, grid: {color: colour("--line")}, ticks: {color: colour("--muted")}};
  new Chart(box.querySelector("canvas"), {
    type: "bar", data: {labels: days.map(day => day.slice(5)), datasets},
    options: {
      maintainAspectRatio: false, animation: false,
      scales: {
        x: {...axis, grid: {display: false}},
        y: {...axis, beginAtZero: true, title: {display: true, text: "Credits", color: colour("--muted")}},
      },
      plugins: {legend: {position: "bottom", labels: {color: colour("--text"), boxWidth: 14}}},
    },
  });
}

// Days without usage are days too.
function daysBetween(first, last) {
  const days = [];
  for (let at = Date.parse(first); at <= Date.parse(last); at += 86_400_000) {
    days.push(new Date(at).toISOString().slice(0, 10));
  }
  return days;
}

followPurchase();
estimateAsTyped();
drawChart();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (document.querySelector("[data-chart-of]")) location.reload();
});
