"use strict";

/* FNV-1a of UTF-8, 32 bits. study.py checks the rows of a file with the same function. */
function oddHash(text) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

/* What one person is shown, in order: it follows from study and session, so that a reload gives the same. */
function oddPlan(study, session) {
  let seed = oddHash(session);
  const random = () => { // mulberry32
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = n => Math.floor(random() * n);
  const shuffled = list => {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = below(i + 1);
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  };
  const of = kind => study.trials.filter(trial => trial.kind === kind);
  if (study.compare) return of("main").map(trial => ({...trial, order: shuffled([0, 1, 2])}));
  // Levels take turns, so that a person who answers a part of the triplets answers as many at each.
  const byLevel = {};
  for (const trial of shuffled(of("main"))) (byLevel[trial.level] ??= []).push(trial);
  const turns = [], each = Math.min(study.each, of("main").length);
  for (let at = 0; turns.length < each; at++)
    for (const level of shuffled(Object.keys(byLevel)))
      if (byLevel[level][at]) turns.push(byLevel[level][at]);
  const sequence = shuffled(turns.slice(0, each));
  // Triplets of the first third come again in the second half.
  const again = shuffled(sequence.slice(0, Math.floor(each / 3))).slice(0, study.repeats);
  for (const trial of again) {
    const half = Math.ceil(each / 2);
    sequence.splice(half + below(sequence.length - half + 1), 0, {...trial, kind: "repeat"});
  }
  const catches = shuffled(of("catch"));
  // Catch trials are spread: one at a random place in each equal part, the last part first.
  const part = sequence.length / catches.length;
  for (let place = catches.length - 1; place >= 0; place--)
    sequence.splice(Math.round(place * part) + below(Math.ceil(part)), 0, catches[place]);
  return [...of("practice"), ...sequence].map(trial => ({...trial, order: shuffled([0, 1, 2])}));
}
