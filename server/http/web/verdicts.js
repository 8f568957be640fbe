// What people say of the labels of a dataset: the history as the server has it, and saying something.
import { get, post } from "./api.js";

const PAGE = 1000;
const KINDS = ["right", "wrong", "exclude", "unsure"];

// "wrong, it is dog": a row, or what is said, with the name of its class.
export const verdictText = (row, nameOf) =>
  row.verdict === "wrong" ? `wrong, it is ${nameOf(row.label)}` : { exclude: "excluded", none: "withdrawn" }[row.verdict] ?? row.verdict;

export class Verdicts {
  constructor(dataset) {
    this.dataset = dataset;
    this.rows = new Map(); // sample -> all that was said of it, oldest first
    this.last = 0; // number of the newest row known
    this.counts = {};
    this.unsent = null; // { key, uuid } of a request that was not answered
    this.turn = Promise.resolve();
  }

  // Fetches what is new; one at a time.
  sync() {
    this.turn = this.turn.catch(() => {}).then(() => this.fetch());
    return this.turn;
  }

  async fetch() {
    for (let more = true; more;) {
      const reply = await get("verdict.list", { dataset: this.dataset, history: true, after: this.last, limit: PAGE });
      for (const row of reply.rows) {
        this.last = row.number;
        if (!this.rows.has(row.sample)) this.rows.set(row.sample, []);
        this.rows.get(row.sample).push(row);
      }
      this.counts = reply.counts;
      more = reply.more && reply.rows.length > 0;
    }
  }

  newest(sample) {
    return this.rows.get(sample)?.at(-1);
  }

  // What counts for a sample; undefined: nothing does.
  of(sample) {
    const row = this.newest(sample);
    return row && row.verdict !== "none" ? row : undefined;
  }

  // Says { verdict, label?, note? } of a sample; `given`: what its own label must be. Returns the row, or
  // undefined when the same counted already. A request that was not answered is sent again as itself.
  async say(sample, said, given) {
    const row = { sample, ...said, ...(given === undefined ? {} : { given }) };
    const key = JSON.stringify(row);
    if (this.unsent?.key !== key) this.unsent = { key, uuid: crypto.randomUUID() };
    await this.sync();
    const before = this.newest(sample)?.number ?? 0;
    const reply = await post("verdict.put", { dataset: this.dataset, uuid: this.unsent.uuid, rows: [row] });
    this.unsent = null;
    await this.sync();
    return reply.added ? this.rows.get(sample).find((r) => r.number > before && says(r, said)) : undefined;
  }

  // Takes back `row`, so that `before` counts again (undefined: nothing). False: somebody has judged since.
  async undo(row, before) {
    await this.sync();
    if (this.newest(row.sample).number !== row.number) return false;
    const { verdict, label, note } = before ?? { verdict: "none" };
    await this.say(row.sample, { verdict, ...(verdict === "wrong" ? { label } : {}), ...(note ? { note } : {}) });
    return true;
  }
}

// Does a row say what was said? A label beside "right" is kept as "wrong" where it is not the dataset's own.
function says(row, said) {
  if (said.verdict === "right" && said.label !== undefined)
    return row.verdict === "wrong" ? row.label === said.label : row.verdict === "right" && row.given === said.label;
  return row.verdict === said.verdict && (said.verdict !== "wrong" || row.label === said.label);
}

// "7 right, 4 wrong, 1 excluded, 2 unsure" of counts by verdict.
export const countsText = (counts) =>
  KINDS.filter((k) => counts[k])
    .map((k) => `${counts[k]} ${k === "exclude" ? "excluded" : k}`)
    .join(", ");
