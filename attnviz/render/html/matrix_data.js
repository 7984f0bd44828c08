// A matrix with its labels, and how its values become colours.

import { readArray } from "./data.js";
import { say } from "./dom.js";

/**
 * @typedef {import("./data.js").ArrayRef} ArrayRef
 * @typedef {{name: string, labels: string[], indices: string[], spans: Record<string, number[]>}} Axis
 * @typedef {"all" | "row" | "head" | "map" | "root" | "log"} By
 * @typedef {{low: number, high: number, kind: "sequential" | "diverging", by: By}} Scale
 * @typedef {{title: string, caption: string, rows: Axis, columns: Axis, scale: Scale,
 *   values: ArrayRef, masked: ArrayRef | null, reasons: string[], notes: string[],
 *   details: {name: string, values: ArrayRef}[], strongest: StrongestData | null,
 *   relation: boolean, pooling: string}} HeatmapData
 * @typedef {{weights: ArrayRef, distances: ArrayRef, count: number, rows: Axis, columns: Axis}} StrongestData
 * @typedef {{background: string, ink: string, faint: string, line: string, sequential: string[],
 *   diverging: string[], masked: string, hatch: string, broken: string, tokens: string[]}} Colours
 */

const LOG_FLOOR = 1e-4;

export class Matrix {
  /**
   * @param {HeatmapData} data
   * @param {ArrayLike<number>} values
   * @param {ArrayLike<number> | null} masked
   */
  constructor(data, values, masked) {
    this.data = data;
    this.values = values;
    this.masked = masked;
    this.nRow = data.rows.indices.length;
    this.nColumn = data.columns.indices.length;
    /** @type {By} */
    this.by = data.scale.by;
    /** @type {Map<string, number>} by row, or of all */
    this.tops = new Map();
  }

  /** @param {HeatmapData} data */
  static async read(data) {
    const masked = data.masked ? await readArray(data.masked) : null;
    return new Matrix(data, await readArray(data.values), masked);
  }

  /** @param {number} row @param {number} column */
  value(row, column) {
    return this.values[row * this.nColumn + column];
  }

  /** @param {number} row @param {number} column the rule that hides a cell, counted from 1, or 0 */
  rule(row, column) {
    return this.masked ? this.masked[row * this.nColumn + column] : 0;
  }

  /** @param {number} row @param {number} column */
  reason(row, column) {
    const { reasons } = this.data;
    return reasons[Math.min(this.rule(row, column), reasons.length) - 1] ?? "";
  }

  /**
   * The same with neighbours put together, at most so many on a side: over keys weights add up.
   * @param {number} side
   */
  pooled(side) {
    const step = Math.ceil(Math.max(this.nRow, this.nColumn) / side);
    if (step <= 1) return this;
    const [nRow, nColumn] = [Math.ceil(this.nRow / step), Math.ceil(this.nColumn / step)];
    const values = new Float32Array(nRow * nColumn);
    const masked = new Uint8Array(nRow * nColumn);
    for (let y = 0; y < nRow; y++) {
      for (let x = 0; x < nColumn; x++) {
        let [sum, seen, rule] = [0, 0, 0];
        const rows = Math.min(step, this.nRow - y * step);
        for (let row = y * step; row < y * step + rows; row++) {
          for (let column = x * step; column < Math.min((x + 1) * step, this.nColumn); column++) {
            rule = this.rule(row, column) || rule;
            if (this.rule(row, column)) continue;
            sum += this.value(row, column);
            seen++;
          }
        }
        const adds = this.data.pooling === "mass";
        values[y * nColumn + x] = seen ? sum / (adds ? rows : seen) : 0;
        masked[y * nColumn + x] = seen ? 0 : rule;
      }
    }
    const axis = (/** @type {Axis} */ of, /** @type {number} */ count) => ({ ...of, labels: [], indices: Array(count).fill("") });
    const data = { ...this.data, rows: axis(this.data.rows, nRow), columns: axis(this.data.columns, nColumn) };
    const small = new Matrix(data, values, masked);
    small.by = this.by;
    return small;
  }

  /** @param {number} row the value that has the scale's end */
  top(row) {
    const key = this.by === "row" ? `${row}` : "all";
    const known = this.tops.get(key);
    if (known !== undefined) return known;
    const from = this.by === "row" ? row * this.nColumn : 0;
    const to = this.by === "row" ? from + this.nColumn : this.values.length;
    let largest = 0;
    for (let i = from; i < to; i++) {
      if (Number.isFinite(this.values[i]) && !this.masked?.[i]) largest = Math.max(largest, this.values[i]);
    }
    this.tops.set(key, largest);
    return largest;
  }

  /**
   * A value's place on the ramp, 0 to 1 (0.5 is zero where the ramp diverges).
   * @param {number} value
   * @param {number} top
   */
  level(value, top) {
    const { low, high, kind } = this.data.scale;
    let level;
    if (kind === "diverging") level = high > 0 ? (Math.max(-1, Math.min(1, value / high)) + 1) / 2 : 0.5;
    else if (this.by === "root") level = Math.sqrt(Math.max(0, value));
    else if (this.by === "log") level = 1 - Math.log10(Math.max(LOG_FLOOR, Math.min(1, value))) / Math.log10(LOG_FLOOR);
    else if (this.by !== "all") level = top > 0 ? Math.max(0, value) / top : 0;
    else level = high > low ? (value - low) / (high - low) : 0;
    return Math.max(0, Math.min(1, level));
  }

  /** @param {Colours} colours */
  ramp(colours) {
    return colourTable(this.data.scale.kind === "diverging" ? colours.diverging : colours.sequential);
  }

  /**
   * One pixel a cell.
   * @param {Colours} colours
   * @param {number[]} rows
   * @param {number[]} columns
   */
  pixels(colours, rows, columns) {
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, columns.length);
    canvas.height = Math.max(1, rows.length);
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const image = context.createImageData(canvas.width, canvas.height);
    const ramp = this.ramp(colours);
    const masked = rgb(colours.masked);
    const broken = rgb(colours.broken);
    const overall = this.by === "row" ? 0 : this.top(0);
    rows.forEach((row, y) => {
      const top = this.by === "row" ? this.top(row) : overall;
      columns.forEach((column, x) => {
        const value = this.value(row, column);
        let colour = broken;
        if (this.rule(row, column)) colour = masked;
        else if (Number.isFinite(value)) colour = ramp[Math.round(this.level(value, top) * 255)];
        image.data.set(colour, 4 * (y * canvas.width + x));
        image.data[4 * (y * canvas.width + x) + 3] = 255;
      });
    });
    context.putImageData(image, 0, 0);
    return canvas;
  }

  /**
   * What a reader is told of a cell.
   * @param {number} row
   * @param {number} column
   */
  number(row, column) {
    if (this.rule(row, column)) return say("masked ({reason})", { reason: this.reason(row, column) });
    return shown(this.value(row, column));
  }

  /** @param {number} row @param {number[]} columns the sum of a row's visible values */
  sum(row, columns) {
    return columns.reduce((sum, column) => sum + (this.rule(row, column) ? 0 : this.value(row, column)), 0);
  }
}

let digits = 7;

/** How many digits of the page's numbers are known. @param {number} count */
export function useDigits(count) {
  digits = count;
}

/** @param {number} value */
export function shown(value) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e5) return String(value).replace("-", "−");
  if (size < 1e-3 || size >= 1e5) return value.toExponential(Math.min(2, digits - 1)).replace("-", "−");
  const before = Math.floor(Math.log10(size)) + 1;
  const decimals = size >= 100 ? 1 : size < 0.1 ? 4 : 3;
  const text = value.toFixed(Math.max(0, Math.min(decimals, digits - before)));
  return text.replace("-", "−");
}

/** @typedef {Uint8ClampedArray<ArrayBuffer>} Rgb */

/** @type {Map<string, Rgb[]>} */
const tables = new Map();

/**
 * 256 colours along a ramp that is given by some of them.
 * @param {string[]} stops
 */
export function colourTable(stops) {
  const key = stops.join();
  let made = tables.get(key);
  if (!made) {
    const ends = stops.map(rgb);
    made = Array.from({ length: 256 }, (_, i) => {
      const exact = (i / 255) * (stops.length - 1);
      const low = Math.min(Math.floor(exact), stops.length - 2);
      return Uint8ClampedArray.from([0, 1, 2], (k) =>
        Math.round(ends[low][k] + (ends[low + 1][k] - ends[low][k]) * (exact - low)),
      );
    });
    tables.set(key, made);
  }
  return made;
}

/** @param {string} hex @returns {Rgb} */
export function rgb(hex) {
  return Uint8ClampedArray.from([1, 3, 5], (i) => parseInt(hex.slice(i, i + 2), 16));
}

/** @param {Rgb} colour */
export function css(colour) {
  return `#${Array.from(colour, (c) => c.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * Black or white, whichever reads better on a colour (WCAG 2 luminance).
 * @param {Rgb} colour
 */
export function inkOn(colour) {
  const [r, g, b] = Array.from(colour, (c) =>
    c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4,
  );
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

/** What a token is called on a picture. @param {Axis} axis @param {number} i */
export function tokenName(axis, i) {
  return axis.labels[i] ? `${axis.indices[i]} ${axis.labels[i]}` : axis.indices[i];
}
