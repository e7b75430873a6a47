// Draws the lines of the History page with their axes. Without this file plain lines stand there.
(() => {
  "use strict";
  const EVERY_MS = 10000; // as often as a sample is taken
  const HIGH = 170;
  const drawn = new Map();

  const two = (number) => String(number).padStart(2, "0");
  // The same words as show.rs and charts.rs.
  const span = (s) => s < 1 ? "<1 s" : s < 60 ? `${Math.floor(s)} s`
    : s < 3600 ? `${Math.floor(s / 60)} min ${two(Math.floor(s) % 60)} s`
    : s < 86400 ? `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`
    : `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
  function words(value, unit) {
    if (value === null || value === undefined) return "–";
    if (unit === "s") return span(value);
    const text = value.toFixed(value < 100 && value % 1 ? 1 : 0);
    return unit ? `${text} ${unit}` : text;
  }

  // In UTC, as all of the page, and as fine as the time between two marks.
  const marks = (chart, all) => {
    const { min, max } = chart.scales.x;
    const [from, to] = max - min > 172800 ? [5, 10] : max - min > 1200 ? [11, 16] : [11, 19];
    return all.map((s) => new Date(s * 1000).toISOString().slice(from, to));
  };

  function draw(figure, told) {
    const unit = figure.dataset.unit;
    const names = [...figure.querySelectorAll("[data-key]")];
    const of = (name) => told.series[name.dataset.key] ?? told.at.map(() => null);
    const data = [told.at, ...names.map(of)];
    const old = drawn.get(figure.id);
    if (old && old.root.isConnected) { old.setData(data); return; }
    const color = (node) => getComputedStyle(node).color;
    const soft = color(figure.querySelector(".legend"));
    const axis = { stroke: soft, grid: { stroke: color(figure), width: .12 }, ticks: { show: false } };
    const say = (chart) => names.forEach((name, place) => {
      const values = chart.data[place + 1];
      const value = values[chart.cursor.idx ?? values.length - 1];
      name.querySelector("b").textContent = words(value, unit);
    });
    const plot = figure.appendChild(document.createElement("div"));
    const options = {
      width: plot.clientWidth, height: HIGH, legend: { show: false },
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "UTC"),
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [{ ...axis, values: marks, space: 70 }, { ...axis, size: 62, values: (_, all) => all.map((one) => words(one, unit === "s" ? "s" : "")) }],
      series: [{}, ...names.map((name) => ({ stroke: color(name), width: 1.6, points: { show: false } }))],
      hooks: { setCursor: [say], setData: [say] },
    };
    const chart = new uPlot(options, data, plot);
    figure.classList.add("drawn");
    drawn.set(figure.id, chart);
    new ResizeObserver(() => chart.setSize({ width: plot.clientWidth, height: HIGH })).observe(plot);
  }

  let asking = null;
  async function renew() {
    const charts = document.getElementById("charts");
    if (!charts || document.hidden || asking) return;
    asking = charts.dataset.src;
    try {
      const answer = await fetch(asking);
      if (!answer.ok) return;
      const told = await answer.json();
      for (const figure of charts.querySelectorAll("figure.chart")) draw(figure, told);
    } catch { // The page says itself that the connection is lost.
    } finally { asking = null; }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of drawn.values()) {
      const plot = chart.root.parentNode;
      chart.destroy();
      plot?.remove();
    }
    drawn.clear();
    renew();
  });
  document.addEventListener("visibilitychange", renew);
  setInterval(renew, EVERY_MS);
  renew();
})();
