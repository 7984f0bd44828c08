// All heads at a glance; one of them in full.

import { el, say } from "./dom.js";
import { Matrix } from "./matrix_data.js";
import { Panel, newState } from "./panel.js";

/**
 * @typedef {import("./matrix_data.js").HeatmapData} HeatmapData
 * @typedef {import("./matrix_data.js").Colours} Colours
 * @typedef {{title: string, rowNames: string[], columnNames: string[],
 *   panels: (HeatmapData | null)[][], notes: string[]}} GridData
 * @typedef {{grid: number, row: number, column: number, data: HeatmapData, name: string,
 *   button: HTMLButtonElement, canvas: HTMLCanvasElement}} Head
 */

const SIDE = 44;

export class Explorer {
  /**
   * @param {HTMLElement} host
   * @param {GridData[]} grids
   * @param {string} first the name of the head that is shown at first
   * @param {() => Colours} colours
   * @param {() => void} changed
   */
  constructor(host, grids, first, colours, changed) {
    this.colours = colours;
    this.changed = changed;
    this.state = newState();
    /** @type {Head[]} */
    this.heads = [];
    this.overview = el("nav", { class: "overview", "aria-label": say("all heads") });
    const panelHost = el("section", { class: "panel", "aria-label": say("one head") });
    host.append(this.overview, panelHost);
    grids.forEach((grid, number) => this.addGrid(grid, number, grids.length > 1));
    this.head = this.find(first) ?? this.heads[0];
    this.panel = new Panel(panelHost, this.head.data, this.state, colours, changed);
    this.overview.addEventListener("keydown", (event) => this.walk(event));
    panelHost.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.head.button.focus();
    });
  }

  /** @param {GridData} grid @param {number} number @param {boolean} several */
  addGrid(grid, number, several) {
    const table = el("div", { class: "grid", role: "group", "aria-label": grid.title });
    table.style.gridTemplateColumns = `max-content repeat(${grid.columnNames.length}, minmax(18px, ${SIDE}px))`;
    table.append(el("span"), ...grid.columnNames.map((name) => el("span", { class: "head-name" }, name)));
    grid.panels.forEach((line, row) => {
      table.append(el("span", { class: "head-name" }, grid.rowNames[row]));
      line.forEach((data, column) => {
        if (!data) {
          table.append(el("span"));
          return;
        }
        const name = `${several ? `${number}.` : ""}${grid.rowNames[row]}.${grid.columnNames[column]}`;
        const canvas = el("canvas", { "aria-hidden": "true" });
        const button = el("button", { type: "button", class: "thumb", tabindex: -1,
          "aria-label": data.caption ? `${data.title}: ${data.caption}` : data.title, title: data.caption || data.title,
          click: () => this.choose(head) }, canvas);
        /** @type {Head} */
        const head = { grid: number, row, column, data, name, button, canvas };
        this.heads.push(head);
        table.append(button);
      });
    });
    const added = grid.panels.flat().some((panel) => panel && panel.columns.indices.length > SIDE && panel.pooling === "mass");
    const notes = added ? [say("in the small pictures the weights of neighbouring keys are added up"), ...grid.notes] : grid.notes;
    this.overview.append(el("h2", {}, grid.title), table, ...notes.map((note) => el("p", { class: "note" }, note)));
  }

  /** @param {string} name */
  find(name) {
    return this.heads.find((head) => head.name === name) ?? this.heads.find((head) => head.name.endsWith(`.${name}`));
  }

  /** @param {Head} head */
  choose(head) {
    this.head = head;
    this.panel.data = head.data;
    this.changed();
    this.mark();
    return this.panel.show();
  }

  mark() {
    for (const head of this.heads) {
      head.button.setAttribute("aria-pressed", String(head === this.head));
      head.button.tabIndex = head === this.head ? 0 : -1;
    }
  }

  /** @param {KeyboardEvent} event */
  walk(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const { grid, row, column } = this.head;
    const line = this.heads.filter((head) => head.grid === grid);
    const next = line.find((head) => head.row === row + step[0] && head.column === column + step[1])
      ?? this.heads[this.heads.indexOf(this.head) + (step[0] || step[1])];
    if (!next) return;
    this.choose(next);
    next.button.focus();
  }

  /** Draw the small pictures, a few at a time, so that the page answers in between. */
  async drawOverview() {
    for (const head of this.heads) {
      const matrix = (await Matrix.read(head.data)).pooled(SIDE);
      const image = matrix.pixels(this.colours(), all(matrix.nRow), all(matrix.nColumn));
      head.canvas.width = image.width;
      head.canvas.height = image.height;
      head.canvas.getContext("2d")?.drawImage(image, 0, 0);
      if (this.heads.indexOf(head) % 8 === 7) await new Promise((resolve) => setTimeout(resolve));
    }
  }
}

/** @param {number} count */
function all(count) {
  return Array.from({ length: count }, (_, i) => i);
}
