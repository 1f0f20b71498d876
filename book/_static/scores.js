/* The table of all scores: filtered, sorted, and opened at the rows that the address names.

   SCORES comes from scores-data.js, which the build writes: a page that is opened from a disk may fetch nothing.
   The address: #run=things&task=odd-one-out&split=a|b, each value URL-encoded, several joined by "|", or each as
   a condition of its own where a value holds that letter. */
"use strict";

(() => {
  const root = document.getElementById("scores"), STEP = 100, FACETS = ["task", "metric", "model", "stage", "split"];
  const runs = Object.keys(SCORES.runs);
  if (!runs.length) { root.textContent = "No run has scores yet."; return; }
  const at = Object.fromEntries(SCORES.columns.map((name, place) => [name, place]));
  const TEXTS = SCORES.columns.filter(name => !["value", "low", "high", "n"].includes(name));
  const state = {run: runs[0], where: new Map(), words: "", by: "", down: false, shown: STEP, note: ""};
  const tables = {};

  const make = (tag, {attributes, ...rest} = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), rest);
    for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
    element.append(...children.filter(child => child != null));
    return element;
  };
  const rows = () => tables[state.run] ??= SCORES.runs[state.run].rows.map(row =>
    Object.fromEntries(SCORES.columns.map((name, place) =>
      [name, TEXTS.includes(name) ? SCORES.runs[state.run].texts[row[place]] : row[place]])));
  const fits = (row, but = "") => {
    for (const [name, values] of state.where) if (name !== but && !values.includes(row[name])) return false;
    if (!state.words) return true;
    const text = TEXTS.map(name => row[name]).join(" ").toLowerCase();
    return state.words.toLowerCase().split(/\s+/).every(word => text.includes(word));
  };

  // ---- the address
  const read = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    Object.assign(state, {where: new Map(), words: "", shown: STEP, note: ""});
    for (const [name, value] of asked) {
      if (name === "run" && runs.includes(value)) state.run = value;
      else if (name === "run") state.note = `There is no run "${value}" here: ${runs.join(", ")}.`;
      else if (name === "words") state.words = value;
      else if (TEXTS.includes(name)) {
        const values = SCORES.runs[state.run].texts.includes(value) ? [value] : value.split("|");
        state.where.set(name, [...state.where.get(name) ?? [], ...values]);
      }
      else state.note = `There is no column "${name}": ${TEXTS.join(", ")}.`;
    }
  };
  const write = () => {
    const asked = new URLSearchParams({run: state.run});
    for (const [name, values] of state.where)
      for (const value of values.some(each => each.includes("|")) ? values : [values.join("|")]) asked.append(name, value);
    if (state.words) asked.set("words", state.words);
    history.replaceState(null, "", `#${asked}`);
  };

  // ---- the controls
  const field = (label, control) => make("label", {className: "scores-field"}, make("span", {textContent: label}), control);
  const run = make("select", {onchange: () => change({run: run.value, where: new Map()})},
    ...runs.map(name => make("option", {value: name, textContent:
      `${name} (${SCORES.runs[name].texts.includes("human") ? "people" : "simulated observers"})`})));
  const facets = Object.fromEntries(FACETS.map(name => [name, make("select", {onchange: event => {
    const {value} = event.target;
    value ? state.where.set(name, [value]) : state.where.delete(name);
    change();
  }})]));
  const words = make("input", {type: "search", oninput: () => change({words: words.value.trim()}),
    attributes: {spellcheck: "false", autocomplete: "off"}});
  const chosen = make("div", {className: "scores-chosen"}), count = make("p", {attributes: {role: "status"}});
  const body = make("tbody"), heads = {};
  const more = make("button", {type: "button", className: "scores-button", textContent: "Show more",
    onclick: () => change({shown: state.shown + STEP})});
  const save = make("button", {type: "button", className: "scores-button", textContent: "Save these rows (csv)", onclick: () => {
    const cell = text => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    const lines = [SCORES.columns, ...found().map(row => SCORES.columns.map(name => row[name] ?? ""))];
    const text = lines.map(line => line.map(each => cell(String(each))).join(",") + "\n").join("");
    const address = URL.createObjectURL(new Blob([text], {type: "text/csv"}));
    const link = make("a", {href: address, download: `${state.run}-scores.csv`});
    document.body.append(link); link.click(); link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  }});

  // A long name may break after what joins its words.
  const broken = text => text.split(/(?<=[/+-])/).flatMap((part, place) => place ? [make("wbr"), part] : [part]);

  // ---- the table: at most five columns, the interval small below the value
  const digits = value => value == null ? "not known" : (Number.isInteger(value) ? String(value) : value.toFixed(3)).replace("-", "\u2212");
  const COLUMNS = {
    Model: [row => row.model, row => row.stage, row => `${row.model} ${row.stage}`],
    Measure: [row => row.task, row => row.metric, row => `${row.task} ${row.metric}`],
    On: [row => row.split, row => row.evidence, row => row.split],
    Value: [row => digits(row.value), row => `${digits(row.low)} to ${digits(row.high)}`, row => row.value],
    n: [row => row.n.toLocaleString("en"), () => "", row => row.n],
  };
  const head = make("tr", {}, ...Object.keys(COLUMNS).map(name => heads[name] = make("th", {scope: "col"},
    make("button", {type: "button", className: "scores-sort", textContent: name, onclick: () =>
      change({by: name, down: state.by === name && !state.down})}))));
  const table = make("table", {className: "scores-table"},
    make("caption", {textContent: "Scores. A column's name sorts by it."}), make("thead", {}, head), body);
  const found = () => {
    const list = rows().filter(row => fits(row));
    if (!state.by) return list;
    const key = COLUMNS[state.by][2], sign = state.down ? -1 : 1;
    const compare = (a, b) => typeof a === "string" ? a.localeCompare(b, "en", {numeric: true}) : a - b;
    return list.sort((a, b) => key(a) == null ? 1 : key(b) == null ? -1 : sign * compare(key(a), key(b)));
  };

  function draw() {
    run.value = state.run;
    if (words.value.trim() !== state.words) words.value = state.words;
    for (const name of FACETS) {
      const values = [...new Set(rows().filter(row => fits(row, name)).map(row => row[name]))];
      const now = state.where.get(name) ?? [];
      const several = now.length > 1 ? [make("option", {value: "several", textContent: `${now.length} chosen`, disabled: true})] : [];
      const lost = now.length === 1 && !values.includes(now[0]) ? now : [];
      facets[name].replaceChildren(make("option", {value: "", textContent: "all"}), ...several,
        ...[...lost, ...values].map(value => make("option", {value, textContent: value || "(none)"})));
      facets[name].value = now.length > 1 ? "several" : now[0] ?? "";
    }
    const filters = [...state.where].flatMap(([name, values]) => values.map(value => make("button", {
      type: "button", className: "scores-chip", textContent: `${name}: ${value || "(none)"} ×`,
      attributes: {"aria-label": `Remove the filter ${name}: ${value || "(none)"}`}, onclick: () => {
        const left = values.filter(each => each !== value);
        left.length ? state.where.set(name, left) : state.where.delete(name);
        change();
      }})));
    const clear = filters.length || state.words ? make("button", {type: "button", className: "scores-chip",
      textContent: "Clear all", onclick: () => change({where: new Map(), words: ""})}) : null;
    chosen.replaceChildren(...filters, ...[clear].filter(Boolean));
    const list = found();
    count.textContent = `${state.note} ${list.length.toLocaleString("en")} of ${rows().length.toLocaleString("en")} scores` +
      (list.length ? "." : ". No score fits: remove a filter.");
    body.replaceChildren(...list.slice(0, state.shown).map(row => make("tr", {},
      ...Object.entries(COLUMNS).map(([name, [first, second]], place) => make(place ? "td" : "th", {
        className: `scores-${name.toLowerCase()}`, ...(place ? {} : {scope: "row"})},
      make("span", {}, ...broken(first(row))), make("small", {textContent: second(row)}),
      name === "Value" ? make("small", {className: "scores-items", textContent: `n ${row.n.toLocaleString("en")}`}) : null)))));
    for (const [name, cell] of Object.entries(heads))
      cell.setAttribute("aria-sort", state.by !== name ? "none" : state.down ? "descending" : "ascending");
    more.hidden = list.length <= state.shown;
    save.disabled = !list.length;
  }
  function change(changes = {}) {
    if (!("shown" in changes)) state.shown = STEP;
    Object.assign(state, changes, {note: ""});
    write();
    draw();
  }

  root.replaceChildren(
    make("div", {className: "scores-fields"}, field("run", run), ...FACETS.map(name => field(name, facets[name])), field("words", words)),
    chosen, count, table, make("p", {className: "scores-actions"}, more, save));
  addEventListener("hashchange", () => { read(); draw(); });
  read();
  draw();
})();
