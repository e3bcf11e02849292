// @ts-check
/**
 * The explorer: ties score, sound, tokens and activations together. Whatever is touched becomes the one step, unit or
 * passage that everything else shows.
 *
 * Tokens ("steps") count from `<s>` (0); row t of every activation is the state after reading token t, and row t of the
 * distributions is about token t + 1. What the numbers are is said in folkrnn/explorer/*.py, which compute them.
 */
"use strict";

/** @typedef {Uint8Array | Int8Array | Uint16Array | Int16Array | Float32Array} Numbers */
/** @typedef {{data: Numbers, shape: number[]}} Grid */
/** @typedef {{key: string, title: string, tokens: number[], cut: boolean, picture: string, mark: string, note: string,
 *   eighth: number, side: number, number: number, gates: boolean}} Tune */
/** @typedef {{name: string, low: number, high: number, units: number}} Site */
/** @typedef {{name: string, first: number, units: number}} Layer */

/* ---------------------------------------------------------------- data ---- */

/** @type {Record<string, any>} */
const data = {};
/** @type {Record<string, Grid>} */
const grids = {};

const KINDS = { u8: Uint8Array, i8: Int8Array, u16: Uint16Array, i16: Int16Array, f32: Float32Array };

/** @param {string} id @returns {any} */
const at = (id) => document.getElementById(id);

/** @param {string} text base64 of gzip @returns {Promise<ArrayBuffer>} */
async function unzip(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** Reads a pack into `data` and `grids`; its layout is that of folkrnn/explorer/pack.py. @param {string} name */
async function unpack(name) {
  const element = at(`pack-${name}`);
  const whole = await unzip(element.textContent);
  element.textContent = "";
  const start = 4 + new DataView(whole).getUint32(0, true);
  const manifest = JSON.parse(new TextDecoder().decode(new Uint8Array(whole, 4, start - 4)));
  for (const [key, [kind, shape, place]] of Object.entries(manifest.arrays)) {
    const size = shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
    grids[key] = { data: new (/** @type {any} */ (KINDS)[kind])(whole, start + place, size), shape };
  }
  delete manifest.arrays;
  Object.assign(data, manifest);
}

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** @param {number} value @param {number} [digits] */
const shown = (value, digits = 2) => value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "−");

/** @param {number} p */
const percent = (p) => (p >= 0.995 ? "100 %" : p >= 0.0995 ? `${(100 * p).toFixed(0)} %` : p >= 0.001 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %");

/** @param {string} html @param {string} [tag] @returns {HTMLElement} */
function element(html, tag = "div") {
  const made = document.createElement(tag);
  made.innerHTML = html;
  return made;
}

/** Makes the content of `host` that of the HTML, and touches only what differs: a browser draws that much faster.
 * @param {Element} host @param {string} html */
function patch(host, html) {
  const wanted = document.createElement("template");
  wanted.innerHTML = html;
  alike(host, wanted.content);
}

/** @param {Node} old @param {Node} wanted */
function alike(old, wanted) {
  const [before, after] = [[...old.childNodes], [...wanted.childNodes]];
  after.forEach((node, k) => {
    const there = before[k];
    if (!there) old.appendChild(node);
    else if (there.nodeName !== node.nodeName) old.replaceChild(node, there);
    else if (there instanceof Element && node instanceof Element) {
      for (const { name, value } of node.attributes) if (there.getAttribute(name) !== value) there.setAttribute(name, value);
      for (const { name } of [...there.attributes]) if (!node.hasAttribute(name)) there.removeAttribute(name);
      alike(there, node);
    } else if (there.nodeValue !== node.nodeValue) there.nodeValue = node.nodeValue;
  });
  for (const extra of before.slice(after.length)) old.removeChild(extra);
}

/** @param {string} text */
function say(text) {
  at("said").textContent = text;
}

/* --------------------------------------------------------------- sound ---- */

/**
 * Plays notes `[onset, seconds, pitch, token]` as a plucked string, and tells which token sounds.
 * @typedef {{notes: Grid, path: Grid}} Music
 */
const player = {
  /** @type {AudioContext | null} */ context: null,
  /** @type {GainNode | null} */ out: null,
  /** @type {PeriodicWave | null} */ wave: null,
  /** @type {Music | null} */ music: null,
  speed: 1,
  began: 0,
  from: 0,
  until: Infinity,
  next: 0,
  /** @type {(token: number, seconds: number) => void} */ follow: () => {},
  /** @type {() => void} */ ended: () => {},
  timer: 0,

  get playing() {
    return this.music !== null;
  },

  /** Plays from the second `from` of the music to `until`. `follow` hears of every token, `ended` when it is over.
   * @param {Music} music @param {number} from @param {number} until
   * @param {(token: number, seconds: number) => void} follow @param {() => void} ended */
  play(music, from, until, follow, ended) {
    this.stop();
    this.context = this.context || new AudioContext();
    const context = this.context;
    void context.resume();
    if (!this.wave) {
      const strength = Float32Array.from({ length: 9 }, (_, k) => (k ? k ** -1.3 : 0));
      this.wave = context.createPeriodicWave(new Float32Array(9), strength);
    }
    this.out = context.createGain();
    this.out.gain.value = 0.32;
    this.out.connect(context.destination);
    const echo = context.createDelay();
    const damped = context.createGain();
    echo.delayTime.value = 0.067;
    damped.gain.value = 0.14;
    this.out.connect(echo).connect(damped).connect(context.destination);
    Object.assign(this, { music, from, until, follow, ended, next: 0, began: context.currentTime + 0.08 });
    const notes = music.notes;
    while (this.next < notes.shape[0] && notes.data[4 * this.next] < from - 1e-4) this.next += 1;
    this.tick();
  },

  /** The second of the music that sounds now. */
  get now() {
    return this.context ? this.from + (this.context.currentTime - this.began) * this.speed : 0;
  },

  /** Hands the notes of the next half second to the sound card, and follows the music. */
  tick() {
    if (!this.music || !this.context) return;
    const { notes, path } = this.music;
    const now = this.now;
    for (; this.next < notes.shape[0]; this.next += 1) {
      const [onset, length, pitch] = notes.data.subarray(4 * this.next, 4 * this.next + 3);
      if (onset >= this.until - 1e-4 || onset > now + 0.5 * this.speed) break;
      this.pluck(this.began + (onset - this.from) / this.speed, length / this.speed, pitch);
    }
    let k = 0;
    for (let high = path.shape[0]; k < high; ) {
      const middle = (k + high) >> 1;
      if (path.data[2 * middle] <= now + 1e-4) k = middle + 1;
      else high = middle;
    }
    if (k > 0 && now >= this.from) this.follow(path.data[2 * k - 1], now);
    const last = notes.shape[0] - 1;
    const end = last < 0 ? this.from : notes.data[4 * last] + notes.data[4 * last + 1];
    if (now > Math.min(this.until, end) + 0.1) {
      const ended = this.ended;
      this.stop(0.6);
      ended();
      return;
    }
    this.timer = window.setTimeout(() => this.tick(), 25);
  },

  /** @param {number} when @param {number} seconds @param {number} pitch */
  pluck(when, seconds, pitch) {
    const context = /** @type {AudioContext} */ (this.context);
    const frequency = 440 * 2 ** ((pitch - 69) / 12);
    const loud = 0.5 * (220 / frequency) ** 0.25;
    const start = Math.max(when, context.currentTime);
    const voice = context.createOscillator();
    const hull = context.createGain();
    voice.setPeriodicWave(/** @type {PeriodicWave} */ (this.wave));
    voice.frequency.value = frequency;
    hull.gain.setValueAtTime(0, start);
    hull.gain.linearRampToValueAtTime(loud, start + 0.006);
    hull.gain.setTargetAtTime(0.16 * loud, start + 0.006, 0.22);
    hull.gain.setTargetAtTime(0, start + Math.max(seconds, 0.05), 0.03);
    voice.connect(hull).connect(/** @type {GainNode} */ (this.out));
    voice.start(start);
    voice.stop(start + Math.max(seconds, 0.05) + 0.25);
  },

  /** @param {number} [fade] seconds in which what still sounds dies away */
  stop(fade = 0.03) {
    window.clearTimeout(this.timer);
    this.music = null;
    const out = this.out;
    if (!out || !this.context) return;
    out.gain.setTargetAtTime(0, this.context.currentTime, fade / 3);
    window.setTimeout(() => out.disconnect(), 1000 * fade + 200);
    this.out = null;
  },

  /** @param {number} speed 1 is the tempo that the tune is written for */
  setSpeed(speed) {
    if (this.music && this.context) {
      this.from = this.now;
      this.began = this.context.currentTime;
    }
    this.speed = speed;
  },
};

/* -------------------------------------------------------------- colour ---- */

const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const SIGNED = ["#08306b", "#2166ac", "#67a9cf", "#d1e5f0", "#faf8f4", "#fddbc7", "#ef8a62", "#c2510c", "#7f2704"];
const SIGNED_DARK = ["#9fd0f5", "#5aa9e0", "#2f6f9f", "#20445e", "#1b1a18", "#5a3418", "#a4561d", "#e58a3c", "#ffd09a"];
const TYPE_COLOURS = ["#8a8578", "#e69f00", "#cc79a7", "#d55e00", "#0072b2", "#009e73", "#56b4e9"];
const LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/** @param {string[]} stops @returns {Uint8ClampedArray} 256 colours, RGBA */
function ramp(stops) {
  const colours = stops.map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));
  const table = new Uint8ClampedArray(1024);
  for (let i = 0; i < 256; i += 1) {
    const place = (i / 255) * (colours.length - 1);
    const k = Math.min(Math.floor(place), colours.length - 2);
    for (let c = 0; c < 3; c += 1) table[4 * i + c] = colours[k][c] + (place - k) * (colours[k + 1][c] - colours[k][c]);
    table[4 * i + 3] = 255;
  }
  return table;
}

const dark = () => document.documentElement.classList.contains("dark");
/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
/** @param {Site} site */
const coloursOf = (site) => ramp(site.low < 0 ? (dark() ? SIGNED_DARK : SIGNED) : VIRIDIS);

/** A canvas as large as it is shown, in pixels of the screen. @param {HTMLCanvasElement} canvas */
function fitted(canvas) {
  const scale = Math.min(window.devicePixelRatio || 1, 2);
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/* --------------------------------------------------------------- score ---- */

const TRACE = 620;
/** How high the trace under a staff is, in verovio's units; lines of a staff are 180 apart. */
const SVG = "http://www.w3.org/2000/svg";

/** @param {string} name @param {Record<string, string | number>} attributes */
function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/**
 * An engraved tune whose tokens have places.
 * @typedef {{system: number, x: number}} Place
 * @typedef {{node: SVGGElement, top: number, staff: number, bottom: number, left: number, right: number}} Line
 */
class Score {
  /** @param {HTMLElement} host @param {Tune} tune @param {boolean} [traced] whether there is room for traces below */
  constructor(host, tune, traced = true) {
    this.tune = tune;
    this.traced = traced;
    host.innerHTML = tune.picture;
    this.svg = host.querySelector("svg") || document.createElementNS(SVG, "svg"); // a tune without score has its ABC
    this.inner = /** @type {SVGSVGElement} */ (this.svg.querySelector("svg.definition-scale") || this.svg);
    this.svg.removeAttribute("width");
    this.svg.removeAttribute("height");
    /** @type {Line[]} */ this.lines = [];
    /** @type {Place[]} */ this.places = [];
    /** @type {Map<number, Element>} */ this.heads = new Map();
    /** @type {Element[]} */ this.lit = [];
    if (tune.mark) this.measure(traced);
  }

  /** Finds where every token stands, and makes room below each line. @param {boolean} traced */
  measure(traced) {
    const bars = grids[`${this.tune.key}/bars`];
    const count = this.tune.tokens.length;
    /** @type {(Place | null)[]} */
    const known = new Array(count).fill(null);
    /** @type {{bar: number, system: number, left: number, right: number}[]} */
    const measures = [];
    const offset = this.tune.mark.length;
    [...this.svg.querySelectorAll("g.system")].forEach((node, s) => {
      const box = /** @type {SVGGElement} */ (node).getBBox();
      let left = Infinity, right = 0, top = Infinity, staff = 0;
      for (const measure of node.querySelectorAll("g.measure")) {
        const rule = /** @type {SVGPathElement[]} */ ([...measure.querySelectorAll("g.staff > path")]).map((path) => path.getBBox());
        const [start, end] = [Math.min(...rule.map((r) => r.x)), Math.max(...rule.map((r) => r.x + r.width))];
        [left, right] = [Math.min(left, start), Math.max(right, end)];
        [top, staff] = [Math.min(top, ...rule.map((r) => r.y)), Math.max(staff, ...rule.map((r) => r.y + r.height))];
        let bar = measures.length ? measures[measures.length - 1].bar : -1;
        let alone = true;
        for (const note of measure.querySelectorAll(`[id^="${this.tune.mark}"]`)) {
          const token = Number(note.id.slice(offset)) + 1;
          if (token >= count) continue;
          const head = /** @type {SVGGElement} */ (note.querySelector("g.notehead") || note).getBBox();
          known[token] = { system: s, x: head.x + head.width / 2 };
          this.heads.set(token, note);
          alone = false;
          while (bar + 1 < bars.shape[0] && bars.data[2 * (bar + 1)] <= token) bar += 1;
        }
        if (alone) bar = Math.min(bar + 1, bars.shape[0] - 1); // rests alone have no ids
        measures.push({ bar, system: s, left: start, right: end });
      }
      this.lines.push({ node: /** @type {SVGGElement} */ (node), top, staff, bottom: box.y + box.height, left, right });
    });
    if (!measures.length) return;
    for (let b = 0; b < bars.shape[0]; b += 1) {
      const mine = measures.filter((measure) => measure.bar === b);
      if (!mine.length) continue;
      const [first, last] = [mine[0], mine[mine.length - 1]];
      const [start, stop] = [bars.data[2 * b], bars.data[2 * b + 1]];
      const behind = b + 1 < bars.shape[0] ? bars.data[2 * b + 2] : count;
      for (let t = stop; t < behind; t += 1) known[t] = { system: last.system, x: last.right };
      if (!known[start]) known[start] = { system: first.system, x: first.left + 0.12 * (first.right - first.left) };
    }
    this.places = filled(known, measures[0]);
    if (traced) this.spread();
  }

  /** Moves lines apart for the traces between them. */
  spread() {
    const room = TRACE + 260;
    this.lines.forEach((line, s) => {
      if (s) line.node.setAttribute("transform", `translate(0 ${s * room})`);
    });
    const [x, y, width, height] = (this.inner.getAttribute("viewBox") || "0 0 1 1").split(/[ ,]+/).map(Number);
    const taller = height + this.lines.length * room;
    this.inner.setAttribute("viewBox", `${x} ${y} ${width} ${taller}`);
    if (this.inner !== this.svg) {
      const outer = (this.svg.getAttribute("viewBox") || "0 0 1 1").split(/[ ,]+/).map(Number);
      this.svg.setAttribute("viewBox", `0 0 ${outer[2]} ${(outer[2] * taller) / width}`);
    }
  }

  /** @param {MouseEvent} event @returns {number} the token nearest to the pointer, −1 where there is none */
  tokenAt(event) {
    let best = -1, least = Infinity;
    this.lines.forEach((line, s) => {
      const matrix = line.node.getScreenCTM();
      if (!matrix) return;
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
      const beyond = Math.max(line.top - 500 - point.y, point.y - line.bottom - TRACE - 200, 0);
      this.places.forEach((place, t) => {
        if (place.system !== s) return;
        const far = Math.abs(place.x - point.x) + 20 * beyond + (this.heads.has(t) ? 0 : 60);
        if (far < least) [best, least] = [t, far];
      });
    });
    return best;
  }

  /** @param {string} kind class of what is drawn anew */
  wipe(kind) {
    for (const old of this.svg.querySelectorAll(`.${kind}`)) old.remove();
  }

  /** Marks the step. @param {number} token */
  point(token) {
    this.wipe("cursor");
    for (const head of this.lit) head.classList.remove("now");
    this.lit = [];
    const place = this.places[token];
    if (!place) return;
    const line = this.lines[place.system];
    const below = this.traced ? line.bottom + TRACE + 120 : Math.max(line.bottom, line.staff + 300);
    line.node.prepend(drawn("rect", { class: "cursor", x: place.x - 110, y: line.top - 420, width: 220, height: below - line.top + 420, rx: 60 }));
    const head = this.heads.get(this.sounding(token));
    if (head) {
      head.classList.add("now");
      this.lit.push(head);
    }
  }

  /** The token of the note that a token belongs to: a length belongs to what it lengthens. @param {number} token */
  sounding(token) {
    let t = token;
    while (t > 0 && data.type_names[data.types[this.tune.tokens[t]]] === "duration") t -= 1;
    return t;
  }

  /** Shades the tokens `from` to `to`; nothing where `from` is negative. @param {number} from @param {number} to */
  shade(from, to) {
    this.wipe("range");
    if (from < 0) return;
    this.lines.forEach((line, s) => {
      const inside = this.places.slice(from, to + 1).filter((place) => place.system === s).map((place) => place.x);
      if (!inside.length) return;
      const [left, right] = [Math.min(...inside) - 140, Math.max(...inside) + 140];
      line.node.prepend(drawn("rect", { class: "range", x: left, y: line.top - 420, width: right - left, height: line.staff - line.top + 840, rx: 80 }));
    });
  }

  /** Draws a unit's values under the notes. @param {Float32Array} values @param {Site} site @param {string} name */
  trace(values, site, name) {
    for (const kind of ["trace", "zero", "name"]) this.wipe(kind);
    this.lines.forEach((line, s) => {
      const base = line.bottom + 160;
      /** @param {number} value */
      const y = (value) => base + TRACE * (1 - (value - site.low) / (site.high - site.low));
      line.node.append(drawn("line", { class: "zero", x1: line.left, x2: line.right, y1: y(Math.max(site.low, 0)), y2: y(Math.max(site.low, 0)) }));
      const points = [];
      for (let t = 0; t < values.length; t += 1) {
        if (this.places[t] && this.places[t].system === s) points.push(`${this.places[t].x.toFixed(0)},${y(values[t]).toFixed(0)}`);
      }
      line.node.append(drawn("polyline", { class: "trace", points: points.join(" ") }));
      if (s) return;
      const label = drawn("text", { class: "name", x: line.left, y: base + TRACE + 190 });
      label.textContent = name;
      line.node.append(label);
    });
  }

  /** Marks where the tune leaves the other one. @param {number} token */
  split(token) {
    for (const [t, head] of this.heads) head.classList.toggle("later", t >= token);
    const place = this.places[Math.min(token, this.places.length - 1)];
    if (!place || token >= this.places.length) return;
    const line = this.lines[place.system];
    line.node.append(drawn("line", { class: "split", x1: place.x - 150, x2: place.x - 150, y1: line.top - 350, y2: line.staff + 350 }));
  }
}

/** Places for all tokens: between two that are known, evenly. @param {(Place | null)[]} known
 * @param {{system: number, left: number, right: number}} first @returns {Place[]} */
function filled(known, first) {
  const found = known.slice();
  const begin = found.findIndex((place) => place !== null);
  const start = begin < 0 ? { system: first.system, x: first.right } : /** @type {Place} */ (found[begin]);
  const header = begin < 0 ? found.length : begin;
  for (let t = 0; t < header; t += 1) found[t] = { system: start.system, x: first.left + ((start.x - first.left) * (t + 0.5)) / (header + 0.5) };
  for (let t = header; t < found.length; t += 1) {
    if (found[t]) continue;
    const before = /** @type {Place} */ (found[t - 1]);
    let next = t;
    while (next < found.length && !found[next]) next += 1;
    const after = found[next];
    const x = after && after.system === before.system ? before.x + (after.x - before.x) / (next - t + 2) : before.x + 90;
    found[t] = { system: before.system, x };
  }
  return /** @type {Place[]} */ (found);
}

/** A passage of a tune as a small score. @param {HTMLElement} host @param {Tune} tune @param {number} from @param {number} to */
function snippet(host, tune, from, to) {
  if (!tune.mark) {
    host.textContent = tune.tokens.slice(from, to + 1).map((id) => data.vocabulary[id]).join(" ");
    return;
  }
  const score = new Score(host, tune, false);
  const first = score.places[from];
  if (!first) return;
  const line = score.lines[first.system];
  const bars = grids[`${tune.key}/bars`];
  let [left, right] = [Infinity, -Infinity];
  for (let b = 0; b < bars.shape[0]; b += 1) {
    const [start, stop] = [bars.data[2 * b], Math.min(bars.data[2 * b + 1], tune.tokens.length - 1)];
    if (stop < from || start > to || !score.places[start] || score.places[start].system !== first.system) continue;
    const before = start > 0 && score.places[start - 1].system === first.system ? score.places[start - 1].x : line.left;
    const behind = score.places[stop] && score.places[stop].system === first.system ? score.places[stop].x : line.right;
    [left, right] = [Math.min(left, before), Math.max(right, behind)];
  }
  if (right < left) [left, right] = [line.left, line.right];
  if (from === to) score.point(from);
  else score.shade(from, to);
  const box = line.node.getBBox();
  for (const other of score.lines) if (other !== line) other.node.remove();
  const page = /** @type {SVGGElement} */ (line.node.parentNode);
  page.removeAttribute("transform");
  // neighbours are cut away, so that a narrow passage is as large as a wide one
  const crop = `${left - 60} ${box.y - 60} ${right - left + 120} ${box.height + 120}`;
  score.inner.setAttribute("viewBox", crop);
  score.svg.setAttribute("viewBox", crop);
  score.svg.setAttribute("preserveAspectRatio", "xMinYMid meet");
  if (score.inner !== score.svg) {
    const [x, y, width, height] = crop.split(" ");
    for (const [key, value] of Object.entries({ x, y, width, height })) score.inner.setAttribute(key, value);
    score.inner.style.overflow = "hidden";
  }
}

/* --------------------------------------------------------------- state ---- */

const view = {
  side: 0,
  tune: 0,
  step: 1,
  hover: -1,
  hoverRow: -1,
  site: "",
  layer: "",
  unit: 0,
  order: "event",
  from: -1,
  to: -1,
  t0: 0,
  t1: 1,
  u0: 0,
  u1: 1,
};

/** @returns {Tune} */
const tuneNow = (side = view.side) => data.tunes[side * data.shown + view.tune];
const stepNow = () => (view.hover >= 0 ? view.hover : view.step);
/** @param {string} name @returns {Site} */
const siteOf = (name) => data.sites.find((/** @type {Site} */ site) => site.name === name);
/** @param {string} name @returns {Layer} */
const layerOf = (name) => data.layers.find((/** @type {Layer} */ layer) => layer.name === name);
/** @param {Tune} tune */
const rowsOf = (tune) => tune.tokens.length - 1;
/** @param {Tune} tune @param {number} t */
const word = (tune, t) => data.vocabulary[tune.tokens[t]];
/** @param {number} id */
const chip = (id) => `<span class="token t${data.types[id]}">${escaped(data.vocabulary[id])}</span>`;
/** @param {string} site the hidden states of the same layer */
const hiddenOf = (site) => `${site.split(".")[0]}.h`;

/** The activations of a site of a tune, `[units, rows]` of levels.
 * @param {Tune} tune @param {string} site @returns {Grid | undefined} */
const levels = (tune, site) => grids[`${tune.key}/${site}`];

/** @param {Tune} tune @param {string} site @param {number} unit @returns {Float32Array} */
function values(tune, site, unit) {
  const grid = levels(tune, site);
  if (!grid) return new Float32Array(0);
  const { low, high } = siteOf(site);
  return Float32Array.from(grid.data.subarray(unit * grid.shape[1], (unit + 1) * grid.shape[1]), (level) => low + (level * (high - low)) / 255);
}

/** @param {Tune} tune @param {number} t which bar a token stands in, from 1; 0 before the first */
function barOf(tune, t) {
  const bars = grids[`${tune.key}/bars`];
  let found = 0;
  for (let b = 0; b < bars.shape[0] && bars.data[2 * b] <= t; b += 1) found = b + 1;
  return found;
}

/** @param {Tune} tune @returns {Music} */
const musicOf = (tune) => ({ notes: grids[`${tune.key}/notes`], path: grids[`${tune.key}/path`] });

/** The second at which a token is first reached. @param {Tune} tune @param {number} token */
function secondOf(tune, token) {
  const path = grids[`${tune.key}/path`];
  let best = 0, least = Infinity;
  for (let k = 0; k < path.shape[0]; k += 1) {
    const far = path.data[2 * k + 1] - token;
    if (far >= 0 && far < least) [best, least] = [path.data[2 * k], far];
  }
  return best;
}

/** @param {Tune} tune @param {number} t nats of surprise at token t, from what was read before it */
const surprise = (tune, t) => (t > 0 ? -Math.log(Math.max(grids[`${tune.key}/probability`].data[t - 1], 1e-30)) : 0);

/* ------------------------------------------------------ units in order ---- */

/** @type {Map<string, Int32Array>} */
const orders = new Map();

/** Units of the site shown, from top to bottom. @returns {Int32Array} */
function order() {
  const tune = tuneNow();
  const own = view.order === "like" ? `/${view.layer}/${view.unit}` : "";
  const key = `${tune.key}/${view.site}/${view.order}${own}`;
  const ready = orders.get(key);
  if (ready) return ready;
  const units = siteOf(view.site).units;
  const layer = layerOf(hiddenOf(view.site));
  const all = Int32Array.from({ length: units }, (_, unit) => unit);
  if (view.order === "event" && grids["event/variable"]) {
    const variable = grids["event/variable"].data, excess = grids["event/excess"].data;
    /** @param {number} unit */
    const rank = (unit) => (variable[layer.first + unit] < 0 ? 99 : variable[layer.first + unit]);
    all.sort((a, b) => rank(a) - rank(b) || (excess[layer.first + b] || 0) - (excess[layer.first + a] || 0) || a - b);
  } else if (view.order === "period") {
    const periods = all.slice(0).map(() => 0);
    const found = new Float32Array(units);
    periods.forEach((_, unit) => (found[unit] = strongestPeriod(values(tune, view.site, unit))));
    all.sort((a, b) => found[a] - found[b] || a - b);
  } else if (view.order === "like") {
    const chosen = values(tune, view.site, view.unit);
    const like = Float32Array.from(all, (unit) => correlation(chosen, values(tune, view.site, unit)));
    all.sort((a, b) => like[b] - like[a] || a - b);
  }
  orders.set(key, all);
  return all;
}

const LENGTH = 512;
const COSINES = Float64Array.from({ length: LENGTH }, (_, k) => Math.cos((2 * Math.PI * k) / LENGTH));

/** Power of a sequence less its mean, padded to a multiple of 512, as `spectra.power` has it. @param {Float32Array} x */
function power(x) {
  const size = LENGTH * Math.max(1, Math.ceil(x.length / LENGTH));
  const stride = size / LENGTH;
  const mean = x.reduce((a, b) => a + b, 0) / Math.max(1, x.length);
  const found = new Float64Array(LENGTH / 2 + 1);
  for (let k = 0; k <= LENGTH / 2; k += 1) {
    let re = 0, im = 0;
    for (let t = 0; t < x.length; t += 1) {
      const phase = (k * t) % LENGTH;
      re += (x[t] - mean) * COSINES[phase];
      im += (x[t] - mean) * COSINES[(phase + 384) % LENGTH];
    }
    found[k] = re * re + im * im;
  }
  return { power: found, stride };
}

/** @param {Float32Array} x in tokens; infinite for a unit that does not change */
function strongestPeriod(x) {
  const { power: found } = power(x);
  let best = 0;
  for (let k = 1; k < found.length; k += 1) if (found[k] > found[best]) best = k;
  return best ? LENGTH / best : Infinity;
}

/** @param {Float32Array} a @param {Float32Array} b */
function correlation(a, b) {
  const n = a.length;
  const ma = a.reduce((x, y) => x + y, 0) / n, mb = b.reduce((x, y) => x + y, 0) / n;
  let ab = 0, aa = 0, bb = 0;
  for (let t = 0; t < n; t += 1) {
    ab += (a[t] - ma) * (b[t] - mb);
    aa += (a[t] - ma) ** 2;
    bb += (b[t] - mb) ** 2;
  }
  return aa && bb ? ab / Math.sqrt(aa * bb) : -2;
}

/* ------------------------------------------------------------- timeline ---- */

const GUTTER = 46, TOP = 16, WORDS = 34, RIBBON = 54, GAP = 8;

const timeline = {
  /** @type {HTMLCanvasElement | null} */ base: null,
  key: "",

  get canvas() {
    return /** @type {HTMLCanvasElement} */ (at("timeline"));
  },

  /** Pixels: where the heat map begins, and how large a step and a row are. */
  layout() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const y = TOP + WORDS + RIBBON + 2 * GAP;
    return { width, height, y, step: (width - GUTTER - 4) / (view.t1 - view.t0), row: (height - y - 2) / (view.u1 - view.u0) };
  },

  /** @param {MouseEvent} event @returns {{t: number, row: number}} the token and the row under the pointer; row −1 above */
  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const { y, step, row } = this.layout();
    const t = Math.floor(view.t0 + (event.clientX - box.left - GUTTER) / step);
    const at = Math.floor(view.u0 + (event.clientY - box.top - y) / row);
    return {
      t: Math.max(0, Math.min(t, tuneNow().tokens.length - 1)),
      row: event.clientY - box.top < y ? -1 : Math.max(0, Math.min(at, siteOf(view.site).units - 1)),
    };
  },

  /** Draws what does not follow the pointer, once. */
  paint() {
    const tune = tuneNow(), site = siteOf(view.site), grid = levels(tune, view.site);
    const key = [tune.key, view.site, view.order, view.order === "like" ? view.unit : "", view.t0, view.t1, view.u0, view.u1, view.from, view.to, this.canvas.clientWidth, dark()].join();
    if (this.base && this.key === key) return this.base;
    this.key = key;
    const copy = this.base || document.createElement("canvas");
    fitted(this.canvas);
    copy.width = this.canvas.width;
    copy.height = this.canvas.height;
    const pen = /** @type {CanvasRenderingContext2D} */ (copy.getContext("2d"));
    const { width, height, y, step, row } = this.layout();
    const scale = copy.width / width;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    /** @param {number} t */
    const x = (t) => GUTTER + (t - view.t0) * step;
    if (view.from >= 0) {
      pen.fillStyle = colour("mark");
      pen.fillRect(x(view.from), 0, (view.to - view.from + 1) * step, y);
    }
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "alphabetic";
    const bars = grids[`${tune.key}/bars`];
    let free = -Infinity;
    for (let b = 0; b < bars.shape[0]; b += 1) {
      const left = x(bars.data[2 * b]);
      if (left < GUTTER || left > width) continue;
      pen.fillStyle = colour("line");
      pen.fillRect(left - 0.5, TOP - 2, 1, y - TOP);
      if (left < free) continue;
      pen.fillStyle = colour("soft");
      pen.fillText(String(b + 1), left + 2, 11);
      free = left + 22;
    }
    pen.fillStyle = colour("soft");
    pen.fillText("bar", 4, 11);
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER, 0, width, height);
    pen.clip();
    this.words(pen, tune, x, step);
    this.ribbon(pen, tune, x, step);
    pen.restore();
    pen.fillStyle = colour("soft");
    pen.fillText("nats", 4, TOP + WORDS + GAP + 9);
    pen.fillText("6", GUTTER - 10, TOP + WORDS + GAP + 9);
    pen.fillText("0", GUTTER - 10, TOP + WORDS + GAP + RIBBON);
    if (grid) this.heat(pen, grid, site, x, y, step, row, height);
    else {
      pen.fillStyle = colour("soft");
      pen.fillText("gates and cell states of this tune are not in this page; those of the first tune are", GUTTER + 8, y + 24);
    }
    this.base = copy;
    return copy;
  },

  /** Tokens, upright where they have room, else in the colours of their types. @param {CanvasRenderingContext2D} pen
   * @param {Tune} tune @param {(t: number) => number} x @param {number} step */
  words(pen, tune, x, step) {
    pen.save();
    pen.font = `${Math.min(12, Math.max(8, step))}px ui-monospace, Menlo, Consolas, monospace`;
    for (let t = Math.floor(view.t0); t < Math.min(view.t1, tune.tokens.length); t += 1) {
      pen.fillStyle = TYPE_COLOURS[data.types[tune.tokens[t]]];
      pen.fillRect(x(t) + 0.5, TOP + WORDS - 3, Math.max(1, step - 1), 3);
      if (step < 7) continue;
      pen.fillStyle = colour("ink");
      const text = word(tune, t);
      if (step >= 7 * text.length + 4) {
        pen.textAlign = "center";
        pen.fillText(text, x(t) + step / 2, TOP + WORDS - 9);
        pen.textAlign = "start";
      } else {
        pen.save();
        pen.translate(x(t) + step / 2 + 3.5, TOP + WORDS - 6);
        pen.rotate(-Math.PI / 2);
        pen.fillText(text.slice(0, 5), 0, 0);
        pen.restore();
      }
    }
    pen.restore();
  },

  /** Surprise of every token in nats. @param {CanvasRenderingContext2D} pen @param {Tune} tune
   * @param {(t: number) => number} x @param {number} step */
  ribbon(pen, tune, x, step) {
    const bottom = TOP + WORDS + GAP + RIBBON;
    pen.fillStyle = colour("line");
    pen.fillRect(GUTTER, bottom, x(view.t1) - GUTTER, 1);
    pen.fillStyle = colour("accent");
    for (let t = Math.max(1, Math.floor(view.t0)); t < Math.min(view.t1, tune.tokens.length); t += 1) {
      const high = Math.min(1, surprise(tune, t) / 6) * RIBBON;
      pen.fillRect(x(t) + 0.5, bottom - high, Math.max(1, step - 1), high);
    }
  },

  /** @param {CanvasRenderingContext2D} pen @param {Grid} grid @param {Site} site @param {(t: number) => number} x
   * @param {number} y @param {number} step @param {number} row @param {number} height */
  heat(pen, grid, site, x, y, step, row, height) {
    const [units, rows] = grid.shape;
    const table = new Uint32Array(coloursOf(site).buffer);
    const picture = new ImageData(rows, units);
    const pixels = new Uint32Array(picture.data.buffer);
    order().forEach((unit, place) => {
      for (let t = 0; t < rows; t += 1) pixels[place * rows + t] = table[grid.data[unit * rows + t]];
    });
    const whole = document.createElement("canvas");
    [whole.width, whole.height] = [rows, units];
    /** @type {CanvasRenderingContext2D} */ (whole.getContext("2d")).putImageData(picture, 0, 0);
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER, y, this.canvas.clientWidth - GUTTER, height - y);
    pen.clip();
    pen.imageSmoothingEnabled = row < 1;
    pen.drawImage(whole, x(0), y - view.u0 * row, rows * step, units * row);
    pen.restore();
    pen.fillStyle = colour("soft");
    const every = Math.max(1, Math.ceil(13 / row));
    const named = order();
    if (view.order === "index" || every === 1) {
      const nice = [1, 2, 5, 10, 20, 50, 100, 200].find((n) => n >= every) || 500;
      for (let place = Math.ceil(view.u0); place < view.u1; place += 1) {
        if (place % nice === 0 && named[place] !== undefined) pen.fillText(String(named[place]), 8, y + (place - view.u0 + 0.5) * row + 4);
      }
    } else if (view.order === "event") this.variables(pen, named, y, row);
    else if (view.order === "period") {
      for (let k = 0; k < 8; k += 1) {
        const place = Math.floor(view.u0 + ((k + 0.5) / 8) * (view.u1 - view.u0));
        const period = strongestPeriod(values(tuneNow(), view.site, named[place]));
        pen.fillText(Number.isFinite(period) ? shown(period, 1) : "–", 8, y + (place - view.u0 + 0.5) * row + 4);
      }
    }
  },

  /** Names the events that rows belong to. @param {CanvasRenderingContext2D} pen @param {Int32Array} named
   * @param {number} y @param {number} row */
  variables(pen, named, y, row) {
    const first = layerOf(hiddenOf(view.site)).first;
    pen.save();
    pen.font = "10px system-ui, sans-serif";
    let before = NaN, free = -Infinity;
    for (let place = Math.floor(view.u0); place < view.u1; place += 1) {
      const variable = grids["event/variable"] ? grids["event/variable"].data[first + named[place]] : -1;
      if (variable === before) continue;
      before = variable;
      const top = y + (place - view.u0) * row;
      pen.fillStyle = colour("line");
      pen.fillRect(0, top, GUTTER - 2, 1);
      if (top < free) continue;
      pen.fillStyle = colour("soft");
      const name = variable < 0 ? "none" : data.variables[variable].name;
      name.split(" ").slice(0, 2).forEach((/** @type {string} */ part, /** @type {number} */ k) => pen.fillText(part.slice(0, 9), 1, top + 10 + 10 * k));
      free = top + 22;
    }
    pen.restore();
  },

  /** Draws all of it with the step, the unit and what is under the pointer. */
  draw() {
    if (this.canvas.clientWidth < 2 * GUTTER) return; // not in sight
    const base = this.paint();
    const { pen, width, height } = fitted(this.canvas);
    pen.drawImage(base, 0, 0, width, height);
    const { y, step, row } = this.layout();
    /** @param {number} t @param {string} ink @param {number} wide */
    const line = (t, ink, wide) => {
      if (t < view.t0 || t >= view.t1) return;
      pen.strokeStyle = ink;
      pen.lineWidth = wide;
      pen.strokeRect(GUTTER + (t - view.t0) * step, TOP - 3, Math.max(step, 2), height - TOP + 2);
    };
    line(view.step, colour("accent"), 2);
    if (view.hover >= 0) line(view.hover, colour("ink"), 1);
    if (view.layer === hiddenOf(view.site)) {
      const place = order().indexOf(view.unit);
      const top = y + (place - view.u0) * row;
      if (place >= 0 && top >= y - 1) {
        pen.strokeStyle = colour("accent");
        pen.lineWidth = 1.5;
        pen.strokeRect(GUTTER - 1, top - 1, width - GUTTER, Math.max(row, 1) + 2);
        pen.fillStyle = colour("accent");
        pen.beginPath();
        pen.moveTo(GUTTER - 2, top + row / 2);
        pen.lineTo(GUTTER - 9, top + row / 2 - 4);
        pen.lineTo(GUTTER - 9, top + row / 2 + 4);
        pen.fill();
      }
    }
  },

  /** @param {number} factor below 1: closer @param {number} [t] @param {number} [row] what stays where it is */
  zoom(factor, t = stepNow(), row = (view.u0 + view.u1) / 2) {
    const steps = tuneNow().tokens.length, units = siteOf(view.site).units;
    [view.t0, view.t1] = closer(view.t0, view.t1, t + 0.5, factor, steps, 12);
    [view.u0, view.u1] = closer(view.u0, view.u1, row, factor, units, 16);
    this.draw();
  },

  all() {
    Object.assign(view, { t0: 0, t1: tuneNow().tokens.length, u0: 0, u1: siteOf(view.site).units });
  },

  /** Brings the step into sight. */
  reveal() {
    const span = view.t1 - view.t0;
    if (view.step >= view.t0 && view.step < view.t1) return;
    view.t0 = Math.max(0, Math.min(view.step - span / 4, tuneNow().tokens.length - span));
    view.t1 = view.t0 + span;
  },
};

/** @param {number} low @param {number} high @param {number} fixed @param {number} factor @param {number} size @param {number} least */
function closer(low, high, fixed, factor, size, least) {
  const span = Math.round(Math.min(size, Math.max(Math.min(least, size), (high - low) * factor)));
  const share = Math.min(1, Math.max(0, (fixed - low) / (high - low)));
  const start = Math.round(Math.max(0, Math.min(fixed - share * span, size - span)));
  return [start, start + span];
}

/* ------------------------------------------------ a step under the glass ---- */

/** The likeliest next tokens at a step, and the one that came. @param {Tune} tune @param {number} t */
function nextTokens(tune, t) {
  const top = grids[`${tune.key}/top`], p = grids[`${tune.key}/top_probability`];
  const count = top.shape[1];
  const rows = Array.from({ length: count }, (_, k) => ({ id: top.data[t * count + k], p: p.data[t * count + k] }));
  const came = { id: tune.tokens[t + 1], p: grids[`${tune.key}/probability`].data[t], rank: grids[`${tune.key}/rank`].data[t] };
  return { rows, came, entropy: grids[`${tune.key}/entropy`].data[t] };
}

/** @param {Tune} tune @param {number} t */
function distribution(tune, t) {
  const { rows, came, entropy } = nextTokens(tune, t);
  const most = Math.max(rows[0].p, came.p);
  const row = (/** @type {{id: number, p: number}} */ one) => {
    const chosen = one.id === came.id;
    return `${chip(one.id)}<span><span class="fill ${chosen ? "drawn" : ""}" style="display:block;width:${((100 * one.p) / most).toFixed(1)}%"></span></span><span class="number ${chosen ? "chosen" : ""}">${percent(one.p)}${chosen ? " ●" : ""}</span>`;
  };
  const listed = rows.some((one) => one.id === came.id);
  return `<div class="next">${rows.map(row).join("")}${listed ? "" : row(came)}</div>
    <p class="small soft">● came: ${came.rank ? `number ${came.rank + 1} of ${data.vocabulary.length}` : "the likeliest"}, surprise ${shown(surprise(tune, t + 1))} nats; entropy ${shown(entropy)} nats</p>`;
}

const LEADING = 8;

/** Units whose values, or changes, are largest. @param {Tune} tune @param {number} t @param {string} site @param {boolean} changes */
function leading(tune, t, site, changes) {
  const grid = levels(tune, site);
  if (!grid) return [];
  const { low, high } = siteOf(site), rows = grid.shape[1], scale = (high - low) / 255;
  /** @param {number} unit */
  const valueOf = (unit) => {
    const now = grid.data[unit * rows + t];
    return changes ? (t ? (now - grid.data[unit * rows + t - 1]) * scale : 0) : low + now * scale;
  };
  /** @type {{unit: number, value: number}[]} */
  const found = [];
  for (let unit = 0; unit < grid.shape[0]; unit += 1) {
    const value = valueOf(unit);
    if (found.length === LEADING && Math.abs(value) <= Math.abs(found[LEADING - 1].value)) continue;
    let place = found.length;
    while (place > 0 && Math.abs(found[place - 1].value) < Math.abs(value)) place -= 1;
    found.splice(place, 0, { unit, value });
    found.length = Math.min(found.length, LEADING);
  }
  return found;
}

/** @param {{unit: number, value: number}[]} rows @param {string} layer @param {string} sign */
const unitList = (rows, layer, sign) =>
  `<ul class="units">${rows.map((one) => `<li><button type="button" data-unit="${one.unit}" data-layer="${layer}" ${one.unit === view.unit && layer === view.layer ? 'aria-current="true"' : ""}><span>${one.unit}</span><span class="number">${sign && one.value > 0 ? "+" : ""}${shown(one.value)}</span></button></li>`).join("")}</ul>`;

function drawGlass() {
  const tune = tuneNow(), t = stepNow(), rows = rowsOf(tune);
  const id = tune.tokens[t];
  const bar = barOf(tune, t);
  let html = `<h2>${chip(id)} <span class="soft small">token ${t}${bar ? ` · bar ${bar}` : ""}</span></h2>`;
  html += t > 0 ? `<p class="small soft">came with surprise ${shown(surprise(tune, t))} nats (${percent(grids[`${tune.key}/probability`].data[t - 1])})</p>` : `<p class="small soft">every tune begins here</p>`;
  if (t >= rows) {
    patch(at("glass"), `${html}<p>The tune ${tune.cut ? "goes on; this page ends here." : "has ended."}</p>`);
    return;
  }
  const twin = data.sides.length > 1 ? tuneNow(1 - view.side) : null;
  html += `<h3>What comes next${twin ? `, ${data.sides[view.side]}` : ""}</h3>${distribution(tune, t)}`;
  if (twin) {
    const apart = data.apart[view.tune];
    html += `<h3>The same step, ${data.sides[1 - view.side]}</h3>`;
    html += t < rowsOf(twin) ? `${t >= apart ? `<p class="small soft">after ${chip(twin.tokens[t])}: the tunes part at token ${apart}</p>` : ""}${distribution(twin, t)}` : `<p class="small soft">this tune has ended</p>`;
  }
  const site = view.site, layer = hiddenOf(site);
  if (levels(tune, site)) {
    html += `<div class="pairs"><div><h3>Strongest ${site}</h3>${unitList(leading(tune, t, site, false), layer, "")}</div><div><h3>Changed most</h3>${unitList(leading(tune, t, site, true), layer, "+")}</div></div>`;
  }
  patch(at("glass"), html + gates(tune, t));
}

/** What the gates of the chosen unit do at a step. @param {Tune} tune @param {number} t */
function gates(tune, t) {
  const name = view.layer.split(".")[0];
  const sites = data.sites.filter((/** @type {Site} */ site) => site.name.startsWith(`${name}.`));
  const rows = sites.filter((/** @type {Site} */ site) => levels(tune, site.name)).map((/** @type {Site} */ site) => {
    const grid = /** @type {Grid} */ (levels(tune, site.name));
    const value = site.low + (grid.data[view.unit * grid.shape[1] + t] * (site.high - site.low)) / 255;
    const zero = (100 * (0 - site.low)) / (site.high - site.low), end = (100 * (value - site.low)) / (site.high - site.low);
    return `<span class="mono">${site.name.split(".")[1]}</span><span class="track"><i style="left:${Math.min(zero, end)}%;width:${Math.max(0.8, Math.abs(end - zero))}%"></i></span><span class="number">${shown(value)}</span>`;
  });
  const lacking = sites.length > rows.length ? `<p class="small soft">Gates travel with ${data.tunes.filter((/** @type {Tune} */ one) => one.gates).map((/** @type {Tune} */ one) => escaped(one.title)).join(", ") || "no tune of this page"}.</p>` : "";
  return `<h3>Unit ${view.unit} of ${name} here</h3><div class="gates">${rows.join("")}</div>${lacking}`;
}

/* --------------------------------------------------------------- passages ---- */

/** Searched tunes: those shown of the last side, then the rest. @returns {Tune[]} */
const searchedTunes = () => [...data.tunes.slice((data.sides.length - 1) * data.shown), ...(data.searched || [])];

/** Where a unit, counted over all layers, is on in a tune. @param {Tune} tune @param {number} unit @returns {Uint8Array} */
function onOf(tune, unit) {
  const bits = grids[`${tune.key}/on`];
  const rows = rowsOf(tune);
  const on = new Uint8Array(rows);
  if (bits) {
    const row = bits.data.subarray(unit * bits.shape[1], (unit + 1) * bits.shape[1]);
    for (let t = 0; t < rows; t += 1) on[t] = (row[t >> 3] >> (t & 7)) & 1;
    return on;
  }
  const layer = data.layers.findLast((/** @type {Layer} */ one) => one.first <= unit);
  const grid = levels(tune, layer.name);
  if (!grid) return on;
  const edge = grids["unit/edge"].data[unit], side = grids["unit/side"].data[unit];
  const start = (unit - layer.first) * rows;
  for (let t = 0; t < rows; t += 1) on[t] = side > 0 ? Number(grid.data[start + t] > edge) : Number(grid.data[start + t] < edge);
  return on;
}

/** Units that are on for `share` of the passage at least, and off in the step before it and the step behind it.
 * @param {Tune} tune @param {number} from @param {number} to @param {number} share */
function unitsOf(tune, from, to, share) {
  const total = data.layers.reduce((/** @type {number} */ sum, /** @type {Layer} */ layer) => sum + layer.units, 0);
  const last = Math.min(to, rowsOf(tune) - 1);
  const found = [];
  for (let unit = 0; unit < total; unit += 1) {
    const on = onOf(tune, unit);
    if ((from > 0 && on[from - 1]) || (last + 1 < on.length && on[last + 1])) continue;
    let count = 0;
    for (let t = from; t <= last; t += 1) count += on[t];
    if (count >= share * (last - from + 1) - 1e-9) found.push(unit);
  }
  return found;
}

/** Passages of the same length in all tunes, best first. A passage's score is the share of the set that is on in it,
 * less the share that is on in the steps before and behind it. @param {number[]} set @param {number} length */
function passages(set, length) {
  const found = [];
  for (const [k, tune] of searchedTunes().entries()) {
    const rows = rowsOf(tune);
    if (rows < length) continue;
    const total = new Float32Array(rows);
    for (const unit of set) onOf(tune, unit).forEach((on, t) => (total[t] += on));
    let inside = 0;
    for (let t = 0; t < length; t += 1) inside += total[t];
    const scores = [];
    for (let start = 0; start + length <= rows; start += 1) {
      if (start) inside += total[start + length - 1] - total[start - 1];
      const around = [start - 1, start + length].filter((t) => t >= 0 && t < rows).map((t) => total[t]);
      const outside = around.length ? around.reduce((a, b) => a + b, 0) / around.length : 0;
      scores.push({ k, tune, from: start, to: start + length - 1, score: inside / length / set.length - outside / set.length });
    }
    scores.sort((a, b) => b.score - a.score);
    /** @type {typeof scores} */
    const kept = [];
    for (const one of scores) {
      if (kept.length === 4) break;
      if (kept.every((other) => Math.abs(other.from - one.from) >= length)) kept.push(one);
    }
    found.push(...kept);
  }
  return found.sort((a, b) => b.score - a.score);
}

function drawMatch() {
  const text = at("match-text"), list = at("match-list"), chips = at("match-units");
  list.replaceChildren();
  chips.replaceChildren();
  for (const button of ["pick-none"]) at(button).disabled = view.from < 0;
  if (view.from < 0) {
    text.textContent = "Select a passage: drag over the tokens above the heat map, hold shift and press arrows, or take a bar. Here come the units that are on in it and off around it, and the passages of all tunes where they are on again.";
    return;
  }
  if (!data.searched) return;
  const tune = tuneNow();
  const share = Number(at("share").value) / 100;
  const [from, to] = [view.from, Math.min(view.to, rowsOf(tune) - 1)];
  const set = unitsOf(tune, from, to, share);
  const all = searchedTunes().length;
  text.textContent = set.length
    ? `Tokens ${from} to ${to}: ${set.length} units are on for ${Math.round(100 * share)} % of the passage and off before and behind it. On: more than a deviation from the unit's mean, on the side of its longer tail. Below: where else in ${all} tunes, 100 % where all of them are on and none is around.`
    : `Tokens ${from} to ${to}: no unit is on for ${Math.round(100 * share)} % of the passage and off around it. Ask for less, or for a shorter passage.`;
  for (const unit of set.slice(0, 40)) {
    const layer = data.layers.findLast((/** @type {Layer} */ one) => one.first <= unit);
    const button = element(`${layer.name.split(".")[0]} ${unit - layer.first}`, "button");
    button.addEventListener("click", () => setUnit(layer.name, unit - layer.first));
    chips.append(button);
  }
  if (set.length > 40) chips.append(element(`and ${set.length - 40} more`, "span"));
  if (!set.length) return;
  const here = view.side === data.sides.length - 1;
  const found = passages(set, to - from + 1).filter((one) => !(here && one.k === view.tune && Math.abs(one.from - from) <= to - from));
  for (const one of found.slice(0, 12)) list.append(snippetCard(one.tune, one.k, one.from, one.to, `${Math.round(100 * one.score)} %`, true));
  drawSnippets(list);
}

/** A passage with its place and a button that plays it. @param {Tune} tune @param {number} k @param {number} from
 * @param {number} to @param {string} note @param {boolean} [range] whether going there selects it */
function snippetCard(tune, k, from, to, note, range = false) {
  const card = element(`<header><b>${escaped(tune.title)}</b><span class="soft">bar ${Math.max(1, barOf(tune, from))}</span><span class="gap"></span><span>${note}</span></header><div class="score"></div>`);
  card.className = "snippet";
  const header = /** @type {HTMLElement} */ (card.querySelector("header"));
  const play = element("▶", "button");
  play.setAttribute("aria-label", `play ${tune.title} from bar ${barOf(tune, from)}`);
  play.addEventListener("click", () => playPassage(tune, from, to));
  header.append(play);
  if (k < data.shown) {
    const go = element("go", "button");
    go.addEventListener("click", () => {
      setTune(k, data.sides.length - 1);
      setStep(from);
      if (range) setRange(from, to);
      at("scores").scrollIntoView({ behavior: "smooth" });
    });
    header.append(go);
  }
  Object.assign(card, { drawScore: () => snippet(/** @type {HTMLElement} */ (card.querySelector(".score")), tune, from, to) });
  return card;
}

/** Engravings are measured, so cards draw them once they are in the page. @param {HTMLElement} list */
function drawSnippets(list) {
  for (const card of list.children) /** @type {any} */ (card).drawScore();
}

/** Plays a passage, and at least a second and a half of music. @param {Tune} tune @param {number} from @param {number} to */
function playPassage(tune, from, to) {
  const start = secondOf(tune, from);
  const stop = Math.max(to + 1 < tune.tokens.length ? secondOf(tune, to + 1) : Infinity, start + 1.5);
  player.play(musicOf(tune), start, stop, () => {}, playEnded);
}

/* ------------------------------------------------------------ unit atlas ---- */

/** Units that a query names: a number, a layer and a number, an event, or a token. @param {string} query */
function search(query) {
  const text = query.trim();
  /** @type {{layer: Layer, unit: number, note: string}[]} */
  const found = [];
  const numbered = /^(?:l?(\d+)(?:\.?h)?[\s[.]+)?(\d+)\]?$/i.exec(text);
  for (const layer of data.layers) {
    if (numbered && (!numbered[1] || layer.name === `l${numbered[1]}.h`) && Number(numbered[2]) < layer.units) {
      found.push({ layer, unit: Number(numbered[2]), note: eventOf(layer, Number(numbered[2])).short });
    }
  }
  if (numbered && found.length) return found;
  const token = data.vocabulary.indexOf(text);
  const top = data.layers[data.layers.length - 1];
  if (token >= 0 && grids["softmax/token"]) {
    const { data: ids, shape } = grids["softmax/token"], weights = grids["softmax/weight"].data;
    const hits = [];
    for (let k = 0; k < ids.length; k += 1) if (ids[k] === token) hits.push({ unit: Math.floor(k / shape[1]), weight: weights[k] });
    hits.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
    for (const hit of hits) found.push({ layer: top, unit: hit.unit, note: `${hit.weight > 0 ? "raises" : "lowers"} ${text}: ${shown(hit.weight)}` });
    if (found.length) return found.slice(0, 60);
  }
  if (!grids["event/variable"]) return found;
  const excess = grids["event/excess"].data;
  const wanted = text.toLowerCase();
  for (const layer of data.layers) {
    for (let unit = 0; unit < layer.units; unit += 1) {
      const event = eventOf(layer, unit);
      if (!wanted || event.short.toLowerCase().includes(wanted)) found.push({ layer, unit, note: event.short });
    }
  }
  /** @param {{layer: Layer, unit: number}} one */
  const rank = (one) => excess[one.layer.first + one.unit] || -1;
  return found.sort((a, b) => rank(b) - rank(a)).slice(0, 60);
}

/** What explains a unit best, in a few words and in a sentence. @param {Layer} layer @param {number} unit */
function eventOf(layer, unit) {
  const k = layer.first + unit;
  const place = grids["event/variable"] ? grids["event/variable"].data[k] : -1;
  if (place < 0) return { short: "none", long: "No event explains it beyond what shuffled labels do.", variable: null };
  const variable = data.variables[place], ratio = grids["event/ratio"].data[k], excess = grids["event/excess"].data[k];
  const category = data.event_category[k], runner = data.event_runner_up[k];
  const short = `${variable.name}: ${category} · η² ${shown(ratio)}`;
  const long = `Best explained by <b>${escaped(variable.name)}</b> (${escaped(variable.meaning)}), most of all by <b>${escaped(category)}</b>: η² ${shown(ratio, 3)}, with shuffled labels ${shown(ratio - excess, 3)}${runner && runner !== "none" ? `; next comes ${escaped(runner)}` : ""}.`;
  return { short, long, variable };
}

function drawFound() {
  const list = at("found");
  list.replaceChildren();
  const query = at("find").value;
  const found = search(query);
  for (const one of found) {
    const button = element(`<b>${one.layer.name} ${one.unit}</b> <span class="soft">${escaped(one.note)}</span>`, "button");
    if (one.layer.name === view.layer && one.unit === view.unit) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => setUnit(one.layer.name, one.unit));
    const item = document.createElement("li");
    item.append(button);
    list.append(item);
  }
  if (!found.length) list.append(element(`<span class="soft">no unit: a number below ${data.layers[0].units}, an event such as “bar of part”, or a token such as ^f</span>`, "li"));
}

function drawUnit() {
  const layer = layerOf(view.layer), k = layer.first + view.unit;
  const event = eventOf(layer, view.unit);
  const [mean, deviation] = [grids["unit/mean"].data[k], grids["unit/deviation"].data[k]];
  const parts = [`<h3 style="margin-top:0;font-size:1.1rem">${layer.name}, unit ${view.unit}</h3><p>${event.long} <span class="soft">Over the tunes searched its mean is ${shown(mean, 3)}, its deviation ${shown(deviation, 3)}.</span></p>`];
  if (layer === data.layers[data.layers.length - 1] && grids["softmax/token"]) {
    const { data: ids, shape } = grids["softmax/token"], half = shape[1] / 2, start = view.unit * shape[1];
    const words = (/** @type {number} */ from) => Array.from({ length: half }, (_, n) => `${chip(ids[start + from + n])}<span class="small soft">${shown(grids["softmax/weight"].data[start + from + n])}</span>`).join(" ");
    parts.push(`<p class="words"><span>Where it is positive it raises</span> ${words(0)}</p><p class="words"><span>and lowers</span> ${words(half)}</p>`);
  } else parts.push(`<p class="soft small">The softmax layer does not read this layer; what it says passes through the layers above.</p>`);
  for (const cut of data.cuts) {
    const units = cut.units[layer.name] || [];
    const others = Object.values(cut.units).reduce((/** @type {number} */ sum, /** @type {any} */ list) => sum + list.length, 0);
    if (units.includes(view.unit)) parts.push(`<p><b>${escaped(cut.name)}</b> of this run changed it, with ${others - 1} others: ${escaped(cut.told.join("; ")) || "see the report"}.</p>`);
  }
  at("unit-text").innerHTML = parts.join("");
  const peaks = at("peaks"), count = grids["unit/tune"].shape[1], tunes = searchedTunes();
  peaks.replaceChildren();
  for (let n = 0; n < count; n += 1) {
    const [number, row, value] = ["tune", "row", "value"].map((name) => grids[`unit/${name}`].data[k * count + n]);
    const tune = tunes[number];
    if (number < 0 || !tune) continue;
    peaks.append(snippetCard(tune, number, row, row, shown(value)));
  }
  if (!data.searched) peaks.append(element("…", "p"));
  drawSnippets(peaks);
  void drawPlots();
}

/** @type {Promise<any> | null} */
let bokeh = null;

/** Starts the library once; it is a third of a megabyte that the first picture does not wait for. @returns {Promise<any>} */
function library() {
  bokeh = bokeh || unzip(at("library").textContent).then((script) => new Promise((ready, failed) => {
    const tag = document.createElement("script");
    tag.src = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    tag.onload = () => ready(/** @type {any} */ (window).Bokeh);
    tag.onerror = () => failed(new Error("the plotting library did not start"));
    document.head.append(tag);
  }));
  return bokeh;
}

/** Plots that are in the page, by name: their bokeh documents. @type {Map<string, any>} */
const plotted = new Map();
/** @type {Map<string, Promise<any>>} */
const plotting = new Map();

/** The document of a plot; the first time it is drawn into its place. @param {string} name @returns {Promise<any>} */
function plot(name) {
  const ready = plotting.get(name) || library().then(async (Bokeh) => {
    const item = JSON.parse(at("plots").textContent)[name];
    item.target_id = null;
    const views = await Bokeh.embed.embed_item(item, at(`plot-${name}`));
    const { document: drawn } = views.roots[0].model;
    plotted.set(name, drawn);
    paintPlot(drawn);
    return drawn;
  });
  plotting.set(name, ready);
  return ready;
}

/** Gives a plot the colours of the page. @param {any} document_ */
function paintPlot(document_) {
  for (const figure of document_.roots()) {
    const [ink, soft, line] = ["ink", "soft", "line"].map(colour);
    figure.title.text_color = ink;
    figure.title.text_font_size = "12px";
    for (const axis of [...figure.below, ...figure.left]) {
      if (!("axis_label_text_color" in axis)) continue;
      Object.assign(axis, { axis_label_text_color: soft, major_label_text_color: soft, axis_line_color: line, major_tick_line_color: line, minor_tick_line_color: null });
    }
    for (const grid of figure.center) if ("grid_line_color" in grid) grid.grid_line_color = line;
  }
}

async function drawPlots() {
  const [trace, spectrum, answer] = [await plot("trace"), await plot("spectrum"), await plot("answer")];
  const tune = tuneNow(), layer = layerOf(view.layer), k = layer.first + view.unit;
  const y = values(tune, view.layer, view.unit);
  trace.get_model_by_name("trace").data = { x: Array.from(y, (_, t) => t), y: Array.from(y) };
  trace.get_model_by_name("trace_step").location = view.step;
  const edge = grids["unit/edge"].data[k], site = siteOf(view.layer);
  trace.get_model_by_name("trace_edge").location = site.low + (edge * (site.high - site.low)) / 255;
  trace.roots()[0].title.text = `value over ${tune.title} (dashed: on beyond)`;
  const { power: found } = power(y);
  const most = Math.max(...found, 1e-12);
  const bins = Array.from(found, (_, bin) => bin).filter((bin) => bin >= LENGTH / 64);
  spectrum.get_model_by_name("spectrum").data = { x: bins.map((bin) => LENGTH / bin), y: bins.map((bin) => found[bin] / most) };
  spectrum.get_model_by_name("spectrum_bar").location = barPeriod(tune);
  spectrum.roots()[0].title.text = "spectrum (dashed: a bar)";
  const { variable } = eventOf(layer, view.unit);
  const figure = answer.roots()[0];
  figure.title.text = variable ? `mean by ${variable.name}` : "no event";
  if (!variable) return;
  const width = grids["event/mean"].shape[1];
  const rows = variable.answers
    .map((/** @type {string} */ name, /** @type {number} */ n) => ({ name, mean: grids["event/mean"].data[k * width + n] }))
    .filter((/** @type {{mean: number}} */ row) => Number.isFinite(row.mean));
  const axis = figure.below[0];
  axis.ticker.ticks = rows.map((/** @type {any} */ _, /** @type {number} */ n) => n);
  axis.major_label_overrides = new Map(rows.map((/** @type {{name: string}} */ row, /** @type {number} */ n) => [n, row.name]));
  answer.get_model_by_name("answer").data = { x: rows.map((/** @type {any} */ _, /** @type {number} */ n) => n), y: rows.map((/** @type {{mean: number}} */ row) => row.mean) };
}

/** The most frequent distance between bars in tokens. @param {Tune} tune */
function barPeriod(tune) {
  const bars = grids[`${tune.key}/bars`];
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (let b = 1; b < bars.shape[0]; b += 1) {
    const gap = bars.data[2 * b] - bars.data[2 * b - 2];
    counts.set(gap, (counts.get(gap) || 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1] || b[0] - a[0]).map((one) => one[0])[0] || 0;
}

/* ----------------------------------------------------- what is touched ---- */

/** @type {Score[]} */
let scores = [];

/** @param {number} k @param {number} [side] */
function setTune(k, side = view.side) {
  const fresh = k !== view.tune || !scores.length;
  player.stop();
  playEnded();
  Object.assign(view, { tune: k, side, from: -1, to: -1, hover: -1 });
  view.step = Math.min(view.step, rowsOf(tuneNow()) - 1);
  timeline.all();
  if (fresh) drawScores();
  markSide();
  for (const [n, button] of [...at("tunes").children].entries()) button.setAttribute("aria-current", String(n === k));
  drawTrace();
  setStep(view.step);
  drawMatch();
  if (fresh) drawUnit();
}

function drawScores() {
  const host = at("scores");
  host.replaceChildren();
  scores = data.sides.map((/** @type {string} */ name, /** @type {number} */ side) => {
    const tune = tuneNow(side);
    const sheet = element(`<header><h2>${escaped(tune.title)}</h2>${data.sides.length > 1 ? `<b>${name}</b>` : ""}<span class="soft small">${escaped(tune.note)}</span></header><div></div>`);
    sheet.className = "sheet";
    host.append(sheet);
    const score = new Score(/** @type {HTMLElement} */ (sheet.lastElementChild), tune);
    sheet.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      const token = score.tokenAt(event);
      if (token >= 0 && side === view.side) hover(token);
    });
    sheet.addEventListener("pointerleave", () => hover(-1));
    sheet.addEventListener("click", (event) => {
      const token = score.tokenAt(event);
      if (side !== view.side) setTune(view.tune, side);
      if (token < 0) return;
      const wasPlaying = player.playing;
      setStep(token);
      if (wasPlaying) playFrom(token);
      else playPassage(tune, token, token);
    });
    if (data.sides.length > 1) score.split(data.apart[view.tune]);
    return score;
  });
}

function markSide() {
  for (const [side, sheet] of [...at("scores").children].entries()) sheet.classList.toggle("active", data.sides.length > 1 && side === view.side);
}

function drawTrace() {
  const layer = view.layer, unit = view.unit;
  scores.forEach((score, side) => score.trace(values(tuneNow(side), layer, unit), siteOf(layer), `${layer} unit ${unit}`));
}

let frame = 0;

/** Draws what follows the step, once a picture. */
function redraw() {
  if (frame) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    scores.forEach((score) => score.point(Math.min(stepNow(), score.tune.tokens.length - 1)));
    timeline.draw();
    drawGlass();
  });
}

/** @param {number} step */
function setStep(step) {
  view.step = Math.max(0, Math.min(step, tuneNow().tokens.length - 1));
  view.hover = -1;
  timeline.reveal();
  const trace = plotted.get("trace");
  if (trace && !player.playing) trace.get_model_by_name("trace_step").location = view.step;
  at("clock").textContent = `token ${view.step} of ${rowsOf(tuneNow())}`;
  redraw();
}

/** @param {number} step −1: nothing is under the pointer @param {number} [row] */
function hover(step, row = -1) {
  if (view.hover === step && view.hoverRow === row) return;
  Object.assign(view, { hover: step, hoverRow: row });
  let text = "\u00a0";
  if (step >= 0 && row >= 0) {
    const tune = tuneNow(), grid = levels(tune, view.site), unit = order()[row];
    if (grid && step < grid.shape[1]) {
      const { low, high } = siteOf(view.site);
      const event = eventOf(layerOf(hiddenOf(view.site)), unit).short;
      text = `${view.site} unit ${unit}, token ${step} ${word(tune, step)}: ${shown(low + (grid.data[unit * grid.shape[1] + step] * (high - low)) / 255)}${event === "none" ? "" : `   (${event})`}`;
    }
  }
  at("reading").textContent = text;
  redraw();
}

/** @param {string} layer @param {number} unit */
function setUnit(layer, unit) {
  Object.assign(view, { layer, unit });
  if (hiddenOf(view.site) !== layer) setSite(layer);
  drawTrace();
  drawFound();
  drawUnit();
  redraw();
  say(`${layer} unit ${unit}: ${eventOf(layerOf(layer), unit).short}`);
}

/** @param {string} site */
function setSite(site) {
  view.site = site;
  at("site").value = site;
  Object.assign(view, { u0: 0, u1: siteOf(site).units });
  drawScale();
  redraw();
}

/** @param {number} from @param {number} to */
function setRange(from, to) {
  const last = tuneNow().tokens.length - 1;
  [view.from, view.to] = from < 0 ? [-1, -1] : [Math.max(0, Math.min(from, to)), Math.min(last, Math.max(from, to))];
  scores.forEach((score, side) => score.shade(side === view.side ? view.from : -1, view.to));
  drawMatch();
  redraw();
}

/** Selects `count` bars from that of the step on. @param {number} count */
function pickBars(count) {
  const tune = tuneNow(), bars = grids[`${tune.key}/bars`];
  const first = Math.max(0, barOf(tune, view.step) - 1), last = Math.min(first + count, bars.shape[0]) - 1;
  if (last >= 0) setRange(bars.data[2 * first], bars.data[2 * last + 1] - 1);
}

function drawScale() {
  const site = siteOf(view.site), canvas = /** @type {HTMLCanvasElement} */ (at("scale"));
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")), table = coloursOf(site);
  for (let x = 0; x < canvas.width; x += 1) {
    const k = 4 * Math.round((255 * x) / (canvas.width - 1));
    pen.fillStyle = `rgb(${table[k]} ${table[k + 1]} ${table[k + 2]})`;
    pen.fillRect(x, 0, 1, canvas.height);
  }
  at("scale-text").textContent = `${shown(site.low, 1)} to ${shown(site.high, 1)}; a column is a token read, a row a unit. Drag over the tokens to select a passage; click a cell to choose its unit.`;
}

/* -------------------------------------------------------------- playing ---- */

function playEnded() {
  const button = at("play");
  if (button) button.textContent = "▶ Play";
  const turns = at("turns");
  if (turns) turns.textContent = "▶ Both in turn";
}

/** @param {number} token */
function playFrom(token) {
  const tune = tuneNow();
  const last = rowsOf(tune) - 1;
  at("play").textContent = "❚❚ Pause";
  player.play(musicOf(tune), token >= last - 1 ? 0 : secondOf(tune, token), Infinity, (now) => {
    if (now !== view.step) setStep(now);
  }, playEnded);
}

function togglePlay() {
  if (player.playing) {
    player.stop();
    playEnded();
  } else playFrom(view.step);
}

/** Plays one side from here on, then the other from the same token. */
function playTurns() {
  if (player.playing) {
    player.stop();
    playEnded();
    return;
  }
  const start = view.step >= rowsOf(tuneNow()) - 2 ? 1 : view.step;
  /** @param {number} side */
  const turn = (side) => {
    if (side >= data.sides.length) return playEnded();
    setTune(view.tune, side);
    setStep(start);
    at("turns").textContent = `❚❚ ${data.sides[side]}`;
    const tune = tuneNow();
    player.play(musicOf(tune), secondOf(tune, start), Infinity, (now) => now !== view.step && setStep(now), () => turn(side + 1));
  };
  turn(0);
}

/* ------------------------------------------------------------ listening ---- */

function listen() {
  const canvas = timeline.canvas;
  /** @type {{t: number, x: number, y: number, moved: boolean, words: boolean} | null} */
  let pressed = null;
  canvas.addEventListener("pointermove", (event) => {
    const { t, row } = timeline.under(event);
    if (pressed && pressed.words && t !== pressed.t) {
      pressed.moved = true;
      [view.from, view.to] = [Math.min(t, pressed.t), Math.max(t, pressed.t)];
      scores[view.side].shade(view.from, view.to);
      redraw();
    } else if (pressed && !pressed.words && event.pointerType !== "touch") {
      const { step, row: height } = timeline.layout();
      const [dx, dy] = [event.clientX - pressed.x, event.clientY - pressed.y];
      if (!pressed.moved && Math.hypot(dx, dy) < 5) return;
      Object.assign(pressed, { moved: true, x: event.clientX, y: event.clientY });
      pan(-dx / step, -dy / height);
    } else if (event.pointerType !== "touch") hover(t, row);
  });
  canvas.addEventListener("pointerdown", (event) => {
    const { t, row } = timeline.under(event);
    pressed = { t, x: event.clientX, y: event.clientY, moved: false, words: row < 0 };
    if (event.pointerType !== "touch" || row < 0) canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", (event) => {
    const was = pressed;
    pressed = null;
    if (!was) return;
    const { t, row } = timeline.under(event);
    if (was.moved) {
      if (was.words) setRange(view.from, view.to);
      return;
    }
    setStep(t);
    if (player.playing) playFrom(t);
    if (row >= 0) setUnit(hiddenOf(view.site), order()[row]);
  });
  canvas.addEventListener("pointercancel", () => (pressed = null));
  canvas.addEventListener("pointerleave", () => hover(-1));
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const { t, row } = timeline.under(event);
    timeline.zoom(Math.exp(event.deltaY / 300), t, Math.max(row, view.u0));
  }, { passive: false });
  at("zoom-in").addEventListener("click", () => timeline.zoom(0.6, view.step, rowNow()));
  at("zoom-out").addEventListener("click", () => timeline.zoom(1 / 0.6, view.step, rowNow()));
  at("zoom-all").addEventListener("click", () => {
    timeline.all();
    timeline.draw();
  });
  at("site").addEventListener("change", (/** @type {Event} */ event) => setSite(/** @type {HTMLSelectElement} */ (event.target).value));
  at("order").addEventListener("change", (/** @type {Event} */ event) => {
    view.order = /** @type {HTMLSelectElement} */ (event.target).value;
    redraw();
  });
  at("glass").addEventListener("click", (/** @type {Event} */ event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest("button[data-unit]");
    if (button instanceof HTMLElement) setUnit(String(button.dataset.layer), Number(button.dataset.unit));
  });
  at("play").addEventListener("click", togglePlay);
  at("turns").addEventListener("click", playTurns);
  at("tempo").addEventListener("input", () => player.setSpeed(Number(at("tempo").value) / 100));
  at("pick-bar").addEventListener("click", () => pickBars(1));
  at("pick-part").addEventListener("click", () => pickBars(4));
  at("pick-none").addEventListener("click", () => setRange(-1, -1));
  at("share").addEventListener("input", () => {
    at("share-text").textContent = `${at("share").value} %`;
    drawMatch();
  });
  at("find").addEventListener("input", drawFound);
  document.addEventListener("keydown", keys);
  new ResizeObserver(() => timeline.draw()).observe(canvas);
}

/** The row of the chosen unit, or the middle of what is in sight. */
function rowNow() {
  const place = view.layer === hiddenOf(view.site) ? order().indexOf(view.unit) : -1;
  return place >= view.u0 && place < view.u1 ? place + 0.5 : (view.u0 + view.u1) / 2;
}

/** @param {number} steps @param {number} rows */
function pan(steps, rows) {
  const [wide, high] = [view.t1 - view.t0, view.u1 - view.u0];
  view.t0 = Math.max(0, Math.min(view.t0 + steps, tuneNow().tokens.length - wide));
  view.u0 = Math.max(0, Math.min(view.u0 + rows, siteOf(view.site).units - high));
  [view.t1, view.u1] = [view.t0 + wide, view.u0 + high];
  redraw();
}

/** @param {KeyboardEvent} event */
function keys(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Escape") {
    if (target.id === "find") {
      at("find").value = "";
      drawFound();
      target.blur();
    } else setRange(-1, -1);
    return;
  }
  if (target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.matches("button, summary") && (event.key === " " || event.key === "Enter")) return;
  const along = { ArrowLeft: -1, ArrowRight: 1, Home: -1e6, End: 1e6 }[event.key];
  if (along !== undefined) {
    const step = Math.max(0, Math.min(view.step + along, rowsOf(tuneNow())));
    if (event.shiftKey) {
      const anchor = view.from < 0 ? view.step : view.step === view.to ? view.from : view.to;
      setStep(step);
      setRange(anchor, step);
    } else setStep(step);
    if (player.playing) playFrom(step);
    const tune = tuneNow();
    say(`token ${step}, ${word(tune, step)}, bar ${barOf(tune, step)}, surprise ${shown(surprise(tune, step))} nats`);
  } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    const rows = order();
    const place = rows.indexOf(view.unit) + (event.key === "ArrowDown" ? 1 : -1);
    if (rows[place] !== undefined) setUnit(hiddenOf(view.site), rows[place]);
  } else if (event.key === " ") togglePlay();
  else if (event.key === "b" || event.key === "B") pickBars(1);
  else if (event.key === "+") timeline.zoom(0.6, view.step, rowNow());
  else if (event.key === "-") timeline.zoom(1 / 0.6, view.step, rowNow());
  else if (event.key === "0") {
    timeline.all();
    timeline.draw();
  } else if (event.key === "/") at("find").focus();
  else if (/^[1-9]$/.test(event.key) && Number(event.key) <= data.shown) setTune(Number(event.key) - 1);
  else return;
  event.preventDefault();
}

/* ------------------------------------------------------------- melodies ---- */

/** `neuron` is a place in `data.neurons`, `value` one in `data.values`; −1: as encoded. */
const moving = { melody: 0, neuron: 0, value: -1, at: -1 };

/** Notes of a melody on the grid, as [first step, step behind, MIDI pitch]. @param {Numbers} classes @returns {number[][]} */
function gridNotes(classes) {
  /** @type {number[][]} */
  const notes = [];
  classes.forEach((value, step) => {
    if (!value) return;
    const last = notes[notes.length - 1];
    if (last && last[1] < 0) last[1] = step;
    if (value >= data.first_on) notes.push([step, -1, value - data.first_on + data.lowest]);
  });
  const last = notes[notes.length - 1];
  if (last && last[1] < 0) last[1] = classes.length;
  return notes;
}

/** @param {string} name @param {number} k @returns {Numbers} */
function melodyOf(name, k) {
  const { data: all, shape } = grids[name];
  return all.subarray(k * shape[1], (k + 1) * shape[1]);
}

/** The melody that the sliders have set. @returns {Numbers} */
function movedMelody() {
  if (moving.value < 0 || moving.melody >= data.moved) return melodyOf("reconstruction", moving.melody);
  const { data: all, shape } = grids.decoded;
  const place = (moving.melody * shape[1] + moving.neuron) * shape[2] + moving.value;
  return all.subarray(place * shape[3], (place + 1) * shape[3]);
}

/** @param {Numbers} classes @returns {Music} */
function melodyMusic(classes) {
  const notes = gridNotes(classes);
  const rows = notes.flatMap(([start, end, pitch]) => [start * data.step, (end - start) * data.step, pitch, start]);
  const path = Array.from(classes, (_, step) => [step * data.step, step]).flat();
  return { notes: { data: Float32Array.from(rows), shape: [notes.length, 4] }, path: { data: Float32Array.from(path), shape: [classes.length, 2] } };
}

/** A piano roll: time to the right, pitch upwards. @param {HTMLCanvasElement} canvas @param {Numbers} classes
 * @param {Numbers | null} [behind] drawn pale @param {number} [now] a step to mark */
function drawRoll(canvas, classes, behind = null, now = -1) {
  const { pen, width, height } = fitted(canvas);
  const every = ["melody", "reconstruction"].flatMap((name) => gridNotes(melodyOf(name, moving.melody))).concat(gridNotes(classes));
  const pitches = every.map((note) => note[2]);
  const low = Math.min(60, ...pitches) - 2, high = Math.max(72, ...pitches) + 3;
  const [left, step, row] = [30, (width - 32) / classes.length, height / (high - low)];
  pen.fillStyle = colour("tint");
  pen.fillRect(left, 0, width - left, height);
  for (let pitch = low; pitch < high; pitch += 1) {
    const y = height - (pitch - low + 1) * row;
    pen.fillStyle = colour("line");
    if ([1, 3, 6, 8, 10].includes(((pitch % 12) + 12) % 12)) {
      pen.globalAlpha = 0.45;
      pen.fillRect(left, y, width - left, row);
      pen.globalAlpha = 1;
    }
    if (pitch % 12) continue;
    pen.fillStyle = colour("soft");
    pen.font = "11px system-ui, sans-serif";
    pen.fillText(`C${pitch / 12 - 1}`, 4, y + row);
  }
  pen.fillStyle = colour("soft");
  for (let t = 0; t < classes.length; t += 4) pen.fillRect(left + t * step, 0, t % data.steps_per_bar ? 0.4 : 1.4, height);
  /** @param {Numbers} notes @param {string} ink @param {number} alpha */
  const draw = (notes, ink, alpha) => {
    pen.fillStyle = ink;
    pen.globalAlpha = alpha;
    for (const [start, end, pitch] of gridNotes(notes)) pen.fillRect(left + start * step + 0.5, height - (pitch - low + 1) * row, (end - start) * step - 1.5, Math.max(row - 0.5, 2));
    pen.globalAlpha = 1;
  };
  if (behind) draw(behind, colour("soft"), 0.4);
  draw(classes, colour(behind ? "accent" : "blue"), 1);
  if (now < 0) return;
  pen.strokeStyle = colour("ink");
  pen.strokeRect(left + now * step, 0, step, height);
}

const GROUP_NAMES = { melody: "melody", reconstruction: "what comes back from its μ", unchanged: "what the unchanged model gives back" };

/** Draws everything of the melody that is chosen. */
function drawMelodies() {
  if (!grids.melody) return;
  const host = at("rolls");
  const cards = data.groups.map((/** @type {string} */ name) => {
    const card = element(`<div class="bar"><h2>${/** @type {any} */ (GROUP_NAMES)[name]}</h2><span class="gap"></span><button type="button">▶ Play</button></div><canvas role="img" aria-label="piano roll"></canvas><div>${data.pictures[name][moving.melody]}</div>`);
    card.className = "panel roll";
    return card;
  });
  host.replaceChildren(...cards); // all of them, before any is measured
  for (const [k, card] of cards.entries()) {
    const name = data.groups[k];
    const classes = melodyOf(name, moving.melody);
    const canvas = /** @type {HTMLCanvasElement} */ (card.querySelector("canvas"));
    const behind = name === "melody" ? null : melodyOf("melody", moving.melody);
    drawRoll(canvas, classes, behind);
    const svg = card.querySelector("svg");
    if (svg) for (const size of ["width", "height"]) svg.removeAttribute(size);
    /** @type {HTMLButtonElement} */ (card.querySelector("button")).addEventListener("click", () => playMelody(classes, canvas, behind));
  }
  for (const [k, button] of [...at("tunes").children].entries()) button.setAttribute("aria-current", String(k === moving.melody));
  drawMoved();
}

/** @param {Numbers} classes @param {HTMLCanvasElement} canvas @param {Numbers | null} behind */
function playMelody(classes, canvas, behind) {
  player.play(melodyMusic(classes), 0, classes.length * data.step, (step) => drawRoll(canvas, classes, behind, step), () => {
    drawRoll(canvas, classes, behind);
    at("play").textContent = "▶ Play";
  });
}

function drawMoved() {
  const host = at("moved");
  if (!host.firstChild) {
    host.innerHTML = `<p id="moved-text"></p><div class="roll"><canvas id="moved-roll" role="img" aria-label="piano roll of the moved melody"></canvas></div><div class="plots"><div id="plot-feature" style="height:17rem"></div><table class="features" id="features"></table></div>`;
  }
  const can = moving.melody < data.moved;
  drawRoll(/** @type {HTMLCanvasElement} */ (at("moved-roll")), movedMelody(), melodyOf("reconstruction", moving.melody));
  at("moved-text").textContent = !can
    ? "What sliders would make of this melody is not in this page."
    : moving.value < 0 ? "As encoded; grey: what comes back." : `Neuron ${data.neurons[moving.neuron]} at ${shown(data.values[moving.value], 1)}; grey: as encoded.`;
  const mu = grids.mu, wide = mu.shape[1];
  for (const [k, row] of [...at("sliders").children].entries()) {
    const input = /** @type {HTMLInputElement} */ (row.querySelector("input"));
    const encoded = mu.data[moving.melody * wide + k];
    const own = can && moving.value >= 0 && moving.neuron === k;
    input.disabled = !can;
    input.value = String(own ? moving.value : nearest(encoded));
    row.classList.toggle("current", moving.neuron === k);
    /** @type {HTMLElement} */ (row.querySelector(".number")).textContent = own ? shown(data.values[moving.value], 1) : `μ ${shown(encoded)}`;
  }
  drawFeatures(can);
}

/** The place among the values that is nearest. @param {number} value */
const nearest = (value) => data.values.reduce((/** @type {number} */ best, /** @type {number} */ one, /** @type {number} */ k) => (Math.abs(one - value) < Math.abs(data.values[best] - value) ? k : best), 0);

/** @param {boolean} can */
function drawFeatures(can) {
  const { data: all, shape } = grids.features, count = shape[3];
  /** @param {number} value @param {number} f */
  const along = (value, f) => all[((moving.melody * shape[1] + moving.neuron) * shape[2] + value) * count + f];
  const now = (/** @type {number} */ f) => (can && moving.value >= 0 ? along(moving.value, f) : grids.features_now.data[moving.melody * count + f]);
  at("features").innerHTML = `<tr><th>feature</th><td class="soft">as encoded</td><td class="soft">now</td></tr>${data.features.map((/** @type {string} */ name, /** @type {number} */ f) => `<tr><th><span style="color:${LINES[f]}">━</span> ${escaped(name)}</th><td>${told(grids.features_now.data[moving.melody * count + f])}</td><td>${told(now(f))}</td></tr>`).join("")}`;
  if (!can) return;
  void plot("feature").then((document_) => {
    const lines = data.features.map((/** @type {any} */ _, /** @type {number} */ f) => {
      const values = data.values.map((/** @type {any} */ __, /** @type {number} */ v) => along(v, f));
      const mean = values.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b, 0) / values.length;
      const spread = Math.sqrt(values.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + (b - mean) ** 2, 0) / values.length) || 1;
      return values.map((/** @type {number} */ value) => (value - mean) / spread);
    });
    document_.get_model_by_name("feature").data = { x: lines.map(() => data.values), y: lines, colour: lines.map((/** @type {any} */ _, /** @type {number} */ f) => LINES[f]), width: lines.map(() => 2) };
    document_.get_model_by_name("feature_now").location = moving.value < 0 ? grids.mu.data[moving.melody * grids.mu.shape[1] + moving.neuron] : data.values[moving.value];
    document_.roots()[0].title.text = `along neuron ${data.neurons[moving.neuron]}`;
  });
}

/** @param {number} value */
const told = (value) => (Number.isFinite(value) ? shown(value, Math.abs(value) >= 10 ? 1 : 2) : "–");

/** @param {number} k */
function setMelody(k) {
  player.stop();
  Object.assign(moving, { melody: k, value: -1 });
  drawMelodies();
}

/** The page of a MusicVAE. */
async function beginMelodies() {
  await unpack("core");
  at("left-out").textContent = data.left_out.length ? `${data.left_out.join("; ")}.` : "";
  data.titles.forEach((/** @type {string} */ title, /** @type {number} */ k) => {
    const button = element(escaped(title || `No. ${k + 1}`), "button");
    button.addEventListener("click", () => setMelody(k));
    at("tunes").append(button);
  });
  data.neurons.forEach((/** @type {number} */ neuron, /** @type {number} */ k) => {
    const row = element(`<label for="neuron-${k}">neuron ${neuron}</label><input id="neuron-${k}" type="range" min="0" max="${data.values.length - 1}" step="1"><span class="number"></span>`);
    row.className = "slide";
    const input = /** @type {HTMLInputElement} */ (row.querySelector("input"));
    input.addEventListener("input", () => {
      Object.assign(moving, { neuron: k, value: Number(input.value) });
      drawMoved();
    });
    input.addEventListener("focus", () => {
      if (moving.neuron !== k) Object.assign(moving, { neuron: k, value: -1 });
      drawMoved();
    });
    at("sliders").append(row);
  });
  const playMoved = () => {
    if (player.playing) {
      player.stop();
      at("play").textContent = "▶ Play";
      return drawMoved();
    }
    at("play").textContent = "❚❚ Stop";
    playMelody(movedMelody(), /** @type {HTMLCanvasElement} */ (at("moved-roll")), melodyOf("reconstruction", moving.melody));
  };
  at("play").addEventListener("click", playMoved);
  at("reset").addEventListener("click", () => {
    moving.value = -1;
    drawMoved();
  });
  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || (target.matches("button") && event.key === " ")) return;
    if (event.key === " ") playMoved();
    else if (/^[1-9]$/.test(event.key) && Number(event.key) <= data.titles.length) setMelody(Number(event.key) - 1);
    else return;
    event.preventDefault();
  });
  new ResizeObserver(() => drawMelodies()).observe(document.body);
  drawMelodies();
}

/* ------------------------------------------------------------ beginning ---- */

/** The page of a folk-rnn. */
async function beginTunes() {
  await unpack("core");
  view.side = data.sides.length - 1;
  view.layer = view.site = data.layers[data.layers.length - 1].name;
  view.unit = clearest(data.layers[data.layers.length - 1]);
  for (let k = 0; k < data.shown; k += 1) {
    const button = element(escaped(data.tunes[k].title), "button");
    button.addEventListener("click", () => setTune(k));
    at("tunes").append(button);
  }
  at("turns").hidden = data.sides.length < 2;
  at("site").innerHTML = data.sites.map((/** @type {Site} */ site) => `<option>${site.name}</option>`).join("");
  at("site").value = view.site;
  at("left-out").textContent = data.left_out.length ? `${data.left_out.join("; ")}.` : "";
  view.step = Math.min(12, rowsOf(tuneNow()) - 1);
  drawScores();
  markSide();
  timeline.all();
  listen();
  setStep(view.step);
  await unpack("states");
  timeline.key = "";
  drawScale();
  setTune(0);
  drawFound();
  drawUnit();
}

/** The unit to begin with: the one that the place in the bar explains best, of those that the run changed, where it did.
 * @param {Layer} layer */
function clearest(layer) {
  const changed = data.cuts.flatMap((/** @type {any} */ cut) => cut.units[layer.name] || []);
  const among = changed.length ? changed : Array.from({ length: layer.units }, (_, unit) => unit);
  /** @param {number} unit */
  const excess = (unit) => {
    const { variable } = eventOf(layer, unit);
    return variable ? grids["event/excess"].data[layer.first + unit] + (variable.name.endsWith("in bar") ? 1 : 0) : -1;
  };
  return among.reduce((/** @type {number} */ best, /** @type {number} */ unit) => (excess(unit) > excess(best) ? unit : best));
}

/** Light or dark, as the system is until the reader says otherwise. */
function beginTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  /** @param {boolean} on */
  const turn = (on) => {
    document.documentElement.classList.toggle("dark", on);
    if (data.kind === "folkrnn" && data.searched) {
      drawScale();
      timeline.draw();
    }
    if (data.kind === "musicvae") drawMelodies();
    for (const document_ of plotted.values()) paintPlot(document_);
  };
  turn(system.matches);
  system.addEventListener("change", () => turn(system.matches));
  at("theme").addEventListener("click", () => turn(!dark()));
  at("keys-button").addEventListener("click", () => {
    at("keys").hidden = !at("keys").hidden;
    at("keys-button").setAttribute("aria-expanded", String(!at("keys").hidden));
  });
}


beginTheme();
/** @type {any} */ (window).explorer = { data, grids, view, moving, player, values, power, strongestPeriod, unitsOf, passages, nextTokens, surprise, search, movedMelody };
(document.body.classList.contains("musicvae") ? beginMelodies() : beginTunes()).then(
  () => document.body.setAttribute("data-ready", "true"),
  (/** @type {Error} */ error) => {
    at("notice").hidden = false;
    at("notice").textContent = typeof DecompressionStream === "undefined" ? "This browser is too old for this page: it cannot unpack the data (it needs a version of 2023 or later)." : `This page could not be drawn: ${error.message}`;
    throw error;
  },
);
