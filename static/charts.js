// Draws the charts of the History page with their axes. Without this file plain ones stand there, and
// each has its figures in a table below it.
(() => {
  "use strict";
  const EVERY_MS = 10000; // as often as a sample is taken
  const HIGH = 160;
  const drawn = new Map();

  const two = (number) => String(number).padStart(2, "0");
  // The same words as show.rs and figures.rs.
  const span = (s) => s < 1 ? `${Math.round(s * 1000)} ms` : s < 10 && s % 1 ? `${s.toFixed(1)} s` : s < 60 ? `${Math.floor(s)} s`
    : s < 3600 ? `${Math.floor(s / 60)} min ${two(Math.floor(s) % 60)} s`
    : s < 86400 ? `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`
    : `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
  function bytes(value) {
    const names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let nth = 0;
    for (; value >= 1024 && nth + 1 < names.length; nth++) value /= 1024;
    return `${value.toFixed(nth && value % 1 ? 1 : 0)} ${names[nth]}`;
  }
  function words(value, unit) {
    if (value === null || value === undefined) return "–";
    if (unit === "s") return span(value);
    if (unit === "B") return bytes(value);
    const text = value.toFixed(value < 100 && value % 1 ? 1 : 0);
    return unit ? `${text} ${unit}` : text;
  }
  // Beside a mark there is room for the hour without its minutes.
  const mark = (value, unit) => value === 0 ? "0" : words(value, unit).replace(/ 00 (s|min)$/, "");
  const moment = (s) => new Date(s * 1000).toISOString().slice(0, 16).replace("T", " ");

  // Marks of an axis stand at whole sectors, powers of two, and what a clock shows.
  const decimal = [0, 1, 2, 3, 4, 5, 6].flatMap((n) => [1, 2, 5].map((m) => m * 10 ** n));
  const STEPS = {
    "": decimal,
    "B": Array.from({ length: 60 }, (_, n) => 2 ** n),
    "s": [...decimal.slice(0, 9).map((ms) => ms / 1000), 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000],
  };

  // In UTC, as all of the page, and as fine as the time between two marks.
  const marks = (chart, all) => {
    const { min, max } = chart.scales.x;
    const [from, to] = max - min > 172800 ? [5, 10] : max - min > 1200 ? [11, 16] : [11, 19];
    return all.map((s) => new Date(s * 1000).toISOString().slice(from, to));
  };

  // The moments, a column of values for each line (and what is said of it), and the lines ahead.
  function columns(figure, told) {
    const names = [...figure.querySelectorAll("[data-key]")];
    const bars = told[figure.dataset.bars];
    if (bars) {
      const half = bars.length > 1 ? (bars[1].at - bars[0].at) / 2 : 0;
      const values = names.map((name) => bars.map((bar) => bar[name.dataset.key]));
      return { names, said: values, at: bars.map((bar) => bar.at), ahead: [], half,
        data: [bars.map((bar) => bar.at + half), ...values] };
    }
    const of = (key) => told.series[key] ?? told.at.map(() => null);
    const said = names.map((name) => of(name.dataset.key));
    const on = (under, value) => under === null || value === null ? null : under + value;
    const ahead = told.ahead.filter((one) => names.some((name) => name.dataset.key === one.of));
    const at = [...new Set([...told.at, ...ahead.flatMap((one) => [one.from_s, one.to_s])])].sort((a, b) => a - b);
    const padded = (values) => [...values, ...at.slice(values.length).map(() => null)];
    const lines = names.map((name, nth) => padded(name.dataset.over
      ? of(name.dataset.over).map((under, place) => on(under, said[nth][place])) : said[nth]));
    const dashed = ahead.map((one) => at.map((s) => s === one.to_s ? one.to_gib : s === one.from_s ? one.from_gib : null));
    return { names, said, at: told.at, ahead, half: 0, data: [at, ...lines, ...dashed] };
  }

  // "full in ~ 6 days", where the line ahead ends.
  function label(chart, ahead, color) {
    const { ctx, bbox } = chart, scale = devicePixelRatio;
    const taken = [];
    ctx.save();
    ctx.font = `${12 * scale}px ${getComputedStyle(chart.root).fontFamily}`;
    ctx.textAlign = "right";
    for (const one of ahead) {
      let y = Math.max(chart.valToPos(one.to_gib, "y", true) - 7 * scale, bbox.top + 11 * scale);
      const beside = ([other]) => Math.abs(other - y) < 13 * scale;
      // Two roots on one file system.
      if (taken.some((other) => beside(other) && other[1] === one.words)) continue;
      while (taken.some(beside)) y += 14 * scale;
      taken.push([y, one.words]);
      ctx.fillStyle = color(one.of);
      ctx.fillText(one.words, chart.valToPos(one.to_s, "x", true), y);
    }
    ctx.restore();
  }

  function draw(figure, told) {
    const now = columns(figure, told);
    const old = drawn.get(figure.id);
    if (old && old.chart.root.isConnected && old.now.data.length === now.data.length) {
      old.now = now;
      old.chart.setData(now.data);
      return;
    }
    if (old) forget(old);
    const unit = figure.dataset.unit, isBand = "band" in figure.dataset, isBars = "bars" in figure.dataset;
    const color = (node) => getComputedStyle(node).color;
    const of = (key) => color(now.names.find((name) => name.dataset.key === key));
    const faint = (node) => color(node).replace("rgb(", "rgba(").replace(")", ", .2)");
    const soft = color(figure.querySelector(".legend"));
    const axis = { stroke: soft, grid: { stroke: color(figure), width: .12 }, ticks: { show: false } };
    const when = figure.querySelector(".when");
    const newest = when.textContent;
    const it = { now, figure, when, newest };
    const say = (chart) => {
      const { names, said, at } = it.now;
      const pointed = chart.cursor.idx ?? at.length;
      const nth = Math.min(pointed, at.length - 1);
      names.forEach((name, place) => { name.querySelector("b").textContent = words(said[place][nth], unit); });
      when.textContent = pointed < at.length ? moment(at[nth]) : newest;
    };
    const plot = figure.appendChild(document.createElement("div"));
    const points = { show: false };
    const series = now.names.map((name, nth) => {
      if (isBars) return { stroke: color(name), fill: color(name), width: 0, points, paths: uPlot.paths.bars({ size: [.8, 40] }) };
      if (isBand && nth > 0) return { stroke: "transparent", width: 0, points };
      return { stroke: color(name), width: name.dataset.over ? .8 : 1.6, points };
    });
    const place = (key) => 1 + now.names.findIndex((name) => name.dataset.key === key);
    const bands = isBand ? [{ series: [3, 2], fill: faint(now.names[0]) }]
      : now.names.filter((name) => name.dataset.over)
        .map((name) => ({ series: [place(name.dataset.key), place(name.dataset.over)], fill: faint(name) }));
    const dashed = now.ahead.map((one) => ({ stroke: of(one.of), width: 1.6, dash: [6, 5], spanGaps: true, points }));
    // A day's mark stands in its middle: it is the bar's.
    const middles = (chart) => {
      const every = Math.ceil(chart.data[0].length * 60 / plot.clientWidth);
      return chart.data[0].filter((_, nth, all) => (all.length - 1 - nth) % every === 0);
    };
    const days = figure.dataset.bars === "days" ? { splits: middles } : {};
    // Above a line ahead its words stand.
    const room = now.ahead.length ? 1.3 : 1.08;
    const options = {
      // The last mark of time stands half outside of the plot.
      width: plot.clientWidth, height: HIGH, padding: [null, 28, null, null], legend: { show: false }, bands,
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "UTC"),
      scales: {
        x: { range: (_, low, high) => [low - it.now.half, high + it.now.half] },
        y: { range: (_, low, high) => [0, high > 0 ? high * room : 1] },
      },
      axes: [{ ...axis, values: marks, space: 70, size: 30, ...days },
        { ...axis, size: 78, incrs: STEPS[unit], values: (_, all) => all.map((one) => mark(one, unit)) }],
      series: [{}, ...series, ...dashed],
      hooks: { setCursor: [say], setData: [say], draw: [(chart) => label(chart, it.now.ahead, of)] },
    };
    it.chart = new uPlot(options, now.data, plot);
    figure.classList.add("drawn");
    drawn.set(figure.id, it);
    it.sized = new ResizeObserver(() => it.chart.setSize({ width: plot.clientWidth, height: HIGH }));
    it.sized.observe(plot);
  }

  function forget(it) {
    const plot = it.chart.root.parentNode;
    it.sized.disconnect();
    it.chart.destroy();
    plot?.remove();
    it.when.textContent = it.newest;
    drawn.delete(it.figure.id);
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
    for (const it of [...drawn.values()]) forget(it);
    renew();
  });
  document.addEventListener("visibilitychange", renew);
  setInterval(renew, EVERY_MS);
  renew();
})();
