// worker_threads: messages, shared memory with Atomics, errors, termination.
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (isMainThread) {
  const shared = new SharedArrayBuffer(16), cells = new Int32Array(shared);
  const start = (n) => new Promise((done, fail) => {
    const w = new Worker(__filename, { workerData: { n, shared } });
    w.on('message', (m) => done([n, m])).on('error', fail);
  });
  Promise.all([...Array(6).keys()].map(start)).then((all) => {
    console.log(JSON.stringify(all), cells[0], cells[1]);
    const w = new Worker('while (true);', { eval: true });
    w.on('online', () => w.terminate().then((code) => console.log('terminated', code)));
    new Worker('throw new Error("boom")', { eval: true }).on('error', (e) => console.log(e.message));
  });
} else {
  const cells = new Int32Array(workerData.shared);
  for (let i = 0; i < 10000; i++) Atomics.add(cells, 0, 1);
  if (Atomics.add(cells, 1, 1) === 5) Atomics.notify(cells, 1); else Atomics.wait(cells, 1, Atomics.load(cells, 1) === 6 ? 0 : Atomics.load(cells, 1), 2000);
  let s = 0;
  for (let i = 0; i < 2e6; i++) s = (s * 31 + i + workerData.n) % 1000003;
  parentPort.postMessage(s);
}
