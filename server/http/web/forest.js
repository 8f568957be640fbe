// Differences to a control as dots and intervals (SVG): a row for each arm, a dot for each seed, a bar for
// the interval of the mean, a line at 0. Pointer and arrow keys go from seed to seed.
import { h, s, set } from "./dom.js";
import { tickText, ticks, watch } from "./charts.js";

const ROW = 52; // pixels: the name, the bar, the dots
const NAME = 14;
const BAR = 27;
const DOTS = 39;
const AXIS = 24;
const CHARACTER = 7.2; // the width of one, about
const NARROW = 460;
const REACH = 1.5; // an interval may be so many times as wide as the dots before it is cut

const has = (v) => typeof v === "number" && Number.isFinite(v);

// The axis that all rows [{ dots, mean?, low?, high? }] share: all dots and 0, and the intervals as far as
// they leave the dots room.
export function domain(rows) {
  const inner = [0, ...rows.flatMap((r) => [...r.dots.map((d) => d.value), ...(has(r.mean) ? [r.mean] : [])])];
  const [a, b] = [Math.min(...inner), Math.max(...inner)];
  const room = b > a ? REACH * (b - a) : Infinity;
  const ends = rows.flatMap((r) => [r.low, r.high]).filter(has);
  let lo = Math.min(a, ...ends.map((v) => Math.max(v, a - room)));
  let hi = Math.max(b, ...ends.map((v) => Math.min(v, b + room)));
  if (hi === lo) [lo, hi] = [-1, 1];
  const edge = 0.05 * (hi - lo);
  return [lo - edge, hi + edge];
}

const cut = (text, room) => {
  const most = Math.max(4, Math.floor(room / CHARACTER));
  const all = [...text];
  return all.length > most ? `${all.slice(0, most - 1).join("")}…` : text;
};

// update(): rows [{ name, dots: [{ seed, value, text, job? }], mean?, low?, high?, tone: good | bad | unsure, said,
// brief }] and the axis [lo, hi]; open(job) when a dot is chosen that is of one.
export class Forest {
  constructor({ title, open }) {
    this.open = open;
    this.rows = [];
    this.hit = null; // { row, dot }
    this.readout = h("p", { class: "readout", role: "status" });
    this.svg = s("svg", { class: "plot", role: "img", tabindex: "0", "aria-label": title });
    this.title = title;
    this.blank = h("p", { class: "blank", text: "No seed is done here and in the control yet." });
    this.box = h("div", { class: "plot-box" }, this.svg, this.blank);
    this.el = h("figure", { class: "chart forest" }, h("figcaption", { text: title }), this.readout, this.box);
    this.svg.addEventListener("pointermove", (e) => this.point(e));
    this.svg.addEventListener("pointerdown", (e) => this.point(e));
    this.svg.addEventListener("pointerleave", () => this.move(null));
    this.svg.addEventListener("blur", () => this.move(null));
    this.svg.addEventListener("click", () => this.choose());
    this.svg.addEventListener("keydown", (e) => this.key(e));
    watch(this.el, () => this.draw());
  }

  update(rows, axis) {
    const held = this.hit && { name: this.rows[this.hit.row].name, seed: this.dot().seed };
    this.rows = rows.map((r) => ({ ...r, dots: [...r.dots].sort((a, b) => a.value - b.value) }));
    this.axis = axis;
    this.hit = null;
    this.rows.forEach((r, row) =>
      r.dots.forEach((d, dot) => {
        if (r.name === held?.name && d.seed === held.seed) this.hit = { row, dot };
      }),
    );
    this.svg.setAttribute(
      "aria-label",
      `${this.title}: ${this.rows.map((r) => `${r.name}: ${r.said}, ${r.dots.length} seeds`).join("; ")}`,
    );
    this.draw();
  }

  dot() {
    return this.hit && this.rows[this.hit.row].dots[this.hit.dot];
  }

  draw() {
    const width = this.box.clientWidth;
    if (!width || !this.axis) return;
    const some = this.rows.some((r) => r.dots.length);
    this.blank.hidden = some;
    this.svg.classList.toggle("off", !some);
    const tall = Math.max(2, this.rows.length) * ROW + AXIS;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    this.svg.setAttribute("height", tall);
    const [lo, hi] = this.axis;
    this.x = (v) => 10 + ((width - 20) * (Math.max(lo, Math.min(hi, v)) - lo)) / (hi - lo);
    this.svg.replaceChildren(
      ...this.grid(width, tall),
      ...this.rows.flatMap((row, i) => this.row(row, i * ROW, width)),
      (this.mark = s("g")),
    );
    this.drawMark();
  }

  grid(width, tall) {
    return ticks(...this.axis, Math.min(8, width / 70)).flatMap((v) => [
      s("line", {
        class: v === 0 ? "zero" : "grid",
        x1: this.x(v),
        x2: this.x(v),
        y1: 4,
        y2: tall - AXIS + 4,
      }),
      s("text", {
        class: "tick",
        x: this.x(v),
        y: tall - 5,
        "text-anchor": "middle",
        text: v > 0 ? `+${tickText(v)}` : tickText(v).replace("-", "−"),
      }),
    ]);
  }

  row(row, top, width) {
    const said = width < NARROW ? row.brief : row.said;
    const room = width - 8 - CHARACTER * (said.length + 3);
    const parts = [
      s("text", { class: "name halo", x: 4, y: top + NAME, text: cut(row.name, room) }, s("title", { text: row.name })),
      s("text", {
        class: `said halo ${row.tone}`,
        x: width - 4,
        y: top + NAME,
        "text-anchor": "end",
        text: said,
      }),
    ];
    const y = top + BAR;
    if (has(row.low) && has(row.high)) parts.push(s("path", { class: `bar ${row.tone}`, d: this.bar(row, y) }));
    if (has(row.mean)) {
      const x = this.x(row.mean);
      parts.push(
        s("path", { class: `mean ${row.tone}`, d: `M${x - 5.5},${y}L${x},${y - 5.5}L${x + 5.5},${y}L${x},${y + 5.5}Z` }),
      );
    }
    for (const d of row.dots)
      parts.push(s("circle", { class: "dot", cx: this.x(d.value), cy: top + DOTS, r: 4 }, s("title", { text: d.text })));
    return parts;
  }

  // The interval with its ends; an arrow where it goes on outside.
  bar(row, y) {
    const [lo, hi] = this.axis;
    const end = (v, out, inward) => {
      const x = this.x(v);
      return out ? `M${x + 5 * inward},${y - 5}L${x},${y}L${x + 5 * inward},${y + 5}` : `M${x},${y - 5}V${y + 5}`;
    };
    return `M${this.x(row.low)},${y}H${this.x(row.high)}${end(row.low, row.low < lo, 1)}${end(row.high, row.high > hi, -1)}`;
  }

  move(hit) {
    if (this.hit?.row === hit?.row && this.hit?.dot === hit?.dot) return;
    this.hit = hit;
    this.drawMark();
  }

  drawMark() {
    const d = this.dot();
    set(this.readout, d ? `${this.rows[this.hit.row].name} · ${d.text}` : "");
    this.mark?.replaceChildren(
      ...(d ? [s("circle", { class: "ring", cx: this.x(d.value), cy: this.hit.row * ROW + DOTS, r: 6.5 })] : []),
    );
  }

  point(event) {
    if (!this.x) return;
    const box = this.svg.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top) / ROW);
    const at = event.clientX - box.left;
    const far = (d) => Math.abs(this.x(d.value) - at);
    let dot = -1;
    (this.rows[row]?.dots ?? []).forEach((d, i, all) => {
      if (far(d) < 16 && (dot < 0 || far(d) < far(all[dot]))) dot = i;
    });
    this.move(dot < 0 ? null : { row, dot });
  }

  key(event) {
    const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const down = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key === "Enter") this.choose();
    if (along === undefined && down === undefined) return;
    const full = this.rows.map((r, i) => (r.dots.length ? i : -1)).filter((i) => i >= 0);
    if (!full.length) return;
    event.preventDefault();
    const clamp = (v, max) => Math.max(0, Math.min(max, v));
    if (!this.hit) {
      this.move({ row: full[0], dot: 0 });
      return;
    }
    const row = full[clamp(full.indexOf(this.hit.row) + (down ?? 0), full.length - 1)];
    this.move({ row, dot: clamp(this.hit.dot + (along ?? 0), this.rows[row].dots.length - 1) });
  }

  choose() {
    const d = this.dot();
    if (d?.job) this.open(d.job);
  }
}
