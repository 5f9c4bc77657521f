// Patches [position, deleted, inserted] on a text, positions in Unicode code points. Pure.
//
// A patch says which state it was made for (`base`, the sequence of the last event its author had
// seen). Whoever applies it moves it past the events the author had not seen, in the order of the
// stream. All do the same with the same events, so all have the same text.

const SURROGATE = /[\ud800-\udfff]/;

export const codePoints = (text) => (SURROGATE.test(text) ? Array.from(text).length : text.length);

// Index of a code point in UTF-16 units, and back; they differ only where there are surrogates.
export function unitsOf(text, points) {
  if (!SURROGATE.test(text)) return points;
  let units = 0;
  for (const char of text) {
    if (points-- <= 0) break;
    units += char.length;
  }
  return units;
}

export const pointsOf = (text, units) => codePoints(text.slice(0, units));

export function applyPatch(text, [position, deleted, inserted]) {
  if (!SURROGATE.test(text)) {
    return text.slice(0, position) + inserted + text.slice(position + deleted);
  }
  const start = unitsOf(text, position);
  const end = start + unitsOf(text.slice(start), deleted);
  return text.slice(0, start) + inserted + text.slice(end);
}

export const applyAll = (text, patches) => patches.reduce(applyPatch, text);

// Where a position stands after `patch`. At a tie, `after` goes behind what was inserted there.
export function movePosition(at, [position, deleted, inserted], after) {
  const size = codePoints(inserted);
  if (at < position || (at === position && !(after && deleted === 0))) return at;
  if (at >= position + deleted) return at - deleted + size;
  return position + (after ? size : 0);
}

// `patch`, made for the state before `other`, for the state after it.
export function movePatch(patch, other, after) {
  const [position, deleted, inserted] = patch;
  const start = movePosition(position, other, after);
  const end = deleted === 0 ? start : Math.max(start, movePosition(position + deleted, other, false));
  return [start, end - start, inserted];
}

// A list of patches, each made on top of the one before, moved past one foreign patch.
// Also gives the foreign patch as it is on top of the whole list.
export function moveList(list, other) {
  const moved = [];
  for (const patch of list) {
    moved.push(movePatch(patch, other, true));
    other = movePatch(other, patch, false);
  }
  return [moved, other];
}

// The one patch that makes `after` out of `before`, or null.
export function difference(before, after) {
  if (before === after) return null;
  let start = 0;
  const shorter = Math.min(before.length, after.length);
  while (start < shorter && before[start] === after[start]) start += 1;
  let end = 0;
  while (
    end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]
  ) end += 1;
  // never cut a surrogate pair in two
  if (/[\udc00-\udfff]/.test(before[start] || "") || /[\udc00-\udfff]/.test(after[start] || "")) {
    start -= 1;
  }
  if (end && /[\udc00-\udfff]/.test(before[before.length - end])) end -= 1;
  start = Math.max(0, start);
  return [
    pointsOf(before, start),
    codePoints(before.slice(start, before.length - end)),
    after.slice(start, after.length - end),
  ];
}

// Typing on where the last patch ended makes that patch longer instead of making a new one.
export function pushPatch(list, patch) {
  const last = list[list.length - 1];
  if (last && patch[1] === 0 && patch[0] === last[0] + codePoints(last[2])) {
    list[list.length - 1] = [last[0], last[1], last[2] + patch[2]];
  } else {
    list.push(patch);
  }
}
