// Elements, made with text that never becomes markup.

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean | ((event: any) => void)>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "style") element.style.cssText = String(value); // the page's policy forbids the attribute
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** @type {Record<string, string>} */
let words = {};

/** @param {Record<string, string>} catalogue what the page says, in the reader's language */
export function useWords(catalogue) {
  words = catalogue;
}

/**
 * A message with its fields filled.
 * @param {string} message
 * @param {Record<string, string | number>} [fields]
 */
export function say(message, fields = {}) {
  return (words[message] ?? message).replace(/\{(\w+)\}/g, (_, name) => String(fields[name] ?? ""));
}

/** @param {string} name @param {Blob} content */
export function download(name, content) {
  const link = el("a", { href: URL.createObjectURL(content), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/**
 * Choose one of several, as tabs.
 * @param {string} label
 * @param {[string, string][]} options value and name
 * @param {string} chosen
 * @param {(value: string) => void} choose
 */
export function tabs(label, options, chosen, choose) {
  const list = el("div", { role: "tablist", "aria-label": label, class: "tabs" });
  options.forEach(([value, name], i) => {
    const selected = value === chosen;
    const tab = el("button", {
      role: "tab", type: "button", "aria-selected": String(selected), tabindex: selected ? 0 : -1,
      "data-value": value,
      click: () => choose(value),
      keydown: (/** @type {KeyboardEvent} */ event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        event.stopPropagation();
        choose(options[(i + step + options.length) % options.length][0]);
      },
    }, name);
    list.append(tab);
  });
  return list;
}
