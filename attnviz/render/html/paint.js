// The same drawing on a canvas and as SVG: a picture that is saved is the one that is seen.

/**
 * @typedef {{anchor?: "start" | "middle" | "end", size?: number, bold?: boolean, turned?: boolean,
 *   faint?: boolean}} TextStyle
 * @typedef {{
 *   rect(x: number, y: number, width: number, height: number, fill: string): void,
 *   frame(x: number, y: number, width: number, height: number, stroke: string, line: number): void,
 *   line(points: number[], stroke: string, width: number, alpha?: number): void,
 *   curve(x1: number, y1: number, x2: number, y2: number, stroke: string, width: number,
 *     alpha: number): void,
 *   text(text: string, x: number, y: number, fill: string, style?: TextStyle): void,
 *   image(image: HTMLCanvasElement, x: number, y: number, width: number, height: number): void,
 * }} Painter
 */

export const FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif";

/**
 * @param {CanvasRenderingContext2D} context
 * @returns {Painter}
 */
export function canvasPainter(context) {
  context.imageSmoothingEnabled = false;
  return {
    rect(x, y, width, height, fill) {
      context.fillStyle = fill;
      context.fillRect(x, y, width, height);
    },
    frame(x, y, width, height, stroke, line) {
      context.strokeStyle = stroke;
      context.lineWidth = line;
      context.strokeRect(x, y, width, height);
    },
    line(points, stroke, width, alpha = 1) {
      context.globalAlpha = alpha;
      context.strokeStyle = stroke;
      context.lineWidth = width;
      context.beginPath();
      for (let i = 0; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
      context.stroke();
      context.globalAlpha = 1;
    },
    curve(x1, y1, x2, y2, stroke, width, alpha) {
      const middle = (x1 + x2) / 2;
      context.globalAlpha = alpha;
      context.strokeStyle = stroke;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(x1, y1);
      context.bezierCurveTo(middle, y1, middle, y2, x2, y2);
      context.stroke();
      context.globalAlpha = 1;
    },
    text(text, x, y, fill, style = {}) {
      context.save();
      context.translate(x, y);
      if (style.turned) context.rotate(-Math.PI / 2);
      context.font = `${style.bold ? "600 " : ""}${style.size ?? 12}px ${FONT}`;
      const sides = /** @type {const} */ ({ start: "left", middle: "center", end: "right" });
      context.textAlign = sides[style.anchor ?? "start"];
      context.textBaseline = "middle";
      context.fillStyle = fill;
      context.globalAlpha = style.faint ? 0.65 : 1;
      context.fillText(text, 0, 0);
      context.restore();
    },
    image(image, x, y, width, height) {
      context.drawImage(image, x, y, width, height);
    },
  };
}

/** @returns {Painter & {finish(width: number, height: number, background: string): string}} */
export function svgPainter() {
  /** @type {string[]} */
  const parts = [];
  /** @param {number} value */
  const n = (value) => String(Math.round(value * 100) / 100);
  /** @param {string} text */
  const safe = (text) =>
    text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? c);
  return {
    rect(x, y, width, height, fill) {
      parts.push(`<rect x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" fill="${fill}"/>`);
    },
    frame(x, y, width, height, stroke, line) {
      parts.push(
        `<rect x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" fill="none" ` +
          `stroke="${stroke}" stroke-width="${line}"/>`,
      );
    },
    line(points, stroke, width, alpha = 1) {
      const pairs = [];
      for (let i = 0; i < points.length; i += 2) pairs.push(`${n(points[i])},${n(points[i + 1])}`);
      parts.push(
        `<polyline points="${pairs.join(" ")}" fill="none" stroke="${stroke}" ` +
          `stroke-width="${n(width)}" stroke-opacity="${n(alpha)}"/>`,
      );
    },
    curve(x1, y1, x2, y2, stroke, width, alpha) {
      const middle = n((x1 + x2) / 2);
      parts.push(
        `<path d="M${n(x1)} ${n(y1)}C${middle} ${n(y1)} ${middle} ${n(y2)} ${n(x2)} ${n(y2)}" ` +
          `fill="none" stroke="${stroke}" stroke-width="${n(width)}" stroke-opacity="${n(alpha)}"/>`,
      );
    },
    text(text, x, y, fill, style = {}) {
      const turned = style.turned ? ` transform="rotate(-90 ${n(x)} ${n(y)})"` : "";
      parts.push(
        `<text x="${n(x)}" y="${n(y)}" fill="${fill}" font-size="${style.size ?? 12}"` +
          ` text-anchor="${style.anchor ?? "start"}" dominant-baseline="central"` +
          `${style.bold ? ' font-weight="600"' : ""}${style.faint ? ' opacity="0.65"' : ""}${turned}>` +
          `${safe(text)}</text>`,
      );
    },
    image(image, x, y, width, height) {
      parts.push(
        `<image x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" ` +
          `preserveAspectRatio="none" style="image-rendering:pixelated" ` +
          `href="${image.toDataURL("image/png")}"/>`,
      );
    },
    finish(width, height, background) {
      return (
        `<svg xmlns="http://www.w3.org/2000/svg" width="${n(width)}" height="${n(height)}" ` +
        `viewBox="0 0 ${n(width)} ${n(height)}" font-family="${safe(FONT)}">` +
        `<rect width="100%" height="100%" fill="${background}"/>${parts.join("")}</svg>`
      );
    },
  };
}

const measuring = document.createElement("canvas").getContext("2d");

/**
 * How wide a text is drawn, in pixels.
 * @param {string} text
 * @param {number} size
 */
export function textWidth(text, size) {
  if (!measuring) return text.length * size * 0.6;
  measuring.font = `${size}px ${FONT}`;
  return measuring.measureText(text).width;
}

/**
 * A text cut to a width, with an ellipsis where something is missing.
 * @param {string} text
 * @param {number} width
 * @param {number} size
 */
export function fitted(text, width, size) {
  if (textWidth(text, size) <= width) return text;
  const letters = Array.from(text);
  while (letters.length && textWidth(letters.join("") + "…", size) > width) letters.pop();
  return letters.join("") + "…";
}

/**
 * A canvas of so many CSS pixels, sharp on any screen, drawn by a function.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @param {(painter: Painter) => void} draw
 */
export function drawOn(canvas, width, height, draw) {
  const most = 16000; // no browser draws much wider or higher canvases
  const ratio = Math.min(window.devicePixelRatio || 1, most / Math.max(width, height, 1));
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
  draw(canvasPainter(context));
}
