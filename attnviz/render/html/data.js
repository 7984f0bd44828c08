// The numbers of the page: compressed blocks, unpacked when they are first needed.

/**
 * @typedef {{block: string, offset: number, count: number}} ArrayRef
 */

/** @typedef {Float32Array | Int32Array | Uint8Array} Numbers */

/** @type {Map<string, Promise<Numbers>>} */
const blocks = new Map();

/**
 * The numbers that a reference stands for.
 * @param {ArrayRef} ref
 * @returns {Promise<Numbers>}
 */
export async function readArray(ref) {
  let block = blocks.get(ref.block);
  if (!block) {
    block = readBlock(ref.block);
    blocks.set(ref.block, block);
  }
  return (await block).subarray(ref.offset, ref.offset + ref.count);
}

/** @param {string} name */
async function readBlock(name) {
  const element = document.getElementById(name);
  const bytes = await unpack(element?.textContent ?? "");
  const type = element?.dataset.type;
  if (type === "f2") return fromHalves(bytes);
  if (type === "f4") return new Float32Array(joined(bytes));
  if (type === "i4") return new Int32Array(joined(bytes));
  return bytes;
}

/** @param {Uint8Array} planes of four bytes each: all lowest bytes, then the next, … */
function joined(planes) {
  const count = planes.length / 4;
  const bytes = new Uint8Array(planes.length);
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < 4; k++) bytes[4 * i + k] = planes[k * count + i];
  }
  return bytes.buffer;
}

/** @type {Float32Array | null} what each of the 65536 float16 is */
let halves = null;

/** @param {Uint8Array} planes all low bytes, then all high bytes */
function fromHalves(planes) {
  halves ??= Float32Array.from({ length: 65536 }, (_, bits) => half(bits));
  const count = planes.length / 2;
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = halves[planes[i] | (planes[count + i] << 8)];
  return values;
}

/** @param {number} bits of a float16 */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** @param {string} text base64 */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  if (typeof DecompressionStream === "undefined") return inflate(packed);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const LENGTHS = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
  163, 195, 227, 258,
];
const DISTANCES = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
  3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/**
 * zlib's format (RFC 1950, 1951), for browsers without DecompressionStream.
 * @param {Uint8Array} input
 * @returns {Uint8Array}
 */
export function inflate(input) {
  let place = 2; // after the two bytes of zlib's header
  let bits = 0;
  let held = 0;
  let output = new Uint8Array(1 << 16);
  let size = 0;

  /** @param {number} n */
  function take(n) {
    while (held < n) {
      bits |= input[place++] << held;
      held += 8;
    }
    const value = bits & ((1 << n) - 1);
    bits >>>= n;
    held -= n;
    return value;
  }

  /** @param {{counts: number[], symbols: number[]}} tree */
  function symbol(tree) {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length < 16; length++) {
      code |= take(1);
      const count = tree.counts[length];
      if (code - count < first) return tree.symbols[index + code - first];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new Error("damaged block");
  }

  /** @param {number} byte */
  function put(byte) {
    if (size === output.length) {
      const larger = new Uint8Array(size * 2);
      larger.set(output);
      output = larger;
    }
    output[size++] = byte;
  }

  for (let last = 0; !last; ) {
    last = take(1);
    const kind = take(2);
    if (kind === 0) {
      held = bits = 0;
      const length = input[place] | (input[place + 1] << 8);
      place += 4;
      for (let i = 0; i < length; i++) put(input[place++]);
      continue;
    }
    const [literals, distances] = kind === 1 ? fixedTrees() : dynamicTrees(take, symbol);
    for (let code = symbol(literals); code !== 256; code = symbol(literals)) {
      if (code < 256) {
        put(code);
        continue;
      }
      code -= 257;
      const extra = code < 8 || code === 28 ? 0 : (code >> 2) - 1;
      const length = LENGTHS[code] + take(extra);
      const far = symbol(distances);
      const distance = DISTANCES[far] + take(far < 4 ? 0 : (far >> 1) - 1);
      for (let i = 0; i < length; i++) put(output[size - distance]);
    }
  }
  return output.subarray(0, size);
}

/** @param {number[]} lengths of the codes of all symbols */
function codeTree(lengths) {
  const counts = new Array(16).fill(0);
  for (const length of lengths) counts[length]++;
  counts[0] = 0;
  const starts = new Array(16).fill(0);
  for (let length = 1; length < 15; length++) {
    starts[length + 1] = starts[length] + counts[length];
  }
  /** @type {number[]} */
  const symbols = [];
  lengths.forEach((length, symbol) => {
    if (length) symbols[starts[length]++] = symbol;
  });
  return { counts, symbols };
}

function fixedTrees() {
  const lengths = Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
  return [codeTree(lengths), codeTree(new Array(30).fill(5))];
}

/**
 * @param {(n: number) => number} take
 * @param {(tree: {counts: number[], symbols: number[]}) => number} symbol
 */
function dynamicTrees(take, symbol) {
  const nLiteral = take(5) + 257;
  const nDistance = take(5) + 1;
  const nCode = take(4) + 4;
  const codes = new Array(19).fill(0);
  for (let i = 0; i < nCode; i++) codes[CODE_ORDER[i]] = take(3);
  const tree = codeTree(codes);
  /** @type {number[]} */
  const lengths = [];
  while (lengths.length < nLiteral + nDistance) {
    const code = symbol(tree);
    if (code < 16) lengths.push(code);
    else {
      const repeated = code === 16 ? (lengths.at(-1) ?? 0) : 0;
      const times = code === 16 ? 3 + take(2) : code === 17 ? 3 + take(3) : 11 + take(7);
      for (let i = 0; i < times; i++) lengths.push(repeated);
    }
  }
  return [codeTree(lengths.slice(0, nLiteral)), codeTree(lengths.slice(nLiteral))];
}
