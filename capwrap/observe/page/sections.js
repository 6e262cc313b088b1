// What each section of the page shows.

function badge(kind, text) {
  return el("span", { class: `badge ${kind}` }, text);
}

function badges(columns, index) {
  return WHAT.map(([kind, word], what) => (columns[what][index] && wanted.kinds[what]
    ? badge(kind, `${word} ${columns[what][index].toLocaleString("en")}`) : null));
}

function short(text, most = 80) {
  return text.length > most ? `${text.slice(0, most)}\u2026` : text;
}

function processName(process) {
  return process === NONE ? "a process that is not told apart" : `${processes.labels[process]} (process ${processes.pid[process]})`;
}

function ended(status, signal) {
  if (signal !== null && signal !== undefined) return `killed by signal ${signal}`;
  return status === null || status === undefined ? "no end was recorded" : `ended with ${status}`;
}

// Refusals.

const refusals = {
  folded: DATA.refusals.map((one) => JSON.stringify([one.path, one.path2, one.asked, one.address, one.call, one.kind,
    one.errno, one.why, one.allow, one.commands, one.stack]).toLowerCase()),
  list: el("div"),
  shown: [],
};
refusals.pager = new Pager("refusal", 50, (first, behind) => {
  refusals.list.replaceChildren(...refusals.shown.slice(first, behind).map(refusal));
});

function objectOf(one) {
  if (one.path && one.path2) return `${one.path} -> ${one.path2}`;
  return one.path || one.address || `${one.syscall}()`;
}

function refusal(one) {
  const times = one.count > 1 ? ` (${one.count.toLocaleString("en")} times)` : "";
  const by = one.commands[one.commands.length - 1].argv.join(" ");
  const body = el("div");
  const made = el("details", {},
    el("summary", {}, badge("refused", "refused"), code(objectOf(one)),
      `: ${one.syscall}: ${one.errno}, ${DATA.reasons[one.kind] ?? one.kind}${times}, by `, code(short(by, 60))),
    body);
  made.addEventListener("toggle", () => {
    if (made.open && !body.hasChildNodes()) body.append(explained(one));
  });
  return made;
}

function explained(one) {
  const list = (tag, items) => (items.length ? el(tag, {}, items.map((item) => el("li", {}, item))) : null);
  const remedy = one.allow ? [
    ["allow with", el("code", { class: "remedy" }, one.allow)],
    ["in a policy", one.policy.length ? one.policy.map((line) => el("div", {}, code(line))) : one.hint],
    ["allows also", list("ul", one.also)],
  ] : [["remedy", one.hint]];
  const via = one.via ? [", through the symbolic link ", code(one.via)] : [];
  return terms(
    ["call", code(one.call)],
    ["asked for", one.asked && code(one.asked)],
    ["which is", one.asked && [code(one.path), ...via]],
    ["needs", one.needs.join(", ")],
    ["why", one.why],
    ["backtrace", list("ol", one.stack.map((frame) => code(frameText(frame))))],
    ["by", list("ol", one.commands.map((each) => [code(each.argv.join(" ")), ` (process ${each.pid})`]))],
    ...remedy,
    ["in the record", `line with the id ${one.id}`],
  );
}

function frameText(frame) {
  const place = frame.file && frame.line ? `${frame.file}:${frame.line}` : frame.file;
  const module = (frame.module || "?") + (frame.offset === null ? "" : `+${frame.offset}`);
  return `${frame.symbol || "?"}${place ? ` (${place})` : ""} in ${module}`;
}

function showRefusals() {
  refusals.shown = DATA.refusals.filter((_, index) => wanted.words.every((word) => refusals.folded[index].includes(word)));
  refusals.empty.hidden = refusals.shown.length > 0;
  refusals.empty.textContent = DATA.refusals.length ? "No refusal has what is searched for." : "Nothing was refused.";
  refusals.pager.reset(refusals.shown.length);
}
refusals.empty = el("p", { class: "dim" });

// Processes.

let processesShown = null;

const processTree = new Tree("Processes over time", "process", {
  children: (process) => (processes.children.get(process) ?? []).filter((child) => processesShown[child]),
  open: () => true,
  label: (process) => processes.labels[process],
  above: (process) => short(processes.labels[processes.parent[process]]),
  draw(process) {
    const bad = processes.refused[process];
    const [start, end] = [processes.start[process], processes.end[process] ?? finish];
    const x = ((start - begin) / span) * 1000;
    const width = Math.max(((end - start) / span) * 1000, 4);
    const failed = processes.status[process] !== 0 || processes.signal[process] !== null;
    return [bad ? "strong-refused" : "",
      el("span", { class: "label" }, code(short(processes.labels[process], 120)), " ", bad ? badge("refused", `refused ${bad}`) : null,
        el("span", { class: "dim" }, `process ${processes.pid[process]}, ${seconds(start)} to ${seconds(end)}, ${counted(processes.calls[process], "call")}${
          failed ? `, ${ended(processes.status[process], processes.signal[process])}` : ""}`)),
      svg("svg", { class: bad ? "bar refused" : "bar", viewBox: "0 0 1000 10", preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("rect", { x: String(Math.min(x, 996)), width: String(width), height: "10" }))];
  },
  chosen(process) {
    const commands = processes.commands[process];
    const lines = [];
    for (let index = 0; index < commands.length; index += 2) {
      lines.push(el("li", {}, `at ${seconds(commands[index])}: `, code(DATA.texts[commands[index + 1]])));
    }
    const run = DATA.runs[processes.run[process]];
    return [
      el("h3", {}, `Process ${processes.pid[process]}`),
      terms(
        ["executed", lines.length ? el("ol", {}, lines) : "nothing itself"],
        ["started by", processes.parent[process] === NONE ? "what is not in the record" : code(processName(processes.parent[process]))],
        ["time", `${seconds(processes.start[process])} to ${processes.end[process] === null ? "the end of the record" : seconds(processes.end[process])}`],
        ["end", ended(processes.status[process], processes.signal[process])],
        ["record", DATA.runs.length > 1 && run ? code(run.record) : null],
      ),
      button("Show its calls", () => choose({ process })),
    ];
  },
});

// The namespace.

let namesShown = null;
let namesLaid = new Map(); // name -> what is shown beneath it
let namesLabel = new Map(); // name -> [label, the name that it is shown beneath]

function laidBeneath(name) {
  const known = namesLaid.get(name);
  if (known) return known;
  const shown = (list) => (list ?? []).filter((child) => namesShown[child]);
  const laid = shown(names.children.get(name)).map((child) => {
    // a directory with which nothing was done, and one thing in it, is one row with that
    for (let inner = shown(names.children.get(child)); inner.length === 1; inner = shown(names.children.get(child))) {
      if (names.parent[child] === NONE || names.granted.has(child) || names.own.some((column) => column[child])) break;
      [child] = inner;
    }
    const above = name === NONE ? "" : names.paths[name] === "/" ? "/" : `${names.paths[name]}/`;
    namesLabel.set(child, [names.paths[child].slice(above.length), name]);
    return child;
  });
  namesLaid.set(name, laid);
  return laid;
}

function rightsOf(name) {
  const rule = names.granted.get(name);
  return rule ? `grant ${rule.rights}${rule.used ? "" : ", never used"}` : "grant";
}

const nameTree = new Tree("Namespace", "name", {
  children: laidBeneath,
  open: (name) => !everything() || names.paths[name] === "/",
  label: (name) => namesLabel.get(name)[0],
  above: (name) => names.paths[namesLabel.get(name)[1]],
  draw(name) {
    const strongest = STRENGTH.find((what) => wanted.kinds[what] && names.totals[what][name]);
    const inner = names.children.has(name);
    const label = namesLabel.get(name)[0];
    return [strongest === undefined ? "" : `strong-${WHAT[strongest][0]}`,
      el("span", { class: "label" }, el("code", { class: strongest === undefined ? null : WHAT[strongest][0] },
        inner && label !== "/" ? `${label}/` : label)),
      el("span", {}, names.granted.has(name) ? badge("grant", rightsOf(name)) : null, badges(names.totals, name))];
  },
  chosen(name) {
    const words = (columns) => WHAT.map(([, word], what) => (columns[what][name] ? `${word} ${columns[what][name].toLocaleString("en")}` : null)).filter(Boolean).join(", ");
    const rule = names.granted.get(name);
    const users = new Set();
    for (let row = 0; row < calls.count && users.size <= 20; row += 1) {
      if (within(calls.name[row], name) || within(calls.name2[row], name)) users.add(calls.process[row]);
    }
    const by = Array.from(users, (process) => el("li", {}, code(short(processName(process), 200))));
    if (by.length > 20) by[20] = el("li", {}, "and others");
    return [
      el("h3", {}, code(names.paths[name])),
      terms(
        ["calls on it", words(names.own) || "none"],
        ["with all beneath", names.children.has(name) ? words(names.totals) : null],
        ["grant", names.granted.has(name) ? [rightsOf(name), rule ? [", from ", code(rule.origin)] : null].flat() : null],
        ["by", by.length ? el("ul", {}, by) : null],
      ),
      button("Show its calls", () => choose({ name })),
    ];
  },
});

// Tables.

function sum(name) {
  return names.own.reduce((all, column, what) => all + (wanted.kinds[what] ? column[name] : 0), 0);
}

const fileTable = new SortedTable("Names by the number of calls on each", "name", [
  { name: "Name", head: true, key: (name) => names.paths[name], cell: (name) => button(names.paths[name], () => choose({ name }), { class: "plain code" }) },
  { name: "Calls", number: true, key: sum, cell: (name) => sum(name).toLocaleString("en") },
  ...WHAT.map(([kind, word], what) => ({
    name: word[0].toUpperCase() + word.slice(1),
    number: true,
    key: (name) => names.own[what][name],
    cell: (name) => (names.own[what][name] ? el("span", { class: kind }, names.own[what][name].toLocaleString("en")) : ""),
  })),
], { column: 1, down: true });

const callTable = new SortedTable("Calls in the order of their first time", "call", [
  { name: "First", number: true, key: (row) => calls.first[row], cell: (row) => seconds(calls.first[row]) },
  { name: "Call", key: (row) => calls.syscalls[calls.syscall[row]], cell: (row) => code(calls.syscalls[calls.syscall[row]]) },
  { name: "Name", head: true, key: (row) => nameOf(row), cell: (row) => code(nameOf(row)) },
  { name: "What", key: (row) => calls.what[row], cell: (row) => badge(WHAT[calls.what[row]][0], WHAT[calls.what[row]][1]) },
  { name: "Result", key: resultOf, cell: resultOf },
  { name: "Times", number: true, key: (row) => calls.times[row], cell: (row) => calls.times[row].toLocaleString("en") },
  { name: "Process", key: (row) => calls.process[row], cell: (row) => code(short(processName(calls.process[row]))) },
  { name: "Rights", cell: (row) => calls.rightSets[calls.rights[row]].join(", ") },
], { column: 0, down: false });

function nameOf(row) {
  const [one, other] = [calls.name[row], calls.name2[row]].map((name) => (name === NONE ? "" : names.paths[name]));
  return other ? `${one} -> ${other}` : one || "(no name)";
}

const grantTable = new SortedTable("Grants that no call used", "grant", [
  { name: "Grant", head: true, key: (rule) => rule.path, cell: (rule) => code(rule.path) },
  { name: "Rights", key: (rule) => rule.rights, cell: (rule) => rule.rights },
  { name: "From", key: (rule) => rule.origin, cell: (rule) => code(rule.origin) },
], null);

const runTable = new SortedTable("Runs in the records", "run", [
  { name: "Command", head: true, key: (run) => run.command, cell: (run) => code(run.command) },
  { name: "Began", key: (run) => run.time ?? 0, cell: (run) => (run.time === null ? "" : new Date(run.time * 1000).toISOString().replace("T", " ").slice(0, 19)) },
  { name: "Confined", cell: (run) => (run.traced ? "no, traced" : "yes") },
  { name: "End", cell: (run) => (run.end ? ended(run.end.status, run.end.signal) : "") },
  { name: "Record", key: (run) => run.record, cell: (run) => code(run.record) },
  { name: "Policy", cell: (run) => code(short(run.policy ?? "", 20)) },
  { name: "By", cell: (run) => `capwrap ${run.capwrap ?? "?"}, Linux ${run.kernel ?? "?"}, ${run.method ?? "?"}` },
  { name: "Landlock permits more", cell: (run) => run.coarse ?? "" },
], null);
