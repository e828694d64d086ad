// Draws <c-chart>: fetches {"x": […], "series": [{"label", "data", "kind"}], "unit", "x_kind": "step|time"} and keeps it fresh.
// A chart is renewed in place: zoom and cursor stay. Drag over a range to look closer, double-click to see everything.
import uPlot from "uplot";
import { language, say, token } from "./lib/words.js";

const COLOURS = ["--tblr-primary", "--chart-2", "--good", "--chart-4", "--chart-5", "--chart-6"];
const charts = new Set();

const count = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
function short(value, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (unit === "bytes") return bytes(value);
  if (unit === "bytes/s") return `${bytes(value)}/s`;
  if (unit && unit !== "%") return `${count.format(value)} ${unit}`;
  if (unit === "%") return `${Math.round(value * 10) / 10} %`;
  if (value === 0) return "0";
  if (size < 1e-3 || size >= 1e7) { const [m, e] = value.toExponential(1).split("e"); return `${m.replace(/\.0$/, "")}e${+e}`; }
  if (Number.isInteger(value)) return count.format(value);
  return size < 10 ? value.toFixed(3).replace(/0+$/, "").replace(/\.$/, "") : size < 1000 ? value.toFixed(1) : count.format(value);
}
function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let index = 0;
  while (Math.abs(value) >= 1023.5 && index < 4) { value /= 1024; index += 1; }
  return `${value >= 9.95 ? Math.round(value) : Math.round(value * 10) / 10} ${units[index]}`;
}

/** Exponential average that ignores gaps and is not pulled to zero at the start. */
function smooth(values, weight) {
  let mean = 0, mass = 0;
  return values.map(value => {
    if (value === null || value === undefined) return null;
    mean = mean * weight + value * (1 - weight);
    mass = mass * weight + (1 - weight);
    return mean / mass;
  });
}

/** Moments of an axis: the time of day, with seconds where it is short, or the day when the axis spans several. */
function clock(values) {
  const days = values.length > 1 && values[values.length - 1] - values[0] > 2 * 86400;
  const brief = values.length > 1 && values[1] - values[0] < 60;
  const format = new Intl.DateTimeFormat(language, days ? { month: "numeric", day: "numeric" } : { hour: "2-digit", minute: "2-digit", second: brief ? "2-digit" : undefined, hourCycle: "h23" });
  return values.map(value => format.format(new Date(value * 1000)));
}

class Chart {
  constructor(element) {
    this.element = element;
    this.set = element.dataset;
    this.height = +this.set.height || 180;
    this.log = false;
    this.smoothing = "tools" in this.set;
    this.plot = null;
    this.shape = "";
    this.box = document.createElement("div");
    this.legend = document.createElement("div");
    this.legend.className = "chart-legend";
    element.replaceChildren(this.box, this.legend);
    if ("tools" in this.set) this.tools();
    this.observer = new ResizeObserver(() => this.plot && this.box.clientWidth && this.plot.setSize({ width: this.box.clientWidth, height: this.height }));
    this.observer.observe(this.box);
    // The server may also fire `live` on the chart; without a socket it asks every few seconds.
    element.addEventListener("live", () => this.fetch());
    this.fetch();
    if ("chartLive" in this.set) this.timer = setInterval(() => document.visibilityState === "visible" && this.fetch(), 5000);
  }

  tools() {
    const bar = document.createElement("div");
    bar.className = "chart-tools mb-2";
    const chip = (text, pressed, change) => {
      const button = document.createElement("button");
      button.type = "button"; button.className = "chip"; button.textContent = text; button.setAttribute("aria-pressed", pressed);
      button.onclick = () => change(button);
      bar.append(button);
      return button;
    };
    const scales = [false, true].map(log => chip(say(log ? "log" : "linear"), this.log === log, () => {
      this.log = log;
      scales.forEach((button, index) => button.setAttribute("aria-pressed", Boolean(index) === log));
      this.draw(true);
    }));
    chip(say("smooth"), this.smoothing, button => { this.smoothing = !this.smoothing; button.setAttribute("aria-pressed", this.smoothing); this.draw(true); });
    this.whole = chip(say("Whole range"), false, () => this.plot?.setData(this.plot.data, true) || this.zoomed(false));
    this.whole.hidden = true;
    this.element.prepend(bar);
  }

  zoomed(yes) { if (this.whole) this.whole.hidden = !yes; }

  async fetch() {
    if (this.busy) return;
    this.busy = true;
    try {
      const address = new URL(this.set.url, location.href);
      if (this.set.series) address.searchParams.set("series", this.set.series);
      const answer = await fetch(address, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (answer.ok) { this.facts = await answer.json(); this.draw(); }
      else if (!this.facts) this.nothing();
    } catch { if (!this.facts) this.nothing(); } finally { this.busy = false; }
  }

  nothing() {
    this.plot?.destroy(); this.plot = null; this.legend.replaceChildren();
    this.box.style.height = `${this.height}px`;
    this.box.innerHTML = `<div class="none"></div>`;
    this.box.firstChild.textContent = say("Nothing to draw yet");
  }

  lines() {
    const wanted = (this.set.series || "").split(",").map(each => each.trim()).filter(Boolean);
    const all = this.facts.series || [];
    const chosen = wanted.length && all.some(each => wanted.includes(each.name ?? each.label)) ? all.filter(each => wanted.includes(each.name ?? each.label)) : all;
    const out = [];
    chosen.forEach((line, index) => {
      const colour = token(COLOURS[index % COLOURS.length]) || "#888";
      const points = line.kind === "points";
      const filled = line.data.filter(value => value !== null && value !== undefined).length;
      const smoothed = this.smoothing && !points && filled > 8;
      if (smoothed) out.push({ label: line.label, data: line.data, stroke: `${colour}55`, width: 1, quiet: true });
      out.push({ label: line.label, data: smoothed ? smooth(line.data, .85) : line.data, stroke: colour, width: points || smoothed ? 2 : 1.5, points: points || filled < 3,
        fill: line.kind === "area" || "area" in this.set ? `${colour}1c` : undefined, gaps: points });
    });
    return out;
  }

  draw(anew = false) {
    const facts = this.facts, x = facts.x || [];
    const lines = this.lines();
    const time = (this.set.x || facts.x_kind) === "time";
    if (x.length < (time ? 2 : 1) || !lines.length) return this.nothing();  // one moment makes no axis
    const data = [x, ...lines.map(line => this.log ? line.data.map(value => value > 0 ? value : null) : line.data)];
    const shape = JSON.stringify([lines.map(line => [line.label, line.width, line.fill]), this.log, x.length < 3]);
    if (this.plot && !anew && shape === this.shape) {
      // In place: a range that the reader looks at closely is kept.
      const scale = this.plot.scales.x, old = this.plot.data[0];
      const close = scale.min > old[0] + 1e-9 || scale.max < old[old.length - 1] - 1e-9;
      this.plot.setData(data, !close);
      if (close) this.plot.redraw();
      this.rewrite(lines, null);
      return;
    }
    this.shape = shape;
    this.plot?.destroy();
    this.box.replaceChildren(); this.box.style.height = "";
    const unit = this.set.unit || facts.unit || "";
    const axis = { stroke: token("--muted"), grid: { stroke: token("--line"), width: 1 }, ticks: { show: false }, font: "11px Inter, sans-serif" };
    this.plot = new uPlot({
      width: Math.max(80, this.box.clientWidth), height: this.height, legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false, setScale: true }, points: { size: 6 } },
      scales: { x: { time, range: (plot, low, high) => low === high ? [low - 1, high + 1] : [low, high] }, y: this.log ? { distr: 3 } : unit === "%" ? { range: (u, min, max) => [0, Math.max(100, max)] } : {} },
      axes: [{ ...axis, size: 26, values: time ? (u, values) => clock(values) : (u, values) => values.map(value => Number.isInteger(value) ? count.format(value) : "") },
        { ...axis, size: unit.startsWith("bytes") ? 70 : 54, values: (u, values) => values.map(value => value === null ? "" : short(value, unit)) }],
      series: [{}, ...lines.map(line => ({ label: line.label, stroke: line.stroke, width: line.width, fill: line.fill, spanGaps: !facts.gaps,
        points: { show: line.points, size: 6, fill: line.stroke } }))],
      hooks: {
        setCursor: [plot => this.rewrite(lines, plot.cursor.idx)],
        setScale: [(plot, key) => { if (key === "x") this.zoomed(plot.scales.x.min > plot.data[0][0] || plot.scales.x.max < plot.data[0][plot.data[0].length - 1]); }],
      },
    }, data, this.box);
    this.rewrite(lines, null);
  }

  /** The legend: each line with its newest value, or the one under the cursor. */
  rewrite(lines, index) {
    const unit = this.set.unit || this.facts.unit || "";
    const items = [];
    lines.forEach((line, at) => {
      if (line.quiet) return;
      const data = this.plot?.data[at + 1] || line.data;
      let value = index === null || index === undefined ? null : data[index];
      if (value === null && (index === null || index === undefined)) value = data.findLast(each => each !== null && each !== undefined);
      const item = document.createElement("b"), mark = document.createElement("i"), text = document.createElement("span"), number = document.createElement("span");
      mark.style.color = line.stroke; if (line.points) mark.className = "dot";
      text.textContent = line.label; number.className = "value"; number.textContent = short(value, unit);
      item.append(mark, text, number);
      items.push(item);
    });
    if (index !== null && index !== undefined && this.plot) {
      const where = document.createElement("span"), x = this.plot.data[0][index];
      where.textContent = (this.set.x || this.facts.x_kind) === "time" ? new Date(x * 1000).toLocaleTimeString(language, { hourCycle: "h23" }) : `${say("step")} ${short(x)}`;
      items.push(where);
    }
    this.legend.replaceChildren(...items);
  }

  destroy() { clearInterval(this.timer); this.observer.disconnect(); this.plot?.destroy(); charts.delete(this); }
}

function scan() {
  for (const chart of charts) if (!chart.element.isConnected) chart.destroy();
  for (const element of document.querySelectorAll("[data-chart]")) if (!element.chart) charts.add(element.chart = new Chart(element));
}
document.addEventListener("trainer:scan", scan);
document.addEventListener("trainer:theme", () => charts.forEach(chart => chart.facts && chart.draw(true)));
scan();
