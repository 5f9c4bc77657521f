// The shared text. Three layers: what the stream says, what is on its way, what was typed since.
//
// One event of ours is on its way at a time. It keeps the form it was sent in; for our own screen
// it is moved past what arrives before it. When it comes back through the stream it is applied
// like everybody else's, and what was typed since goes out next.

import { applyAll, moveList, movePosition, pushPatch } from "./patch.js";

export class Canvas {
  constructor(author, send) {
    this.author = author;
    this.send = send;
    this.reset();
  }

  reset() {
    this.confirmed = "";
    this.last = 0;
    this.history = []; // [sequence, patches as they were applied]
    this.flying = null; // {id, patches}
    this.typed = [];
    this.moved = []; // foreign patches since the screen was drawn, as they are on the screen
    this.outOfRange = 0;
  }

  get text() {
    return applyAll(applyAll(this.confirmed, this.flying ? this.flying.patches : []), this.typed);
  }

  get unsent() {
    return this.typed.length + (this.flying ? 1 : 0);
  }

  // A change made on the screen as it was drawn last.
  edit(patch) {
    for (const other of this.moved) [[patch]] = moveList([patch], other);
    pushPatch(this.typed, patch);
  }

  flush() {
    if (this.flying || !this.typed.length) return;
    const event = {
      event_id: this.author.id(),
      event_type: "canvas.patch",
      payload: {
        patches: this.typed,
        base: this.last,
        author: this.author.name,
        at: new Date().toISOString(),
      },
    };
    this.flying = { id: event.event_id, patches: this.typed };
    this.typed = [];
    this.send(event);
  }

  refused() {
    this.flying = null;
    this.typed = [];
  }

  take(event) {
    const own = this.flying && event.event_id === this.flying.id;
    const patches = this.placed(event);
    this.confirmed = applyAll(this.confirmed, patches);
    this.last = event.sequence;
    if (patches.length) this.history.push([event.sequence, patches]);
    if (own) this.flying = null;
    else patches.forEach((patch) => this.moveOurs(patch));
  }

  // The patches of an event as they are for the text now.
  placed(event) {
    const { payload } = event;
    if (event.event_type === "canvas.start") return [[0, this.confirmed.length, payload.content]];
    if (event.event_type !== "canvas.patch" || !Array.isArray(payload.patches)) return [];
    let patches = payload.patches;
    if (Number.isInteger(payload.base)) {
      for (const [sequence, others] of this.since(payload.base)) {
        void sequence;
        for (const other of others) [patches] = moveList(patches, other);
      }
    }
    return patches;
  }

  since(base) {
    let start = this.history.length;
    while (start > 0 && this.history[start - 1][0] > base) start -= 1;
    return this.history.slice(start);
  }

  moveOurs(patch) {
    if (this.flying) [this.flying.patches, patch] = moveList(this.flying.patches, patch);
    [this.typed, patch] = moveList(this.typed, patch);
    this.moved.push(patch);
  }

  // Where a place on the screen as it was drawn last is now.
  caret(at) {
    return this.moved.reduce((place, patch) => movePosition(place, patch, false), at);
  }

  drawn() {
    this.moved = [];
  }
}
