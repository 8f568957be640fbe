// A window in which a class is chosen: typing narrows the list, the first of it is taken by Enter.
import { h, show } from "./dom.js";

const MOST = 60; // shown at once

// Resolves to the number of a class, or undefined. first: classes that are offered before the others; the
// label of the sample is said to be it.
export function chooseClass(names, first, label) {
  return new Promise((resolve) => {
    const order = [...new Set([...first, ...names.keys()])];
    const input = h("input", {
      type: "text",
      id: "class-name",
      autocomplete: "off",
      spellcheck: "false",
      role: "combobox",
      "aria-expanded": "true",
      "aria-controls": "classes",
    });
    const list = h("div", { class: "choices", id: "classes", role: "listbox", "aria-label": "Classes" });
    const nothing = h("p", { class: "note", text: "No class is called so." });
    let shown = [];
    let current = 0;
    let chosen;

    const mark = () => {
      [...list.children].forEach((el, i) => el.setAttribute("aria-selected", String(i === current)));
      list.children[current]?.scrollIntoView({ block: "nearest" });
      if (shown.length) input.setAttribute("aria-activedescendant", `class-${shown[current]}`);
      else input.removeAttribute("aria-activedescendant");
    };
    const take = (c) => {
      chosen = c;
      dialog.close();
    };
    const narrow = () => {
      const part = input.value.trim().toLowerCase();
      const name = (c) => (names[c] ?? String(c)).toLowerCase();
      const exact = order.filter((c) => part && (name(c) === part || String(c) === part));
      shown = [...new Set([...exact, ...order.filter((c) => name(c).startsWith(part)), ...order.filter((c) => name(c).includes(part))])].slice(0, MOST);
      current = 0;
      list.replaceChildren(
        ...shown.map((c) =>
          h(
            "div",
            { role: "option", id: `class-${c}`, onclick: () => take(c) },
            h("span", { text: names[c] ?? String(c) }),
            h("small", { text: c === first[0] ? "what the model says" : c === label ? "its label" : first.includes(c) ? "taken for it before" : "" }),
          ),
        ),
      );
      show(nothing, shown.length === 0);
      mark();
    };
    const dialog = h(
      "dialog",
      {
        class: "small choose",
        "aria-labelledby": "choose-title",
        onclose: () => {
          dialog.remove();
          resolve(chosen);
        },
        onkeydown: (e) => {
          const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
          if (!step || !shown.length) return;
          e.preventDefault();
          current = (current + step + shown.length) % shown.length;
          mark();
        },
        onclick: (e) => e.target === dialog && dialog.close(),
      },
      h(
        "form",
        {
          onsubmit: (e) => {
            e.preventDefault();
            if (shown.length) take(shown[current]);
          },
        },
        h("h2", { id: "choose-title", text: "Which class is it?" }),
        h("label", { for: "class-name", text: "Name or number" }),
        input,
        list,
        nothing,
        h(
          "div",
          { class: "buttons" },
          h("button", { type: "button", onclick: () => dialog.close(), text: "Cancel" }),
          h("button", { class: "primary", text: "It is this" }),
        ),
      ),
    );
    input.addEventListener("input", narrow);
    narrow();
    document.body.append(dialog);
    dialog.showModal();
    // A keyboard on the screen would hide the list.
    if (matchMedia("(pointer: coarse)").matches) dialog.querySelector(".primary").focus();
    else input.focus();
  });
}
