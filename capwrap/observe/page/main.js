// The page put together, and what its reader asks of it.

function choose({ name = null, process = null }) {
  wanted.name = name;
  wanted.process = process;
  refresh(false);
  byId("calls").focus();
}

function showChosen() {
  const { name, process } = wanted;
  const chosen = byId("chosen");
  chosen.hidden = name === null && process === null;
  if (chosen.hidden) return;
  const what = name === null ? processName(process) : names.paths[name];
  chosen.replaceChildren("Only the calls of ", code(short(what, 200)), " are listed. ", button("List all calls", () => choose({})));
}

// `all`: what is searched for has changed, not only which calls are to be listed.
function refresh(all) {
  const found = select();
  showChosen();
  callTable.show(found.rows);
  const status = [`${counted(found.rows.length, "row")} of calls`];
  if (all) {
    processesShown = withAbove(found.processes, processes.parent);
    namesShown = withAbove(found.names, names.parent);
    namesLaid = new Map();
    namesLabel = new Map();
    processTree.reset();
    nameTree.reset();
    const used = [];
    for (let name = 0; name < names.count; name += 1) {
      if (found.names[name] && !names.children.has(name) && sum(name)) used.push(name);
    }
    fileTable.show(used);
    showRefusals();
  }
  status.unshift(counted(found.nameCount, "name"), counted(refusals.shown.length, "refusal"), counted(found.processCount, "process"));
  byId("status").textContent = `Found: ${status.join(", ")}.`;
}

function searchSoon() {
  clearTimeout(searchSoon.waiting);
  searchSoon.waiting = setTimeout(() => {
    wanted.words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    wanted.kinds = Array.from(byId("kinds").querySelectorAll("input"), (box) => box.checked);
    refresh(true);
  }, 120);
}

function overview() {
  const { seen, untold, runs } = DATA;
  const traced = runs.length && runs.every((run) => run.traced);
  document.title = runs.length === 1 ? `capwrap report: ${short(runs[0].command)}` : `capwrap report: ${counted(seen.runs, "run")}`;
  byId("command").replaceChildren(
    runs.length === 1 ? code(runs[0].command) : counted(seen.runs, "run"),
    runs.length === 1 && runs[0].end ? ` ${ended(runs[0].end.status, runs[0].end.signal)}.` : "",
    ` ${counted(seen.access, "call")} on granted names, ${counted(seen.refusals, "call")} ${traced ? "that would have been refused" : "refused"}, `
    + `${counted(seen.absent, "call")} on names that the host does not have either (absent), in ${(span / 1e6).toFixed(3)} s.`);
  const told = [...DATA.problems.map((problem) => `${problem}; what the run did then is not here.`)];
  const lost = runs.reduce((all, run) => all + (run.end ? run.end.lost : 0), 0);
  if (lost) told.push(`${counted(lost, "event")} were seen and not kept.`);
  if (untold.names) told.push(`${counted(untold.names, "call")} on further names are counted above and not shown.`);
  if (untold.processes) told.push(`${counted(untold.processes, "further process")} are not shown.`);
  if (untold.calls) told.push(`${counted(untold.calls, "call")} are in the namespace and not in the list of calls.`);
  if (untold.refusals) told.push(`${counted(untold.refusals, "further refused call")} are not explained; capwrap explain does.`);
  byId("problems").replaceChildren(...told.map((text) => el("p", { class: "problem" }, text)));
  byId("problems").hidden = !told.length;
  byId("made").textContent = `Made by capwrap ${DATA.version} from ${counted(seen.runs, "recorded run")}.`;
}

function grants() {
  const body = byId("grants-body");
  if (DATA.policy === null) {
    body.append(el("p", {}, "A record does not hold the policy of its run. Given the same policy options as the run, "
      + "capwrap report tells here which grants nobody used: ", code("capwrap report --policy FILE.toml EVENTS"), "."));
    return;
  }
  const unused = DATA.policy.filter((rule) => !rule.used);
  const own = (rule) => !rule.origin.startsWith("profile ");
  body.append(el("p", {}, `${(DATA.policy.length - unused.length).toLocaleString("en")} of ${counted(DATA.policy.length, "grant")} were used.`), grantTable.element);
  grantTable.show([...unused.filter(own), ...unused.filter((rule) => !own(rule))]);
}

WHAT.forEach(([kind, , word], what) => {
  byId("kinds").append(el("label", { class: kind }, el("input", { type: "checkbox", checked: true, value: String(what) }), word));
});
byId("refusals-body").append(refusals.empty, refusals.list, refusals.pager.element);
byId("processes-body").append(processTree.element);
byId("names-body").append(nameTree.element);
byId("files-body").append(fileTable.element);
byId("calls-body").append(callTable.element);
byId("runs-body").append(runTable.element);
overview();
grants();
runTable.show(DATA.runs);
refresh(true);
byId("search").addEventListener("input", searchSoon);
byId("search").addEventListener("submit", (event) => event.preventDefault());
