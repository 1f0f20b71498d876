/* The odd-one-out task: instructions, trials, and a CSV of the answers or a comparison with recorded choices.

   oddTask(root, study, keys) fills an element. `study` is the "page" of study.json. `keys` is where keys are
   heard: the document where the task has the page to itself; without it, the element. Nothing is loaded from
   elsewhere. */
"use strict";

function oddTask(root, study, keys = root) {
  const words = study.words, comparing = Boolean(study.compare), columns = study.columns;
  const given = comparing ? null : new URLSearchParams(location.search).get("participant");
  const place = `humalign-${study.id}-${given ?? ""}`;
  const first = keys === root ? "h3" : "h1"; // below the headings of a page that holds more than the task
  let memory = "", stores = true, state, plan, turn = 0, begun = 0, clock = 0, open = false;

  const fill = (text, values = {}) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  const make = (tag, {attributes, ...rest} = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), rest);
    for (const [name, value] of Object.entries(attributes ?? {})) element.setAttribute(name, value);
    element.append(...children.filter(child => child != null));
    return element;
  };
  const button = (text, onclick, kind = "") =>
    make("button", {type: "button", className: `odd-button ${kind}`, textContent: text, onclick});
  const paragraphs = texts => texts.map(text => make("p", {textContent: text}));

  // ---- what is kept
  const keep = () => {
    if (comparing) return;
    memory = JSON.stringify(state);
    try { localStorage.setItem(place, memory); } catch { stores = false; }
  };
  const kept = () => {
    try { return JSON.parse((stores && !comparing && localStorage.getItem(place)) || memory || "null"); }
    catch { return JSON.parse(memory || "null"); }
  };
  const letters = n =>
    [...crypto.getRandomValues(new Uint8Array(n))].map(one => (one % 36).toString(36)).join("");
  const fresh = () => {
    const session = `x${letters(11)}`;
    const participant = given ?? `p${session.slice(1, 7)}`;
    return {session, participant, agreed: Boolean(study.straight), shown: 0, rows: [],
      sent: false, saved: ""};
  };
  // Another tab, or this one before a step back, may have gone on: what is kept counts.
  const recall = () => { state = kept() ?? fresh(); plan = oddPlan(study, state.session); };
  const finished = () => state.rows.length >= plan.length;
  const cell = text => /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const csv = () => [columns, ...state.rows].map(row => row.map(cell).join(",") + "\n").join("");

  // ---- screens
  const stage = make("div"), live = make("div", {className: "odd-live", attributes: {role: "status"}});
  root.replaceChildren(stage, live);
  const screen = (name, ...children) => {
    turn++; open = false; clearTimeout(clock);
    root.dataset.screen = name;
    stage.replaceChildren(...children.filter(child => child != null));
  };
  const panel = (name, title, ...children) => {
    const heading = make(first, {className: "odd-title", textContent: title, tabIndex: -1});
    screen(name, make("section", {className: "odd-panel"}, heading, ...children));
    return heading;
  };
  const actions = (...buttons) => make("div", {className: "odd-actions"}, ...buttons);
  const ask = (name, title, texts, then) => {
    const next = button(words.continue, then, "odd-main");
    panel(name, title, ...paragraphs(texts), actions(next));
    next.focus({preventScroll: true});
  };

  function welcome() {
    const trials = plan.length, seconds = study.timeout_ms / 1000;
    const minutes = Math.max(1, Math.round(trials * 4 / 60));
    const texts = [words.lead, ...words.instructions, fill(words.length, {trials, minutes}),
      study.timeout_ms ? fill(words.limit, {seconds}) : null, comparing ? null : words.keeps].filter(Boolean);
    const start = button(words.start, () => { state.agreed = true; keep(); mark(); trial(); }, "odd-main");
    let consent = null;
    if (!comparing) {
      const box = make("input", {type: "checkbox", id: "odd-agree"});
      box.onchange = () => { start.disabled = !box.checked; };
      start.disabled = true;
      consent = make("div", {className: "odd-consent"}, make("h2", {textContent: words.aboutYou}),
        ...paragraphs(study.consent),
        make("label", {htmlFor: "odd-agree"}, box, make("span", {textContent: words.agree})));
    }
    const warning = stores ? null : make("p", {className: "odd-warning", textContent: words.memory});
    panel("welcome", words.title, ...paragraphs(texts), consent, warning, actions(start));
  }

  function paused() {
    const texts = [fill(words.back, {done: state.rows.length, trials: plan.length})];
    ask("paused", words.paused, texts, () => { recall(); mark(); show(true); });
  }

  async function trial() {
    const at = state.rows.length, now = plan[at], practice = now.kind === "practice";
    state.shown++; keep();
    const files = now.order.map(each => now.files[each]);
    const pictures = files.map((file, which) => make("img", {
      src: file, alt: now.alt?.[now.order[which]] ?? fill(words.picture, {place: which + 1}),
      draggable: false, decoding: "sync"}));
    const hint = which =>
      make("span", {className: "odd-key", textContent: which + 1, attributes: {"aria-hidden": true}});
    const choices = pictures.map((picture, which) => make("button", {
      type: "button", className: "odd-choice", disabled: true, attributes: {"aria-keyshortcuts": which + 1},
      onclick: event =>
        answer(which, event.timeStamp, event.detail === 0 ? "keyboard" : event.pointerType || "mouse"),
    }, picture, hint(which)));
    const done = fill(words.progress, {done: at + 1, trials: plan.length});
    const group = make("div", {className: "odd-choices", tabIndex: -1,
      attributes: {role: "group", "aria-labelledby": "odd-question"}}, ...choices);
    const bar = make("progress", {max: plan.length, value: at, attributes: {"aria-label": done}});
    screen("trial",
      make("div", {className: "odd-head"}, bar,
        make("span", {className: "odd-count", textContent: practice ? `${words.practice} · ${done}` : done}),
        comparing ? null : button(words.pause, paused, "odd-quiet")),
      make(first, {className: "odd-title", id: "odd-question", textContent: words.question}), group);
    const mine = turn;
    live.textContent = done;
    // Nothing is shown for a moment, so that a second click on the last triplet is no answer to this one.
    const wait = new Promise(resolve => setTimeout(resolve, 300));
    const drawn = await Promise.all(pictures.map(picture => picture.decode().then(() => true, () => false)));
    if (mine !== turn) return;
    if (drawn.includes(false)) return panel("broken", words.paused, ...paragraphs([words.broken]));
    await wait;
    if (mine !== turn) return;
    group.classList.add("odd-shown");
    if (at || !study.straight) group.focus({preventScroll: true}); // what is hidden takes no focus
    for (const choice of choices) choice.disabled = false;
    requestAnimationFrame(() => requestAnimationFrame(time => {
      if (mine !== turn) return;
      begun = time; open = true;
      if (study.timeout_ms) clock = setTimeout(() => record(now, -1, 0, "none"), study.timeout_ms);
    }));
    for (const file of plan[at + 1]?.files ?? []) new Image().src = file; // the next ones are there in time
  }

  function answer(which, time, how) {
    if (open) record(plan[state.rows.length], which, Math.max(1, Math.round(time - begun)), how);
  }

  function record(now, which, took, how) {
    open = false;
    clearTimeout(clock);
    const others = kept();
    if (others && (others.session !== state.session || others.rows.length !== state.rows.length)) {
      recall();
      return show();
    }
    const shown = now.order.map(each => now.images[each]), right = which >= 0 && now.order[which] === now.odd;
    const answered = which < 0 ? ["", "", ""] : [shown[which], String(which + 1), String(took)];
    const number = String(state.rows.length + 1);
    const cells = [study.id, state.participant, state.session, number, now.kind, now.level, now.id, ...shown,
      ...answered, how, String(state.shown), new Date().toISOString()];
    const last = state.rows.length ? state.rows.at(-1).at(-1) : "";
    cells.push(`c${oddHash([last, ...cells].join("\u001f")).toString(16).padStart(8, "0")}`);
    if (comparing) cells.chosen = now.order[which];
    state.rows.push(cells); state.shown = 0;
    keep();
    if (finished()) end();
    else if (which < 0)
      ask("missed", fill(words.missed, {seconds: study.timeout_ms / 1000}), [words.missedMore], trial);
    else if (now.kind === "practice" && (now.odd != null || plan[state.rows.length].kind !== "practice"))
      ask("feedback", words.practice, [now.odd == null ? null : right ? words.right : words.wrong,
        plan[state.rows.length].kind === "practice" ? null : words.begin].filter(Boolean), trial);
    else trial();
  }

  // ---- the end
  function end(note, bad = false) {
    if (comparing) return compare();
    note ??= state.sent ? words.sent : state.saved ? fill(words.saved, {file: state.saved}) : "";
    const status = note ? make("p", {className: bad ? "odd-warning" : "odd-note", textContent: note}) : null;
    live.textContent = note;
    const save = button(words.save, () => end(fill(words.saved, {file: download()})), "odd-save");
    const again = study.send && !state.sent ? button(words.again, send, "odd-main") : null;
    if (!again) save.classList.add("odd-main");
    const another = given == null ? button(words.another, () => {
      if (!state.saved && !state.sent) download();
      try {
        localStorage.setItem(`${place}-${state.session}`, JSON.stringify(state));
      } catch { stores = false; }
      state = fresh();
      keep();
      recall();
      welcome();
    }, "odd-quiet") : null;
    const code = make("p", {className: "odd-id", textContent: fill(words.id, state)});
    const hint = study.send ? [] : paragraphs([words.saveHint]);
    const offered = actions(...[again, save, another].filter(Boolean));
    const heading = panel("done", words.done, ...hint, code, status, offered);
    heading.focus({preventScroll: true});
    if (study.send && !state.sent && !note) send();
  }

  function download() {
    const file = `answers-${state.participant}-${state.session}.csv`;
    const address = URL.createObjectURL(new Blob([csv()], {type: "text/csv"}));
    const link = make("a", {href: address, download: file});
    root.append(link); link.click(); link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    state.saved = file; keep();
    return file;
  }

  async function send() {
    end(words.sending);
    let came = false;
    try { // text/plain is sent without asking the other side first
      const headers = {"Content-Type": "text/plain;charset=utf-8"};
      came = (await fetch(study.send, {method: "POST", headers, body: csv()})).ok;
    } catch { came = false; }
    state.sent ||= came;
    keep();
    end(came ? words.sent : words.unsent, !came);
  }

  function compare() {
    // A recorded choice is a place among the three, or a share of people for each place.
    const shares = choice => Array.isArray(choice) ? choice : [0, 1, 2].map(each => Number(each === choice));
    const top = choice => shares(choice).indexOf(Math.max(...shares(choice)));
    const agrees = (one, most) => shares(most)[top(one)] === Math.max(...shares(most));
    const all = plan.map((trial, at) =>
      ({trial, choices: {[words.you]: state.rows[at].chosen, ...trial.compare}}));
    const names = [words.you, ...study.compare], people = study.compare[0];
    const rights = [];
    const score = names.filter(name => name !== people).map(name => {
      const right = all.filter(({choices}) => agrees(choices[name], choices[people])).length;
      rights.push(right);
      return make("tr", {}, make("th", {textContent: name, scope: "row"}),
        make("td", {textContent: fill(words.ofAll, {right, all: all.length})}));
    });
    const told = ({trial, choices}, file, which) => {
      const tags = names.map(name => {
        const className = name === words.you ? "odd-vote odd-own" : "odd-vote";
        if (!Array.isArray(choices[name]))
          return choices[name] === which ? make("span", {className, textContent: name}) : null;
        const share = `${Math.round(100 * choices[name][which])}%`, attributes = {style: `--share: ${share}`};
        const votes = trial.votes?.[name], all = votes?.reduce((sum, each) => sum + each, 0);
        const amount = votes ? fill(words.ofAll, {right: votes[which], all}) : share;
        return make("span", {className: "odd-share", textContent: `${name} ${amount}`, attributes});
      });
      const alt = trial.alt?.[which] ?? fill(words.picture, {place: which + 1});
      return make("div", {className: "odd-told"}, make("img", {src: file, alt}), ...tags);
    };
    const cards = all.map((each, at) => make("div", {className: "odd-card",
      attributes: {role: "group", "aria-label": fill(words.progress, {done: at + 1, trials: all.length})}},
    ...each.trial.files.map((file, which) => told(each, file, which))));
    const total = fill(words.totals ?? "", {...rights, all: all.length});
    const said = total ? make("p", {textContent: total}) : null;
    const heading = panel("results", words.resultsTitle, said, make("table", {className: "odd-score"},
      make("caption", {textContent: words.agreement}), make("tbody", {}, ...score)),
    make("div", {className: "odd-cards"}, ...cards),
      actions(button(words.replay, () => { recall(); trial(); }, "odd-main")));
    heading.focus({preventScroll: true});
  }

  // ---- keys, the back button, other tabs
  const pressed = event => {
    if (root.dataset.screen !== "trial" || event.ctrlKey || event.altKey || event.metaKey) return;
    const choices = [...root.querySelectorAll(".odd-choice")], at = choices.indexOf(document.activeElement);
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (event.repeat && (event.key === "Enter" || event.key === " ")) event.preventDefault();
    else if (/^[123]$/.test(event.key) && !event.repeat)
      answer(Number(event.key) - 1, event.timeStamp, "keyboard");
    else if (step) {
      event.preventDefault();
      choices[at < 0 ? (step > 0 ? 0 : 2) : (at + step + 3) % 3].focus();
    }
  };
  // A step back first pauses; a second one leaves the page.
  const mark = () => { if (!comparing && !history.state?.oddTask) history.pushState({oddTask: true}, ""); };
  const running = () => !comparing && state.agreed && !finished();
  const show = (straight = false) => {
    if (finished()) end();
    else if (!state.agreed) welcome();
    else if (straight === true || comparing) trial();
    else paused();
  };
  keys.addEventListener("keydown", pressed);
  if (given != null && !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(given))
    return void panel("bad", words.title, ...paragraphs([words.badId]));
  if (!comparing) {
    try {
      localStorage.setItem(`${place}-test`, "");
      localStorage.removeItem(`${place}-test`);
    } catch { stores = false; }
    addEventListener("popstate", () => { if (running()) { recall(); show(); } });
    addEventListener("pageshow", event => { if (event.persisted) { recall(); show(); } });
    addEventListener("storage", event => { if (event.key === place) { recall(); show(); } });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && running() && root.dataset.screen === "trial") paused();
    });
  }
  recall();
  show();
}
