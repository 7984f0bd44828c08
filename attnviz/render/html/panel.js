// One matrix in three views, with what one may change about it.

import { download, el, say, tabs } from "./dom.js";
import { LongText, centreWindows } from "./long_text.js";
import { layOutLinks, paintLinks, strongest, tokenAt } from "./links_view.js";
import { Matrix, shown } from "./matrix_data.js";
import { cellAt, drawMatrix, gradient, layOut, matrixSvg } from "./matrix_view.js";
import { drawOn, svgPainter } from "./paint.js";
import { readArray } from "./data.js";
import { received, textView } from "./text_view.js";

/**
 * @typedef {import("./matrix_data.js").HeatmapData} HeatmapData
 * @typedef {import("./matrix_data.js").Colours} Colours
 * @typedef {{view: "matrix" | "links" | "text", row: number | null, column: number | null,
 *   hide: string[], cover: number, by: string, zoom: number, received: boolean,
 *   query: number | null}} PanelState
 */

/** What a span of tokens is called. @param {string} name */
function spanName(name) {
  const names = /** @type {Record<string, string>} */ ({
    special: say("special tokens"), prompt: say("prompt"), generated: say("generated part"),
    system: say("system prompt"), user: say("user's part"),
    first: say("first segment"), second: say("second segment"),
  });
  return names[name] ?? name;
}

/** @returns {PanelState} */
export function newState() {
  return { view: "matrix", row: null, column: null, hide: [], cover: 0.7, by: "", zoom: 1, received: false, query: null };
}

export class Panel {
  /**
   * @param {HTMLElement} host
   * @param {HeatmapData} data
   * @param {PanelState} state
   * @param {() => Colours} colours
   * @param {() => void} changed
   */
  constructor(host, data, state, colours, changed) {
    this.host = host;
    this.data = data;
    this.state = state;
    this.colours = colours;
    this.changed = changed;
    /** @type {import("./links_view.js").Focus} */
    this.hovered = null;
    /** @type {ArrayLike<number>[]} */
    this.details = [];
    /** @type {LongText | null} */
    this.long = null;
    /** @type {number | null} a key that the window of a long text shows */
    this.place = null;
    this.readout = el("p", { class: "readout", role: "status", "aria-live": "polite" });
    /** @type {(() => string) | null} */
    this.svg = null;
  }

  async show() {
    const data = this.data;
    const matrix = await Matrix.read(data);
    const details = await Promise.all(data.details.map((detail) => readArray(detail.values)));
    const long = await LongText.read(data);
    if (data !== this.data) return; // another one was chosen in the meantime
    this.matrix = matrix;
    this.details = details;
    this.long = long;
    if (this.state.by && data.scale.kind === "sequential") {
      matrix.by = /** @type {any} */ (this.state.by);
    }
    this.render();
  }

  /** Rows and columns that are not left out. */
  visible() {
    const all = (/** @type {import("./matrix_data.js").Axis} */ axis) => {
      const hidden = new Set(this.state.hide.flatMap((name) => axis.spans[name] ?? []));
      return axis.indices.map((_, i) => i).filter((i) => !hidden.has(i));
    };
    return { rows: all(this.data.rows), columns: all(this.data.columns) };
  }

  render() {
    if (!this.matrix) return;
    const view = this.data.relation ? this.state.view : "matrix";
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    const within = focused && this.host.contains(focused) ? focused : null;
    const again = within?.role === "tab" ? '[aria-selected="true"]' : `[data-key="${within?.dataset.key ?? ""}"]`;
    const body = el("div", { class: "body", role: this.data.relation ? "tabpanel" : "group", "aria-label": this.data.title });
    this.host.replaceChildren(
      el("h2", {}, this.data.title),
      ...(this.data.caption ? [el("p", { class: "sentence" }, this.data.caption)] : []),
      this.toolbar(view),
      body,
      this.readout,
      this.legend(),
      ...this.data.notes.map((note) => el("p", { class: "note" }, note)),
    );
    ({ matrix: () => this.renderMatrix(body), links: () => this.renderLinks(body), text: () => this.renderText(body) })[view]();
    if (this.long && view === "text") this.readout.textContent = "";
    else this.tell();
    if (within) /** @type {HTMLElement | null} */ (this.host.querySelector(again))?.focus();
  }

  /** @param {string} view */
  toolbar(view) {
    const bar = el("div", { class: "toolbar" });
    if (this.data.relation) {
      bar.append(tabs(say("view"), [["matrix", say("matrix")], ["links", say("links")], ["text", say("text")]], view,
        (value) => this.change({ view: /** @type {any} */ (value) })));
    }
    if (this.data.scale.kind === "sequential" && this.data.relation) bar.append(this.scales());
    if (view === "matrix") {
      bar.append(
        el("button", { type: "button", "data-key": "out", "aria-label": say("smaller"), click: () => this.change({ zoom: this.state.zoom / 1.5 }) }, "−"),
        el("button", { type: "button", "data-key": "in", "aria-label": say("larger"), click: () => this.change({ zoom: Math.min(40, this.state.zoom * 1.5) }) }, "+"),
      );
    }
    if (this.long && view !== "matrix") {
      if (view === "links") bar.append(this.saving());
      return bar;
    }
    if (view === "links") bar.append(this.coverage());
    bar.append(...this.spans(), this.saving());
    return bar;
  }

  scales() {
    const names = [["all", say("0 to {high}", { high: shown(this.data.scale.high) })], ["row", say("of each row")], ["head", say("of this head")], ["root", say("square root")], ["log", say("logarithmic")]];
    const current = this.state.by || this.data.scale.by;
    return el("label", {}, `${say("colours")} `, el("select", {
      "data-key": "scale",
      change: (/** @type {any} */ event) => {
        if (this.matrix) this.matrix.by = event.target.value;
        this.change({ by: event.target.value });
      },
    }, ...names.map(([value, name]) => el("option", { value, selected: value === current }, name))));
  }

  coverage() {
    const name = el("span", {}, `${Math.round(this.state.cover * 100)} %`);
    return el("label", {}, `${say("links that cover")} `, el("input", {
      type: "range", min: 5, max: 100, step: 5, value: Math.round(this.state.cover * 100), "data-key": "cover",
      change: (/** @type {any} */ event) => this.change({ cover: Number(event.target.value) / 100 }),
      input: (/** @type {any} */ event) => { name.textContent = `${event.target.value} %`; },
    }), " ", name, ` ${say("of each row")}`);
  }

  spans() {
    const names = new Set([...Object.keys(this.data.rows.spans), ...Object.keys(this.data.columns.spans)]);
    return [...names].map((name) => el("label", {}, el("input", {
      type: "checkbox", checked: !this.state.hide.includes(name), "data-key": `span-${name}`,
      change: (/** @type {any} */ event) => this.change({
        hide: event.target.checked ? this.state.hide.filter((other) => other !== name) : [...this.state.hide, name],
      }),
    }), ` ${spanName(name)}`));
  }

  saving() {
    const file = this.data.title.replace(/[^\w.]+/g, "-").replace(/^-+|-+$/g, "") || "attention";
    return el("span", { class: "saving" },
      el("button", { type: "button", "data-key": "svg", click: () => this.svg && download(`${file}.svg`, new Blob([this.svg()], { type: "image/svg+xml" })) }, say("save SVG")),
      el("button", { type: "button", "data-key": "png", click: () => this.savePng(`${file}.png`) }, say("save PNG")),
    );
  }

  /** @param {string} name */
  async savePng(name) {
    const canvas = this.host.querySelector("canvas") ?? (await this.pictureOfSvg());
    canvas.toBlob((blob) => blob && download(name, blob));
  }

  async pictureOfSvg() {
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(this.svg?.() ?? "")}`;
    await image.decode();
    const canvas = el("canvas", { width: image.width * 2, height: image.height * 2 });
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  /** @param {Partial<PanelState>} part */
  change(part) {
    Object.assign(this.state, part);
    this.changed();
    this.render();
  }

  width() {
    return Math.max(240, this.host.clientWidth - 4);
  }

  /** @param {HTMLElement} body */
  renderMatrix(body) {
    const matrix = /** @type {Matrix} */ (this.matrix);
    const { rows, columns } = this.visible();
    const layout = layOut(matrix, rows, columns, this.width(), this.state.zoom, window.innerHeight);
    const canvas = el("canvas", {
      tabindex: 0, role: "img", "data-key": "canvas",
      "aria-label": say("{title}: {rows} rows ({query}) by {columns} columns ({key}); arrow keys read cell by cell", {
        title: this.data.title, rows: rows.length, columns: columns.length,
        query: this.data.rows.name, key: this.data.columns.name,
      }),
    });
    const draw = () => {
      const { row, column } = this.state;
      drawMatrix(canvas, matrix, layout, this.colours(), row === null || column === null ? null : { row, column });
    };
    canvas.addEventListener("mousemove", (event) => {
      const cell = cellAt(layout, event.offsetX, event.offsetY);
      this.tell(cell?.row, cell?.column);
    });
    canvas.addEventListener("mouseleave", () => this.tell());
    canvas.addEventListener("click", (event) => {
      const cell = cellAt(layout, event.offsetX, event.offsetY);
      Object.assign(this.state, cell ?? { row: null, column: null });
      this.changed();
      draw();
      this.tell();
    });
    canvas.addEventListener("keydown", (event) => this.move(event, rows, columns, draw));
    body.append(el("div", { class: "scroll" }, canvas));
    draw();
    this.svg = () => matrixSvg(matrix, layout, this.colours(), null);
  }

  /** @param {KeyboardEvent} event @param {number[]} rows @param {number[]} columns @param {() => void} draw */
  move(event, rows, columns, draw) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || !rows.length || !columns.length) return;
    event.preventDefault();
    event.stopPropagation();
    const next = (/** @type {number[]} */ all, /** @type {number | null} */ at, /** @type {number} */ by) =>
      at === null ? all[0] : all[Math.max(0, Math.min(all.length - 1, all.indexOf(at) + by))];
    this.state.row = next(rows, this.state.row, step[0]);
    this.state.column = next(columns, this.state.column, step[1]);
    this.changed();
    draw();
    this.tell();
  }

  /** The query of a long text that is chosen: by itself, or by its cell in the map. */
  query() {
    const cell = this.state.row === null ? null : parseInt(this.data.rows.indices[this.state.row], 10);
    return Math.min(this.state.query ?? cell ?? Infinity, (this.long?.nQuery ?? 1) - 1);
  }

  /** What the view of links draws. @param {Matrix} matrix */
  drawnLinks(matrix) {
    if (this.long) {
      const of = { ...this.data, rows: this.long.data.rows, columns: this.long.data.columns };
      const caption = say("the {count} strongest links of each query", { count: this.long.data.count });
      return { ...this.long.links(this.query()), of, caption };
    }
    const { rows, columns } = this.visible();
    const links = strongest(matrix, rows, columns, this.state.cover);
    const caption = say("{count} of {all} links: of each row the fewest that cover {share} % of its weight", {
      count: links.length, all: rows.length * columns.length, share: Math.round(this.state.cover * 100),
    });
    return { rows, columns, links, of: this.data, caption };
  }

  /** @param {HTMLElement} body */
  renderLinks(body) {
    const matrix = /** @type {Matrix} */ (this.matrix);
    const { rows, columns, links, of, caption } = this.drawnLinks(matrix);
    const layout = layOutLinks(of, rows, columns, this.width());
    const long = this.long;
    const top = (/** @type {number} */ row) => (long ? long.from(row)[0]?.weight ?? 0 : matrix.top(row));
    const canvas = el("canvas", { tabindex: 0, role: "img", "data-key": "canvas",
      "aria-label": say("{title}: {count} links; up and down choose a query", { title: this.data.title, count: links.length }) });
    /** @type {"query" | "row"} */
    const chosen = long ? "query" : "row";
    const pinned = () => (this.state[chosen] === null ? null : /** @type {const} */ ({ side: "row", position: Number(this.state[chosen]) }));
    const paint = (/** @type {import("./paint.js").Painter} */ painter) =>
      paintLinks(painter, of, top, layout, this.colours(), links, this.hovered ?? pinned());
    const draw = () => drawOn(canvas, layout.width, layout.height, paint);
    canvas.addEventListener("mousemove", (event) => {
      const focus = tokenAt(layout, event.offsetX, event.offsetY);
      if (focus?.side === this.hovered?.side && focus?.position === this.hovered?.position) return;
      this.hovered = focus;
      draw();
      this.tellToken(focus, links);
    });
    canvas.addEventListener("mouseleave", () => { this.hovered = null; draw(); this.tell(); });
    canvas.addEventListener("click", (event) => {
      const focus = tokenAt(layout, event.offsetX, event.offsetY);
      this.state[chosen] = focus?.side === "row" && focus.position !== this.state[chosen] ? focus.position : null;
      this.changed();
      draw();
    });
    canvas.addEventListener("keydown", (event) => {
      if (!long) this.move(event, rows, columns, draw);
      this.tellToken(pinned(), links);
    });
    body.append(
      ...(long ? [long.slider(this.query(), (query) => this.change({ query }))] : []),
      el("p", { class: "caption" }, caption),
      el("div", { class: "scroll" }, canvas),
    );
    draw();
    this.svg = () => {
      const painter = svgPainter();
      paint(painter);
      return painter.finish(layout.width, layout.height, this.colours().background);
    };
  }

  /** @param {HTMLElement} body */
  renderText(body) {
    const matrix = /** @type {Matrix} */ (this.matrix);
    if (this.long) {
      body.append(this.long.view(matrix, this.colours(), { query: this.query(), place: this.place }, {
        query: (query) => { this.place = null; this.change({ query }); },
        place: (key) => { this.place = key; this.render(); },
      }));
      centreWindows(body);
      return;
    }
    const { rows, columns } = this.visible();
    const generated = this.data.rows.spans.generated?.[0];
    const row = this.state.row ?? generated ?? rows[rows.length - 1] ?? 0;
    body.append(textView(matrix, rows, columns, this.colours(), { row, received: this.state.received }, {
      row: (position) => this.change({ row: position }),
      received: (on) => this.change({ received: on }),
      point: (r, c) => (this.state.received ? undefined : this.tell(r, c)),
    }));
    this.svg = () => this.textSvg(row, rows, columns);
  }

  /** @param {number} row @param {number[]} rows @param {number[]} columns */
  textSvg(row, rows, columns) {
    const matrix = /** @type {Matrix} */ (this.matrix);
    const data = { ...this.data, rows: { ...this.data.rows, indices: [""], labels: [""], spans: {} } };
    const values = this.state.received ? received(matrix, rows, columns) : columns.map((c) => matrix.value(row, c));
    const full = new Float32Array(matrix.nColumn).fill(NaN);
    const masked = new Uint8Array(matrix.nColumn);
    columns.forEach((column, i) => {
      full[column] = values[i];
      masked[column] = this.state.received ? 0 : matrix.rule(row, column);
    });
    const line = new Matrix(data, full, masked);
    line.by = matrix.by;
    return matrixSvg(line, layOut(line, [0], columns, 1200, 1, 400), this.colours(), null);
  }

  /** What is said of a cell; of the chosen one without a place.
   * @param {number} [row] @param {number} [column] */
  tell(row = this.state.row ?? undefined, column = this.state.column ?? undefined) {
    const { matrix, data } = this;
    if (!matrix || row === undefined || column === undefined) {
      this.readout.textContent = say("point at a cell, or use the arrow keys");
      return;
    }
    const place = (/** @type {import("./matrix_data.js").Axis} */ axis, /** @type {number} */ i) =>
      `${axis.name} ${axis.indices[i]}${axis.labels[i] ? ` “${axis.labels[i]}”` : ""}`;
    const number = matrix.number(row, column);
    const more = data.details.map((detail, i) => ` · ${detail.name} ${shown(this.details[i][row * matrix.nColumn + column])}`);
    const sum = this.state.hide.length && data.relation
      ? ` · ${say("rest of the row: {sum}", { sum: shown(matrix.sum(row, this.visible().columns)) })}` : "";
    this.readout.textContent = `${place(data.rows, row)} → ${place(data.columns, column)}: ${number}${more.join("")}${sum}`;
  }

  /** @param {import("./links_view.js").Focus} focus
   * @param {{row: number, column: number, weight: number}[]} links */
  tellToken(focus, links) {
    if (!focus) return this.tell();
    const { rows, columns } = this.long?.data ?? this.data;
    const [axis, other, side] = focus.side === "row" ? [rows, columns, "column"] : [columns, rows, "row"];
    const theirs = links.filter((link) => link[focus.side] === focus.position).sort((a, b) => b.weight - a.weight);
    const arrow = focus.side === "row" ? "→" : "←";
    const listed = theirs.slice(0, 6).map((link) => {
      const at = /** @type {any} */ (link)[side];
      return `${other.indices[at]} “${other.labels[at]}” ${shown(link.weight)}`;
    });
    this.readout.textContent = `${axis.name} ${axis.indices[focus.position]} “${axis.labels[focus.position]}” ${arrow} ${listed.join(", ")}${theirs.length > 6 ? " …" : ""}`;
  }

  legend() {
    const matrix = /** @type {Matrix} */ (this.matrix);
    const { scale, reasons, rows, columns } = this.data;
    const ends = scale.kind === "sequential" && matrix.by === "log" ? ["≤ 0.0001", "1"]
      : scale.kind === "sequential" && matrix.by === "root" ? ["0", `1 (${say("square root")})`]
      : scale.kind === "sequential" && matrix.by !== "all" ? ["0", matrix.by === "row" ? say("largest of each row") : say("largest of this head")]
        : [shown(scale.low), shown(scale.high)];
    const line = el("p", { class: "legend" }, `${ends[0]} `,
      el("span", { class: "ramp", style: `background:${gradient(matrix, this.colours())}` }), ` ${ends[1]}`);
    const used = new Set(matrix.masked ? Array.from(matrix.masked) : []);
    reasons.forEach((reason, i) => {
      if (used.has(i + 1)) line.append(el("span", { class: `hatch hatch-${(i % 4) + 1}` }), ` ${say("masked ({reason})", { reason })}`);
    });
    if (this.data.relation) line.append(el("span", { class: "axes" }, say("rows ask ({query}), columns are looked at ({key})", { query: rows.name, key: columns.name })));
    if (this.state.hide.length) {
      const { rows: shownRows, columns: shownColumns } = this.visible();
      line.append(el("strong", {}, say("left out: {rows} rows and {columns} columns; nothing is renormalised, Σ is what is left of each row", {
        rows: rows.indices.length - shownRows.length, columns: columns.indices.length - shownColumns.length,
      })));
    }
    return line;
  }
}
