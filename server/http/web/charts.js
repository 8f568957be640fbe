// Lines over epochs (SVG), a heat map and a cloud of points (canvas). Each is one element that draws
// itself anew when its data or its width changes; pointer and arrow keys move a cursor through it,
// and the line above the picture says what is under the cursor.
import { h, s, set, share, show } from "./dom.js";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Round steps of an axis over [lo, hi], about n of them.
export function ticks(lo, hi, n) {
  const raw = (hi - lo) / Math.max(1, n);
  if (!(raw > 0)) return [lo];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((v) => v >= raw - 1e-12) ?? 10 * power;
  const list = [];
  for (let v = Math.ceil(lo / step - 1e-9) * step; v <= hi + step * 1e-9; v += step)
    list.push(Number(v.toPrecision(12)));
  return list;
}

export const tickText = (v) => {
  const a = Math.abs(v);
  if (a >= 10000) return `${Number((v / 1000).toPrecision(4))}k`;
  return String(Number(v.toPrecision(4)));
};

// Calls draw() when the element gets a width, when the width changes, and when light turns dark.
export function watch(el, draw) {
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(el);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

// JSON counts epochs from 0, people from 1.
const EPOCHS = { from: 1, shift: 1, text: (x) => `epoch ${x}` };

// series: [{ name, colour: 1..5, dashed? }]; update() takes one array of [x, y] per series, or of [x, y, sd],
// which has a band around its line. format(y, sd). axis (default: epochs): where x begins, what it is
// called, and the x whose values are shown without a cursor (default: of the last point).
export class LineChart {
  constructor({ title, series, format, percent, zero, top, step, height = 190, note, axis }) {
    Object.assign(this, { series, format, percent, zero, top, step, height });
    this.axis = axis ?? EPOCHS;
    this.data = series.map(() => []);
    this.cursor = null;
    this.at = h("span", { class: "at" });
    this.values = series.map(() => h("b"));
    this.names = series.map((line) => h("span", { text: line.name }));
    const legend = h(
      "div",
      { class: "legend" },
      series.map((line, i) =>
        h(
          "span",
          { class: `key c${line.colour}${line.dashed ? " dashed" : ""}` },
          h("i", { "aria-hidden": "true" }),
          this.names[i],
          this.values[i],
        ),
      ),
      this.at,
    );
    this.svg = s("svg", { class: "plot", role: "img", tabindex: "0", "aria-label": title });
    this.blank = h("p", {
      class: "blank",
      text: "Nothing measured yet; the first point comes with the end of an epoch.",
    });
    this.el = h(
      "figure",
      { class: "chart" },
      h("figcaption", { text: title }),
      note && h("p", { class: "note", text: note }),
      legend,
      h("div", { class: "plot-box" }, this.svg, this.blank),
    );
    this.svg.addEventListener("pointermove", (e) => this.point(e));
    this.svg.addEventListener("pointerdown", (e) => this.point(e));
    this.svg.addEventListener("pointerleave", () => this.move(null));
    this.svg.addEventListener("blur", () => this.move(null));
    this.svg.addEventListener("keydown", (e) => this.key(e));
    watch(this.el, () => this.draw());
  }

  update(data, xMax) {
    const { from, shift = 0 } = this.axis;
    this.data = data.map((line) =>
      line.filter(([, y]) => typeof y === "number" && Number.isFinite(y)).map(([x, ...rest]) => [x + shift, ...rest]),
    );
    this.series.forEach((line, i) => line.optional && show(this.values[i].parentElement, this.data[i].length > 0));
    this.xs = [...new Set(this.data.flat().map(([x]) => x))].sort((a, b) => a - b);
    this.xMax = Math.max((xMax ?? 0) + shift, this.xs.at(-1) ?? 0, from + 1);
    if (this.cursor !== null && !this.xs.includes(this.cursor)) this.cursor = null;
    this.draw();
  }

  scale() {
    const ys = this.data.flat().flatMap(([, y, sd]) => (sd ? [y - sd, y + sd] : [y]));
    let lo = Math.min(...(this.zero ? [0] : []), ...ys);
    let hi = this.top ?? Math.max(...(this.zero ? [0] : []), ...ys);
    if (!this.zero && this.top !== undefined) lo = Math.min(lo, hi);
    if (hi === lo)
      [lo, hi] = this.zero ? [0, hi || 1] : [lo - 0.5 * Math.abs(lo || 1), hi + 0.5 * Math.abs(hi || 1)];
    else if (!this.zero || lo < 0) lo -= 0.06 * (hi - lo);
    if (this.top === undefined) hi += 0.06 * (hi - lo);
    return [lo, hi];
  }

  draw() {
    const width = this.svg.parentElement.clientWidth;
    if (!width) return;
    const some = this.data.some((line) => line.length);
    this.blank.hidden = some;
    this.svg.classList.toggle("off", !some);
    const box = { l: 44, r: 12, t: 8, b: 22, w: width, h: this.height };
    this.svg.setAttribute("viewBox", `0 0 ${box.w} ${box.h}`);
    this.svg.setAttribute("height", box.h);
    if (!some) {
      this.svg.replaceChildren();
      this.readout();
      return;
    }
    const [lo, hi] = this.scale();
    const { from } = this.axis;
    this.x = (v) => box.l + ((box.w - box.l - box.r) * (v - from)) / (this.xMax - from);
    this.y = (v) => box.h - box.b - ((box.h - box.t - box.b) * (v - lo)) / (hi - lo);
    this.unx = (px) => from + ((px - box.l) / (box.w - box.l - box.r)) * (this.xMax - from);
    const parts = [];
    for (const v of ticks(lo, hi, 4)) {
      parts.push(s("line", { class: "grid", x1: box.l, x2: box.w - box.r, y1: this.y(v), y2: this.y(v) }));
      parts.push(
        s("text", {
          class: "tick",
          x: box.l - 7,
          y: this.y(v) + 4,
          "text-anchor": "end",
          text: this.percent ? `${tickText(100 * v)}%` : tickText(v),
        }),
      );
    }
    for (const v of ticks(from, this.xMax, Math.min(this.xMax - from, width / 70)).filter(Number.isInteger))
      parts.push(
        s("text", { class: "tick", x: this.x(v), y: box.h - 5, "text-anchor": "middle", text: String(v) }),
      );
    this.data.forEach((line, i) => {
      if (!line.length) return;
      const { colour, dashed } = this.series[i];
      if (line.some(([, , sd]) => sd)) parts.unshift(s("path", { class: `band c${colour}`, d: this.around(line) }));
      parts.push(s("path", { class: `line c${colour}${dashed ? " dashed" : ""}`, d: this.path(line) }));
      const dots = line.length <= 40 && width / line.length > 14 ? line : [line.at(-1)];
      for (const [x, y] of dots)
        parts.push(s("circle", { class: `dot c${colour}`, cx: this.x(x), cy: this.y(y), r: 2.5 }));
    });
    this.mark = s("g", { class: "mark" });
    parts.push(this.mark);
    this.svg.replaceChildren(...parts);
    this.box = box;
    this.drawMark();
  }

  path(line) {
    let d = "";
    line.forEach(([x, y], i) => {
      if (i && this.step) d += `H${this.x(x).toFixed(1)}`;
      d += `${i ? "L" : "M"}${this.x(x).toFixed(1)},${this.y(y).toFixed(1)}`;
    });
    return d;
  }

  // The outline of a line's band: one deviation above it, and back below it.
  around(line) {
    const edge = (side) => (part) => part.map(([x, y, sd]) => `${this.x(x).toFixed(1)},${this.y(y + side * (sd ?? 0)).toFixed(1)}`);
    return `M${[...edge(1)(line), ...edge(-1)([...line].reverse())].join("L")}Z`;
  }

  point(event) {
    if (!this.unx || !this.xs?.length) return;
    const px = event.clientX - this.svg.getBoundingClientRect().left;
    const at = this.unx(px);
    this.move(this.xs.reduce((best, x) => (Math.abs(x - at) < Math.abs(best - at) ? x : best)));
  }

  key(event) {
    const go = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (go === undefined || !this.xs?.length) return;
    event.preventDefault();
    const from = this.cursor === null ? (go < 0 ? this.xs.length : -1) : this.xs.indexOf(this.cursor);
    this.move(this.xs[Math.max(0, Math.min(this.xs.length - 1, from + go))]);
  }

  move(x) {
    if (this.cursor === x) return;
    this.cursor = x;
    this.drawMark();
  }

  drawMark() {
    if (this.mark) {
      const parts = [];
      if (this.cursor !== null) {
        const px = this.x(this.cursor);
        parts.push(
          s("line", { class: "cursor", x1: px, x2: px, y1: this.box.t, y2: this.box.h - this.box.b }),
        );
        this.data.forEach((line, i) => {
          const hit = line.find(([x]) => x === this.cursor);
          if (hit)
            parts.push(
              s("circle", { class: `dot c${this.series[i].colour}`, cx: px, cy: this.y(hit[1]), r: 4 }),
            );
        });
      }
      this.mark.replaceChildren(...parts);
    }
    this.readout();
  }

  readout() {
    const at = this.cursor ?? this.axis.rest;
    this.data.forEach((line, i) => {
      const hit = at === undefined ? line.at(-1) : line.find(([x]) => x === at);
      set(this.values[i], hit ? this.format(hit[1], hit[2]) : "–");
    });
    set(this.at, at === undefined ? "" : this.axis.text(at));
  }
}

// A canvas with its pixels as fine as the screen's.
function canvasOf(width, height, el) {
  const ratio = devicePixelRatio || 1;
  el.width = Math.round(width * ratio);
  el.height = Math.round(height * ratio);
  el.style.setProperty("height", `${height}px`);
  const g = el.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.font = `11px ${css("--font")}`;
  return g;
}

const channels = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

// A colour between those of --heat-0 .. --heat-4.
function ramp() {
  const stops = [0, 1, 2, 3, 4].map((i) => channels(css(`--heat-${i}`)));
  return (t) => {
    const at = Math.max(0, Math.min(0.9999, t)) * 4;
    const i = Math.floor(at);
    return `rgb(${stops[i].map((v, c) => Math.round(v + (stops[i + 1][c] - v) * (at - i))).join(",")})`;
  };
}

// update(): rows [{ epoch, counts }], the scale { lo, hi, log }, and how many epochs there will be.
export class HeatMap {
  constructor({ height = 280 }) {
    this.height = height;
    this.rows = [];
    this.readout = h("p", { class: "readout", role: "status" });
    this.canvas = h("canvas", {
      class: "plot",
      tabindex: "0",
      role: "img",
      "aria-label": "Difficulty of all samples over the epochs",
    });
    this.el = h("div", { class: "heat" }, this.readout, h("div", { class: "plot-box" }, this.canvas));
    this.canvas.addEventListener("pointermove", (e) => this.point(e));
    this.canvas.addEventListener("pointerdown", (e) => this.point(e));
    this.canvas.addEventListener("pointerleave", () => this.move(null));
    this.canvas.addEventListener("blur", () => this.move(null));
    this.canvas.addEventListener("keydown", (e) => this.key(e));
    watch(this.el, () => this.draw());
  }

  update(rows, scale, name, epochs) {
    Object.assign(this, { rows, scale, name, epochs });
    this.draw();
  }

  edge(bin) {
    const { lo, hi, log } = this.scale;
    const t = bin / this.bins;
    return log ? lo * (hi / lo) ** t : lo + (hi - lo) * t;
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!width || !this.rows.length) return;
    const box = { l: 44, r: 12, t: 6, b: 24 };
    const g = canvasOf(width, this.height, this.canvas);
    const w = width - box.l - box.r;
    const tall = this.height - box.t - box.b;
    this.bins = this.rows[0].counts.length;
    // Unscored epochs in between show the previous scored one, so that time stays even.
    const last = Math.max(this.epochs ?? 0, this.rows.at(-1).epoch + 1, 1);
    const colour = ramp();
    const cellH = tall / this.bins;
    Object.assign(this, { box, w, tall, last, cellH });
    g.clearRect(0, 0, width, this.height);
    g.fillStyle = css("--heat-0");
    g.fillRect(box.l, box.t, w, tall);
    this.rows.forEach((row, i) => {
      const to = i + 1 < this.rows.length ? this.rows[i + 1].epoch : row.epoch + 1;
      const x0 = box.l + (w * row.epoch) / last;
      const x1 = box.l + (w * to) / last;
      const total = row.counts.reduce((a, b) => a + b, 0) || 1;
      row.counts.forEach((n, bin) => {
        if (!n) return;
        g.fillStyle = colour(0.06 + 0.94 * Math.min(1, Math.sqrt((n / total) * 4)));
        g.fillRect(x0, box.t + tall - (bin + 1) * cellH, Math.max(1, x1 - x0) + 0.3, cellH + 0.3);
      });
    });
    this.axes(g, width);
    this.drawCursor(g);
    this.say();
  }

  axes(g, width) {
    const { box, w, tall, last } = this;
    g.fillStyle = css("--muted");
    g.textAlign = "right";
    g.textBaseline = "middle";
    const { lo, hi, log } = this.scale;
    const marks = log
      ? Array.from({ length: Math.round(Math.log10(hi / lo)) + 1 }, (_, i) => lo * 10 ** i)
      : ticks(lo, hi, 5);
    for (const v of marks) {
      const t = log ? Math.log(v / lo) / Math.log(hi / lo) : (v - lo) / (hi - lo);
      g.fillText(
        tickText(v),
        box.l - 7,
        Math.max(box.t + 6, Math.min(box.t + tall - 4, box.t + tall - t * tall)),
      );
    }
    g.textAlign = "center";
    for (const v of ticks(1, last, Math.min(last - 1, width / 70)).filter(Number.isInteger))
      g.fillText(String(v), box.l + (w * (v - 0.5)) / last, this.height - 9);
  }

  drawCursor(g) {
    if (!this.cursor) return;
    const { box, w, tall, last, cellH } = this;
    const row = this.rows[this.cursor.row];
    g.strokeStyle = css("--ink");
    g.lineWidth = 1.5;
    g.strokeRect(
      box.l + (w * row.epoch) / last,
      box.t + tall - (this.cursor.bin + 1) * cellH,
      Math.max(3, w / last),
      cellH,
    );
  }

  say() {
    const row = this.cursor && this.rows[this.cursor.row];
    if (!row) {
      set(
        this.readout,
        "Each column is an epoch; a stronger colour means more samples. Point at it, or use the arrow keys.",
      );
      return;
    }
    const n = row.counts[this.cursor.bin];
    const total = row.counts.reduce((a, b) => a + b, 0);
    const two = [this.edge(this.cursor.bin), this.edge(this.cursor.bin + 1)].map((v) =>
      Number(v.toPrecision(3)),
    );
    set(
      this.readout,
      `epoch ${row.epoch + 1} · ${this.name} ${two[0]} to ${two[1]} · ${n} samples (${share(n / total)})`,
    );
  }

  move(cursor) {
    this.cursor = cursor;
    this.draw();
  }

  point(event) {
    if (!this.rows.length || !this.w) return;
    const r = this.canvas.getBoundingClientRect();
    const epoch = ((event.clientX - r.left - this.box.l) / this.w) * this.last;
    const bin = Math.floor((this.box.t + this.tall - (event.clientY - r.top)) / this.cellH);
    let row = this.rows.findIndex((v) => v.epoch > epoch) - 1;
    if (row < -1) row = this.rows.length - 1;
    if (row < 0 || bin < 0 || bin >= this.bins || epoch < 0 || epoch > this.last) return this.move(null);
    return this.move({ row, bin });
  }

  key(event) {
    const go = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!go || !this.rows.length) return;
    event.preventDefault();
    const at = this.cursor ?? { row: this.rows.length - 1, bin: Math.floor(this.bins / 2) };
    const clamp = (v, max) => Math.max(0, Math.min(max, v));
    this.move({
      row: clamp(at.row + go[0], this.rows.length - 1),
      bin: clamp(at.bin + go[1], this.bins - 1),
    });
  }
}

// All samples as a grid of squares { columns, rows, xMax, counts, colours 0..1 }, sized by their
// counts, and on it points [{ x, y, colour, sample, text }]; pick(point) when one is chosen.
export class Cloud {
  constructor({ label, xName, yName, hint, pick, height = 380 }) {
    Object.assign(this, { xName, yName, hint, pick, height });
    this.points = [];
    this.grid = null;
    this.hit = -1;
    this.readout = h("p", { class: "readout", role: "status" });
    this.canvas = h("canvas", { class: "plot", tabindex: "0", role: "img", "aria-label": label });
    this.el = h("div", { class: "cloud" }, this.readout, h("div", { class: "plot-box" }, this.canvas));
    this.canvas.addEventListener("pointermove", (e) => this.point(e));
    this.canvas.addEventListener("pointerleave", () => this.move(-1));
    this.canvas.addEventListener("blur", () => this.move(-1));
    this.canvas.addEventListener("click", (e) => {
      this.point(e);
      if (this.hit >= 0) this.pick(this.points, this.hit);
    });
    this.canvas.addEventListener("keydown", (e) => this.key(e));
    watch(this.el, () => this.draw());
  }

  update(points, grid) {
    const held = this.points[this.hit]?.sample;
    this.points = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
    this.grid = grid;
    this.hit = held === undefined ? -1 : this.points.findIndex((p) => p.sample === held);
    this.draw();
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!width || !this.grid) return;
    const box = { l: 46, r: 14, t: 12, b: 40 };
    const g = canvasOf(width, this.height, this.canvas);
    this.px = (x) => box.l + ((width - box.l - box.r) * x) / this.grid.xMax;
    this.py = (y) => this.height - box.b - (this.height - box.t - box.b) * y;
    g.clearRect(0, 0, width, this.height);
    this.axes(g, box, width);
    const good = channels(css("--good-dot"));
    const bad = channels(css("--bad-dot"));
    const mix = (t, alpha) =>
      `rgba(${bad.map((v, c) => Math.round(v + (good[c] - v) * t)).join(",")},${alpha})`;
    const { columns, rows, counts, colours } = this.grid;
    const most = Math.max(...counts);
    const [cellW, cellH] = [this.px(this.grid.xMax / columns) - this.px(0), this.py(0) - this.py(1 / rows)];
    counts.forEach((n, i) => {
      if (!n) return;
      const part = Math.max(0.16, Math.sqrt(n / most));
      const [x, y] = [
        this.px(((i % columns) * this.grid.xMax) / columns),
        this.py((Math.floor(i / columns) + 1) / rows),
      ];
      const [w, tall] = [(cellW - 1) * part, (cellH - 1) * part];
      g.fillStyle = mix(colours[i], 0.42);
      g.fillRect(x + (cellW - w) / 2, y + (cellH - tall) / 2, w, tall);
    });
    for (const p of this.points) {
      g.fillStyle = mix(p.colour, 0.9);
      g.beginPath();
      g.arc(this.px(p.x), this.py(p.y), 2.6, 0, 7);
      g.fill();
    }
    const p = this.points[this.hit];
    if (p) {
      g.strokeStyle = css("--ink");
      g.lineWidth = 2;
      g.beginPath();
      g.arc(this.px(p.x), this.py(p.y), 6, 0, 7);
      g.stroke();
    }
    set(this.readout, p ? p.text : this.hint);
  }

  axes(g, box, width) {
    g.strokeStyle = css("--line");
    g.fillStyle = css("--muted");
    g.textBaseline = "middle";
    g.textAlign = "right";
    for (const v of ticks(0, 1, 5)) {
      g.beginPath();
      g.moveTo(box.l, this.py(v));
      g.lineTo(width - box.r, this.py(v));
      g.stroke();
      g.fillText(tickText(v), box.l - 7, this.py(v));
    }
    g.textAlign = "center";
    for (const v of ticks(0, this.grid.xMax, Math.min(5, width / 90)))
      g.fillText(tickText(v), this.px(v), this.height - box.b + 12);
    g.fillText(this.xName, box.l + (width - box.l - box.r) / 2, this.height - 9);
    g.save();
    g.translate(10, box.t + (this.height - box.t - box.b) / 2);
    g.rotate(-Math.PI / 2);
    g.fillText(this.yName, 0, 0);
    g.restore();
  }

  move(hit) {
    if (hit === this.hit) return;
    this.hit = hit;
    this.draw();
  }

  point(event) {
    if (!this.px) return;
    const r = this.canvas.getBoundingClientRect();
    const [mx, my] = [event.clientX - r.left, event.clientY - r.top];
    let best = -1;
    let near = 144;
    this.points.forEach((p, i) => {
      const d = (this.px(p.x) - mx) ** 2 + (this.py(p.y) - my) ** 2;
      if (d < near) [best, near] = [i, d];
    });
    this.move(best);
  }

  key(event) {
    const go = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
    if (go !== undefined && this.points.length) {
      event.preventDefault();
      this.move(Math.max(0, Math.min(this.points.length - 1, this.hit + go)));
    } else if (event.key === "Enter" && this.hit >= 0) this.pick(this.points, this.hit);
  }
}
