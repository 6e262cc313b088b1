// What was recorded, and which of it is to be shown.

const DATA = JSON.parse(byId("data").textContent);
const NONE = -1;

// In the order of their numbers: [class, in a badge, beside a checkbox].
const WHAT = [
  ["read", "read", "read"],
  ["written", "written", "written or changed"],
  ["executed", "executed", "executed"],
  ["looked", "looked at", "looked at"],
  ["failed", "failed", "failed"],
  ["refused", "refused", "refused"],
  ["absent", "absent", "absent"],
];
const REFUSED = 5;
// The one that gives a name its colour is the first of these that happened.
const STRENGTH = [REFUSED, 1, 2, 0, 3, 4, 6];

const names = {
  count: DATA.names.part.length,
  part: DATA.names.part,
  parent: DATA.names.parent,
  own: WHAT.map(([kind]) => DATA.names.counts[kind]),
  children: new Map([[NONE, []]]),
  paths: [],
  folded: [], // paths in lower case, for the search
  totals: WHAT.map(([kind]) => Float64Array.from(DATA.names.counts[kind])), // with all beneath
  granted: new Map(DATA.granted.map((name) => [name, null])), // name -> the rule of the policy, where one was given
};
for (let name = 0; name < names.count; name += 1) {
  const parent = names.parent[name];
  const above = parent === NONE ? "" : names.paths[parent];
  names.paths.push(parent === NONE ? names.part[name] : above === "/" ? above + names.part[name] : `${above}/${names.part[name]}`);
  names.folded.push(names.paths[name].toLowerCase());
  if (!names.children.has(parent)) names.children.set(parent, []);
  names.children.get(parent).push(name);
}
for (const list of names.children.values()) list.sort((a, b) => (names.part[a] < names.part[b] ? -1 : 1));
// A name comes behind the directory that holds it.
for (let name = names.count - 1; name >= 0; name -= 1) {
  const parent = names.parent[name];
  if (parent !== NONE) for (const column of names.totals) column[parent] += column[name];
}
for (const rule of DATA.policy ?? []) if (rule.name !== NONE) names.granted.set(rule.name, rule);

const processes = {
  count: DATA.processes.pid.length,
  ...DATA.processes,
  children: new Map([[NONE, []]]),
  labels: [],
  folded: [],
  calls: null,
  refused: null,
};
for (let process = 0; process < processes.count; process += 1) {
  const parent = processes.parent[process];
  if (!processes.children.has(parent)) processes.children.set(parent, []);
  processes.children.get(parent).push(process);
  const commands = processes.commands[process];
  let label = commands.length ? DATA.texts[commands[commands.length - 1]] : null;
  if (label === null) label = parent === NONE ? "an unknown program" : `fork of ${processes.labels[parent].replace(/^fork of /, "")}`;
  processes.labels.push(label);
  const all = commands.filter((_, index) => index % 2).map((text) => DATA.texts[text]);
  processes.folded.push(`${processes.pid[process]} ${label} ${all.join(" ")}`.toLowerCase());
}

const calls = { ...DATA.calls, count: DATA.calls.name.length };
calls.times = DATA.calls.count;
processes.calls = new Float64Array(processes.count);
processes.refused = new Float64Array(processes.count);
names.users = new Uint32Array(names.count); // rows of calls
for (let row = 0; row < calls.count; row += 1) {
  const process = calls.process[row];
  if (process !== NONE) {
    processes.calls[process] += calls.times[row];
    if (calls.what[row] === REFUSED) processes.refused[process] += calls.times[row];
  }
  for (const name of [calls.name[row], calls.name2[row]]) if (name !== NONE) names.users[name] += 1;
}

// Times are counted from the first one that was recorded.
let begin = Infinity;
let finish = -Infinity;
for (const column of [processes.start, processes.end, calls.first, calls.last]) {
  for (const time of column) {
    if (time === null) continue;
    begin = Math.min(begin, time);
    finish = Math.max(finish, time);
  }
}
const span = Math.max(finish - begin, 1);

function seconds(time) {
  return `${((time - begin) / 1e6).toFixed(3)} s`;
}

// What is to be shown: words that all have to be found, kinds, and at times one name or process that was chosen.
const wanted = { words: [], kinds: WHAT.map(() => true), name: null, process: null };

function everything() {
  return !wanted.words.length && wanted.kinds.every(Boolean);
}

function hits(folded, count) {
  return wanted.words.map((word) => {
    const found = new Uint8Array(count);
    for (let index = 0; index < count; index += 1) found[index] = folded[index].includes(word) ? 1 : 0;
    return found;
  });
}

// Which names, processes and calls are wanted now.
function select() {
  const byName = hits(names.folded, names.count);
  const byProcess = hits(processes.folded, processes.count);
  const bySyscall = hits(calls.syscalls, calls.syscalls.length);
  const each = wanted.words.map((_, index) => index);
  const kinds = wanted.kinds.map((on, kind) => (on ? kind : NONE)).filter((kind) => kind !== NONE);
  const all = wanted.kinds.every(Boolean); // then a grant that nobody used is wanted too

  const nameWanted = new Uint8Array(names.count);
  let nameCount = 0;
  for (let name = 0; name < names.count; name += 1) {
    if (!each.every((word) => byName[word][name])) continue;
    if (!kinds.some((kind) => names.own[kind][name]) && !(all && names.granted.has(name))) continue;
    nameWanted[name] = 1;
    nameCount += 1;
  }
  const processWanted = new Uint8Array(processes.count);
  let processCount = 0;
  for (let process = 0; process < processes.count; process += 1) {
    if (!each.every((word) => byProcess[word][process])) continue;
    processWanted[process] = 1;
    processCount += 1;
  }
  const rows = [];
  for (let row = 0; row < calls.count; row += 1) {
    if (!wanted.kinds[calls.what[row]]) continue;
    const [name, name2, process] = [calls.name[row], calls.name2[row], calls.process[row]];
    if (wanted.process !== null && process !== wanted.process) continue;
    if (wanted.name !== null && !within(name, wanted.name) && !within(name2, wanted.name)) continue;
    if (each.every((word) => (name !== NONE && byName[word][name]) || (name2 !== NONE && byName[word][name2])
      || (process !== NONE && byProcess[word][process]) || bySyscall[word][calls.syscall[row]])) rows.push(row);
  }
  return { names: nameWanted, nameCount, processes: processWanted, processCount, rows };
}

function within(name, above) {
  while (name > above) name = names.parent[name];
  return name === above;
}

// The wanted ones and all above them, as what a tree of them shows.
function withAbove(chosen, parents) {
  const shown = Uint8Array.from(chosen);
  for (let index = shown.length - 1; index >= 0; index -= 1) {
    if (shown[index] && parents[index] !== NONE) shown[parents[index]] = 1;
  }
  return shown;
}

function resultOf(row) {
  return calls.errno[row] ? DATA.errnos[calls.errno[row]] ?? String(calls.errno[row]) : "done";
}
