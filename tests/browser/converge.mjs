// Three canvases, a stream between them, seeded edits in any order: all must end with one text.
//
//   node converge.mjs SEED RUNS

import { Canvas } from "../../eventspine/api/static/demo/canvas.js";
import { difference } from "../../eventspine/api/static/demo/patch.js";

const [seed, runs] = process.argv.slice(2).map(Number);
let state = seed;
const random = () => (state = (state * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
const below = (limit) => Math.floor(random() * limit);
const copy = (value) => JSON.parse(JSON.stringify(value));
const INSERTS = ["a", "b", "😀", "é", "\n", "xyz"];

function run() {
  const stream = [];
  let ids = 0;
  const authors = [0, 1, 2].map((number) => {
    const author = { queue: [], seen: 0, screen: "" };
    const id = () => `e${(ids += 1)}`;
    author.canvas = new Canvas({ id, name: `c${number}` }, (event) => author.queue.push(event));
    return author;
  });
  const commit = (author) => {
    if (author.queue.length) stream.push(copy({ ...author.queue.shift(), sequence: stream.length + 1 }));
  };
  const read = (author) => {
    if (author.seen < stream.length) author.canvas.take(copy(stream[author.seen++]));
  };
  const draw = (author) => {
    author.screen = author.canvas.text;
    author.canvas.drawn();
  };
  const type = (author) => {
    const points = Array.from(author.screen);
    const position = below(points.length + 1);
    const deleted = random() < 0.3 ? Math.min(below(4), points.length - position) : 0;
    points.splice(position, deleted, ...Array.from(random() < 0.8 ? INSERTS[below(6)] : ""));
    const patch = difference(author.screen, points.join(""));
    if (!patch) return;
    author.canvas.edit(patch);
    draw(author);
  };
  const steps = [type, type, (author) => author.canvas.flush(), commit, read, read, draw];
  for (let step = 0; step < 250; step += 1) steps[below(steps.length)](authors[below(3)]);
  for (let round = 0; round < 10; round += 1) {
    for (const author of authors) {
      author.canvas.flush();
      while (author.queue.length) commit(author);
    }
    for (const author of authors) while (author.seen < stream.length) read(author);
  }
  const texts = new Set(authors.map((author) => author.canvas.text));
  return texts.size === 1 && authors.every((author) => author.canvas.unsent === 0);
}

for (let number = 0; number < runs; number += 1) {
  const before = state;
  if (!run()) {
    console.error(`the canvases differ: run ${number} of seed ${seed}, state ${before}`);
    process.exit(1);
  }
}
