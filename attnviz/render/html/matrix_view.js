// A matrix as a picture: rows ask, columns are asked.

import { css, inkOn, shown, tokenName } from "./matrix_data.js";
import { drawOn, fitted, svgPainter, textWidth } from "./paint.js";

/**
 * @typedef {import("./matrix_data.js").Matrix} Matrix
 * @typedef {import("./matrix_data.js").Colours} Colours
 * @typedef {{row: number, column: number}} Cell
 * @typedef {{rows: number[], columns: number[], left: number, above: number, cell: number,
 *   high: number, sums: number, width: number, height: number, labelled: boolean,
 *   pixels: HTMLCanvasElement | null}} Layout
 */

const SIZE = 12;
const LARGEST_CELL = 44;
const LABEL = 150;
const [LOW, FEW] = [24, 240]; // pixels of a row, and of all, below which cells need not be square

/**
 * Where everything stands.
 * @param {Matrix} matrix
 * @param {number[]} rows that are shown
 * @param {number[]} columns
 * @param {number} available pixels
 * @param {number} zoom
 * @param {number} height pixels that the window has
 * @returns {Layout}
 */
export function layOut(matrix, rows, columns, available, zoom, height) {
  const { data } = matrix;
  const widest = (/** @type {import("./matrix_data.js").Axis} */ axis, /** @type {number[]} */ shownOnes) =>
    Math.min(LABEL, Math.max(0, ...shownOnes.map((i) => textWidth(tokenName(axis, i), SIZE))));
  const leftOut = columns.length < matrix.nColumn;
  const sums = leftOut && data.relation ? 56 : 0;
  const title = textWidth(`${data.rows.name} ↓`, SIZE) + 24;
  const left = Math.min(Math.max(widest(data.rows, rows) + 16, title), available * 0.35);
  const across = (available - left - sums - 8) / Math.max(1, columns.length);
  const down = Math.max(320, height - 330) / Math.max(1, rows.length);
  const fit = Math.max(1, Math.floor(Math.min(LARGEST_CELL, across, Math.max(down, Math.min(across, 10)))));
  const cell = Math.max(1, Math.round(fit * zoom));
  const high = Math.max(cell, Math.min(LOW, Math.floor(FEW / Math.max(1, rows.length))));
  const labelled = cell >= 9;
  const turned = columns.some((i) => textWidth(tokenName(data.columns, i), SIZE) > cell - 4);
  const above = 26 + (labelled ? (turned ? widest(data.columns, columns) + 8 : 18) : 16);
  const width = left + cell * columns.length + sums + 8;
  return { rows, columns, left, above, cell, high, sums, width, height: above + high * rows.length + 6, labelled, pixels: null };
}

/**
 * @param {import("./paint.js").Painter} painter
 * @param {Matrix} matrix
 * @param {Layout} layout
 * @param {Colours} colours
 * @param {Cell | null} chosen
 */
export function paintMatrix(painter, matrix, layout, colours, chosen) {
  const { rows, columns, left, above, cell, high } = layout;
  layout.pixels ??= matrix.pixels(colours, rows, columns); // a move of the cursor changes none
  painter.image(layout.pixels, left, above, cell * columns.length, high * rows.length);
  paintMasks(painter, matrix, layout, colours);
  if (cell >= 34) paintNumbers(painter, matrix, layout, colours);
  painter.frame(left, above, cell * columns.length, high * rows.length, colours.line, 1);
  paintLabels(painter, matrix, layout, colours, chosen);
  if (chosen) {
    const y = rows.indexOf(chosen.row);
    const x = columns.indexOf(chosen.column);
    if (y >= 0 && x >= 0) {
      const line = Math.max(1, Math.min(3, cell / 8));
      painter.frame(left + x * cell, above + y * high, cell, high, colours.background, line + 2);
      painter.frame(left + x * cell, above + y * high, cell, high, colours.ink, line);
    }
  }
}

/** Masked cells have strokes, one direction or distance a rule.
 * @param {import("./paint.js").Painter} painter @param {Matrix} matrix @param {Layout} layout
 * @param {Colours} colours */
function paintMasks(painter, matrix, layout, colours) {
  const { rows, columns, left, above, cell, high } = layout;
  if (!matrix.masked || cell < 5 || rows.length * columns.length > 40000) return;
  rows.forEach((row, y) => {
    columns.forEach((column, x) => {
      const rule = matrix.rule(row, column);
      if (!rule) return;
      const [x1, y1] = [left + x * cell, above + y * high];
      const [a, b, c, d] = [x1 + 1, y1 + 1, x1 + cell - 1, y1 + high - 1];
      if (rule % 2 === 1) painter.line([a, d, c, b], colours.hatch, 1);
      if (rule % 4 === 2 || rule % 4 === 3) painter.line([a, b, c, d], colours.hatch, 1);
      if (rule % 4 === 0) painter.line([a, (b + d) / 2, c, (b + d) / 2], colours.hatch, 1);
    });
  });
}

/** @param {import("./paint.js").Painter} painter @param {Matrix} matrix @param {Layout} layout
 * @param {Colours} colours */
function paintNumbers(painter, matrix, layout, colours) {
  const { rows, columns, left, above, cell, high } = layout;
  const ramp = matrix.ramp(colours);
  rows.forEach((row, y) => {
    const top = matrix.top(row);
    columns.forEach((column, x) => {
      const value = matrix.value(row, column);
      if (matrix.rule(row, column)) return;
      const text = Number.isFinite(value) ? short(value) : shown(value);
      const ink = Number.isFinite(value) ? inkOn(ramp[Math.round(matrix.level(value, top) * 255)]) : "#ffffff";
      painter.text(text, left + (x + 0.5) * cell, above + (y + 0.5) * high, ink, {
        anchor: "middle", size: 11, faint: text === "0",
      });
    });
  });
}

/** @param {number} value in a cell */
function short(value) {
  const size = Math.abs(value);
  const text = size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
  return (Number(text) === 0 ? "0" : text).replace("-", "−");
}

/** @param {import("./paint.js").Painter} painter @param {Matrix} matrix @param {Layout} layout
 * @param {Colours} colours @param {Cell | null} chosen */
function paintLabels(painter, matrix, layout, colours, chosen) {
  const { rows, columns, left, above, cell, high, labelled } = layout;
  const { data } = matrix;
  const [asks, asked] = [`${data.rows.name} ↓`, `${data.columns.name} →`];
  painter.text(fitted(asks, left - 8, SIZE), left - 6, above - 10, colours.ink, { anchor: "end", bold: true });
  painter.text(asked, left, 11, colours.ink, { bold: true });
  const widest = Math.max(0, ...columns.map((i) => textWidth(firstOf(data.columns, i), SIZE)));
  const across = labelled ? 1 : stepOf(cell, widest + 8);
  columns.forEach((column, x) => {
    if (x % across) return;
    const bold = chosen?.column === column;
    const middle = left + (x + 0.5) * cell;
    const text = labelled ? tokenName(data.columns, column) : firstOf(data.columns, column);
    const style = { bold, faint: special(data.columns, column) && !bold };
    if (textWidth(text, SIZE) <= cell * across - 2) {
      painter.text(text, middle, above - 10, colours.ink, { ...style, anchor: "middle" });
    } else if (labelled) {
      painter.text(fitted(text, above - 32, SIZE), middle, above - 5, colours.ink, { ...style, turned: true });
    }
  });
  const down = labelled || high > 16 ? 1 : stepOf(high, 34);
  rows.forEach((row, y) => {
    if (y % down) return;
    const bold = chosen?.row === row;
    const text = down === 1 ? tokenName(data.rows, row) : data.rows.indices[row];
    painter.text(fitted(text, left - 8, SIZE), left - 6, above + (y + 0.5) * high, colours.ink, {
      anchor: "end", bold, faint: special(data.rows, row) && !bold,
    });
    if (layout.sums && labelled) {
      const sum = shown(matrix.sum(row, columns));
      painter.text(`Σ ${sum}`, left + cell * columns.length + 6, above + (y + 0.5) * high, colours.faint, { size: 11 });
    }
  });
}

/** @param {import("./matrix_data.js").Axis} axis @param {number} i */
function special(axis, i) {
  return axis.spans.special?.includes(i) ?? false;
}

/** How many cells lie between two indices. @param {number} cell @param {number} room */
function stepOf(cell, room) {
  return [5, 10, 20, 50, 100, 200, 500].find((step) => step * cell >= room) ?? 1000;
}

/** The index, of several in one that of the first.
 * @param {import("./matrix_data.js").Axis} axis @param {number} i */
function firstOf(axis, i) {
  return axis.indices[i].split("-")[0];
}

/**
 * The cell under a point of the canvas.
 * @param {Layout} layout @param {number} x @param {number} y
 * @returns {Cell | null}
 */
export function cellAt(layout, x, y) {
  const column = layout.columns[Math.floor((x - layout.left) / layout.cell)];
  const row = layout.rows[Math.floor((y - layout.above) / layout.high)];
  return row === undefined || column === undefined ? null : { row, column };
}

/** @param {HTMLCanvasElement} canvas @param {Matrix} matrix @param {Layout} layout
 * @param {Colours} colours @param {Cell | null} chosen */
export function drawMatrix(canvas, matrix, layout, colours, chosen) {
  drawOn(canvas, layout.width, layout.height, (painter) => paintMatrix(painter, matrix, layout, colours, chosen));
}

/** @param {Matrix} matrix @param {Layout} layout @param {Colours} colours @param {Cell | null} chosen */
export function matrixSvg(matrix, layout, colours, chosen) {
  const painter = svgPainter();
  paintMatrix(painter, matrix, layout, colours, chosen);
  return painter.finish(layout.width, layout.height, colours.background);
}

/** The ramp as a CSS gradient. @param {Matrix} matrix @param {Colours} colours */
export function gradient(matrix, colours) {
  const ramp = matrix.ramp(colours);
  return `linear-gradient(90deg, ${[0, 51, 102, 153, 204, 255].map((i) => css(ramp[i])).join(", ")})`;
}
