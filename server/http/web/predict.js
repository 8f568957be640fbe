// What the model of a job says of pictures that are dropped here. A file is sent as it is: the server has it
// decoded and scaled by the code of `steppe predict`, whose answer this one equals.
import { get, post, send, unlocked } from "./api.js";
import { figure, h, pageHead, panel, pill, plain, set, setPill, share, show } from "./dom.js";

const FILES_MAX = 50; // of one drop; each is a batch of its own
const SEND_MS = 60000; // a large file, and the decoder
const GET_MS = 40000; // the server holds an answer for up to 20 s

const uuid = () => {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 15) | 64;
  b[8] = (b[8] & 63) | 128;
  return [...b].map((v, i) => ([4, 6, 8, 10].includes(i) ? "-" : "") + v.toString(16).padStart(2, "0")).join("");
};

// Which parameters these are; as the command says it.
function modelText(m) {
  const kind = m.best ? (m.final ? ", the best epoch" : ", the best epoch so far") : m.averaged ? ", the average of its last epochs" : "";
  return `The model after epoch ${m.epoch} (step ${m.step})${kind}${m.final ? "" : "; the job is not done"}`;
}

async function draw(canvas, base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").drawImage(image, 0, 0);
}

// One picture: what the network sees, and what it says.
function guessCard(file) {
  const canvas = h("canvas", { class: "big pixels", width: "1", height: "1", role: "img", "aria-label": "the picture as the network sees it" });
  const rows = h("ol", { class: "guesses" });
  const note = h("p", { class: "note", text: "reading…" });
  const name = h("h3", { text: file.name });
  const el = h("article", { class: "guess" }, canvas, h("div", null, name, rows, note));

  const seen = async (put, [height, width]) => {
    if (put.png) await draw(canvas, put.png);
    const [fileH, fileW] = put.file;
    return fileH === height && fileW === width
      ? `${width} × ${height} pixels`
      : `${fileW} × ${fileH} pixels, scaled to ${width} × ${height}`;
  };
  const said = (row, names, size) => {
    rows.replaceChildren(
      ...row.classes.map((c, i) => {
        const bar = h("i");
        bar.style.setProperty("width", `${(100 * row.probabilities[i]).toFixed(2)}%`);
        return h(
          "li",
          null,
          h("span", { class: "guess-name", text: names?.[c] ?? String(c) }),
          h("span", { class: "meter", "aria-hidden": "true" }, bar),
          h("span", { class: "guess-share", text: share(row.probabilities[i]) }),
        );
      }),
    );
    set(note, `${row.margin === undefined ? "" : `margin ${figure(row.margin, 3)} · `}${size}`);
  };
  const failed = (text) => {
    el.classList.add("failed");
    set(note, text);
  };
  return { el, seen, said, failed, waits: (text) => set(note, text) };
}

export function predictPage(job) {
  const title = h("h1", { text: "Predict pictures" });
  const state = pill("queued");
  const line = h("p", { class: "lead" });
  const what = h("p", { class: "what", text: `What the model of job ${job} says of pictures that it has not seen.` });
  const input = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp,.png,.jpg,.jpeg,.webp", multiple: true, id: "pictures" });
  const zone = h(
    "label",
    { class: "drop", for: "pictures" },
    h("b", { text: "Drop pictures here" }),
    h("span", { text: "or choose files: PNG, JPEG, WebP" }),
    input,
  );
  const why = h("p", { class: "note wrong", role: "alert" });
  const list = h("div", { class: "guessed", "aria-live": "polite" });
  const el = h(
    "div",
    null,
    pageHead({ list: "Jobs", href: "#/", at: job, title, state, lines: [what, line] }),
    panel("Pictures", { note: "They are computed by the workers and kept nowhere. The same as: steppe predict." }, zone, why, list),
  );
  let busy = false;

  async function ask(keys, card) {
    for (;;) {
      const got = await post("predict.get", keys, GET_MS);
      if (got.done) return got.rows[0];
      card.waits(got.waiting ? `waiting: ${got.waiting}` : "waiting for a worker");
    }
  }

  async function one(file, card, keys, model) {
    const [hh, w, c] = model.input;
    const put = await send("predict.picture", { ...keys, h: hh, w, c }, file, SEND_MS);
    const size = await card.seen(put, model.input);
    card.waits("computing…");
    card.said(await ask(keys, card), model.class_names, size);
  }

  // A refused file leaves its batch's number to the next one.
  async function all(files) {
    const id = uuid();
    const model = await post("predict.open", { uuid: id, job });
    set(line, modelText(model));
    try {
      let batch = 0;
      for (const file of files) {
        const card = guessCard(file);
        list.prepend(card.el);
        try {
          await one(file, card, { uuid: id, batch }, model);
          batch += 1;
        } catch (error) {
          card.failed(plain(error.message));
          if (error.status !== 400 && error.status !== 413) throw error;
        }
      }
    } finally {
      await post("predict.close", { uuid: id }).catch(() => {});
    }
  }

  async function take(files) {
    if (busy || !files.length) return;
    if (!unlocked()) {
      dispatchEvent(new Event("locked"));
      return;
    }
    busy = true;
    input.disabled = true;
    set(why, files.length > FILES_MAX ? `Of ${files.length} files the first ${FILES_MAX} are taken; steppe predict takes folders.` : "");
    try {
      await all([...files].slice(0, FILES_MAX));
    } catch (error) {
      if (error.status === 401) dispatchEvent(new Event("locked"));
      else set(why, error.message);
    }
    busy = false;
    input.disabled = false;
    input.value = "";
  }

  input.addEventListener("change", () => take(input.files));
  const over = (yes) => zone.classList.toggle("over", yes);
  const drag = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    over(event.type === "dragover");
    if (event.type === "drop") take(event.dataTransfer.files);
  };
  // The whole page: a file that misses the field would be opened by the browser instead.
  const kinds = ["dragover", "dragleave", "drop"];
  for (const kind of kinds) addEventListener(kind, drag);

  async function refresh() {
    const { job: now } = await get("job.show", { job }).catch((error) => {
      if (error.status === 404) set(why, error.message);
      throw error;
    });
    set(title, `Predict pictures: ${now.name}`);
    setPill(state, now.state);
    show(zone, now.epoch > 0 || now.state === "done");
    if (now.epoch === 0 && now.state !== "done") set(line, "Its first epoch is not done: there is no model yet that has learnt.");
    document.title = `${plain(now.name)} · predict · Steppe`;
    return now.state === "running";
  }
  return {
    el,
    refresh,
    leave: () => {
      for (const kind of kinds) removeEventListener(kind, drag);
    },
  };
}
