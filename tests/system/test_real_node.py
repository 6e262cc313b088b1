"""node: child processes, worker threads, and file-system calls from its thread pool."""

from __future__ import annotations

from support.compare import Bench
from support.run import require

FILES = """\
const fs = require('fs');
const path = require('path');
(async () => {
  await fs.promises.mkdir('a/b/c', { recursive: true });
  await Promise.all([...Array(100).keys()].map((n) => fs.promises.writeFile(`a/f${n}`, `${n}`)));
  const sum = (await Promise.all([...Array(100).keys()].map((n) => fs.promises.readFile(`a/f${n}`, 'utf8'))))
    .reduce((x, y) => x + Number(y), 0);
  console.log(sum, process.cwd(), fs.realpathSync('a/b/..'));
  fs.symlinkSync('f1', 'a/link'); fs.linkSync('a/f2', 'a/hard'); fs.renameSync('a/f3', 'a/b/moved');
  fs.copyFileSync('a/f4', 'a/copy'); fs.chmodSync('a/copy', 0o640); fs.utimesSync('a/copy', 5, 5);
  console.log(fs.readlinkSync('a/link'), fs.statSync('a/copy').mtimeMs, fs.existsSync('a/f3'));
  for (const bad of ['a/absent', 'a/f1/x', '/absent']) {
    try { fs.openSync(bad, 'r'); } catch (error) { console.log(error.code, error.path); }
  }
  const temporary = fs.mkdtempSync('./tmp-'); fs.rmSync(temporary, { recursive: true });
  fs.rmSync('a/b', { recursive: true });
  console.log(fs.readdirSync('a').length);
})();
"""

CHILDREN = """\
const { spawn, spawnSync, exec, execFileSync, fork } = require('child_process');
if (process.argv[2] === 'child') {
  process.on('message', (m) => { process.send(m * 2, () => process.disconnect()); });
} else {
  console.log(execFileSync('sh', ['-c', 'echo $0 $1', 'a', 'b']).toString());
  console.log(spawnSync('cat', { input: 'input' }).stdout.toString(), spawnSync('false').status);
  console.log(spawnSync('no-such-program').error.code, spawnSync('sh', ['-c', 'kill -9 $$']).signal);
  exec('exit 5', (error) => {
    console.log('exec', error.code);
    const sleeper = spawn('sleep', ['100']);
    sleeper.on('exit', (code, signal) => {
      console.log('spawn', code, signal);
      const child = fork(__filename, ['child']);
      child.on('message', (m) => console.log('fork', m));
      child.on('exit', (code) => console.log('done', code));
      child.send(21);
    });
    sleeper.on('spawn', () => sleeper.kill('SIGTERM'));
  });
}
"""

WORKERS = """\
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const fs = require('fs');
if (isMainThread) {
  let left = 8;
  const sums = [];
  for (let n = 0; n < 8; n++) {
    const worker = new Worker(__filename, { workerData: n });
    worker.on('message', (sum) => sums.push(sum));
    worker.on('exit', () => { if (--left === 0) console.log(sums.sort((a, b) => a - b)); });
  }
} else {
  let sum = 0;
  for (let n = 0; n < 50; n++) {
    fs.writeFileSync(`w${workerData}-${n}`, `${workerData}`);
    sum += Number(fs.readFileSync(`w${workerData}-${n}`, 'utf8'));
  }
  parentPort.postMessage(sum);
}
"""

SERVER = """\
const net = require('net');
const server = net.createServer((c) => { c.pipe(c); });
server.listen('./socket', () => {
  const client = net.connect('./socket', () => client.end('echo'));
  let got = '';
  client.on('data', (d) => { got += d; });
  client.on('end', () => { console.log(got); server.close(() => console.log('closed')); });
});
"""


def test_node_works_on_files_as_natively(each_bench: Bench) -> None:
    require("node")
    each_bench.compare(["node", "files.js"], files={"files.js": FILES})


def test_node_starts_signals_and_talks_to_children(bench: Bench) -> None:
    require("node")
    bench.compare(["node", "children.js"], files={"children.js": CHILDREN})


def test_node_worker_threads_open_files_side_by_side(bench: Bench) -> None:
    require("node")
    bench.compare(["node", "workers.js"], files={"workers.js": WORKERS})


def test_node_serves_a_unix_socket_in_the_workspace(bench: Bench) -> None:
    require("node")
    bench.compare(["node", "server.js"], files={"server.js": SERVER})


def test_node_resolves_modules_through_symlinks(bench: Bench) -> None:
    require("node")
    files = {
        "main.js": "console.log(require('pkg'), require('./lib/x.json').y, require.resolve('pkg'))",
        "store/pkg/index.js": "module.exports = __filename",
        "lib/x.json": '{"y": 1}',
        "link.sh": "#!/bin/sh\nmkdir node_modules && ln -s ../store/pkg node_modules/pkg && exec node main.js\n",
    }
    bench.compare(["./link.sh"], files=files)
